//! Invariant 7 and every timer: whenever the supervisor rests, everything that waits has a reason for it, and something
//! that will wake it. What is due goes out, unless its own service holds it back; what has a time has a timer.

use super::limits::concurrency_of;
use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_api::{BreakerState, CaseState};
use amends_engine::{
    Effect, Engine, HistoryQuery, HistoryResult, ReportRole, SagaState, StepReading, StepResult,
    StepRow, StepState, Write,
};
use amends_node::EffectResult;
use amends_protocol::{CaseId, StepId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An open breaker lets a probe through about once a second.
const PROBE_MS: u64 = 1_100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Alive,
    Gone,
    /// A definite answer to a step, which may hold all back.
    Rejects,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    Step(StepId),
    History(CaseId),
}

#[derive(Debug, Default)]
struct Service {
    last: Option<Health>,
    /// The last History could not be read.
    unreadable: bool,
    hold_until: Timestamp,
    /// The same for what the supervisor has taken note of: a turn under way may still send.
    known_hold: Timestamp,
    /// The longest pause asked for since the supervisor took note of all results. It counts from when it takes note.
    asked_ms: u64,
    /// Until when the supervisor may hold its requests back, at most.
    held_until: Timestamp,
    /// When the supervisor had taken note of all results, at the latest.
    noted_at: Timestamp,
    /// A result came since then.
    has_news: bool,
}

/// What is known of the services by what passed by.
#[derive(Default)]
pub(super) struct Waiting {
    now: Timestamp,
    under_way: BTreeMap<u64, (Arc<str>, Work)>,
    services: BTreeMap<Arc<str>, Service>,
    /// Cases of which a row has been written since the last loading. With a start every wait ends and every reading
    /// begins anew, and that is written when the case is worked on.
    written: BTreeSet<CaseId>,
}

impl Check for Waiting {
    fn name(&self) -> &'static str {
        "7 waiting"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        self.now = self.now.max(now);
        match seen {
            Seen::Effect { number, effect, service } => {
                let work = match effect {
                    Effect::Send(send) => Work::Step(send.step),
                    Effect::Poll(poll) => Work::Step(poll.step),
                    Effect::ReadHistory(walk) => Work::History(walk.case),
                };
                self.under_way.insert(*number, (Arc::clone(service), work));
                let held = self.services.get(*service).is_some_and(|s| s.known_hold > self.now);
                return when(held, || {
                    format!("{service} has asked for a pause with 429, and is asked again in it")
                });
            }
            Seen::Result { number, service, result, .. } => {
                self.under_way.remove(number);
                self.hear(service, result);
            }
            Seen::Died => {
                self.under_way.clear();
                self.services.clear();
            }
            Seen::Started => {
                self.now = now; // a new process knows no earlier time
                self.services.clear();
            }
            Seen::Loaded => {
                self.forget_what_was_noted();
                self.written.clear();
            }
            Seen::Committed { writes, .. } => {
                self.written.extend(writes.iter().filter_map(|write| match write {
                    Write::Case(row) => Some(row.id),
                    Write::Step(row) => Some(row.id.case),
                    _ => None,
                }));
            }
            Seen::Rest { engine, next, .. } => {
                for service in self.services.values_mut() {
                    service.known_hold = service.hold_until;
                    if std::mem::take(&mut service.has_news) {
                        service.noted_at = self.now;
                    }
                    let asked_ms = std::mem::take(&mut service.asked_ms);
                    if asked_ms > 0 {
                        service.held_until = service.held_until.max(self.now.plus_ms(asked_ms));
                    }
                }
                return self.rest(engine, *next, store);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Waiting {
    /// What an engine had noted is gone with it. A result that came while the store was asked waits in the node's
    /// queue: the next engine takes note of it after the loading, and a pause that it asks for begins then.
    fn forget_what_was_noted(&mut self) {
        self.services.retain(|_, service| service.asked_ms > 0);
        for service in self.services.values_mut() {
            *service = Service { asked_ms: service.asked_ms, ..Service::default() };
        }
    }

    fn hear(&mut self, service: &Arc<str>, result: &EffectResult) {
        let health = match result {
            EffectResult::Step(result) => health(result),
            EffectResult::History(HistoryResult::Told(_) | HistoryResult::Unproven { .. }) => {
                Some(Health::Alive)
            }
            EffectResult::History(HistoryResult::NoHistory) => None,
            EffectResult::History(HistoryResult::Failed { unreachable: true, .. }) => {
                Some(Health::Gone)
            }
            EffectResult::History(HistoryResult::Failed { .. }) => Some(Health::Alive),
        };
        let now = self.now;
        let known = self.services.entry(Arc::clone(service)).or_default();
        known.has_news = true;
        if let EffectResult::History(result) = result {
            let failed =
                matches!(result, HistoryResult::Failed { .. } | HistoryResult::Unproven { .. });
            known.unreadable = failed;
        }
        // That a History can be read says nothing of steps that are rejected.
        let silent =
            matches!(result, EffectResult::History(_)) && known.last == Some(Health::Rejects);
        if let Some(health) = health.filter(|_| !silent) {
            known.last = Some(health);
        }
        if let EffectResult::Step(result) = result
            && let StepReading::Busy { retry_after_ms, .. } = result.answer
            && result.status == Some(429)
        {
            let asked_ms = retry_after_ms.unwrap_or(1_000).min(60_000);
            known.hold_until = known.hold_until.max(now.plus_ms(asked_ms));
            known.asked_ms = known.asked_ms.max(asked_ms);
        }
    }

    fn rest(&self, engine: &Engine, next: Option<Timestamp>, store: &Stored) -> Result<(), String> {
        let queues: BTreeMap<Arc<str>, BreakerState> =
            engine.queues().into_iter().map(|queue| (queue.service, queue.breaker)).collect();
        for (service, breaker) in &queues {
            let last = self.services.get(service).and_then(|s| s.last);
            let alive = last == Some(Health::Alive);
            when(alive && *breaker != BreakerState::Closed, || {
                format!("{service} has answered, and its breaker is {breaker}")
            })?;
        }
        let rest = Rest { known: self, queues: &queues, next, store };
        for case in store.open_cases() {
            rest.case(case.id)?;
        }
        for saga in store.rows.sagas().filter(|s| s.state == SagaState::Begun) {
            // It is a time of the wall clock, which may be set: when it is looked at is the engine's matter.
            when(next.is_none(), || {
                format!("nothing will wake the supervisor for the deadline of saga {}", saga.saga)
            })?;
        }
        Ok(())
    }
}

struct Rest<'a> {
    known: &'a Waiting,
    queues: &'a BTreeMap<Arc<str>, BreakerState>,
    next: Option<Timestamp>,
    store: &'a Stored,
}

impl Rest<'_> {
    /// A moment in the future at which the supervisor wakes up by itself.
    fn timer(&self, at: Timestamp, what: impl Fn() -> String) -> Result<(), String> {
        when(at <= self.known.now, || format!("{} has passed, and nothing happens", what()))?;
        when(self.next.is_none_or(|next| next > at), || {
            format!("nothing will wake the supervisor for {}", what())
        })
    }

    fn case(&self, id: CaseId) -> Result<(), String> {
        let Some(case) = self.store.rows.case_row(id) else { return Ok(()) };
        let mut waits = false;
        for step in self.store.rows.steps_of(id) {
            waits |= !step.state.is_terminal();
            self.step(step)?;
        }
        waits |= self.causes(id)?;
        for walk in case.extra.histories.iter().filter(|w| !w.answered) {
            waits = true;
            self.walk(id, walk)?;
        }
        if let Some(at) = case.extra.quiet_at {
            waits = true;
            self.timer(Timestamp(at), || format!("the quiet time of {id}"))?;
        }
        when(case.state == CaseState::Open && !waits, || {
            format!("{id} is open and waits for nothing")
        })
    }

    /// Whether reports wait for their causes. One may wait past its time for another whose own time is to come.
    fn causes(&self, id: CaseId) -> Result<bool, String> {
        let until = |r: &amends_engine::ReportRow| match r.role {
            ReportRole::AwaitsRoot(until) => Some(Timestamp(until)),
            _ => None,
        };
        match self.store.rows.reports_of(id).filter_map(until).max() {
            Some(last) => {
                self.timer(last, || format!("the last cause of {id}"))?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn step(&self, step: &StepRow) -> Result<(), String> {
        let service = &step.action.service;
        match &step.state {
            StepState::Due(at) if *at <= self.known.now => self.held_back(service, || {
                format!("{} ({} {}) is due", step.id, step.verb, step.action)
            }),
            // Tried at once, or after the pause that its service asked for before.
            StepState::Due(at) if !self.known.written.contains(&step.id.case) => {
                let what = || format!("{} is due since the start", step.id);
                self.timer(*at, what).or_else(|_| self.held_back(service, what))
            }
            StepState::Due(at) => self.timer(*at, || format!("the next try of {}", step.id)),
            StepState::InFlight => {
                let there =
                    self.known.under_way.values().any(|(_, work)| *work == Work::Step(step.id));
                when(!there, || format!("{} is stored as under way, and nothing is", step.id))
            }
            // A service's pause is not the step's: patience stands still meanwhile.
            StepState::Accepted { .. } if self.was_paused(service) => Ok(()),
            StepState::Accepted { until, .. } => {
                self.timer(*until, || format!("the patience with {}", step.id))
            }
            StepState::Waiting
            | StepState::Done(_)
            | StepState::Stuck(_)
            | StepState::Superseded
            | StepState::Shadow => Ok(()),
        }
    }

    fn was_paused(&self, service: &str) -> bool {
        let settings = self.store.rows.service(service).map(|row| &row.settings);
        settings.is_some_and(|s| s.pause.is_some() || s.paused_ms > 0)
    }

    fn walk(&self, case: CaseId, walk: &HistoryQuery) -> Result<(), String> {
        let what = || format!("the History of {} for {case}", walk.service);
        let since_start = !self.known.written.contains(&case);
        if walk.in_flight && !since_start {
            let there =
                self.known.under_way.values().any(|(service, work)| {
                    *work == Work::History(case) && *service == walk.service
                });
            return when(!there, || format!("{} is stored as being read, and is not", what()));
        }
        match walk.due_at {
            Some(at) if at > self.known.now.0 && !since_start => self.timer(Timestamp(at), what),
            _ if self.readings_wait(&walk.service) => Ok(()),
            _ => self.held_back(&walk.service, || format!("{} is to be read", what())),
        }
    }

    /// Whether Histories of a service have to wait for each other: they never take all of its places, and where they
    /// can't be read one a second probes.
    fn readings_wait(&self, service: &Arc<str>) -> bool {
        let concurrency = concurrency_of(self.store, service) as usize;
        let most = concurrency.saturating_sub((concurrency / 4).max(1)).max(1);
        let reading =
            |(s, work): &&(Arc<str>, Work)| s == service && matches!(work, Work::History(_));
        let under_way = self.known.under_way.values().filter(reading).count();
        let known = self.known.services.get(service).filter(|s| s.unreadable);
        let probed = |s: &Service| self.known.now.ms_since(s.noted_at) < PROBE_MS;
        under_way >= most || known.is_some_and(|s| under_way > 0 || probed(s))
    }

    /// Something is due and does not go: its own service must be the reason.
    fn held_back(&self, service: &Arc<str>, what: impl Fn() -> String) -> Result<(), String> {
        let settings = self.store.rows.service(service).map(|s| &s.settings);
        let paused = settings.is_some_and(|s| s.pause.is_some());
        let slow = settings.and_then(|s| s.limits.as_ref()).is_some_and(|l| l.per_second.is_some());
        let known = self.known.services.get(service);
        let held = known.is_some_and(|k| k.held_until.max(k.hold_until) > self.known.now);
        let under_way = self.known.under_way.values().filter(|(s, _)| s == service).count();
        let full = under_way >= concurrency_of(self.store, service) as usize;
        if paused || slow || held || full {
            return Ok(());
        }
        let breaker = self.queues.get(service).copied().unwrap_or(BreakerState::Closed);
        when(breaker == BreakerState::Closed, || {
            format!("{}, {service} is there and has room, and nothing is sent", what())
        })?;
        let silent = known.map_or(0, |k| self.known.now.ms_since(k.noted_at));
        when(under_way == 0 && silent > PROBE_MS, || {
            format!("{}, and {service} has not been probed for {silent} ms", what())
        })
    }
}

fn health(result: &StepResult) -> Option<Health> {
    let gone = match result.answer {
        StepReading::NotSent => true,
        StepReading::Unknown => matches!(result.status, None | Some(502 | 504)),
        StepReading::Busy { retry_after_ms: None, .. } => result.status == Some(503),
        StepReading::Unsendable => return None,
        StepReading::Definite => return Some(Health::Rejects),
        _ => false,
    };
    Some(if gone { Health::Gone } else { Health::Alive })
}
