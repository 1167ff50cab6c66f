//! What holds one piece of open work up, and the group that it belongs to. It decides nothing: the same facts decide
//! elsewhere what is tried when.

use crate::Engine;
use crate::brief::message_fingerprint::message_fingerprint;
use crate::brief::{Brief, BriefQuery, BriefQuestion, BriefReport, BriefStep, Since, Standing};
use crate::history_query::awaited;
use crate::service_queue::{Breaker, ServiceQueue};
use amends_api::{Cause, Money, Totals};
use amends_protocol::{CaseId, StepId, Timestamp, Verb, digest};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What open work has in common. Its order is that of the list: by service, action, verb, cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey {
    /// The service; of unmatched cases, the one that reported.
    pub service: Arc<str>,
    /// The action; none for Histories, unmatched cases, and where a whole service is out of order or in question.
    pub action: Option<Arc<str>>,
    /// The verb; none for Histories, questions, unmatched cases and where a whole service is out of order.
    pub verb: Option<Verb>,
    /// Why it is not done.
    pub cause: Cause,
    /// It needs a person.
    pub stuck: bool,
    /// What the last try brought, without what differs from case to case; of unmatched cases, the report; of
    /// a question, its kind.
    pub error: Option<Arc<str>>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Pieces of work.
    pub count: u64,
    /// Cases that they belong to.
    pub cases: u64,
    /// Since when the oldest has been held up.
    pub since: Timestamp,
    /// When the first of them is tried next.
    pub next_try: Option<Timestamp>,
    /// A case of it: the oldest.
    pub case: CaseId,
    /// A step of it: of the oldest that has one.
    pub step: Option<StepId>,
    /// What an outage of its service was noticed by last.
    pub error: Option<Arc<str>>,
    /// How much its cases are about.
    pub money: Totals,
}

impl Default for Group {
    fn default() -> Self {
        let (since, case) = (Timestamp(i64::MAX), CaseId(0));
        let money = Totals::default();
        Self { count: 0, cases: 0, since, next_try: None, case, step: None, error: None, money }
    }
}

impl Group {
    /// `first`: how much its case is about, if nothing of that case was added before.
    pub(super) fn add(&mut self, blocker: &Blocker, case: CaseId, first: Option<&[Money]>) {
        self.count += 1;
        self.cases += u64::from(first.is_some());
        if let Some(amounts) = first {
            self.money.add(amounts);
        }
        if blocker.since < self.since {
            (self.since, self.case) = (blocker.since, case);
            self.step = blocker.step.or(self.step);
        }
        self.step = self.step.or(blocker.step);
        if self.error.is_none() {
            self.error.clone_from(&blocker.error);
        }
        self.next_try = earlier(self.next_try, blocker.next_try);
    }

    /// Adds what is of the same group in other cases.
    pub(super) fn add_all(&mut self, other: Self) {
        self.count += other.count;
        self.cases += other.cases;
        self.money.add_all(&other.money);
        if other.since < self.since {
            (self.since, self.case) = (other.since, other.case);
            self.step = other.step.or(self.step);
        }
        self.step = self.step.or(other.step);
        self.error = self.error.take().or(other.error);
        self.next_try = earlier(self.next_try, other.next_try);
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl GroupKey {
    /// Its id: the same for the same key, after a restart too.
    #[must_use]
    pub fn id(&self) -> String {
        format!("g-{:016x}", self.number())
    }

    /// The number in its id.
    pub(super) fn number(&self) -> u64 {
        let verb = self.verb.map_or("", Verb::as_str);
        let stuck = if self.stuck { "stuck" } else { "" };
        let parts = [
            &*self.service,
            self.action.as_deref().unwrap_or_default(),
            verb,
            self.cause.as_str(),
            stuck,
            self.error.as_deref().unwrap_or_default(),
        ];
        digest(&parts)
    }

    /// Whether work with this key is in the group with this number: where there are too many kinds, groups are told
    /// apart without what the last try brought.
    pub(super) fn is_of_group(&self, number: u64) -> bool {
        self.number() == number || self.without_error().number() == number
    }

    /// The key of that group.
    pub(super) fn in_group(&self, number: u64) -> Self {
        if self.number() == number { self.clone() } else { self.without_error() }
    }

    fn without_error(&self) -> Self {
        Self { error: None, ..self.clone() }
    }
}

/// One piece of open work, and what holds it up.
pub(super) struct Blocker {
    pub(super) key: GroupKey,
    pub(super) step: Option<StepId>,
    since: Timestamp,
    next_try: Option<Timestamp>,
    /// What an outage of the service was noticed by.
    error: Option<Arc<str>>,
}

/// All open work of a case.
pub(super) fn blockers(engine: &Engine, case: CaseId, brief: &Brief) -> Vec<Blocker> {
    let mut all: Vec<Blocker> =
        brief.steps.iter().map(|step| of_step(engine, case, step)).collect();
    all.extend(brief.histories.iter().map(|query| of_history(engine, brief, query)));
    all.extend(brief.held_besides_steps().map(of_question));
    all.extend(brief.unmatched.iter().map(|report| of_unmatched(brief, report)));
    all
}

fn of_step(engine: &Engine, case: CaseId, step: &BriefStep) -> Blocker {
    let queue = engine.known_queue(&step.service);
    let kept_back = queue.and_then(ServiceQueue::keeps_back);
    let cause = step.standing.cause(step.cause, kept_back);
    let next_try = match step.standing {
        _ if kept_back == Some(Cause::Paused) => None,
        Standing::Due(at) => Some(at),
        Standing::Accepted { poll_at, until, looks } => Some(if looks { poll_at } else { until }),
        Standing::Waiting | Standing::InFlight | Standing::Stuck(_) => None,
    };
    let of_service = is_of_service(cause);
    let key = GroupKey {
        service: Arc::clone(&step.service),
        action: (!of_service).then(|| Arc::clone(&step.action)),
        verb: (!of_service).then_some(step.verb),
        cause,
        stuck: matches!(step.standing, Standing::Stuck(_)),
        error: step.fingerprint.clone().filter(|_| !of_service),
    };
    let since = match step.since {
        Since::Wall(at) => at,
        Since::Now(at) => engine.on_the_wall(at),
    };
    let next_try = next_try.map(|at| engine.on_the_wall(at));
    let error = if of_service { of_outage(cause, queue, step.fingerprint.as_ref()) } else { None };
    Blocker { key, step: Some(step.id(case)), since, next_try, error }
}

fn of_history(engine: &Engine, brief: &Brief, query: &BriefQuery) -> Blocker {
    let queue = engine.known_queue(&query.service);
    let kept_back = queue.and_then(ServiceQueue::keeps_back);
    let cause = awaited(query.in_flight, query.was_tried, kept_back);
    let of_service = is_of_service(cause);
    let key = GroupKey {
        service: Arc::clone(&query.service),
        action: None,
        verb: None,
        cause,
        stuck: false,
        error: query.fingerprint.clone().filter(|_| cause == Cause::History),
    };
    let next_try = query.due_at.filter(|_| kept_back != Some(Cause::Paused));
    let next_try = next_try.map(|at| engine.on_the_wall(at));
    let since = query.since.unwrap_or(brief.opened_at);
    let error = if of_service { of_outage(cause, queue, query.fingerprint.as_ref()) } else { None };
    Blocker { key, step: None, since, next_try, error }
}

/// Whether all that waits for this cause waits for one thing, the service: it is one trouble, whatever is asked.
fn is_of_service(cause: Cause) -> bool {
    matches!(cause, Cause::Unreachable | Cause::Rejecting | Cause::Paused)
}

/// What an outage was noticed by. It differs from try to try, so it is no part of a group's key.
fn of_outage(
    cause: Cause,
    queue: Option<&ServiceQueue>,
    own: Option<&Arc<str>>,
) -> Option<Arc<str>> {
    if cause == Cause::Paused {
        return None;
    }
    let of_queue = queue.filter(|queue| queue.breaker != Breaker::Closed);
    of_queue.and_then(of_message).or_else(|| own.cloned())
}

fn of_question(asked: &BriefQuestion) -> Blocker {
    let question = &asked.question;
    let key = GroupKey {
        service: Arc::clone(&question.service),
        action: question.action.as_ref().map(|name| Arc::clone(&name.action)),
        verb: None,
        cause: Cause::Question,
        stuck: true,
        error: Some(question.kind.as_str().into()),
    };
    Blocker { key, step: None, since: asked.since, next_try: None, error: None }
}

fn of_unmatched(brief: &Brief, report: &BriefReport) -> Blocker {
    let service = report.report.split('/').next().unwrap_or_default();
    let key = GroupKey {
        service: service.into(),
        action: None,
        verb: None,
        cause: Cause::Unmatched,
        stuck: true,
        error: Some(Arc::clone(&report.report)),
    };
    Blocker { key, step: None, since: brief.opened_at, next_try: None, error: None }
}

/// What the service failed with last, for all that wait for its return.
fn of_message(queue: &ServiceQueue) -> Option<Arc<str>> {
    queue.message.as_deref().map(|text| message_fingerprint(text, ""))
}
