//! What brokers bring: messages by what became of them, how many wait there, and whether we are connected. A way that
//! is not configured is in none of them.

use crate::clock::{Clock, SystemClock};
use amends_api::{OverHttpView, ReportWay, WayView};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MessageLabels {
    way: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WayLabels {
    way: &'static str,
}

/// The metrics of brokers; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways {
    messages: Family<MessageLabels, Counter>,
    waiting: Family<WayLabels, Gauge>,
    connected: Family<WayLabels, Gauge>,
    resets: Family<WayLabels, Counter>,
    /// The same for people, with times.
    standing: Arc<Mutex<BTreeMap<ReportWay, WayView>>>,
    over_http: Arc<Mutex<OverHttpView>>,
}

impl Ways {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "messages",
            "Messages of brokers, by what became of them: taken, duplicate, skipped (tells of no failure), rejected (put aside for people), again (comes later)",
            self.messages.clone(),
        );
        registry.register(
            "messages_waiting",
            "Messages of a broker that are not taken yet: those that wait there, and those in hand",
            self.waiting.clone(),
        );
        registry.register(
            "broker_connected",
            "Whether reports come from a broker: 1, or 0 while it is away or not as it should be",
            self.connected.clone(),
        );
        registry.register(
            "offset_resets",
            "How often reading could not go on where it was, because a broker had removed messages unread, and began at the earliest that it has",
            self.resets.clone(),
        );
    }

    /// A way is configured: from now on it is told of.
    pub(crate) fn know(&self, way: ReportWay) {
        let new = WayView {
            way,
            connected: false,
            since: SystemClock.now(),
            waiting: 0,
            last_taken_at: None,
            taken: 0,
            skipped: 0,
            rejected: 0,
            unheard: Vec::new(),
        };
        self.standing().insert(way, new);
        for result in ["taken", "duplicate", "skipped", "rejected", "again"] {
            drop(self.messages.get_or_create(&MessageLabels { way: way.as_str(), result }));
        }
        self.waiting(way, 0);
        self.connected(way, false);
        drop(self.resets.get_or_create(&WayLabels { way: way.as_str() }));
    }

    /// A message was dealt with: `taken`, `duplicate`, `skipped`, `rejected` or `again`.
    pub(crate) fn delivered(&self, way: ReportWay, result: &'static str) {
        self.messages.get_or_create(&MessageLabels { way: way.as_str(), result }).inc();
        let mut standing = self.standing();
        let Some(view) = standing.get_mut(&way) else { return };
        match result {
            "taken" | "duplicate" => {
                view.taken += 1;
                view.last_taken_at = Some(SystemClock.now());
            }
            "skipped" => view.skipped += 1,
            "rejected" => view.rejected += 1,
            _ => {}
        }
    }

    /// A report came over HTTP: it was taken, or will never be.
    pub(crate) fn came_over_http(&self, is_taken: bool) {
        let mut view = self.over_http.lock().unwrap_or_else(PoisonError::into_inner);
        if is_taken {
            view.taken += 1;
            view.last_taken_at = Some(SystemClock.now());
        } else {
            view.rejected += 1;
        }
    }

    /// What has come over HTTP.
    pub(crate) fn over_http(&self) -> OverHttpView {
        self.over_http.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is wrong with the bridges that read there.
    pub(crate) fn unheard(&self, way: ReportWay, why: Vec<String>) {
        if let Some(view) = self.standing().get_mut(&way) {
            view.unheard = why;
        }
    }

    /// How each way that is configured stands.
    pub(crate) fn views(&self) -> Vec<WayView> {
        self.standing().values().cloned().collect()
    }

    fn standing(&self) -> MutexGuard<'_, BTreeMap<ReportWay, WayView>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many are not taken yet.
    pub(crate) fn waiting(&self, way: ReportWay, messages: u64) {
        if let Some(view) = self.standing().get_mut(&way) {
            view.waiting = messages;
        }
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.waiting.get_or_create(&WayLabels { way: way.as_str() }).set(messages);
    }

    /// Reading began at the earliest message, and not where it was.
    #[cfg(any(feature = "kafka", feature = "nats"))]
    pub(crate) fn reset(&self, way: ReportWay) {
        self.resets.get_or_create(&WayLabels { way: way.as_str() }).inc();
    }

    /// Whether reports come.
    pub(crate) fn connected(&self, way: ReportWay, is_connected: bool) {
        if let Some(view) = self.standing().get_mut(&way)
            && view.connected != is_connected
        {
            (view.connected, view.since) = (is_connected, SystemClock.now());
        }
        self.connected.get_or_create(&WayLabels { way: way.as_str() }).set(i64::from(is_connected));
    }
}
