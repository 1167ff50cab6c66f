//! Fences: who must be told to call nobody any more while its saga is undone.
//!
//! An action without an undo of its own gets no compensation, so nothing bars it from calling on. Whoever may still
//! lead to an effect that the plan does not bar gets a fence: the step of a compensation, which finds nothing to undo.

use super::wants::Hold;
use crate::{ActionClass, ActionId, Rulebook};
use std::collections::{BTreeMap, BTreeSet};

impl Rulebook {
    /// Whether a step can put up a fence for this action: it has no undo of its own, there is something to bar (calls,
    /// or an effect that nothing takes back), and its service speaks the participant protocol.
    #[must_use]
    pub fn is_fenceable(&self, id: ActionId) -> bool {
        let action = self.get(id);
        action.class != ActionClass::Compensable
            && action.correction_of.is_none()
            && action.fence
            && action.endpoints.is_empty()
            && (!action.calls.is_empty() || action.class == ActionClass::Pivot)
            && self.services().get(action.service.0 as usize).is_some_and(|s| s.url.is_some())
    }

    /// Whether any saga of this rulebook may need a fence.
    #[must_use]
    pub fn may_need_fences(&self) -> bool {
        self.action_ids().any(|id| self.is_fenceable(id))
    }

    /// Of those that may still go on, who needs a fence: the fewest by which nobody leads to an effect that is not
    /// barred any more. `barred` are those whose compensation or correction bars them, `refused` those that put up no
    /// fence.
    pub(super) fn fences(
        &self,
        going_on: &BTreeSet<ActionId>,
        refused: &BTreeSet<ActionId>,
        barred: impl Fn(ActionId) -> bool,
        hold: impl Fn(ActionId) -> Option<Hold>,
    ) -> Vec<(ActionId, Hold)> {
        let mut leads: BTreeMap<ActionId, bool> = BTreeMap::new();
        let mut fences = Vec::new();
        for id in self.callees_first() {
            let action = self.get(id);
            let calls_on =
                action.calls.iter().any(|c| leads.get(&c.action).copied().unwrap_or(false));
            // A message that has gone out must be corrected, and of one that goes out later nobody tells.
            let takes_effect =
                action.class == ActionClass::Compensable || action.correction.is_some();
            let fence = hold(id).filter(|_| {
                calls_on
                    && going_on.contains(&id)
                    && self.is_fenceable(id)
                    && !refused.contains(&id)
            });
            fences.extend(fence.map(|hold| (id, hold)));
            // One that has ended calls nobody any more, and its own caller is not asked for its sake.
            let goes_on = calls_on && going_on.contains(&id);
            leads.insert(id, fence.is_none() && !barred(id) && (takes_effect || goes_on));
        }
        fences
    }
}
