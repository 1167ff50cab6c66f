//! Gauges of the nodes that share the store, set from one look when they are scraped: every node tells of all.

use super::labels::NodeLabels;
use amends_api::{NodeState, NodesView};
use amends_protocol::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// Nodes that get label values of their own, by name: those of the last day are known, whatever their names are.
const NODES_LIMIT: usize = 100;

type Seconds = Gauge<f64, AtomicU64>;

/// One value for each node, and what is of none.
#[derive(Clone, Default)]
pub(super) struct NodeGauges {
    partitions: Family<NodeLabels, Gauge>,
    seat: Family<NodeLabels, Gauge>,
    draining: Family<NodeLabels, Gauge>,
    seen: Family<NodeLabels, Seconds>,
    clock_offset: Family<NodeLabels, Seconds>,
    unheld: Gauge,
    letters: Gauge,
    oldest_letter: Seconds,
}

impl NodeGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "node_partitions",
            "How many of the 64 parts of all sagas a node holds",
            self.partitions.clone(),
        );
        registry.register("node_seat", "1 for the node that holds the seat", self.seat.clone());
        registry.register(
            "node_draining",
            "Whether a node gives back what it holds and takes nothing (1) or not (0)",
            self.draining.clone(),
        );
        registry.register_with_unit(
            "node_seen_timestamp",
            "When a node has shown itself last, in Unix time",
            Unit::Seconds,
            self.seen.clone(),
        );
        registry.register_with_unit(
            "node_clock_offset",
            "How far the clock of a node is ahead of that of the database",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
        registry.register(
            "partitions_unheld",
            "How many of the 64 parts, and of the seat, no node holds that lives",
            self.unheld.clone(),
        );
        registry.register(
            "letters_waiting",
            "Letters that nodes have left for each other and that are not taken yet",
            self.letters.clone(),
        );
        registry.register_with_unit(
            "oldest_letter_timestamp",
            "When the oldest of them was left, in Unix time; 0 when there is none",
            Unit::Seconds,
            self.oldest_letter.clone(),
        );
    }

    /// Nodes come and go: what is gone must not stay at its last value.
    #[allow(clippy::cast_precision_loss)] // seconds for people
    pub(super) fn set(&self, view: &NodesView, now: Timestamp) {
        let before = |ms: u64| (now.0 as f64 - ms as f64) / 1_000.0;
        self.partitions.clear();
        self.seat.clear();
        self.draining.clear();
        self.seen.clear();
        self.clock_offset.clear();
        for node in view.nodes.iter().take(NODES_LIMIT) {
            let labels = || NodeLabels { node: node.name.clone() };
            let is_alive = node.state != NodeState::Silent;
            // What a silent one held is on its way to others.
            let parts = if is_alive { node.parts.len() } else { 0 };
            let parts = i64::try_from(parts).unwrap_or(i64::MAX);
            self.partitions.get_or_create(&labels()).set(parts);
            self.seat.get_or_create(&labels()).set(i64::from(is_alive && node.seat));
            let draining = matches!(node.state, NodeState::Draining | NodeState::Drained);
            self.draining.get_or_create(&labels()).set(i64::from(draining));
            self.seen.get_or_create(&labels()).set(before(node.silent_ms));
            if let Some(ms) = node.clock_off_ms {
                self.clock_offset.get_or_create(&labels()).set(ms as f64 / 1_000.0);
            }
        }
        self.unheld.set(i64::from(view.without_owner));
        self.letters.set(i64::try_from(view.letters_waiting).unwrap_or(i64::MAX));
        self.oldest_letter.set(view.oldest_letter_ms.map_or(0.0, before));
    }
}
