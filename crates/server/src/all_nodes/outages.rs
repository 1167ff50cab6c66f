//! Services that are out of reach, as nodes tell each other without being asked: whoever takes over cases then does not
//! run into the same outage with all of them.

use super::hub::Hub;
use super::said::{Head, Outage, text};
use crate::clock::{Clock, SystemClock};
use crate::supervisor::Supervisor;
use amends_api::BreakerState;
use amends_store::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How often it is looked whether there is news.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How often an outage is told again while it lasts.
const AGAIN: Duration = Duration::from_secs(5);
/// For how long it is believed without being told again.
const BELIEVED: Duration = Duration::from_secs(15);

/// What this node has told of its outages.
#[derive(Default)]
pub(super) struct Telling {
    told: Vec<Outage>,
    /// When, by the monotonic clock.
    at: Option<Duration>,
}

impl Telling {
    /// Tells all nodes, if there is news or it is time again.
    pub(super) fn look<S: Store>(&mut self, supervisor: &Supervisor<S>, me: &Arc<str>) {
        let queues =
            Arc::clone(&supervisor.shared().queues.lock().unwrap_or_else(PoisonError::into_inner));
        let is_out = |breaker| matches!(breaker, BreakerState::Open | BreakerState::Probing);
        let out = queues.iter().filter(|queue| is_out(queue.breaker)).map(|queue| Outage {
            service: Arc::clone(&queue.service),
            message: queue.message.clone(),
        });
        let now: Vec<Outage> = out.collect();
        let is_due = !now.is_empty() && self.at.is_none_or(|at| age(at) >= AGAIN);
        if now != self.told || is_due {
            let head = Head::Outages { by: me.to_string() };
            text(&head, &now).into_iter().for_each(|text| supervisor.store().say(text));
            (self.told, self.at) = (now, Some(SystemClock.monotonic()));
        }
    }
}

impl Hub {
    /// A node has told of these.
    pub(super) fn outages_are(&self, by: String, outages: Vec<Outage>) {
        let mut known = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| age(*at) < BELIEVED);
        known.insert(by, (SystemClock.monotonic(), outages));
    }

    /// Services that another node can't reach, each with what it failed with last.
    pub(crate) fn outages(&self, me: &str) -> BTreeMap<Arc<str>, Option<String>> {
        let known = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        let of_others = known.iter().filter(|(by, (at, _))| *by != me && age(*at) < BELIEVED);
        let outages = of_others.flat_map(|(_, (_, outages))| outages.iter().cloned());
        outages.map(|outage| (outage.service, outage.message)).collect()
    }
}

fn age(at: Duration) -> Duration {
    SystemClock.monotonic().saturating_sub(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_node_cannot_reach_is_known_until_it_says_otherwise() {
        let hub = Hub::default();
        let bank = Outage { service: "bank".into(), message: Some("timed out".to_owned()) };
        hub.outages_are("b".to_owned(), vec![bank]);
        let known = BTreeMap::from([("bank".into(), Some("timed out".to_owned()))]);
        assert_eq!(hub.outages("a"), known);
        assert_eq!(hub.outages("b"), BTreeMap::new(), "it knows its own");
        hub.outages_are("c".to_owned(), Vec::new());
        assert_eq!(hub.outages("a"), known);
        hub.outages_are("b".to_owned(), Vec::new());
        assert_eq!(hub.outages("a"), BTreeMap::new());
    }
}
