//! Puts together what an operator sees first, from the store's counts, a survey of open work, the queues and the
//! figures of the last minutes. It decides nothing.

use crate::bulk::MOST_TARGETS;
use crate::clock::{Clock, SystemClock};
use crate::faults::store_problem;
use crate::open_case_queries::OpenCaseQuery;
use crate::supervisor::Supervisor;
use crate::views::KeptBack;
use amends_api::sentence::group_title;
use amends_api::{
    AttemptFigures, BreakerState, Cause, DecisionView, GroupView, LimitsView, Overview, Progress,
    ServiceHealth, ServiceView, TroubleReason, TroubleView,
};
use amends_engine::{
    Decision, FoundQuestions, FoundStranger, Group, GroupKey, Limits, Members, QuestionFilter,
    ServiceQueueStatus, Survey, Trouble,
};
use amends_protocol::{Problem, Timestamp};
use amends_store::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

impl<S: Store> Supervisor<S> {
    /// Numbers of everything.
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
        let survey = self.survey().await?;
        // All of one moment of the store: two would count a case twice that is settled between them.
        let cases = self.store().case_counts().await.map_err(store_problem)?;
        let rejected_reports = self.count_rejected().await.map_err(store_problem)?;
        let unusable = self.quarantine();
        let throughput = &self.shared().observers.throughput;
        let (minutes, counted_since) = throughput.minutes(now);
        let overview = Overview {
            node: None,
            at: survey.at,
            cases,
            awaiting_approval: survey.awaiting_approval,
            amounts: survey.money.amounts(),
            without_amount: survey.money.without(),
            oldest_open_at: survey.oldest_open_at,
            late: survey.late,
            questions: survey.questions.clone(),
            noted_questions: survey.noted.clone(),
            holds: self.rule_holds(None),
            quarantined: unusable.cases.len() as u64,
            unreadable_rows: unusable.rows.len() as u64,
            rejected_reports,
            minutes,
            counted_since,
            time_to_settle: throughput.time_to_settle(now),
            services: self.describe_services(&survey, now),
            ways: self.metrics().ways().views(),
            over_http: self.metrics().ways().over_http(),
            troubles: survey.troubles.iter().map(trouble).collect(),
        };
        Ok((overview, sorted_groups(&survey, now)))
    }

    /// Every service of the active rulebooks, with its queue, its progress and how it answered lately.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub async fn services(&self, now: Timestamp) -> Result<Vec<ServiceView>, Problem> {
        Ok(self.describe_services(&*self.survey().await?, now))
    }

    /// Open work by cause: what is wrong first, then by number.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub async fn groups(&self) -> Result<Vec<GroupView>, Problem> {
        Ok(sorted_groups(&*self.survey().await?, SystemClock.now()))
    }

    /// What belongs to a group now, at most as much as a bulk act takes; nothing if the group is over.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub async fn members(&self, group: String) -> Result<Members, Problem> {
        self.inquire(|reply| OpenCaseQuery::Members { group, limit: MOST_TARGETS, reply }).await
    }

    /// Open questions of the cases that are not settled, newest case first.
    ///
    /// # Errors
    /// As [`Supervisor::overview`].
    pub async fn questions(
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
    pub async fn strangers(&self) -> Result<Vec<FoundStranger>, Problem> {
        self.inquire(OpenCaseQuery::Strangers).await
    }

    /// All open work, as it was at a moment after this call.
    pub(crate) async fn survey(&self) -> Result<Arc<Survey>, Problem> {
        self.inquire(OpenCaseQuery::Survey).await
    }

    /// What services keep back now.
    pub(crate) fn kept_back(&self) -> KeptBack {
        let queues =
            Arc::clone(&self.shared().queues.lock().unwrap_or_else(PoisonError::into_inner));
        KeptBack::of(&queues)
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

    fn describe_services(&self, survey: &Survey, now: Timestamp) -> Vec<ServiceView> {
        let queues =
            Arc::clone(&self.shared().queues.lock().unwrap_or_else(PoisonError::into_inner));
        let throughput = &self.shared().observers.throughput;
        let books = self.active_books();
        let mut services: Vec<ServiceView> = books
            .iter()
            .flat_map(|book| book.services().iter().map(move |service| (book, service)))
            .map(|(book, service)| {
                let queue = queues.iter().find(|l| l.service == service.name);
                let attempts = throughput.attempts(&service.name, now);
                ServiceView {
                    health: health(queue, &attempts),
                    name: service.name.to_string(),
                    rulebook: book.name().to_owned(),
                    url: service.url.clone(),
                    breaker: queue.map_or(BreakerState::Closed, |l| l.breaker),
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
                    progress: survey.services.get(&service.name).map(progress).unwrap_or_default(),
                    attempts,
                }
            })
            .collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        services
    }
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
