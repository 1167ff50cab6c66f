//! Whether a service's Histories can be read. They may be out of order while its steps go well, so they have a breaker
//! of their own: all cases that wait for a History of one service back off together, and one reading at a time probes.

use super::breaker::{BREAKER_FAILURES, Breaker, PROBE_EVERY_MS};
use amends_protocol::Timestamp;

/// How long no History of a service could be read before people hear of it, in milliseconds of the service's own line
/// of time: a deploy is over by then.
const UNAVAILABLE_AFTER_MS: u64 = 10 * 60_000;

#[derive(Clone, Debug)]
pub(crate) struct Histories {
    pub(super) breaker: Breaker,
    pub(super) in_flight: u32,
    /// Failures in a row.
    failures: u32,
    /// When the first of them came.
    pub(crate) failing_since: Option<Timestamp>,
    /// The same on the service's own line of time, which stands still while it is paused.
    failing_from: Option<Timestamp>,
    /// It has been so for so long that people were told.
    pub(crate) unavailable: bool,
    /// It has been so for so long that a person must say how their cases go on.
    pub(crate) in_question: bool,
    /// What the last of them said.
    pub(crate) message: Option<String>,
}

/// What a reading that has ended means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Same,
    Opened { probe_at: Timestamp },
    Closed,
}

impl Histories {
    pub(super) const fn new() -> Self {
        Self {
            breaker: Breaker::Closed,
            in_flight: 0,
            failures: 0,
            failing_since: None,
            failing_from: None,
            unavailable: false,
            in_question: false,
            message: None,
        }
    }

    /// Whether they are known to be out of order.
    pub(crate) fn out_of_order(&self) -> bool {
        self.breaker != Breaker::Closed
    }

    /// Whether one more may be read. Some of the service's places are kept for steps: readings that hang must not hold
    /// up a compensation.
    pub(super) fn may_go(&self, now: Timestamp, concurrency: u32) -> bool {
        let most = concurrency.saturating_sub((concurrency / 4).max(1)).max(1);
        let closed_or_probe = match self.breaker {
            Breaker::Closed => true,
            Breaker::Probing => false,
            Breaker::Open { probe_at } => probe_at <= now,
        };
        closed_or_probe && self.in_flight < most
    }

    pub(super) fn launched(&mut self) {
        self.in_flight += 1;
        if let Breaker::Open { .. } = self.breaker {
            self.breaker = Breaker::Probing;
        }
    }

    /// A reading is not done after all. When the probe is repeated, if it was one.
    pub(super) fn taken_back(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let probe_at = now.plus_ms(PROBE_EVERY_MS);
        let was_probe = self.breaker == Breaker::Probing;
        was_probe.then(|| {
            self.breaker = Breaker::Open { probe_at };
            probe_at
        })
    }

    /// `failure`: what it said, if it failed; `own`: the moment on the service's own line of time.
    pub(super) fn ended(&mut self, now: Timestamp, own: Timestamp, failure: Option<&str>) -> After {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(message) = failure else {
            let was = std::mem::replace(self, Self { in_flight: self.in_flight, ..Self::new() });
            return if was.out_of_order() { After::Closed } else { After::Same };
        };
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        self.failing_from.get_or_insert(own);
        self.message = Some(message.to_owned());
        match self.breaker {
            Breaker::Closed if self.failures < BREAKER_FAILURES => After::Same,
            // Readings that were under way when it opened say nothing new.
            Breaker::Open { .. } => After::Same,
            Breaker::Closed | Breaker::Probing => {
                let probe_at = now.plus_ms(PROBE_EVERY_MS);
                self.breaker = Breaker::Open { probe_at };
                After::Opened { probe_at }
            }
        }
    }

    /// Whether they have just failed for so long that people must hear of it. Whoever needs one asks again and again,
    /// so that each failure is the moment to look.
    pub(super) fn became_unavailable(&mut self, own: Timestamp) -> bool {
        let long = self.failing_from.is_some_and(|from| own.ms_since(from) >= UNAVAILABLE_AFTER_MS);
        long && !std::mem::replace(&mut self.unavailable, long)
    }

    /// Whether they have just failed for so long that a person must say how their cases go on.
    pub(super) fn came_into_question(&mut self, own: Timestamp, after_ms: u64) -> bool {
        let long = self.failing_from.is_some_and(|from| own.ms_since(from) >= after_ms);
        long && !std::mem::replace(&mut self.in_question, long)
    }

    /// The service itself has returned: the next probe need not wait.
    pub(super) fn probe_now(&mut self, now: Timestamp) {
        if let Breaker::Open { probe_at } = &mut self.breaker {
            *probe_at = now;
        }
    }
}
