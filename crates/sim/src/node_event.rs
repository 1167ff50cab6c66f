//! What happens between nodes and the store that they share, as data.

use amends_engine::{
    Answer, Batch, Lease, LetterId, LettersWanted, LookupRequest, OpenPlace, Partition,
};

/// What the store can be asked.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Load,
    Settings,
    Adopt(Lease),
    Letters(Vec<LettersWanted>),
    Open(Partition, OpenPlace, usize),
    Lookup(LookupRequest),
    Commit(Batch),
}

/// Something that happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeFault {
    /// Its process stands still for so many milliseconds.
    Stops(u64),
    /// Its process stands still for so many milliseconds from its next commit on, before it hears of its end.
    StopsInACommit(u64),
    /// Its process stands still for so many milliseconds, and meanwhile another one starts under its name.
    IsReplaced(u64),
    /// It does not reach the store for so many milliseconds, and everybody else reaches it.
    IsCutOff(u64),
    /// The store is away for so many milliseconds, for all nodes.
    StoreIsAway(u64),
    /// Its process dies, and is started again after so many milliseconds.
    Dies(u64),
    /// It gives all back, and takes part again after so many milliseconds.
    IsDrained(u64),
    /// It takes part again.
    TakesAgain,
}

/// What becomes of a letter, on its way to where it was left.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) letter: LetterId,
    pub(crate) answer: Answer,
}
