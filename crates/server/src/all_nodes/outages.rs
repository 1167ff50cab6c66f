//! Services that are out of reach, as nodes tell each other without being asked: whoever takes over cases then does not
//! run into the same outage with all of them.

use super::hub::Hub;
use super::said::{Head, Outage, text};
use crate::supervisor::Supervisor;
use amends_api::BreakerState;
use amends_store::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

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
    at: Option<Instant>,
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
        let is_due = !now.is_empty() && self.at.is_none_or(|at| at.elapsed() >= AGAIN);
        if now != self.told || is_due {
            let head = Head::Outages { by: me.to_string() };
            text(&head, &now).into_iter().for_each(|text| supervisor.store().say(text));
            (self.told, self.at) = (now, Some(Instant::now()));
        }
    }
}

impl Hub {
    /// A node has told of these.
    pub(super) fn outages_are(&self, by: String, outages: Vec<Outage>) {
        let mut known = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < BELIEVED);
        known.insert(by, (Instant::now(), outages));
    }

    /// Services that another node can't reach, each with what it failed with last.
    pub(crate) fn outages(&self, me: &str) -> BTreeMap<Arc<str>, Option<String>> {
        let known = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        let of_others = known.iter().filter(|(by, (at, _))| *by != me && at.elapsed() < BELIEVED);
        let outages = of_others.flat_map(|(_, (_, outages))| outages.iter().cloned());
        outages.map(|outage| (outage.service, outage.message)).collect()
    }
}
