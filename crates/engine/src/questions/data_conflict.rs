//! Two sources of equal standing give different values for a field that a request can't be wrong about. It is asked
//! when the step's turn has come: until then, better evidence may.

use crate::act::ActBy;
use crate::attempt::check_outcome;
use crate::case::Case;
use crate::turn::Turn;
use crate::{Answer, Question, StepRow, StepState};
use amends_api::{QuestionKind, StuckReason};
use amends_protocol::Outcome;
use amends_rulebook::Rulebook;
use serde_json::Value;
use std::collections::BTreeSet;

/// Whether any step is of a kind that it can be asked about.
pub(super) fn is_possible(steps: &[StepRow]) -> bool {
    steps.iter().any(cannot_be_asked)
}

fn cannot_be_asked(step: &StepRow) -> bool {
    step.state == StepState::Stuck(StuckReason::Unsendable)
}

impl Case {
    pub(super) fn add_data_conflicts(&self, book: &Rulebook, all: &mut BTreeSet<Question>) {
        for step in self.steps.iter().filter(|step| cannot_be_asked(step)) {
            all.extend(self.undecided(step, book));
        }
    }

    /// A person ends, without its service, the steps that a data conflict is about.
    pub(super) fn end_in_conflict(
        &mut self,
        question: &Question,
        outcome: Outcome,
        by: ActBy<'_>,
        turn: &mut Turn,
    ) -> Result<(), Answer> {
        let rows: Vec<usize> =
            (0..self.steps.len()).filter(|row| self.asks(*row, question)).collect();
        for row in &rows {
            if outcome != Outcome::Waived {
                check_outcome(self.steps[*row].verb, outcome).map_err(Answer::Invalid)?;
            }
        }
        rows.into_iter().try_for_each(|row| self.decide(row, outcome, by.actor, by.now, turn))
    }

    /// Whether a step is held up by this question.
    fn asks(&self, row: usize, question: &Question) -> bool {
        let step = &self.steps[row];
        let about = question.field.as_ref().and_then(|field| field.request.as_ref());
        cannot_be_asked(step)
            && question.action.as_ref() == Some(&step.action)
            && step.request() == about
            && self.book.as_deref().is_some_and(|book| {
                self.undecided(step, book).iter().any(|one| one.tag() == question.tag())
            })
    }
}

/// Whether a value is one that was told.
pub(super) fn check_choice(question: &Question, value: &Value) -> Result<(), Answer> {
    let mut told = question.statements.iter().filter_map(|statement| statement.says.value());
    if told.any(|one| one == *value) {
        return Ok(());
    }
    let values: BTreeSet<&str> = question.values().map(|(_, value)| value).collect();
    let values: Vec<&str> = values.into_iter().collect();
    Err(Answer::Invalid(format!(
        "nobody says {value}; told are {}. To ask with anything else, edit the step",
        values.join(" and ")
    )))
}

/// Whether a person's answer stands although nothing is in doubt any more: they have ended a step without its service.
pub(super) fn has_ended_a_step(kind: QuestionKind, steps: &[StepRow]) -> bool {
    kind == QuestionKind::DataConflict && steps.iter().any(|step| step.extra.by_hand)
}
