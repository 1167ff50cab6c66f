//! The writes of one turn as a store takes them, with what fences off a loop that has lost its place. Plain data.

use crate::{Epoch, Letter, LetterId, Partition, Write};
use amends_protocol::Timestamp;

/// What one turn writes for one partition: all of it becomes durable, or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Whose writes they are.
    pub partition: Partition,
    /// The epoch in which it is held.
    pub epoch: Epoch,
    /// In order; of several writes of one key the last counts.
    pub writes: Vec<Write>,
    /// Letters of this partition that the writes take in: they are deleted along with it. If one of them is not there
    /// any more, it was taken before, and the share counts as lost.
    pub taken: Vec<LetterId>,
}

/// What one commit makes durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Each partition once, in their order: of a store that is owned as a whole that one alone. A share without writes
    /// asks whether its partition is still held.
    pub shares: Vec<Share>,
    /// Letters for other partitions. They need no lease: they are stored whatever becomes of the shares.
    pub letters: Vec<Letter>,
    /// Supervisor time of the commit; the store keeps the latest. None leaves it.
    pub clock: Option<Timestamp>,
}

impl Batch {
    /// What is written into a store that is owned as a whole.
    #[must_use]
    pub fn whole(epoch: Epoch, writes: Vec<Write>, clock: Option<Timestamp>) -> Self {
        let share = Share { partition: Partition::WHOLE, epoch, writes, ..Share::default() };
        Self { shares: vec![share], clock, ..Self::default() }
    }

    /// All writes, share by share.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.shares.iter().flat_map(|share| &share.writes)
    }

    /// Whether there is nothing to be made durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes().next().is_none()
            && self.shares.iter().all(|share| share.taken.is_empty())
            && self.letters.is_empty()
            && self.clock.is_none()
    }
}

/// Writes for a store that is owned as a whole.
impl<W: Into<Vec<Write>>> From<W> for Batch {
    fn from(writes: W) -> Self {
        Self::whole(Epoch::default(), writes.into(), None)
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Partitions that are not held in the epoch of their share, in order: nothing of those shares is stored, and all
    /// of the others.
    pub lost: Vec<Partition>,
}
