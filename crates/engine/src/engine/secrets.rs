//! What services say for people, before anything is made of it: without the secrets of its case.

use super::Engine;
use crate::{HistoryResult, Input, Veil};
use amends_protocol::CaseId;

impl Engine {
    /// What a service says for people repeats no secret of its case.
    pub(super) fn without_secrets(&self, mut input: Input) -> Input {
        match &mut input {
            Input::StepEnded { step, result, .. } | Input::EndedElsewhere { step, result, .. } => {
                self.hush(step.case, &mut result.message);
            }
            Input::StepCalledBack { step, callback, .. } => {
                self.hush(step.case, &mut callback.message);
            }
            Input::HistoryEnded { case, result: HistoryResult::Failed { message, .. }, .. } => {
                if let Some(veil) = self.veil_of(*case) {
                    veil.hush(message);
                }
            }
            _ => {}
        }
        input
    }

    fn hush(&self, case: CaseId, text: &mut Option<String>) {
        if text.is_some()
            && let Some(veil) = self.veil_of(case)
        {
            veil.text(text);
        }
    }

    fn veil_of(&self, case: CaseId) -> Option<Veil> {
        self.cases.get(&case).map(|case| case.veil()).filter(|veil| !veil.is_clear())
    }
}
