//! What a person recorded in answer to a question, of the step that the question was about.

use crate::{CaseRow, QuestionAnswer, StepRow, StepState};
use amends_api::QuestionKind;
use amends_protocol::{Outcome, Verb, digest};

impl CaseRow {
    /// A person's word about how a step was ended outside, in answer to the question whether its service is right that
    /// there was nothing to undo.
    #[must_use]
    pub fn recorded(&self, step: &StepRow) -> Option<&QuestionAnswer> {
        let is_doubted = step.verb == Verb::Compensate
            && !step.extra.fence
            && step.state == StepState::Done(Outcome::NothingToCompensate);
        let kind = QuestionKind::Contradiction;
        let tag = || digest(&[kind.as_str(), &step.action.service, &step.action.action]);
        let mut answers = self.extra.answers.iter().rev();
        answers.find(|answer| {
            is_doubted && answer.kind == kind && answer.outcome.is_some() && answer.id.tag == tag()
        })
    }
}
