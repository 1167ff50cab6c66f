//! What a run is made of: its items, and the plan that holds them. Data only.

use amends_protocol::SagaId;
use amends_rulebook::Rulebook;
use amends_simulate::{Fault, Flow};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// When everything that can go wrong has ended, in milliseconds from the beginning.
pub const HEALED_MS: i64 = 30 * 60_000;

/// What a run is allowed to contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corpus {
    /// Services keep their promises and the supervisor's own machine may fail: nothing may end stuck or open.
    Honest,
    /// Everything: services that lie, people who do anything, lost reports, clocks that jump.
    Hostile,
}

impl Corpus {
    /// Its word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Hostile => "hostile",
        }
    }
}

/// One thing that happens in a run, and that can be left out of it.
#[derive(Clone, Debug)]
pub enum Item {
    /// A saga begins.
    Saga(SagaPlan),
    /// Something goes wrong inside of a saga.
    Fault {
        /// Position of the saga among the items.
        saga: usize,
        /// What, and at which request.
        fault: Fault,
    },
    /// Something happens to the reports of a saga on their way.
    Mail {
        /// Position of the saga among the items.
        saga: usize,
        /// Which of its reports.
        nth: usize,
        /// What.
        trouble: MailTrouble,
    },
    /// A service undoes a request by itself, e.g. because a reservation has run out.
    OwnCleanUp {
        /// Position of the saga among the items.
        saga: usize,
        /// Which request.
        node: usize,
        /// When.
        at: i64,
    },
    /// A service behaves in a certain way for a while.
    Weather(Weather),
    /// A service forgets a saga so long after it began.
    Retention {
        /// Which.
        service: Arc<str>,
        /// How long it remembers.
        ms: u64,
    },
    /// The clock of a service is wrong.
    Skew {
        /// Which.
        service: Arc<str>,
        /// By how much; negative is behind.
        ms: i64,
    },
    /// A person acts.
    Act {
        /// When.
        at: i64,
        /// What.
        act: PersonAct,
        /// Picks the target among those that there are then.
        which: u64,
    },
    /// Another version of the rulebook becomes active.
    Activate {
        /// When.
        at: i64,
        /// Position among the versions.
        version: usize,
    },
    /// The supervisor's process dies at the next commit.
    Crash {
        /// From when on.
        at: i64,
        /// At which point of it.
        point: CrashPoint,
        /// How long until it is started again.
        down_ms: u64,
    },
    /// The store fails.
    Store {
        /// From when on.
        at: i64,
        /// How.
        trouble: StoreTrouble,
        /// How often in a row.
        times: u32,
    },
    /// The rows of one case are damaged.
    Damage {
        /// When.
        at: i64,
        /// Picks the case among those that there are then.
        which: u64,
        /// The store refuses what is written of it, rather than giving back something else than was written.
        refused: bool,
    },
    /// The supervisor's wall clock is set, or is wrong when the first process starts.
    Clock {
        /// When; 0 is before the start.
        at: i64,
        /// By how much; negative is back.
        by_ms: i64,
        /// When somebody sets it right again; none if it stays so.
        for_ms: Option<u64>,
    },
    /// The supervisor's process does not run for a while, and its machine's clocks do.
    Suspended {
        /// When.
        at: i64,
        /// For how long.
        ms: u64,
    },
    /// Cases are removed so long after they were settled.
    Keep {
        /// How long they are kept.
        ms: u64,
    },
}

/// One saga.
#[derive(Clone, Debug)]
pub struct SagaPlan {
    /// Its id.
    pub id: SagaId,
    /// When it begins.
    pub at: i64,
    /// How much later its first request arrives than it is announced.
    pub late_ms: u64,
    /// Its requests.
    pub flow: Flow,
    /// It announces itself, and must have ended after so long.
    pub deadline_ms: Option<u64>,
}

/// What can happen to a report on its way to the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTrouble {
    /// It is sent again, so long after the first time.
    Again(u64),
    /// It is late by so many milliseconds.
    Late(u64),
    /// It never comes.
    Lost,
    /// It names a cause that was never reported.
    StrangeCause,
    /// It and the next one name each other as the cause.
    Circle,
}

/// How a service behaves for a while, for some of what reaches it.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Which service.
    pub service: Arc<str>,
    /// From when.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// Of 100 requests so many meet it.
    pub percent: usize,
    /// What they meet.
    pub sky: Sky,
}

/// What a request of the supervisor may meet at a service or at the gateway before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sky {
    /// The connection is refused.
    Down,
    /// The gateway answers with this status and a page of its own; 200 is a page in HTML.
    Gateway(u16),
    /// A new version is rolled out: the gateway answers, now with one status, now with another.
    Deploy,
    /// The request is lost on its way.
    RequestLost,
    /// It is done, but its answer is lost.
    AnswerLost,
    /// It is done, but late; the supervisor may have stopped waiting.
    Slow(u64),
    /// The network delivers it twice, the second time so much later.
    Twice(u64),
    /// The service answers 500, and has done nothing.
    Broken,
    /// 409.
    Busy,
    /// 429 with `Retry-After` in milliseconds.
    TooMany(u64),
    /// 503 with `Retry-After` in milliseconds.
    Overloaded(u64),
    /// 202, then a callback.
    AcceptsAndCallsBack(u64),
    /// It is done, and the answer lost; then a callback with the proof.
    AnswerLostThenCallsBack(u64),
    /// 202 with a `Location` that can be polled.
    AcceptsForPolling(u64),
    /// 202, then silence.
    AcceptsAndForgets,
    /// It refuses to compensate, for good.
    Refuses,
    /// 422.
    Rejects,
    /// It says that there was nothing to undo, and does nothing.
    SaysNothing,
    /// It says that it is done, and does nothing.
    SaysDone,
    /// It calls back with another outcome after it has answered.
    Contradicts(u64),
    /// Its History and its answers leave out what it did.
    ConcealsHistory,
    /// Its History tells of requests that never were.
    InventsHistory,
}

/// With what somebody who was not asked for a step tells its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Without a proof.
    NoProof,
    /// With one that was made up.
    MadeUp,
    /// With the proof of another step.
    OfAnother,
}

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonAct {
    /// Tries a step again.
    Retry,
    /// Edits a step's data.
    Edit,
    /// Waives a step.
    Waive,
    /// Records an outcome.
    Record,
    /// Approves a step.
    Approve,
    /// Approves everything that waits for it.
    ApproveAll,
    /// Retries all stuck steps, as a bulk act.
    RetryAll,
    /// Answers a case anew with the active rulebook.
    Replan,
    /// Adds steps to a case.
    Plan,
    /// Settles a case.
    Settle,
    /// Tries all waiting steps of a case.
    RetryCase,
    /// Pauses a service; resumes it after so long.
    Pause(u64),
    /// Sets limits of a service; takes them back after so long.
    Limit {
        /// Most requests at once.
        concurrency: Option<u32>,
        /// Most requests a second.
        per_second: Option<u32>,
        /// For how long.
        for_ms: u64,
    },
    /// Somebody else calls back about a step, whether or not it was ever sent.
    Forge(Forgery),
    /// Asks about something that does not exist.
    Nonsense,
    /// Repairs a quarantined case.
    Repair,
    /// Discards a quarantined case.
    Discard,
}

/// Where in a turn of its loop the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The commit was about to be made.
    BeforeCommit,
    /// The commit was made, and nobody was told.
    AfterCommit,
    /// Replies went out, effects did not.
    BeforeEffects,
    /// The first of the effects went out.
    AmongEffects,
    /// Everything went out, and all results are lost.
    AfterEffects,
}

/// How the store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// A commit fails, and nothing of it is stored.
    CommitFails,
    /// A commit is stored, and yet fails.
    CommitEndUnknown,
    /// A commit is called contradictory, and nothing of it is stored.
    Conflict,
    /// A lookup fails.
    LookupFails,
    /// Loading fails.
    LoadFails,
    /// Answers come after so many milliseconds.
    Late(u64),
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// What it may contain.
    pub corpus: Corpus,
    /// Everything that exists, as a rulebook that knows it all.
    pub world: Arc<Rulebook>,
    /// Versions of rulebooks; the first of each name is active at the beginning.
    pub versions: Vec<Arc<Rulebook>>,
    /// Everything that happens.
    pub items: Vec<Item>,
    /// Only these happen; none means all.
    pub kept: Option<BTreeSet<usize>>,
    /// So many supervisors share the store.
    pub nodes: usize,
}

impl Scenario {
    /// The items that happen, with their positions.
    pub fn kept_items(&self) -> impl Iterator<Item = (usize, &Item)> {
        let keeps = |n: &usize| self.kept.as_ref().is_none_or(|kept| kept.contains(n));
        let is_played = |item: &Item| self.nodes == 1 || !item.is_of_one_node();
        self.items.iter().enumerate().filter(move |(n, item)| keeps(n) && is_played(item))
    }
}

impl Item {
    /// What several nodes can't do yet, or what they have a clock in common for.
    const fn is_of_one_node(&self) -> bool {
        matches!(self, Self::Damage { .. } | Self::Clock { .. } | Self::Keep { .. })
    }
}

impl Item {
    /// The saga without which this item means nothing.
    #[must_use]
    pub const fn of_saga(&self) -> Option<usize> {
        match self {
            Self::Fault { saga, .. } | Self::Mail { saga, .. } | Self::OwnCleanUp { saga, .. } => {
                Some(*saga)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saga(plan) => {
                let deadline = if plan.deadline_ms.is_some() { ", announced" } else { "" };
                write!(f, "at {} ms saga {} begins{deadline}", plan.at, plan.id)?;
                match plan.late_ms {
                    0 => Ok(()),
                    late => write!(f, "; its first request is late by {late} ms"),
                }
            }
            Self::Fault { saga, fault } => {
                write!(
                    f,
                    "in saga {saga}: request {} {:?} after {} calls, {} times",
                    fault.node, fault.kind, fault.after, fault.times
                )
            }
            Self::Mail { saga, nth, trouble } => {
                write!(f, "in saga {saga}: report {nth} {trouble:?}")
            }
            Self::OwnCleanUp { saga, node, at } => {
                write!(f, "in saga {saga}: at {at} ms request {node} is undone by its own service")
            }
            Self::Weather(w) => {
                write!(
                    f,
                    "from {} to {} ms {} {:?} ({}%)",
                    w.from, w.to, w.service, w.sky, w.percent
                )
            }
            Self::Retention { service, ms } => {
                write!(f, "{service} forgets a saga after {} h", ms / 3_600_000)
            }
            Self::Skew { service, ms } => {
                write!(f, "the clock of {service} is wrong by {} s", ms / 1_000)
            }
            Self::Act { at, act, .. } => write!(f, "at {at} ms a person: {act:?}"),
            Self::Activate { at, version } => {
                write!(f, "at {at} ms rulebook version {version} becomes active")
            }
            Self::Crash { at, point, down_ms } => {
                write!(f, "from {at} ms the process dies {point:?} and is back after {down_ms} ms")
            }
            Self::Store { at, trouble, times } => {
                write!(f, "from {at} ms the store: {trouble:?}, {times} times")
            }
            Self::Damage { at, refused, .. } => {
                let how = if *refused { "can't be written" } else { "don't read back" };
                write!(f, "from {at} ms the rows of a case {how}")
            }
            Self::Clock { at, by_ms, for_ms } => {
                let until = for_ms.map_or_else(String::new, |ms| format!(", for {ms} ms"));
                write!(f, "at {at} ms the wall clock jumps by {by_ms} ms{until}")
            }
            Self::Suspended { at, ms } => {
                write!(f, "at {at} ms the supervisor's process stops for {ms} ms")
            }
            Self::Keep { ms } => write!(f, "settled cases are kept for {ms} ms"),
        }
    }
}
