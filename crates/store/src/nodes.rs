//! Who shares a store: which nodes live, what each of them holds, and how much is its due.

use crate::{Partition, StoreError};
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
}

/// How many partitions each node may hold, so that all of them are held: nodes that leave, or are dead, hold none.
#[must_use]
pub fn fair_share(nodes: &[NodeSeen]) -> usize {
    let staying = nodes.iter().filter(|node| node.is_alive && !node.leaving).count();
    (Partition::PARTS + 1).div_ceil(staying.max(1))
}

/// The nodes of a store that several share.
pub trait Nodes: Clone + Send + Sync + 'static {
    /// Those that have shown themselves within the last day, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeSeen>, StoreError>> + Send;

    /// The highest sequence among the numbers of all cases (`number / 64`): whoever goes on from there gives numbers
    /// that follow time, whichever partition they are of.
    ///
    /// # Errors
    /// When the store can't be read.
    fn highest_sequence(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_to_each_is_enough_for_all() {
        let node = |is_alive, leaving| NodeSeen {
            name: "a".to_owned(),
            since: Timestamp(0),
            silent_ms: 0,
            is_alive,
            leaving,
            version: 1,
            parts: Vec::new(),
            offset_ms: None,
        };
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
