//! Puts together what an operator sees first, from the store's counts, a survey of open work, the queues and the
//! figures of the last minutes. It decides nothing.

use crate::all_nodes::{AllWork, Inquiry, OfAll};
use crate::bulk::MOST_TARGETS;
use crate::clock::{Clock, SystemClock};
use crate::faults::store_problem;
use crate::open_case_queries::OpenCaseQuery;
use crate::pace::Answered;
use crate::supervisor::Supervisor;
use crate::views::{self, KeptBack};
use amends_api::sentence::group_title;
use amends_api::{
    AttemptFigures, BreakerState, Cause, DecisionView, GroupView, LimitsView, Overview, Progress,
    QuarantineView, QuarantinedView, ServiceHealth, ServiceView, StrangerView, TroubleReason,
    TroubleView, UnreadableView,
};
use amends_engine::{
    Decision, FoundQuestions, Group, GroupKey, Limits, Members, Quarantined, QuestionFilter,
    ServiceQueueStatus, Survey, Trouble, UnreadableRow,
};
use amends_protocol::{CaseId, Problem, Timestamp};
use amends_store::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

impl<S: Store> Supervisor<S> {
    /// Numbers of everything, over all nodes.
    ///
    /// # Errors
    /// `unavailable` while stopping or when the store fails.
    pub async fn overview(&self, now: Timestamp) -> Result<Overview, Problem> {
        Ok(self.overview_and_groups(now).await?.0)
    }

    /// The same with the groups of that moment, by one look at open work.
    pub(crate) async fn overview_and_groups(
        &self,
        now: Timestamp,
    ) -> Result<(Overview, Vec<GroupView>), Problem> {
        let all = self.all_work(now).await?;
        let groups = sorted_groups(&all.work.survey, now);
        Ok((self.overview_of(all, now).await?, groups))
    }

    /// Numbers of what this node works on. Those of `cases` and `rejected_reports` are of all.
    pub(crate) async fn own_overview(&self, now: Timestamp) -> Result<Overview, Problem> {
        let own = AllWork::of(self.own_work(now).await?);
        self.overview_of(own, now).await
    }

    async fn overview_of(&self, all: AllWork, now: Timestamp) -> Result<Overview, Problem> {
        // All of one moment of the store: two would count a case twice that is settled between them.
        let cases = self.store().case_counts().await.map_err(store_problem)?;
        let rejected_reports = self.count_rejected().await.map_err(store_problem)?;
        let services = self.describe_services(&all);
        let AllWork { work, silent, .. } = all;
        let survey = work.survey;
        Ok(Overview {
            silent_nodes: silent,
            at: survey.at,
            cases,
            awaiting_approval: survey.awaiting_approval,
            amounts: survey.money.amounts(),
            without_amount: survey.money.without(),
            oldest_open_at: survey.oldest_open_at,
            late: survey.late,
            questions: survey.questions,
            noted_questions: survey.noted,
            holds: self.rule_holds(None),
            quarantined: work.quarantined.len() as u64,
            unreadable_rows: work.unreadable.len() as u64,
            rejected_reports,
            minutes: work.pace.minutes(now),
            counted_since: work.pace.since,
            time_to_settle: work.pace.time_to_settle(),
            services,
            ways: work.ways,
            over_http: work.over_http,
            troubles: survey.troubles.iter().map(trouble).collect(),
        })
    }

    /// Every service of the active rulebooks, with its queues, its progress and how it answered lately.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub(crate) async fn services(
        &self,
        now: Timestamp,
    ) -> Result<OfAll<Vec<ServiceView>>, Problem> {
        let all = self.all_work(now).await?;
        Ok(OfAll { what: self.describe_services(&all), silent: all.silent })
    }

    /// Open work by cause: what is wrong first, then by number.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub(crate) async fn groups(&self) -> Result<OfAll<Vec<GroupView>>, Problem> {
        let now = SystemClock.now();
        let AllWork { work, silent, .. } = self.all_work(now).await?;
        Ok(OfAll { what: sorted_groups(&work.survey, now), silent })
    }

    /// What belongs to a group now, at most as much as a bulk act takes; nothing if the group is over.
    ///
    /// # Errors
    /// As [`Supervisor::overview`], and when another node does not answer: it may have some of it.
    pub(crate) async fn members(&self, group: String) -> Result<Members, Problem> {
        let (inquiry, limit) =
            (Inquiry::Members { group: group.clone(), limit: MOST_TARGETS }, MOST_TARGETS);
        let own = self.own_members(group, limit);
        self.of_all(&inquiry, own, |all: &mut Members, other| all.add(other, limit))
            .await?
            .whole()
            .map_err(|why| *why)
    }

    /// What belongs to it of what this node works on.
    pub(crate) async fn own_members(
        &self,
        group: String,
        limit: usize,
    ) -> Result<Members, Problem> {
        self.inquire(|reply| OpenCaseQuery::Members { group, limit, reply }).await
    }

    /// Open questions of the cases that are not settled, newest case first.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub(crate) async fn questions(
        &self,
        filter: QuestionFilter,
        limit: usize,
    ) -> Result<OfAll<FoundQuestions>, Problem> {
        let inquiry = Inquiry::Questions { filter: filter.clone(), limit };
        let own = self.own_questions(filter, limit);
        self.of_all(&inquiry, own, |all: &mut FoundQuestions, other| all.add(other, limit)).await
    }

    /// Those of what this node works on.
    pub(crate) async fn own_questions(
        &self,
        filter: QuestionFilter,
        limit: usize,
    ) -> Result<FoundQuestions, Problem> {
        self.inquire(|reply| OpenCaseQuery::Open { filter, limit, reply }).await
    }

    /// Names that rulebooks don't know, with what people have said of them and how many cases wait.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub(crate) async fn strangers(&self) -> Result<OfAll<Vec<StrangerView>>, Problem> {
        self.of_all(&Inquiry::Strangers, self.own_strangers(), add_strangers).await
    }

    /// Those that this node has heard of.
    pub(crate) async fn own_strangers(&self) -> Result<Vec<StrangerView>, Problem> {
        let found = self.inquire(OpenCaseQuery::Strangers).await?;
        Ok(found.into_iter().map(views::stranger).collect())
    }

    /// What can't be worked on.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub(crate) async fn all_quarantine(&self) -> Result<OfAll<QuarantineView>, Problem> {
        let own = std::future::ready(Ok(self.own_quarantine()));
        self.of_all(&Inquiry::Quarantine, own, add_quarantine).await
    }

    /// What this node can't work on.
    pub(crate) fn own_quarantine(&self) -> QuarantineView {
        let found = self.quarantine();
        let unreadable = |UnreadableRow { row, why }| UnreadableView { row, why };
        let view = |Quarantined { case, since }| QuarantinedView {
            case_id: case.id,
            saga_id: case.saga,
            since,
            reports: case.next_report,
            broken: unreadable(case.broken),
        };
        let cases = found.cases.iter().cloned().map(view).collect();
        QuarantineView { cases, rows: found.rows.iter().cloned().map(unreadable).collect() }
    }

    /// Whether a case can't be worked on, as far as this node knows: of another's cases what that one told last.
    pub(crate) fn is_quarantined(&self, case: CaseId) -> bool {
        self.quarantine().holds(case) || self.shared().hub.has_quarantined(Some(case))
    }

    /// Whether something can't be worked on, as far as this node knows.
    pub(crate) fn has_quarantined(&self) -> bool {
        !self.quarantine().is_empty() || self.shared().hub.has_quarantined(None)
    }

    /// All open work, as it was at a moment after this call.
    pub(crate) async fn survey(&self) -> Result<Arc<Survey>, Problem> {
        self.inquire(OpenCaseQuery::Survey).await
    }

    /// What services keep back now. Of those that this node has no work for, as other nodes find them.
    pub(crate) fn kept_back(&self) -> KeptBack {
        let queues =
            Arc::clone(&self.shared().queues.lock().unwrap_or_else(PoisonError::into_inner));
        let mut kept_back = KeptBack::of(&queues);
        let Some(me) = self.store().own_name() else { return kept_back };
        let is_idle = |service: &Arc<str>| {
            let queue = queues.iter().find(|queue| queue.service == *service);
            queue.is_none_or(|queue| queue.queued == 0 && queue.in_flight == 0)
        };
        let elsewhere = self.shared().hub.outages(&me).into_keys().filter(is_idle);
        elsewhere.for_each(|service| kept_back.add_outage(service));
        kept_back
    }

    /// The services whose Histories can't be read, and since when.
    pub(crate) fn unavailable_histories(&self) -> BTreeMap<String, Timestamp> {
        let queues =
            Arc::clone(&self.shared().queues.lock().unwrap_or_else(PoisonError::into_inner));
        let since = |queue: &ServiceQueueStatus| {
            Some((queue.service.to_string(), unavailable_since(queue)?))
        };
        queues.iter().filter_map(since).collect()
    }

    fn describe_services(&self, all: &AllWork) -> Vec<ServiceView> {
        let (work, none) = (&all.work, Answered::default());
        let books = self.active_books();
        let mut services: Vec<ServiceView> = books
            .iter()
            .flat_map(|book| book.services().iter().map(move |service| (book, service)))
            .map(|(book, service)| {
                let queue = work.queues.iter().find(|l| l.service == service.name);
                let attempts = work.answers.get(&service.name).unwrap_or(&none).figures();
                ServiceView {
                    health: health(queue, &attempts),
                    name: service.name.to_string(),
                    rulebook: book.name().to_owned(),
                    url: service.url.clone(),
                    breaker: queue.map_or(BreakerState::Closed, |l| l.breaker),
                    breakers: all.breakers.get(&service.name).cloned().unwrap_or_default(),
                    paused: queue.is_some_and(|l| l.settings.pause.is_some()),
                    pause: queue.and_then(|l| l.settings.pause.as_ref()).map(decision),
                    limits: queue.and_then(|l| l.settings.limits.as_ref()).map(limits),
                    in_flight: queue.map_or(0, |l| l.in_flight),
                    concurrency: queue.map_or(service.concurrency, |l| l.concurrency),
                    per_second: queue.and_then(|l| l.per_second),
                    queued: queue.map_or(0, |l| u32::try_from(l.queued).unwrap_or(u32::MAX)),
                    failures: queue.map_or(0, |l| l.failures),
                    message: queue.and_then(|l| l.message.clone()),
                    histories_unavailable_since: queue.and_then(unavailable_since),
                    histories_message: queue.and_then(|l| l.histories_message.clone()),
                    progress: work
                        .survey
                        .services
                        .get(&service.name)
                        .map(progress)
                        .unwrap_or_default(),
                    attempts,
                }
            })
            .collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        services
    }
}

/// Adds the strangers of another node; what people have said is known to all.
fn add_strangers(all: &mut Vec<StrangerView>, other: Vec<StrangerView>) {
    for one in other {
        let is_it = |known: &&mut StrangerView| {
            known.rulebook == one.rulebook && known.action == one.action
        };
        match all.iter_mut().find(is_it) {
            Some(known) => {
                known.waiting += one.waiting;
                known.cases += one.cases;
                known.example = known.example.or(one.example);
                known.group = known.group.take().or(one.group);
            }
            None => all.push(one),
        }
    }
    all.sort_by(|a, b| (&a.rulebook, &a.action).cmp(&(&b.rulebook, &b.action)));
}

/// Adds what another node can't work on. A row of no case is read by each.
fn add_quarantine(all: &mut QuarantineView, other: QuarantineView) {
    all.cases.extend(other.cases);
    all.cases.sort_by_key(|one| one.case_id);
    all.cases.dedup_by_key(|one| one.case_id);
    let new =
        other.rows.into_iter().filter(|row| !all.rows.iter().any(|known| known.row == row.row));
    all.rows.extend(new.collect::<Vec<_>>());
}

/// So many requests in a row without a final answer are no accident.
const FAILING_AFTER: u64 = 3;

/// How a service is, by what keeps it back, else by how it answered lately.
fn health(queue: Option<&ServiceQueueStatus>, attempts: &AttemptFigures) -> ServiceHealth {
    let fails = attempts.failed_in_a_row >= attempts.requests.min(FAILING_AFTER);
    match queue.and_then(|queue| queue.keeps_back) {
        Some(Cause::Paused) => ServiceHealth::Paused,
        Some(Cause::Rejecting) => ServiceHealth::Rejecting,
        Some(_) if queue.is_some_and(|queue| queue.breaker == BreakerState::Probing) => {
            ServiceHealth::Probing
        }
        Some(_) => ServiceHealth::OutOfReach,
        None if attempts.requests == 0 => ServiceHealth::Idle,
        None if fails => ServiceHealth::Failing,
        None => ServiceHealth::Healthy,
    }
}

/// Since when no History of a service can be read, once that has lasted.
fn unavailable_since(queue: &ServiceQueueStatus) -> Option<Timestamp> {
    queue.histories_failing_since.filter(|_| queue.histories_unavailable)
}

fn sorted_groups(survey: &Survey, now: Timestamp) -> Vec<GroupView> {
    let mut groups: Vec<GroupView> =
        survey.groups.iter().map(|found| group_view(found, now)).collect();
    groups.sort_by_key(|g| (!g.cause.is_trouble(), std::cmp::Reverse(g.count)));
    groups
}

fn progress(progress: &amends_engine::Progress) -> Progress {
    let amends_engine::Progress { done, waived, waiting, in_flight, retrying, stuck } = *progress;
    Progress { done, waived, waiting, in_flight, retrying, stuck }
}

fn decision(decision: &Decision) -> DecisionView {
    DecisionView {
        at: Timestamp(decision.at),
        by: decision.by.to_string(),
        reason: decision.reason.to_string(),
    }
}

fn limits(limits: &Limits) -> LimitsView {
    LimitsView {
        concurrency: limits.concurrency,
        per_second: limits.per_second,
        decision: decision(&limits.decision),
    }
}

/// A group as people are shown it.
pub(crate) fn group_view((key, group): (&GroupKey, &Group), now: Timestamp) -> GroupView {
    let id = key.id();
    GroupView {
        title: group_title(
            &key.service,
            key.cause,
            key.stuck,
            key.error.as_deref(),
            group.count,
            group.since,
        ),
        list: format!("/v1/cases?group={id}"),
        id,
        service: key.service.to_string(),
        action: key.action.as_deref().map(str::to_owned),
        verb: key.verb,
        cause: key.cause,
        stuck: key.stuck,
        error: key.error.as_deref().or(group.error.as_deref()).map(str::to_owned),
        count: group.count,
        cases: group.cases,
        amounts: group.money.amounts(),
        without_amount: group.money.without(),
        since: group.since,
        // What is due already, and waits for something else, is due now.
        next_try_at: group.next_try.map(|at| at.max(now)),
        example_case: group.case,
        example_step: group.step,
    }
}

fn trouble(trouble: &Trouble) -> TroubleView {
    TroubleView {
        at: trouble.at,
        case_id: trouble.case,
        step_id: trouble.step.map(|(step, _)| step),
        subject: trouble.subject.clone(),
        why: match (trouble.step, trouble.question) {
            (Some((_, reason)), _) => reason.into(),
            (None, Some(kind)) => kind.into(),
            (None, None) => TroubleReason::Unmatched,
        },
        message: trouble.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_as_it_answered_last() {
        let of = |requests, failed_in_a_row| {
            health(None, &AttemptFigures { requests, failed_in_a_row, ..AttemptFigures::default() })
        };
        assert_eq!(of(0, 0), ServiceHealth::Idle, "nobody knows");
        assert_eq!(of(1, 1), ServiceHealth::Failing, "all of them");
        assert_eq!(of(200, 2), ServiceHealth::Healthy, "an accident");
        assert_eq!(of(200, 3), ServiceHealth::Failing);
        assert_eq!(of(200, 0), ServiceHealth::Healthy, "it has come back");
    }
}
