//! What a plan undoes of what came before a pivot, and what its rules say of that.

use super::facts::CaseFacts;
use super::wants::Hold;
use crate::{ActionId, Past, Pivot, Rulebook};
use amends_protocol::Verb;

impl Rulebook {
    /// Whether a step undoes something that comes before a pivot: a compensation, or the correction of a message.
    #[must_use]
    pub fn undoes_before(&self, pivot: &Pivot, verb: Verb, action: ActionId) -> bool {
        let undone = match verb {
            Verb::Compensate => Some(action),
            Verb::Notify => self.get(action).correction_of,
            Verb::Retry => None,
        };
        undone.is_some_and(|id| pivot.before.binary_search(&id).is_ok())
    }
}

impl CaseFacts {
    /// What becomes of undoing what came before a pivot: what the rules say that undo the case in earnest. Where they
    /// don't say the same, a person is asked.
    #[must_use]
    pub fn past(&self, book: &Rulebook) -> Past {
        let undoing =
            self.demands(book).filter(|a| a.hold != Hold::Shadow && a.demand.is_backward());
        let mut said = undoing.map(|asked| asked.past);
        let first = said.next().unwrap_or_default();
        if said.all(|past| past == first) { first } else { Past::Ask }
    }
}
