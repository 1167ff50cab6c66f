//! Memory and store tell the same: what the engine holds is what is stored, and an engine that is loaded from the store
//! would do the same.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_api::CaseState;
use amends_engine::{Engine, Input, Memory, Moment, StepRow, StepState, StoredCase, Trust, Write};
use amends_protocol::{ActionName, CaseId, Timestamp, Verb};
use amends_simulate::SeededRng;
use std::collections::BTreeSet;

/// Of so many rests one is looked at in full.
const ONE_OF: usize = 40;

/// At every rest, each case that has changed is in memory as it is in the store, or only in the store if it is settled.
#[derive(Default)]
pub(super) struct SameAsStored {
    changed: BTreeSet<CaseId>,
}

impl Check for SameAsStored {
    fn name(&self) -> &'static str {
        "memory as stored"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Committed { writes, .. } => {
                self.changed.extend(writes.iter().filter_map(|write| match write {
                    Write::Case(row) => Some(row.id),
                    _ => None,
                }));
                Ok(())
            }
            Seen::Loaded => {
                self.changed.extend(store.rows.cases().map(|c| c.id));
                Ok(())
            }
            Seen::Rest { engine, .. } => {
                let active: BTreeSet<String> =
                    engine.active_rulebooks().iter().map(|b| b.hash().to_owned()).collect();
                let stored = store.rows.rulebooks().filter(|row| row.active);
                let stored: BTreeSet<String> = stored.map(|row| row.hash.to_string()).collect();
                when(active != stored, || {
                    format!("active in memory: {active:?}, in the store: {stored:?}")
                })?;
                for id in std::mem::take(&mut self.changed).difference(&store.quarantined).copied()
                {
                    is_as_stored(engine, id, store)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A case is in memory as it is in the store, or only in the store if it is settled.
pub(super) fn is_as_stored(engine: &Engine, id: CaseId, store: &Stored) -> Result<(), String> {
    let stored = store.rows.case(id).filter(|s| s.case.state != CaseState::Settled);
    if engine.is_spilled(id) {
        let same = stored.is_some_and(|stored| engine.keeps_as_stored(&stored));
        return when(!same, || format!("what is kept of {id} is not as stored"));
    }
    let (held, stored) = (engine.held(id).map(comparable), stored.map(comparable));
    when(held != stored, || format!("{id} in memory is not as stored:\n{held:#?}\n{stored:#?}"))
}

/// When to look after an accepted step next is kept in memory only: after a restart it is looked after at once.
fn comparable(mut case: StoredCase) -> StoredCase {
    for step in &mut case.steps {
        if let StepState::Accepted { poll_at, .. } = &mut step.state {
            *poll_at = Timestamp(0);
        }
    }
    case
}

/// At some rests, a fresh engine is loaded from the store: it plans no other steps, answers no report otherwise, and
/// leaves no case in another state.
pub(super) struct ReloadsAlike {
    rng: SeededRng,
}

impl ReloadsAlike {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: SeededRng::of(seed, &[7]) }
    }
}

impl Check for ReloadsAlike {
    fn name(&self) -> &'static str {
        "reloads alike"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Rest { .. } = seen else { return Ok(()) };
        if self.rng.below(ONE_OF) != 0 || store.rows.cases().next().is_none() {
            return Ok(());
        }
        let by_restart = ByRestart::of(store);
        let told = |rows| {
            let all = essence(rows, &by_restart.goes_on).into_iter();
            all.filter(|it| by_restart.leaves_alone(it)).collect()
        };
        let before: BTreeSet<Essence> = told(&store.rows);
        let after: BTreeSet<Essence> = told(&reloaded(now, store)?);
        when(before != after, || {
            let lost: Vec<_> = before.difference(&after).collect();
            let new: Vec<_> = after.difference(&before).collect();
            format!("after a reload {new:?} in place of {lost:?}")
        })
    }
}

/// What a restart rightly changes.
struct ByRestart {
    /// Cases in which the try of a retry that compensations wait for counts as ended, so that they go on; and those in
    /// quarantine.
    goes_on: BTreeSet<CaseId>,
    /// Cases with a retry under way: what its try adds to undo is planned with its end. Only a shadow of it can be
    /// there before: what is undone in earnest takes the retry's place.
    retried: BTreeSet<CaseId>,
    /// Fences under way, whose try a restart ends. One that is not needed any more is dropped then; with that its case
    /// may end.
    fences: BTreeSet<(CaseId, ActionName)>,
    /// Undos that wait to hear of requests from one of these, or from one of a later stage that was under way before
    /// they were planned: it waits for its stage then. They may have nobody to wait for any more.
    waiting: BTreeSet<(CaseId, ActionName)>,
}

impl ByRestart {
    fn of(store: &Stored) -> Self {
        let is_sent =
            |s: &StepRow| matches!(s.state, StepState::InFlight | StepState::Accepted { .. });
        let those = |is: &dyn Fn(&StepRow) -> bool| -> BTreeSet<(CaseId, ActionName)> {
            let rows = store.rows.steps().filter(|s| is(s));
            rows.map(|s| (s.id.case, s.action.clone())).collect()
        };
        let cases = |of: BTreeSet<(CaseId, ActionName)>| of.into_iter().map(|(case, _)| case);
        let ending = cases(those(&|s| s.extra.last_try && is_sent(s)));
        let fences = those(&|s| s.extra.fence && is_sent(s));
        let sent = store.rows.steps().filter(|s| is_sent(s));
        let heard: Vec<(CaseId, bool, u16)> =
            sent.map(|s| (s.id.case, s.extra.fence, s.stage)).collect();
        let waits = |s: &StepRow| {
            let ends = |(case, fence, stage): &(CaseId, bool, u16)| {
                *case == s.id.case && (*fence || *stage > s.stage)
            };
            s.state == StepState::Waiting && heard.iter().any(ends)
        };
        Self {
            goes_on: ending.chain(store.quarantined.iter().copied()).collect(),
            retried: cases(those(&|s| s.verb == Verb::Retry && is_sent(s))).collect(),
            waiting: those(&waits),
            fences,
        }
    }

    fn leaves_alone(&self, it: &Essence) -> bool {
        match it {
            Essence::Case(id, ..) => !self.fences.iter().any(|(of, _)| of == id),
            Essence::Report(..) => true,
            Essence::Step(id, verb, action, _, state) => {
                let (state, step) = (state.as_deref(), (*id, action.clone()));
                let is_fence = *verb == Verb::Compensate && self.fences.contains(&step);
                let has_nothing = matches!(state, None | Some("Done(NothingToCompensate)"));
                let may_end = has_nothing && self.waiting.contains(&step);
                let is_shadow = state == Some("Shadow") && self.retried.contains(id);
                !(is_fence || may_end || is_shadow)
            }
        }
    }
}

/// What a fresh engine makes of the store at its start, and of its first turn.
fn reloaded(now: Timestamp, store: &Stored) -> Result<Memory, String> {
    let mut rows = store.rows.clone();
    // Deadlines are not judged here: what the wall clock says of them depends on what it said before.
    let moment = Moment { now, wall: now, trust: Trust::Jumped };
    let mut known = Engine::new(0);
    for row in rows.rulebooks() {
        known.learn_rulebook(store.version(&row.hash).cloned().ok_or("an unknown version")?);
    }
    let mut engine = rows.start(&mut known, moment);
    if let Some(row) = engine.unreadable().first() {
        return Err(format!("{}: {}", row.row, row.why));
    }
    loop {
        rows.inform(&mut engine, &mut [Input::Tick]);
        engine.handle(moment, Input::Tick);
        let writes = engine.take_output(moment).writes;
        rows.commit(writes.into()).map_err(|conflict| conflict.row)?;
        if !engine.wants_cases() {
            return Ok(rows);
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Essence {
    Case(CaseId, CaseState),
    Report(CaseId, u32, String),
    Step(CaseId, Verb, ActionName, u16, Option<String>),
}

/// What a restart must not change. That a step waits for its try, or is under way, is not part of it.
fn essence(rows: &Memory, but: &BTreeSet<CaseId>) -> BTreeSet<Essence> {
    let cases = rows.cases().filter(|c| !but.contains(&c.id)).map(|c| Essence::Case(c.id, c.state));
    let reports = rows.reports().filter(|r| !but.contains(&r.case));
    let reports = reports.map(|r| Essence::Report(r.case, r.position, format!("{:?}", r.role)));
    let steps = rows.steps().filter(|s| !but.contains(&s.id.case)).map(|s| {
        let fixed = match &s.state {
            StepState::Waiting
            | StepState::Due(_)
            | StepState::InFlight
            | StepState::Accepted { .. } => None,
            other => Some(format!("{other:?}")),
        };
        Essence::Step(s.id.case, s.verb, s.action.clone(), s.stage, fixed)
    });
    cases.chain(reports).chain(steps).collect()
}
