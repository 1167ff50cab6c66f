//! What is dropped from a queue when its cases go elsewhere. What is under way goes on to count.

use super::ServiceQueue;
use amends_protocol::CaseId;

impl ServiceQueue {
    /// Drops all that waits for these cases.
    pub(crate) fn forget_cases(&mut self, is_gone: impl Fn(CaseId) -> bool) {
        self.ready.iter_mut().for_each(|keys| keys.retain(|key| !is_gone(key.case())));
        self.backing_off.retain(|key| !is_gone(key.case()));
        self.ages.retain(|(_, step)| !is_gone(step.case));
    }
}
