//! What may become of a stored row: outcomes stay (3), and the state of a case says what its steps say.

use super::requests::is_final;
use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_api::{CaseState, ClosedOn};
use amends_engine::{CaseRow, Question, ReportRole, StepRow, StepState, Write, open_questions};
use amends_protocol::{CaseId, Outcome, StepId, Timestamp};

/// Invariant 3 at the row: what a service did is never written over; a step keeps its name, a report its place.
pub(super) struct OutcomesStay;

impl Check for OutcomesStay {
    fn name(&self) -> &'static str {
        "3 outcomes stay"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Commit { writes } = seen else { return Ok(()) };
        writes.iter().try_for_each(|write| match write {
            Write::Step(after) => {
                let Some(before) = step_at(store, after.id) else {
                    return Ok(());
                };
                let same = before.id == after.id
                    && before.verb == after.verb
                    && before.action == after.action;
                when(!same, || {
                    format!(
                        "{} was {} {} and becomes {} {} ({})",
                        before.id, before.verb, before.action, after.verb, after.action, after.id
                    )
                })?;
                // Who says that there was nothing to undo may be asked once more by a person, under another key; who
                // was never asked may be asked yet.
                let is_unasked = before.attempts == 0 && !before.extra.by_hand;
                let is_asked_in_doubt = before.state
                    == StepState::Done(Outcome::NothingToCompensate)
                    && (is_unasked || after.extra.generation > before.extra.generation);
                let is_changed = is_final(&before.state) && after.state != before.state;
                when(is_changed && !is_asked_in_doubt, || {
                    format!("{} was {:?} and becomes {:?}", before.id, before.state, after.state)
                })
            }
            Write::Report(after) => {
                let before = store.report(after.case, after.position);
                when(before.is_some_and(|b| b.report != after.report), || {
                    format!("report {} of {} is written over", after.position, after.case)
                })?;
                let elsewhere = store.rows.reports().find(|r| {
                    r.report.key() == after.report.key()
                        && (r.case, r.position) != (after.case, after.position)
                });
                when(elsewhere.is_some(), || {
                    format!(
                        "report {} is stored twice, again in {}",
                        after.report.key(),
                        after.case
                    )
                })
            }
            Write::Case(after) => {
                let other = store.rows.cases().find(|c| c.saga == after.saga && c.id != after.id);
                when(other.is_some(), || {
                    format!("saga {} has a second case, {}", after.saga, after.id)
                })
            }
            _ => Ok(()),
        })
    }
}

/// A report whose cause was known before it is answered by that cause's rule, and by none of its own.
pub(super) struct Roles;

impl Check for Roles {
    fn name(&self) -> &'static str {
        "causes"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Committed { writes, .. } = seen else { return Ok(()) };
        writes.iter().try_for_each(|write| {
            let Write::Report(row) = write else { return Ok(()) };
            let stands = |id: &String| {
                *id != row.report.id
                    && store.rows.reports_of(row.case).any(|other| {
                        other.position < row.position
                            && other.report.id == *id
                            && other.report.data.caused_by.is_empty()
                    })
            };
            let derived = row.report.data.caused_by.iter().any(stands);
            let answered = matches!(row.role, ReportRole::Rule(_) | ReportRole::RuleHeld(_));
            when(derived && answered, || {
                format!(
                    "{} of {} follows from a known report, and has a rule of its own",
                    row.report.id, row.case
                )
            })
        })
    }
}

/// The step in this place, under whatever key.
fn step_at(store: &Stored, id: StepId) -> Option<&StepRow> {
    store.rows.steps_of(id.case).find(|step| step.id.ordinal == id.ordinal)
}

/// The state of a case is what its reports, steps and Histories make of it (half of 2): stuck if a step is, settled
/// only if nothing is left to do.
pub(super) struct StateOfCases;

impl StateOfCases {
    fn look(store: &Stored, id: CaseId) -> Result<(), String> {
        let Some(case) = store.rows.case_row(id) else { return Ok(()) };
        let steps = || store.rows.steps_of(id);
        let roles = || store.rows.reports_of(id).map(|r| r.role);
        let held = is_held(store, case);
        let stuck = held || steps().any(|s| matches!(s.state, StepState::Stuck(_)));
        let unmatched = roles().any(|r| r == ReportRole::Unmatched);
        let unfinished = steps().find(|s| !s.state.is_terminal());
        match case.state {
            CaseState::Settled => {
                when(unfinished.is_some(), || {
                    let step =
                        unfinished.map(|s| format!("{} {} is {:?}", s.verb, s.action, s.state));
                    format!("{id} is settled, and {}", step.unwrap_or_default())
                })?;
                when(unmatched, || format!("{id} is settled with a report that no rule answers"))?;
                when(held && case.closed_on != Some(ClosedOn::ByPerson), || {
                    format!("{id} is settled over an open question")
                })?;
                Self::closing(store, case)
            }
            CaseState::Stuck => {
                when(!stuck, || format!("{id} is stuck without a stuck step or a question"))
            }
            CaseState::Unmatched => {
                when(!unmatched, || format!("{id} is unmatched, and every report is answered"))
            }
            CaseState::Open => when(stuck || unmatched, || {
                format!("{id} is open, and a person has something to do")
            }),
        }
    }

    fn closing(store: &Stored, case: &CaseRow) -> Result<(), String> {
        let id = case.id;
        let by_hand = case.closed_on == Some(ClosedOn::ByPerson);
        let waits = store.rows.reports_of(id).any(|r| matches!(r.role, ReportRole::AwaitsRoot(_)));
        when(waits, || format!("{id} is settled while a report waits for its cause"))?;
        let unread = case.extra.histories.iter().find(|w| !w.answered);
        when(unread.is_some() && !by_hand, || {
            format!(
                "{id} is settled before {} has told its History",
                unread.map(|w| w.service.to_string()).unwrap_or_default()
            )
        })?;
        let undone = store
            .rows
            .steps_of(id)
            .any(|s| matches!(s.state, StepState::Done(Outcome::Compensated)));
        when(undone && case.closed_on == Some(ClosedOn::Forward), || {
            format!("{id} is settled as forward, and something was undone")
        })
    }
}

/// Whether a question keeps a case from settling: a contradiction, a stranger's effect, dropped evidence.
fn is_held(store: &Stored, case: &CaseRow) -> bool {
    let memo = &case.extra;
    let is_possible = !memo.strangers.is_empty()
        || !memo.dropped.is_empty()
        || store.rows.steps_of(case.id).any(|step| matches!(step.state, StepState::Done(_)));
    let stored = Some(case.id).filter(|_| is_possible).and_then(|id| store.rows.case(id));
    stored.is_some_and(|stored| {
        open_questions(&stored, store.book_of(case.id)).iter().any(Question::holds)
    })
}

impl Check for StateOfCases {
    fn name(&self) -> &'static str {
        "2 states of cases"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Committed { writes, .. } = seen else { return Ok(()) };
        writes.iter().try_for_each(|write| match write {
            Write::Case(row) => Self::look(store, row.id),
            _ => Ok(()),
        })
    }
}
