//! What is dropped from a queue when its cases go elsewhere, be it let out already and not performed after all. What is
//! under way goes on to count.

use super::{BreakerChange, Health, ServiceQueue};
use amends_protocol::{CaseId, Timestamp};

impl ServiceQueue {
    /// Drops all that waits for these cases.
    pub(crate) fn forget_cases(&mut self, is_gone: impl Fn(CaseId) -> bool) {
        self.ready.iter_mut().for_each(|keys| keys.retain(|key| !is_gone(key.case())));
        self.backing_off.retain(|key| !is_gone(key.case()));
        self.ages.retain(|(_, step)| !is_gone(step.case));
    }

    /// An effect is not performed after all: its place is free, and nothing is learned of the service. When its probe
    /// is to be repeated, if it was one.
    pub(crate) fn taken_back(&mut self, now: Timestamp, is_history: bool) -> BreakerChange {
        let mut change = BreakerChange::None;
        if is_history && let Some(probe_at) = self.histories.taken_back(now) {
            change = BreakerChange::Opened { probe_at };
        }
        match self.ended(now, Health::NoSign, None) {
            BreakerChange::None => change,
            opened => opened,
        }
    }
}
