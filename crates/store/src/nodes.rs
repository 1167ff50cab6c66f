//! Who shares a store: which nodes live, what each of them holds, and how much is its due.

use crate::{Partition, PermitsHeld, PermitsWanted, StoreError};
use amends_api::NodeState;
use amends_protocol::Timestamp;
use std::future::Future;

/// A node that has shown itself within the last day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// Since when it has lived without a break.
    pub since: Timestamp,
    /// Milliseconds since it showed itself last, by the clock of the database.
    pub silent_ms: u64,
    /// It counts as living: nobody takes what it holds.
    pub is_alive: bool,
    /// It gives back what it holds, and takes nothing.
    pub leaving: bool,
    /// The version of the tables that its program knows.
    pub version: u32,
    /// What it holds, in order: 0 to 63 are parts of the sagas, then [`Partition::SEAT`].
    pub parts: Vec<Partition>,
    /// Milliseconds that the clock of the database is ahead of its own; none as long as nobody has measured it.
    pub offset_ms: Option<i64>,
    /// The version of the settings that it goes by.
    pub settings: u64,
}

impl NodeSeen {
    /// How it is, in one word.
    #[must_use]
    pub fn state(&self) -> NodeState {
        match (self.is_alive, self.leaving) {
            (false, _) => NodeState::Silent,
            (true, false) => NodeState::Alive,
            (true, true) if self.parts.is_empty() => NodeState::Drained,
            (true, true) => NodeState::Draining,
        }
    }
}

/// What there is to see of the nodes that share a store, and between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSeen {
    /// Those that have shown themselves within the last day, by name.
    pub nodes: Vec<NodeSeen>,
    /// They hold it in partitions, each by itself; else one holds it as a whole, and others wait for it to go.
    pub is_shared: bool,
    /// Letters that wait for the nodes whose they are.
    pub letters: u64,
    /// For how long the oldest of them has waited, in milliseconds by the clock of the database; none without letters.
    pub oldest_letter_ms: Option<u64>,
}

impl ClusterSeen {
    /// How many of the 65 parts nobody who lives holds.
    #[must_use]
    pub fn without_owner(&self) -> usize {
        let held = self.nodes.iter().filter(|node| node.is_alive).map(|node| node.parts.len());
        (Partition::PARTS + 1).saturating_sub(held.sum())
    }

    /// Whether a node is the only one that works: nobody else takes what it gives back.
    #[must_use]
    pub fn is_last(&self, name: &str) -> bool {
        !self.nodes.iter().any(|node| node.name != name && node.state() == NodeState::Alive)
    }
}

/// How many partitions each node may hold, so that all of them are held: nodes that leave, or are dead, hold none.
#[must_use]
pub fn fair_share(nodes: &[NodeSeen]) -> usize {
    let staying = nodes.iter().filter(|node| node.is_alive && !node.leaving).count();
    (Partition::PARTS + 1).div_ceil(staying.max(1))
}

/// The nodes of a store that several share. As it comes: of one that a node owns as a whole.
pub trait Nodes: Clone + Send + Sync + 'static {
    /// Whether nodes hold it in partitions, each by itself; else one holds it as a whole.
    fn is_shared(&self) -> bool {
        false
    }

    /// Those that have shown themselves within the last day, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeSeen>, StoreError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// The highest sequence among the numbers of all cases (`number / 64`): whoever goes on from there gives numbers
    /// that follow time, whichever partition they are of.
    ///
    /// # Errors
    /// When the store can't be read.
    fn highest_sequence(&self) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async { Ok(0) }
    }

    /// Keeps the permits that this process has for another [`PERMIT_TIME`](crate::PERMIT_TIME), takes what is free,
    /// and gives back what is above what it wants; each service once, answered in the order in which they were asked
    /// for. To be asked again well before that time is over: a request keeps its permit until it has ended. Whoever
    /// has a store to itself has all.
    ///
    /// Never waits for another node. What a node that hangs or dies has is free once its time is over; of a request
    /// that it left under way by then nobody knows whether its service still works on it.
    ///
    /// # Errors
    /// When the store can't be written: then nobody knows what became of it. What was held before is so until its
    /// time is over, and nothing more.
    fn permits(
        &self,
        wanted: Vec<PermitsWanted>,
    ) -> impl Future<Output = Result<Vec<PermitsHeld>, StoreError>> + Send {
        let all = |one: PermitsWanted| PermitsHeld {
            held: one.wanted.min(one.slots),
            service: one.service,
        };
        async move { Ok(wanted.into_iter().map(all).collect()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(is_alive: bool, leaving: bool) -> NodeSeen {
        NodeSeen {
            name: "a".to_owned(),
            since: Timestamp(0),
            silent_ms: 0,
            is_alive,
            leaving,
            version: 1,
            parts: Vec::new(),
            offset_ms: None,
            settings: 0,
        }
    }

    #[test]
    fn what_a_dead_one_held_has_no_owner() {
        let holds = |name: &str, parts: std::ops::Range<u16>, is_alive, leaving| NodeSeen {
            name: name.to_owned(),
            parts: parts.map(Partition).collect(),
            ..node(is_alive, leaving)
        };
        let (a, b) = (holds("a", 0..20, true, false), holds("b", 20..40, true, true));
        let nodes = vec![a, b, holds("c", 40..60, false, true), holds("d", 0..0, true, true)];
        let states: Vec<_> = nodes.iter().map(NodeSeen::state).collect();
        let wanted = [NodeState::Alive, NodeState::Draining, NodeState::Silent, NodeState::Drained];
        assert_eq!(states, wanted);
        let seen = ClusterSeen { nodes, ..ClusterSeen::default() };
        assert_eq!(seen.without_owner(), 25);
        assert!(seen.is_last("a") && !seen.is_last("b"));
    }

    #[test]
    fn what_is_due_to_each_is_enough_for_all() {
        let (staying, leaving, dead) = (node(true, false), node(true, true), node(false, false));
        for (nodes, share) in [
            (vec![], 65),
            (vec![staying.clone()], 65),
            (vec![staying.clone(), leaving, dead], 65),
            (vec![staying.clone(), staying.clone()], 33),
            (vec![staying.clone(), staying.clone(), staying.clone()], 22),
            (vec![staying; 70], 1),
        ] {
            assert_eq!(fair_share(&nodes), share, "{}", nodes.len());
        }
    }
}
