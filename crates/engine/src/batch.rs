//! The writes of one turn as a store takes them, with what fences off a loop that has lost its place. Plain data.

use crate::{Epoch, Letter, LetterId, Partition, RefusedLetter, RuleCases, Write};
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
    /// Those of them that were refused: whoever left them may have been told that they were taken, so they are kept
    /// for people to see.
    pub refused: Vec<RefusedLetter>,
    /// Cases that limited rules answer by it, in a store that several share. A rule that would pass its limit of cases
    /// per minute, those of other nodes counted in, makes the whole batch outdated.
    pub rule_cases: Vec<RuleCases>,
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
    /// The version of the settings that the writes were planned with ([`crate::Settings::version`]), in a store that
    /// several share: those that were planned before another version of a rulebook became active are refused as
    /// outdated, as is what comes with a share of the seat that is not held.
    pub settings: u64,
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

    /// Whether it is of a store that several share, and changes what belongs to no saga: how, if so.
    #[must_use]
    pub fn change_of_settings(&self) -> Option<SettingsChange> {
        let seat = self.shares.iter().find(|share| share.partition == Partition::SEAT)?;
        seat.writes.iter().filter_map(SettingsChange::of).max()
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

/// How writes change what belongs to no saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingsChange {
    /// Others go by it as soon as they have read it.
    Told,
    /// Another version of a rulebook is active: what was planned before is outdated.
    Rulebook,
}

impl SettingsChange {
    fn of(write: &Write) -> Option<Self> {
        match write {
            Write::Activate(_) => Some(Self::Rulebook),
            Write::Service(_) | Write::Stranger(_) | Write::RuleHold(_) => Some(Self::Told),
            Write::Case(_)
            | Write::Report(_)
            | Write::Step(_)
            | Write::Attempt(_)
            | Write::Act(_)
            | Write::Saga(_)
            | Write::Remove(_)
            | Write::Erasure(_)
            | Write::Erased(_) => None,
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Partitions that are not held in the epoch of their share, in order: nothing of those shares is stored, and all
    /// of the others.
    pub lost: Vec<Partition>,
    /// The version of the settings that this has made, if it has changed them, in a store that several share.
    pub settings: Option<u64>,
}
