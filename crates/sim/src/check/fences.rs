//! Fences: nobody is barred unless something of his saga is undone; who may still call what is undone is barred; and
//! whoever is barred has told whom he called before anybody calls the case proven.

use super::parts;
use super::plan::demands;
use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_api::{CaseState, ClosedOn};
use amends_engine::{
    Answer, CaseRow, Effect, HistoryResult, ReportRow, StepReading, StepRow, StepState, Write,
};
use amends_node::EffectResult;
use amends_protocol::{CaseId, HistoryState, Outcome, StepId, Timestamp, Verb};
use amends_rulebook::{ActionClass, ActionId, CaseFacts, Mode, Rulebook, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A fence comes only together with a compensation, both in earnest, unless a person acts on the case.
#[derive(Default)]
pub(super) struct Fences {
    known: BTreeSet<StepId>,
    untold: Untold,
}

impl Check for Fences {
    fn name(&self) -> &'static str {
        "fences"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        self.untold.see(seen, store);
        let Seen::Committed { writes, .. } = seen else { return Ok(()) };
        writes.iter().try_for_each(|write| match write {
            Write::Step(row) if row.extra.fence && is_meant(row) && self.known.insert(row.id) => {
                when(
                    !is_decided(store, row.id.case) && !undoes_something(store, row.id.case),
                    || {
                        format!(
                            "{} is barred in {}, where nothing is undone",
                            row.action, row.id.case
                        )
                    },
                )
            }
            Write::Case(row) if row.state == CaseState::Settled => match row.closed_on {
                Some(ClosedOn::Proven) => self.untold.look(store, row),
                Some(ClosedOn::Quiet) => everybody_is_barred(store, row),
                _ => Ok(()),
            },
            _ => Ok(()),
        })
    }
}

fn is_meant(row: &StepRow) -> bool {
    row.state != StepState::Shadow
}

fn is_decided(store: &Stored, case: CaseId) -> bool {
    store.rows.acts().iter().any(|act| act.case == Some(case))
}

fn undoes_something(store: &Stored, case: CaseId) -> bool {
    let mut rows = store.rows.steps_of(case);
    rows.any(|row| row.verb == Verb::Compensate && !row.extra.fence && is_meant(row))
}

/// Undoable actions that this one calls and that the case does not undo.
fn left_of<'b>(
    store: &'b Stored,
    case: CaseId,
    book: &'b Rulebook,
    caller: ActionId,
    counts: impl Fn(&StepRow) -> bool + 'b,
) -> impl Iterator<Item = ActionId> + 'b {
    let callees = book.get(caller).calls.iter().map(|call| call.action);
    let undoable = callees.filter(|id| book.get(*id).class == ActionClass::Compensable);
    undoable.filter(move |id| {
        let name = &book.get(*id).name;
        let mut rows = store.rows.steps_of(case);
        !rows.any(|row| row.verb == Verb::Compensate && row.action == *name && counts(row))
    })
}

/// When a case that undoes something closes without a proof, whoever has no undo, is said to be at work and may still
/// call something that nothing bars has at least been asked to stop.
fn everybody_is_barred(store: &Stored, case: &CaseRow) -> Result<(), String> {
    let Some(book) = store.book_of(case.id) else { return Ok(()) };
    let asks = demands(store, case.id, book).into_iter().any(|(rule, demand)| {
        let mut targets = demand.stages.iter().flat_map(|stage| &stage.compensate);
        rule.mode != Mode::Shadow
            && targets.any(|target| matches!(target, Target::Recorded | Target::All))
    });
    if !asks || is_decided(store, case.id) || !undoes_something(store, case.id) {
        return Ok(());
    }
    let rows: Vec<&ReportRow> = store.rows.reports_of(case.id).collect();
    let reports = rows.iter().map(|row| (&*row.report, row.role.for_planner()));
    let concerned = CaseFacts::of(book, reports, []).concerns(book);
    for id in book.action_ids().filter(|id| book.is_fenceable(*id)) {
        let name = &book.get(id).name;
        let states = parts::told(store, case.id, name);
        let at_work =
            |state: &HistoryState| matches!(state, HistoryState::Started | HistoryState::Unknown);
        let is_concerned = concerned.as_ref().is_none_or(|all| all.contains(&id));
        if !is_concerned || !states.values().any(at_work) {
            continue;
        }
        let mut steps = store.rows.steps_of(case.id);
        let is_asked = steps.any(|row| row.verb == Verb::Compensate && row.action == *name);
        let left = left_of(store, case.id, book, id, is_meant).next();
        when(!is_asked && left.is_some(), || {
            let left = left.map(|id| book.get(id).name.to_string()).unwrap_or_default();
            format!(
                "{} is settled on `quiet`, and {name} is at work, may call {left} and was not barred",
                case.id
            )
        })?;
    }
    Ok(())
}

/// Steps that bar an action, whose services have not told whom it called before.
#[derive(Default)]
struct Untold {
    steps: BTreeMap<StepId, Arc<str>>,
    /// Histories under way, with the steps whose calls they tell: those that were barred when they were asked for.
    asked: BTreeMap<u64, Vec<StepId>>,
}

impl Untold {
    fn see(&mut self, seen: &Seen<'_>, store: &Stored) {
        match seen {
            Seen::Result { effect, service, result: EffectResult::Step(result), .. } => {
                let (step, verb) = match effect {
                    Effect::Send(send) => (send.step, send.verb),
                    Effect::Poll(poll) => (poll.step, poll.verb),
                    Effect::ReadHistory(_) => return,
                };
                let has_ended =
                    matches!(result.answer, StepReading::Done(_) | StepReading::Refused);
                if verb == Verb::Compensate && has_ended {
                    self.ended(step, service, result.history.is_given());
                }
            }
            Seen::CalledBack { step, said, answer: Answer::Done | Answer::Kept } => {
                if let Some(row) = store.rows.step(*step) {
                    self.ended(*step, &row.action.service, said.history.is_given());
                }
            }
            Seen::Effect { number, effect: Effect::ReadHistory(walk), .. } => {
                let of_it = |step: &StepId, service: &Arc<str>| {
                    step.case == walk.case && *service == walk.service
                };
                let barred = self.steps.iter().filter(|(step, service)| of_it(step, service));
                self.asked.insert(*number, barred.map(|(step, _)| *step).collect());
            }
            Seen::Result {
                number, result: EffectResult::History(HistoryResult::Told(_)), ..
            } => {
                for step in self.asked.remove(number).unwrap_or_default() {
                    self.steps.remove(&step);
                }
            }
            _ => {}
        }
    }

    fn ended(&mut self, step: StepId, service: &Arc<str>, tells: bool) {
        if tells {
            self.steps.remove(&step);
        } else {
            self.steps.insert(step, Arc::clone(service));
        }
    }

    /// Nothing that somebody may have called before he was barred is called proven, unless it is undone itself. Of whom
    /// nobody has told, nobody has called him either.
    fn look(&self, store: &Stored, case: &CaseRow) -> Result<(), String> {
        let Some(book) = store.book_of(case.id) else { return Ok(()) };
        if case.extra.saga_ended_at.is_some() {
            return Ok(()); // then what its service has not heard of was never called
        }
        let is_done = |row: &StepRow| {
            matches!(
                row.state,
                StepState::Done(
                    Outcome::Compensated
                        | Outcome::AlreadyCompensated
                        | Outcome::NothingToCompensate
                )
            )
        };
        for row in store.rows.steps_of(case.id).filter(|row| row.extra.fence && is_done(row)) {
            let action = book.action(&row.action.service, &row.action.action);
            let is_untold = self.steps.contains_key(&row.id)
                && !parts::told(store, case.id, &row.action).is_empty();
            let Some(id) = action.filter(|_| is_untold) else { continue };
            let left = left_of(store, case.id, book, id, is_done).next();
            when(left.is_some(), || {
                let left = left.map(|id| book.get(id).name.to_string()).unwrap_or_default();
                format!(
                    "{} is settled on `proven`, and {} has not told whether it called {left}",
                    case.id, row.action
                )
            })?;
        }
        Ok(())
    }
}
