//! Why everything that goes to a service is kept back. What people are told of a case or a group comes from here.

use super::{Breaker, ServiceQueue};
use amends_api::Cause;

impl ServiceQueue {
    /// Why everything that goes to the service is kept back; none while nothing is.
    pub(crate) fn keeps_back(&self) -> Option<Cause> {
        if self.paused() {
            return Some(Cause::Paused);
        }
        match self.breaker {
            Breaker::Closed => None,
            Breaker::Open { .. } | Breaker::Probing if self.rejects() => Some(Cause::Rejecting),
            Breaker::Open { .. } | Breaker::Probing => Some(Cause::Unreachable),
        }
    }
}
