//! Why everything that goes to a service is kept back. What people are told of a case or a group comes from here.

use super::breaker::BREAKER_FAILURES;
use super::{Breaker, ServiceQueue};
use amends_api::Cause;
use amends_protocol::Timestamp;

/// Age of an answer from which on it says less of a service than another node does, in milliseconds.
const OWN_ANSWER_MS: u64 = 5_000;

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

    /// Takes over that the service is out of reach: one request goes before all others, and decides. False if this node
    /// knows better, because it has just had an answer, or as much.
    pub(crate) fn take_over_breaker(&mut self, now: Timestamp, message: Option<&str>) -> bool {
        let own = self.own_time(now);
        let has_answered = self.other_answer_at.is_some_and(|at| own.ms_since(at) < OWN_ANSWER_MS);
        if self.breaker != Breaker::Closed || self.rejects() || has_answered {
            return false;
        }
        self.breaker = Breaker::Open { probe_at: now };
        self.failures = self.failures.max(BREAKER_FAILURES);
        self.message = message.map(str::to_owned).or(self.message.take());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BreakerChange, EffectKey, Health};
    use super::*;
    use amends_protocol::{CaseId, StepId};

    fn queue() -> ServiceQueue {
        let mut queue = ServiceQueue::new(8);
        for n in 1..=3 {
            let step = StepId { case: CaseId(n), ordinal: 1, tag: 0, part: None };
            queue.push(EffectKey::Step(step));
        }
        queue
    }

    #[test]
    fn one_request_goes_before_all_others_and_decides() {
        let (mut queue, now) = (queue(), Timestamp(100_000));
        assert!(queue.take_over_breaker(now, Some("timed out")));
        assert!(!queue.take_over_breaker(now, None), "it is known");
        assert_eq!((queue.failures(), queue.message.as_deref()), (5, Some("timed out")));
        let first = queue.take(now).expect("the probe");
        queue.launched(now, first);
        assert_eq!(queue.next(now), None, "the others wait for it");
        let failed = queue.ended(now, Health::Gone, Some("timed out"));
        assert_eq!(failed, BreakerChange::Opened { probe_at: now.plus_ms(1_000) });
        let second = queue.take(now.plus_ms(1_000)).expect("the next probe");
        queue.launched(now, second);
        assert!(matches!(queue.ended(now, Health::Alive, None), BreakerChange::Closed(_)));
        assert!(queue.next(now).is_some(), "it is back");
    }

    #[test]
    fn whoever_has_just_had_an_answer_knows_better() {
        let (mut queue, now) = (queue(), Timestamp(100_000));
        let first = queue.take(now).expect("the first");
        queue.launched(now, first);
        queue.ended(now, Health::Alive, None);
        assert!(!queue.take_over_breaker(now.plus_ms(4_999), None));
        assert!(queue.take_over_breaker(now.plus_ms(5_000), None));
    }
}
