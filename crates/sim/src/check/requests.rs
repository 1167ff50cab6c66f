//! What may be asked of a service, and when: nothing that is done (3), nothing that is not durable (4), nothing before
//! its stage (5), and always under the same key.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{Effect, Mending, SendStep, StepState, Write};
use amends_protocol::{ActionName, CaseId, Outcome, StepId, Timestamp, Verb};
use std::collections::BTreeMap;
use std::sync::Arc;

fn sent<'a>(seen: &'a Seen<'_>) -> Option<&'a SendStep> {
    match seen {
        Seen::Effect { effect: Effect::Send(send), .. } => Some(send),
        _ => None,
    }
}

/// Invariant 3: once an outcome is durable the step is never requested again, unless it was waived and a person takes
/// that back.
pub(super) struct OnceDone;

impl Check for OnceDone {
    fn name(&self) -> &'static str {
        "3 once done"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Some(send) = sent(seen) else { return Ok(()) };
        let row = store.rows.step(send.step);
        let ended = row.is_some_and(|row| row.state.is_terminal());
        when(ended, || format!("{} is asked for again, after it has ended", send.step))
    }
}

/// Invariant 4: what is asked stands in the store as being asked, with the report that demands it.
pub(super) struct DurableFirst;

impl Check for DurableFirst {
    fn name(&self) -> &'static str {
        "4 durable first"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Some(send) = sent(seen) else { return Ok(()) };
        let Some(row) = store.rows.step(send.step) else {
            return Err(format!("{} is asked for, and no such step is stored", send.step));
        };
        let same = row.id == send.step && row.verb == send.verb && row.action == send.action;
        when(!same, || {
            format!("{} is asked for, and the store knows it as {}", send.step, row.id)
        })?;
        let under_way = row.state == StepState::InFlight && row.attempts == send.attempt;
        when(!under_way, || {
            format!(
                "{} is asked for (try {}), but stored as {:?} after {} tries",
                send.step, send.attempt, row.state, row.attempts
            )
        })?;
        let missing =
            row.extra.because.iter().find(|n| store.report(send.step.case, **n).is_none());
        when(missing.is_some(), || {
            format!("{} is asked for because of a report that is not stored", send.step)
        })
    }
}

/// Invariant 5: no step is asked for while one of an earlier stage has not ended.
pub(super) struct Stages;

impl Check for Stages {
    fn name(&self) -> &'static str {
        "5 stages"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Some(send) = sent(seen) else { return Ok(()) };
        let case = send.step.case;
        let Some(row) = store.rows.step(send.step) else { return Ok(()) };
        let mut others = store.rows.steps_of(case);
        let earlier =
            others.find(|s| s.stage < row.stage && !s.state.is_terminal() && !s.extra.fence);
        when(earlier.is_some(), || {
            let names = earlier.map(|s| format!("{} {}", s.verb, s.action)).unwrap_or_default();
            format!(
                "{} {} is asked for before {names} of an earlier stage has ended",
                send.verb, send.action
            )
        })
    }
}

/// One key per step, or per part where requests are asked for one by one, for ever: the same work is never asked for
/// under two keys, and one key never means two things. With a case that is discarded its steps are forgotten; what a
/// person plans after that is other work, and so is what a person edits or answers anew.
#[derive(Default)]
pub(super) struct OneKey {
    keys: BTreeMap<Work, (StepId, Option<Arc<str>>)>,
    meanings: BTreeMap<StepId, Work>,
    /// By service and key, whatever a person decides: what was asked.
    asked: BTreeMap<(Arc<str>, Arc<str>), u64>,
}

/// What is asked for: of a case, of one action, perhaps about one request.
type Work = (CaseId, Verb, ActionName, Option<Arc<str>>);

impl OneKey {
    fn forget(&mut self, case: CaseId) {
        self.keys.retain(|(of, ..), _| *of != case);
        self.meanings.retain(|_, (of, ..)| *of != case);
    }

    /// What is asked of a mapped endpoint never changes under one key.
    fn asks_the_same(&mut self, send: &SendStep) -> Result<(), String> {
        let Some((key, digest)) = send.key.clone().zip(send.digest()) else { return Ok(()) };
        let place = (Arc::clone(&send.action.service), Arc::clone(&key));
        let before = *self.asked.entry(place).or_insert(digest);
        when(before != digest, || {
            format!("{} {} asks for something else under {key}", send.verb, send.action)
        })
    }
}

impl Check for OneKey {
    fn name(&self) -> &'static str {
        "one key"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        if let Seen::Committed { writes, .. } = seen {
            for write in *writes {
                let Write::Act(act) = write else { continue };
                let is_other_work = *act.act == *Mending::Discard.act().as_str()
                    || matches!(&*act.act, "edit" | "replan" | "plan");
                if let Some(case) = act.case.filter(|_| is_other_work) {
                    self.forget(case);
                }
            }
        }
        let Some(send) = sent(seen) else { return Ok(()) };
        self.asks_the_same(send)?;
        let request = store.rows.step(send.step).and_then(|row| row.request().cloned());
        let work = (send.step.case, send.verb, send.action.clone(), request);
        let under = (send.step, send.key.clone());
        let key = self.keys.entry(work.clone()).or_insert_with(|| under.clone());
        when(*key != under, || {
            format!(
                "{} {} is asked for under {under:?}, and before under {key:?}",
                send.verb, send.action
            )
        })?;
        let known = self.meanings.entry(send.step).or_insert_with(|| work.clone());
        if known.3.is_none() {
            known.3.clone_from(&work.3);
        }
        when(*known != work, || format!("{} means two things", send.step))
    }
}

/// Backward beats forward: once something is being undone, nothing is run again but the correcting message.
pub(super) struct Backward;

impl Check for Backward {
    fn name(&self) -> &'static str {
        "backward beats forward"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Some(send) = sent(seen).filter(|send| send.verb == Verb::Retry) else { return Ok(()) };
        let corrects = send.rulebook.get(send.action_id).correction_of.is_some();
        let undone = store
            .rows
            .steps_of(send.step.case)
            .find(|s| s.verb == Verb::Compensate && s.state != StepState::Shadow);
        when(!corrects && undone.is_some(), || {
            let name = undone.map(|s| s.action.to_string()).unwrap_or_default();
            format!("{} is run again while {name} of the same case is undone", send.action)
        })
    }
}

/// Nothing is sent to a service that a person has paused.
pub(super) struct Paused;

impl Check for Paused {
    fn name(&self) -> &'static str {
        "paused"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Effect { service, .. } = seen else { return Ok(()) };
        let row = store.rows.service(service);
        when(row.is_some_and(|row| row.settings.pause.is_some()), || {
            format!("{service} is paused, and something is sent to it")
        })
    }
}

/// Whether an outcome is one that nothing may change any more.
pub(super) fn is_final(state: &StepState) -> bool {
    matches!(state, StepState::Done(outcome) if *outcome != Outcome::Waived)
}
