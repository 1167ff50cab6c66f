//! What the node asks of whoever drives it, and what it is told back.

use crate::effect::LaunchedEffect;
use amends_engine::{
    Adopted, Answer, Batch, Committed, Event, Lease, LetterId, LettersRead, LettersWanted, Loaded,
    LookupRequest, LookupResult, OpenPage, OpenPlace, Partition, Settings, Ticket,
};
use amends_protocol::{CaseId, Timestamp};
use std::fmt;

/// What is to be done next.
#[derive(Debug)]
pub enum Need {
    /// Read from the store what is known at a start, once no commit from before can land any more; answer with
    /// [`Done::Loaded`].
    Load,
    /// Read what belongs to no saga; answer with [`Done::Settings`].
    Settings,
    /// Read what a partition has beside its open cases; answer with [`Done::Adopted`].
    Adopt(Lease),
    /// Read what was left for these partitions; answer with [`Done::Letters`].
    Letters(Vec<LettersWanted>),
    /// Read some of the open cases of a partition, after this place and at most so many; answer with [`Done::Open`].
    Open(Partition, OpenPlace, usize),
    /// Ask the store; answer with [`Done::Found`].
    Lookup(LookupRequest),
    /// Make it durable; answer with [`Done::Committed`].
    Commit(Batch),
    /// Hand out what is durable now. Needs no answer.
    Release(Released),
    /// Give these partitions back: nothing of them is here any more. Needs no answer; whether or not it can be done,
    /// they are not taken up again before they are held in a higher epoch.
    GiveBack(Vec<Partition>),
    /// Tell those who wait that nothing was taken: the store failed. Needs no answer.
    TurnAway(TurnedAway),
    /// Nothing, until something is handed in or this moment has come. Also while the store is at work.
    Sleep {
        /// None: only something that is handed in can change it.
        until: Option<Timestamp>,
    },
    /// It has ended, after [`crate::Node::stop`].
    End {
        /// Effects whose results were not waited for; the store knows their steps as in flight.
        under_way: usize,
    },
}

/// What the store said.
#[derive(Debug)]
pub enum Done {
    /// To [`Need::Load`].
    Loaded(Result<Loaded, StoreFault>),
    /// To [`Need::Settings`].
    Settings(Result<Settings, StoreFault>),
    /// To [`Need::Adopt`].
    Adopted(Result<Adopted, StoreFault>),
    /// To [`Need::Adopt`] as well: it is not held any more. No fault of the store.
    NotHeld,
    /// To [`Need::Letters`].
    Letters(Result<Vec<LettersRead>, StoreFault>),
    /// To [`Need::Open`].
    Open(Result<OpenPage, StoreFault>),
    /// To [`Need::Lookup`].
    Found(Result<LookupResult, StoreFault>),
    /// To [`Need::Commit`].
    Committed(Result<Committed, StoreFault>),
}

/// How a store failed. The texts are for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// One write of the batch contradicts what is stored; nothing of the batch is stored.
    Conflict {
        /// Which, and how.
        why: String,
        /// The case that it is of, if the store knows.
        case: Option<CaseId>,
    },
    /// One write of the batch could not be read again; nothing of the batch is stored.
    Unstorable {
        /// Which, and how.
        why: String,
        /// The case that it is of, if the store knows.
        case: Option<CaseId>,
    },
    /// The batch rests on what holds no longer: on the version of a rulebook that another node has replaced meanwhile,
    /// on the seat, which has gone to another, or on cases of a limited rule that others have taken up meanwhile.
    /// Nothing of it is stored, and the node takes the same again once it has loaded.
    Outdated,
    /// The store as a whole failed. What was to be written may be stored or not, but never in part.
    Failed(String),
}

/// What keeps the node from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The store failed.
    Store(StoreFault),
    /// Another node has taken this partition over: the same is to be said to whoever holds it.
    Lost(Partition),
    /// A letter that nobody can read here, in words. It stays where it is.
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(
                StoreFault::Conflict { why, .. }
                | StoreFault::Unstorable { why, .. }
                | StoreFault::Failed(why),
            )
            | Self::Unreadable(why) => f.write_str(why),
            Self::Store(StoreFault::Outdated) => {
                f.write_str("what nodes share was changed by another one meanwhile")
            }
            Self::Lost(partition) => write!(f, "{partition} has been taken over by another node"),
        }
    }
}

/// What may happen now, because everything that it rests on is durable. Only a node gives one out.
#[derive(Debug)]
pub struct Released {
    /// To be handed out.
    pub replies: Vec<(Ticket, Answer)>,
    /// To be done.
    pub effects: Vec<LaunchedEffect>,
    /// To be told to whoever observes.
    pub events: Vec<Event>,
    /// How many inputs it came of.
    pub inputs: usize,
    /// What became of letters, for those who have left them.
    pub answered: Vec<(LetterId, Answer)>,
    /// What belongs to no saga has this version now: others may want to know.
    pub settings: Option<u64>,
    _durable: Durable,
}

/// Cannot be made outside of this file.
#[derive(Debug)]
struct Durable;

impl Released {
    /// The caller has been told that the writes are durable, or there were none.
    pub(crate) fn after_commit(
        replies: Vec<(Ticket, Answer)>,
        effects: Vec<LaunchedEffect>,
        events: Vec<Event>,
        inputs: usize,
    ) -> Self {
        let (answered, settings) = (Vec::new(), None);
        Self { replies, effects, events, inputs, answered, settings, _durable: Durable }
    }
}

/// Who is told that nothing of theirs was taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// What went wrong.
    pub fault: Fault,
    /// Who waits. After a failed commit nobody knows whether it is stored; sent again, it is known as a repetition.
    pub tickets: Vec<Ticket>,
    /// The store will never take what they brought, alone in its turn: the same again is refused again.
    pub refused: bool,
}

impl TurnedAway {
    /// They may come again.
    pub(crate) fn of(fault: StoreFault, tickets: Vec<Ticket>) -> Self {
        Self { fault: Fault::Store(fault), tickets, refused: false }
    }
}
