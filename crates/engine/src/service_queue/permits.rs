//! How many requests may go to a service now: as far as nothing keeps them back, and as there are permits where nodes
//! share its concurrency.

use super::{Breaker, ServiceQueue};
use amends_protocol::Timestamp;
use std::collections::VecDeque;

impl ServiceQueue {
    /// Most effects of this node at once.
    pub(super) fn allowed(&self) -> u32 {
        self.permits.map_or(self.concurrency(), |permits| permits.min(self.concurrency()))
    }

    /// How many more would go now, if nothing limited how many are under way.
    pub(crate) fn ready_to_go(&self, now: Timestamp) -> u32 {
        let ready: usize = self.ready.iter().map(VecDeque::len).sum();
        let ready = match self.breaker {
            _ if self.is_kept_back(now) => 0,
            Breaker::Closed => ready,
            Breaker::Open { probe_at } if probe_at <= now => self.queued().min(1),
            Breaker::Open { .. } | Breaker::Probing => 0,
        };
        u32::try_from(ready).unwrap_or(u32::MAX)
    }

    /// When the queue must be looked at again because only the limit per second keeps its queue back; told once.
    pub(crate) fn wait_for_slot(&mut self, now: Timestamp) -> Option<Timestamp> {
        let per_second = self.per_second()?;
        // Whoever ends a pause looks at it at once.
        let is_empty = self.ready.iter().all(VecDeque::is_empty);
        if is_empty || self.paused() { None } else { self.pace.look_again(now, per_second) }
    }

    /// Whether the service, a person or a limit per second keeps everything back.
    pub(super) fn is_kept_back(&self, now: Timestamp) -> bool {
        self.paused() || now < self.hold_until || !self.is_on_time(now)
    }

    fn is_on_time(&self, now: Timestamp) -> bool {
        self.per_second().is_none_or(|per_second| self.pace.may_go(now, per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::super::EffectKey;
    use super::*;
    use crate::{Decision, Limits};
    use amends_protocol::CaseId;

    #[test]
    fn a_paused_service_is_looked_at_when_the_pause_ends_and_not_in_every_slot() {
        let decision = || Decision { at: 0, by: "kim".into(), reason: "because".into() };
        let mut queue = ServiceQueue::new(4);
        queue.pace.share(u64::MAX);
        let limits = Limits { concurrency: None, per_second: Some(5), decision: decision() };
        queue.settings.limits = Some(limits);
        queue.push(EffectKey::History(CaseId(1)));
        queue.settings.set_pause(Timestamp(0), Some(decision()));
        assert_eq!(queue.wait_for_slot(Timestamp(1_000)), None);
        queue.settings.set_pause(Timestamp(1_000), None);
        assert!(queue.wait_for_slot(Timestamp(1_000)).is_some());
    }
}
