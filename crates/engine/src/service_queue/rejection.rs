//! A service that gives one definite answer (a redirect, 401, 404 and the like) to step after step. That is a deploy, a
//! key that has run out, a moved address: a fault of the service or of the way there, not of the steps. They wait for
//! any other answer, as they do for a service that is out of reach.

use super::breaker::BREAKER_FAILURES;
use amends_protocol::{StepId, Timestamp};

/// A definite answer to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DefiniteAnswer {
    pub(crate) step: StepId,
    pub(crate) status: u16,
    /// How long it must last before people hear of it.
    pub(crate) definite_after_ms: u64,
}

/// Equal definite answers without any other answer between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    status: u16,
    pub(super) count: u32,
    first: StepId,
    /// More than one step got it.
    several: bool,
    /// On the service's own line of time.
    since: Timestamp,
    pub(super) told: bool,
}

impl Rejection {
    pub(super) fn after(before: Option<Self>, answer: DefiniteAnswer, own: Timestamp) -> Self {
        match before.filter(|rejection| rejection.status == answer.status) {
            Some(same) => Self {
                count: same.count.saturating_add(1),
                several: same.several || same.first != answer.step,
                ..same
            },
            None => Self {
                status: answer.status,
                count: 1,
                first: answer.step,
                several: false,
                since: own,
                told: false,
            },
        }
    }

    /// Whether it is the service that rejects, and not one step that is wrong.
    pub(super) const fn is_of_service(&self) -> bool {
        self.several && self.count >= BREAKER_FAILURES
    }

    /// Whether people must hear of it now; once.
    pub(super) fn became_news(&mut self, own: Timestamp, definite_after_ms: u64) -> bool {
        let is_long = self.several && own.ms_since(self.since) >= definite_after_ms;
        is_long && !std::mem::replace(&mut self.told, is_long)
    }
}
