//! Everything that is under way between the supervisor and the world: who waits for an answer, and which effects have
//! no result yet.

use crate::event::{Callback, Letter, Undo};
use amends_engine::{Effect, Ticket};
use amends_node::EffectId;
use std::collections::{BTreeMap, BTreeSet};

/// Who waits for an answer.
#[derive(Clone, Debug)]
pub(super) enum Waiter {
    Report(Letter),
    Callback(Callback),
    Announce {
        saga: usize,
    },
    Ended {
        saga: usize,
    },
    Activate {
        version: usize,
    },
    /// A person, who reads the answer and leaves it at that.
    Person,
    /// A person who undoes what was set so long after the answer.
    Sets {
        undo: Undo,
        for_ms: u64,
    },
    /// A person who will see to it that it happens.
    Undo(Undo),
}

/// An effect whose result has not come.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) process: u64,
    pub(super) id: EffectId,
    pub(super) asked: Effect,
}

/// Everything that is under way.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) tickets: Ticket,
    /// With the node that they wait at.
    pub(super) waiters: BTreeMap<Ticket, (usize, Waiter)>,
    pub(super) effects: u64,
    /// Sagas whose announcement was answered.
    pub(super) announced: BTreeSet<usize>,
    /// Sagas of which it has been decided when it is said that they have ended.
    pub(super) says_late: BTreeSet<usize>,
    pub(super) under_way: BTreeMap<u64, UnderWay>,
}
