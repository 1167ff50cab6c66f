//! What nodes that share a store have together of a service. Its concurrency is one for all: each sends there as far
//! as it has permits; who gives them out is the store's affair, and how many are asked for that of whoever drives the
//! loop. And what one knows of an outage, others take over with its cases.

use crate::timer::Timer;
use crate::{Engine, ServiceDemand};
use amends_protocol::Timestamp;
use std::sync::Arc;

impl Engine {
    /// From now on nothing goes to a service without a permit.
    pub fn go_by_permits(&mut self) {
        self.turn.traffic.by_permits = true;
        for queue in self.turn.traffic.queues.values_mut() {
            queue.permits.get_or_insert(0);
        }
    }

    /// From now on at most so many requests are under way at a service. Those that are stay.
    pub fn permit(&mut self, service: &Arc<str>, permits: u32, now: Timestamp) {
        let traffic = &mut self.turn.traffic;
        if traffic.queue(service).permits.replace(permits).is_none_or(|before| before < permits) {
            traffic.timers.set(now, Timer::Probe(Arc::clone(service)));
        }
    }

    /// Another node has found a service out of reach. Unless this one has just had an answer of it, one request probes
    /// it before all others go.
    pub fn heard_out_of_reach(
        &mut self,
        service: &Arc<str>,
        message: Option<&str>,
        now: Timestamp,
    ) {
        if !self.active.values().any(|book| book.service(service).is_some()) {
            return;
        }
        let traffic = &mut self.turn.traffic;
        if traffic.queue(service).take_over_breaker(now, message) {
            traffic.timers.set(now, Timer::Probe(Arc::clone(service)));
        }
    }

    /// How much would go to each service now, if there were a permit for each request.
    pub fn demands(&self, now: Timestamp) -> impl Iterator<Item = ServiceDemand> + '_ {
        self.turn.traffic.queues.iter().map(move |(service, queue)| ServiceDemand {
            service: Arc::clone(service),
            concurrency: queue.concurrency(),
            in_flight: queue.in_flight,
            ready: queue.ready_to_go(now),
        })
    }
}
