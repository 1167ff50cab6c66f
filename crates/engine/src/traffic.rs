//! What lasts beyond a turn and is in memory only: the queues to the services, and the timers.

use crate::Partition;
use crate::service_queue::{EffectKey, ServiceQueue};
use crate::timer::{Timer, Timers};
use amends_protocol::{CaseId, SagaId, Timestamp};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A service's concurrency limit where no rulebook says one.
const DEFAULT_CONCURRENCY: u32 = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) timers: Timers,
    pub(crate) queues: FxHashMap<Arc<str>, ServiceQueue>,
    /// Nothing goes to a service without a permit.
    pub(crate) by_permits: bool,
    /// The partitions that are here, as bits; none of a store that is owned as a whole.
    parts: Option<u64>,
    /// Queues in which something may now go.
    stirred: BTreeSet<Arc<str>>,
}

impl Traffic {
    pub(crate) fn queue(&mut self, service: &Arc<str>) -> &mut ServiceQueue {
        let (permits, parts) = (self.by_permits.then_some(0), self.parts);
        self.queues.entry(Arc::clone(service)).or_insert_with(|| {
            let mut queue = ServiceQueue::new(DEFAULT_CONCURRENCY);
            queue.permits = permits;
            if let Some(parts) = parts {
                queue.pace.share(parts);
            }
            queue
        })
    }

    /// From now on these partitions are here, of a store that nodes share: they share limits per second as well.
    pub(crate) fn share_pace(&mut self, partitions: impl Iterator<Item = Partition>) {
        let parts = partitions.filter(|one| *one != Partition::SEAT).map(|one| 1 << one.0).sum();
        self.parts = Some(parts);
        self.queues.values_mut().for_each(|queue| queue.pace.share(parts));
    }

    /// Something wants to go to a service.
    pub(crate) fn enqueue(&mut self, service: &Arc<str>, key: EffectKey) {
        self.queue(service).push(key);
        self.stir(service);
    }

    /// Sets the timer for the next step that will be too old, unless one comes before it. There is one for a service,
    /// whatever the number of its steps.
    pub(crate) fn watch_ages(&mut self, service: &Arc<str>, now: Timestamp) {
        let queue = self.queue(service);
        let Some((end, _)) = queue.ages.first().filter(|_| !queue.paused()) else { return };
        let at = now.plus_ms(end.ms_since(queue.own_time(now)).max(1));
        if queue.ages_at.is_none_or(|known| at < known || known <= now) {
            queue.ages_at = Some(at);
            self.timers.set(at, Timer::Ages(Arc::clone(service)));
        }
    }

    /// Drops all that waits for these cases, and the deadlines of these sagas.
    pub(crate) fn forget(
        &mut self,
        is_gone: impl Fn(CaseId) -> bool,
        has_gone: impl Fn(&SagaId) -> bool,
    ) {
        self.timers.forget(&is_gone, has_gone);
        self.queues.values_mut().for_each(|queue| queue.forget_cases(&is_gone));
    }

    /// Bytes that timers and queues take.
    pub(crate) fn bytes(&self) -> usize {
        self.timers.bytes() + self.queues.values().map(ServiceQueue::bytes).sum::<usize>()
    }

    pub(crate) fn stir(&mut self, service: &Arc<str>) {
        self.stirred.insert(Arc::clone(service));
    }

    pub(crate) fn next_stirred(&mut self) -> Option<Arc<str>> {
        self.stirred.pop_first()
    }
}
