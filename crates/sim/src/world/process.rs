//! The supervisor's process and its machine: the node, the store, the clock, and what is left of their troubles.

use crate::event::BEGINNING;
use crate::scenario::{CrashPoint, Scenario};
use crate::stored::Stored;
use crate::switches::Switches;
use amends_engine::{Batch, LookupRequest, Partition};
use amends_node::{Node, NodeOptions};
use amends_protocol::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Small, so that turns are full and queues run over.
pub(super) const OPTIONS: NodeOptions =
    NodeOptions { partition: Partition(0), queue: 64, batch: 16, grace_ms: 1_000 };

/// The process and its machine.
pub(super) struct Shell {
    pub(super) node: Option<Node>,
    pub(super) store: Stored,
    /// Counts the starts of the process; what an earlier one waited for is of no interest.
    pub(super) process: u64,
    pub(super) skew_ms: i64,
    pub(super) wake_at: Option<i64>,
    /// What the store is asked now.
    pub(super) asked: Option<Asked>,
    /// The crash of the commit whose effects are about to be let out.
    pub(super) crash: Option<(CrashPoint, u64)>,
    /// How often each item of trouble has struck.
    pub(super) used: BTreeMap<usize, u32>,
}

/// What the store can be asked.
pub(super) enum Asked {
    Load,
    Lookup(LookupRequest),
    Commit(Batch),
}

impl Shell {
    pub(super) fn new(scenario: &Scenario, switches: Switches) -> Self {
        let mut store = Stored::new(&scenario.versions, BEGINNING);
        if !switches.gateway_hides_history {
            let services = scenario.world.services().iter();
            store.know(services.map(|service| Arc::clone(&service.name)));
        }
        Self {
            node: None,
            store,
            process: 0,
            skew_ms: 0,
            wake_at: None,
            asked: None,
            crash: None,
            used: BTreeMap::new(),
        }
    }

    /// The supervisor's clock.
    pub(super) const fn wall(&self, now: i64) -> Timestamp {
        Timestamp(BEGINNING.0 + now + self.skew_ms)
    }
}
