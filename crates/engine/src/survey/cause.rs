//! What holds one piece of open work up, and the group that it belongs to. It decides nothing: the same facts decide
//! elsewhere what is tried when.

use super::gist::gist;
use crate::case::Case;
use crate::lane::{Breaker, Lane};
use crate::{Engine, StepRow, StepState, WalkRow};
use amends_protocol::{CaseId, CaseState, Cause, StepId, Timestamp, Verb, digest};
use std::sync::Arc;

/// What open work has in common. Its order is that of the list: by service, action, verb, cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The service; of unmatched cases, the one that reported.
    pub service: Arc<str>,
    /// The action; none for Histories and unmatched cases.
    pub action: Option<Arc<str>>,
    /// The verb; none for Histories and unmatched cases.
    pub verb: Option<Verb>,
    /// Why it is not done.
    pub cause: Cause,
    /// It needs a person.
    pub stuck: bool,
    /// What the last try brought, without what differs from case to case; of unmatched cases, the report.
    pub error: Option<Arc<str>>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A step of it.
    pub step: Option<StepId>,
}

impl Default for Group {
    fn default() -> Self {
        let (since, case) = (Timestamp(i64::MAX), CaseId(0));
        Self { count: 0, cases: 0, since, next_try: None, case, step: None }
    }
}

impl Group {
    pub(super) fn add(&mut self, holdup: &Holdup, case: CaseId, first_of_case: bool) {
        self.count += 1;
        self.cases += u64::from(first_of_case);
        if holdup.since < self.since {
            (self.since, self.case, self.step) = (holdup.since, case, holdup.step);
        }
        self.next_try = match (self.next_try, holdup.next_try) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
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

    pub(super) fn without_error(&self) -> Self {
        Self { error: None, ..self.clone() }
    }
}

/// One piece of open work, and what holds it up.
pub(super) struct Holdup {
    pub(super) key: GroupKey,
    pub(super) step: Option<StepId>,
    since: Timestamp,
    next_try: Option<Timestamp>,
}

/// All open work of a case.
pub(super) fn holdups(engine: &Engine, case: &Case) -> Vec<Holdup> {
    let mut all: Vec<Holdup> =
        case.steps.iter().filter_map(|step| of_step(engine, case, step)).collect();
    let walks = case.row.detail.walks.iter().filter(|walk| !walk.answered);
    all.extend(walks.map(|walk| of_walk(engine, case, walk)));
    if case.row.state == CaseState::Unmatched {
        all.push(of_unmatched(case));
    }
    all
}

fn of_step(engine: &Engine, case: &Case, step: &StepRow) -> Option<Holdup> {
    let lane = engine.known_lane(&step.action.service);
    let began =
        step.memo.counting_since.map_or(step.planned_at, |at| engine.on_the_wall(Timestamp(at)));
    let (cause, since, next_try) = match &step.state {
        StepState::Done(_) | StepState::Superseded | StepState::Shadow => return None,
        StepState::Waiting => (Cause::Stage, step.planned_at, None),
        StepState::Due(at) => {
            let next = engine.on_the_wall(*at);
            (of_lane(lane).or(step.cause()).unwrap_or(Cause::Queued), began, Some(next))
        }
        // While it is tried again, it is still held up by what the last try met.
        StepState::InFlight => match step.cause() {
            Some(last) => (of_lane(lane).unwrap_or(last), began, None),
            None => (Cause::Asked, began, None),
        },
        StepState::Accepted { poll_at, until, location } => {
            let next = if location.is_some() { poll_at } else { until };
            (Cause::Accepted, began, Some(engine.on_the_wall(*next)))
        }
        StepState::Stuck(_) => (step.cause().unwrap_or(Cause::NoAnswer), step.updated_at, None),
    };
    let message = match (cause, lane) {
        // All of them wait for the same return, whatever each of them met.
        (Cause::Unreachable, Some(lane)) if lane.breaker != Breaker::Closed => {
            lane.message.as_deref()
        }
        (Cause::Paused, _) => None,
        _ if cause.is_trouble() && cause != Cause::Approval => step.memo.message.as_deref(),
        _ => None,
    };
    let key = GroupKey {
        service: Arc::clone(&step.action.service),
        action: Some(Arc::clone(&step.action.action)),
        verb: Some(step.verb),
        cause,
        stuck: matches!(step.state, StepState::Stuck(_)),
        error: message.map(|text| gist(text, case.row.saga.as_str())),
    };
    Some(Holdup { key, step: Some(step.id), since, next_try })
}

fn of_walk(engine: &Engine, case: &Case, walk: &WalkRow) -> Holdup {
    let lane = engine.known_lane(&walk.service);
    let own = match (walk.in_flight, walk.attempts) {
        (true, _) => Cause::Asked,
        (false, 0) => Cause::Queued,
        (false, _) => Cause::NoAnswer,
    };
    let cause = if walk.in_flight { own } else { of_lane(lane).unwrap_or(own) };
    let message = match (cause, lane) {
        (Cause::Unreachable, Some(lane)) => lane.message.as_deref(),
        (Cause::NoAnswer, _) => walk.message.as_deref(),
        _ => None,
    };
    let key = GroupKey {
        service: Arc::clone(&walk.service),
        action: None,
        verb: None,
        cause,
        stuck: false,
        error: message.map(|text| gist(text, case.row.saga.as_str())),
    };
    Holdup {
        key,
        step: None,
        since: case.row.opened_at,
        next_try: walk.due_at.map(|at| engine.on_the_wall(Timestamp(at))),
    }
}

fn of_unmatched(case: &Case) -> Holdup {
    let service = case.row.report.split('/').next().unwrap_or_default();
    let key = GroupKey {
        service: service.into(),
        action: None,
        verb: None,
        cause: Cause::Unmatched,
        stuck: true,
        error: Some(Arc::clone(&case.row.report)),
    };
    Holdup { key, step: None, since: case.row.opened_at, next_try: None }
}

/// What keeps everything back that goes to a service.
fn of_lane(lane: Option<&Lane>) -> Option<Cause> {
    let lane = lane?;
    if lane.paused() {
        return Some(Cause::Paused);
    }
    match lane.breaker {
        Breaker::Closed => None,
        Breaker::Open { .. } | Breaker::Probing => Some(Cause::Unreachable),
    }
}
