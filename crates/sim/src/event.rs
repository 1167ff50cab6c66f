//! Everything that can happen in a run, as data.

use crate::node_event::{Asked, NodeFault, Word};
use amends_engine::{Batch, LetterId, Partition};
use amends_node::EffectResult;
use amends_protocol::{OutcomeCallback, StepId, Timestamp, Verb};
use amends_rulebook::ActionId;
use std::sync::Arc;

/// The moment at which every run begins, by the supervisor's clock.
pub const BEGINNING: Timestamp = Timestamp(1_790_000_000_000);

/// What can happen.
#[derive(Clone, Debug)]
pub(crate) enum WorldEvent {
    /// Inside of the services.
    Forward(Forward),
    /// A saga announces itself.
    Announce { saga: usize },
    /// An announced saga says that it has ended.
    Ended { saga: usize },
    /// A report reaches the supervisor.
    Mail(Letter),
    /// A service tells the outcome of a step.
    Callback(Callback),
    /// An effect of the supervisor reaches its service.
    Reaches { effect: u64 },
    /// A request is delivered by the network a second time.
    Repeated { call: StepCall },
    /// An effect's result is back.
    Result { effect: u64, done: EffectResult },
    /// The supervisor stops waiting for an effect.
    TimesOut { effect: u64 },
    /// The supervisor's timer.
    Wake { process: u64 },
    /// The store has done what it was asked.
    StoreDone { process: u64 },
    /// A supervisor's process starts.
    Start { node: usize },
    /// All nodes that run show that they live.
    Beats,
    /// Something happens to a node.
    Node { node: usize, fault: NodeFault },
    /// A store that nodes share does what a process has asked of it. `commit`: the number of a commit.
    Works { process: u64, node: usize, asked: Box<Asked>, commit: Option<i64> },
    /// A commit of which nobody knows whether it has landed lands.
    Lands { node: usize, batch: Box<Batch>, commit: Option<i64> },
    /// A person pauses a service for so many milliseconds.
    Pause { service: Arc<str>, for_ms: u64 },
    /// Somebody makes a version of a rulebook active.
    Activate { version: usize },
    /// Something was left for a partition.
    Notify { partition: Partition },
    /// A node hears that what belongs to no saga has this version.
    SettingsStand { node: usize, version: u64 },
    /// A word comes of what became of a letter.
    Answered(Box<Word>),
    /// Whoever has left a letter waits no longer.
    DoorCloses { letter: LetterId },
    /// An item of the scenario whose time has come.
    Item(usize),
    /// The end of what a person did for a while.
    Undo(Undo),
    /// The wall clock is set by so much.
    SetClock { by_ms: i64 },
    /// It is looked for cases that were settled longer ago than this.
    Prune { keep_ms: u64 },
}

/// Something that happens inside of the services.
#[derive(Clone, Debug)]
pub(crate) enum Forward {
    /// A saga begins.
    Begin { saga: usize },
    /// A request reaches its service.
    Arrive { saga: usize, node: usize },
    /// Work goes on, in this run of it, after so many calls.
    Work { saga: usize, node: usize, run: u32, after: usize },
    /// A caller gets its answer.
    Answer { saga: usize, node: usize, caller_run: u32, reply: Reply },
    /// A caller stops waiting.
    Stop { saga: usize, node: usize, caller_run: u32 },
    /// A crashed service is back and looks at an unfinished request.
    Sweep { saga: usize, node: usize, run: u32 },
    /// A caller repeats a call that it got no answer to.
    Repeat { saga: usize, node: usize, times: u32 },
    /// A service undoes a request by itself.
    CleanUp { saga: usize, node: usize },
    /// A caller learns that what was declined has been charged all the same.
    Hears { saga: usize, node: usize },
    /// A service forgets a saga.
    Forget { saga: usize, service: Arc<str> },
    /// Work that was accepted with 202 is done.
    Accepted { call: StepCall, calls_back: bool },
}

/// What a caller gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Ok,
    Failed { report: Option<usize> },
    Fenced,
    Nothing,
}

/// One request of the supervisor for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepCall {
    /// Number of the effect; its result carries it.
    pub(crate) effect: u64,
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
    pub(crate) saga: usize,
    pub(crate) action: ActionId,
    pub(crate) verb: Verb,
    /// Digest of its idempotency key.
    pub(crate) key: u64,
    /// The one request that it names, as its service knows it.
    pub(crate) request: Option<usize>,
}

impl StepCall {
    /// What its service knows it by.
    pub(crate) const fn key(self) -> (ActionId, u64) {
        (self.action, self.key)
    }
}

/// A report on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) saga: usize,
    pub(crate) report: usize,
}

/// The late answer of a service to a step.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    pub(crate) step: StepId,
    pub(crate) said: OutcomeCallback,
    pub(crate) tries: u32,
    /// Whoever sends it was not asked for the step.
    pub(crate) forged: bool,
}

/// The end of something that a person did for a while.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    Resume(Arc<str>),
    Unlimit(Arc<str>),
}
