//! The states of a breaker, and the numbers by which it opens and probes.

use amends_api::BreakerState;
use amends_protocol::Timestamp;

/// Failures in a row after which a service counts as out of reach: one lost packet must not do it, and five tries of
/// one lonely step fit into its first six seconds of backoff.
pub(crate) const BREAKER_FAILURES: u32 = 5;

/// Pause between probes, in milliseconds: a returned service is noticed within about a second, and a dead one costs
/// one request a second.
pub(crate) const PROBE_EVERY_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    Closed,
    /// Nothing goes until this moment, then one probe.
    Open {
        probe_at: Timestamp,
    },
    /// One effect is under way; its result decides.
    Probing,
}

impl Breaker {
    /// As people see it, of a service that does not reject everything.
    pub(crate) const fn state(self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::Probing => BreakerState::Probing,
        }
    }
}
