//! The writes of one turn as a store takes them, with what fences off a loop that has lost its place. Plain data.

use crate::Write;
use amends_protocol::Timestamp;

/// A part of all sagas that one loop owns. A store that is owned as a whole has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

/// How often a partition has changed its owner. A store that several can own refuses what carries an old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// What one commit makes durable: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Whose sagas the writes are about.
    pub partition: Partition,
    /// The epoch that was told when the partition was loaded.
    pub epoch: Epoch,
    /// In order; of several writes of one key the last counts.
    pub writes: Vec<Write>,
    /// Supervisor time of the commit; the store keeps the latest. None leaves it.
    pub clock: Option<Timestamp>,
}

/// Writes for a store that is owned as a whole.
impl<W: Into<Vec<Write>>> From<W> for Batch {
    fn from(writes: W) -> Self {
        Self { writes: writes.into(), ..Self::default() }
    }
}
