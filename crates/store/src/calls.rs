//! What nodes that share a store call out to each other, so that nobody has to wait for the next look. A call may be
//! lost, so whoever hears none looks all the same.

use amends_engine::{Answer, LetterId, Partition};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// Most bytes of a text that a node says to the others; a longer one is not said.
pub const SAID_LIMIT: usize = 4 << 20;

/// Something that others may want to know at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Letters have come for this partition.
    Letters(Partition),
    /// What became of a letter, now that it is durable.
    Answered(LetterAnswered),
    /// The settings have this version now.
    Settings(u64),
    /// Partitions came free, or a node went.
    Leases,
    /// Calls may have been lost: the line broke, or more came than were heard. Everything is to be looked at.
    Missed,
}

/// What became of a letter, for whoever left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterAnswered {
    /// Which.
    pub letter: LetterId,
    /// As its owner says. On the way a long text is cut, and an announced saga is told as [`Answer::Done`].
    pub answer: Answer,
}

/// Calls that come in, from this node as well.
#[derive(Debug)]
pub struct Hearing(broadcast::Receiver<Call>);

impl Hearing {
    #[cfg(feature = "postgres")]
    pub(crate) fn of(calls: broadcast::Receiver<Call>) -> Self {
        Self(calls)
    }

    /// Nothing is ever heard.
    pub(crate) fn nothing() -> Self {
        Self(broadcast::channel(1).1)
    }

    /// The next call; none once the store is closed, and of a store that nodes don't share.
    pub async fn next(&mut self) -> Option<Call> {
        match self.0.recv().await {
            Ok(call) => Some(call),
            Err(RecvError::Lagged(_)) => Some(Call::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}

/// What comes in of what nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A text, from this node as well. All nodes hear all texts in the same order.
    Said(Arc<str>),
    /// Texts may have been lost: the line broke, or more came than were heard.
    Missed,
}

/// What nodes say to each other, as it comes in.
#[derive(Debug)]
pub struct Listening(broadcast::Receiver<Heard>);

impl Listening {
    #[cfg(feature = "postgres")]
    pub(crate) fn to(said: broadcast::Receiver<Heard>) -> Self {
        Self(said)
    }

    /// Nobody ever says anything.
    pub(crate) fn to_nobody() -> Self {
        Self(broadcast::channel(1).1)
    }

    /// The next text; none once the store is closed, and of a store that nodes don't share.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(heard) => Some(heard),
            Err(RecvError::Lagged(_)) => Some(Heard::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The line that nodes call on. As it comes: of a store with one node, which has nobody to call.
pub trait Calls: Clone + Send + Sync + 'static {
    /// The name of this node among those that share the store; none if it has the store to itself.
    fn own_name(&self) -> Option<Arc<str>> {
        None
    }

    /// Says a text to all nodes. It is kept nowhere, not waited for and not certain to arrive; of those that arrive,
    /// all come to each node in the same order. It may have at most [`SAID_LIMIT`] bytes, and none of them 0.
    fn say(&self, text: String) {
        let _ = text;
    }

    /// From now on hears what nodes say.
    fn listen(&self) -> Listening {
        Listening::to_nobody()
    }

    /// Calls out. It is neither waited for nor certain to arrive, and many at once go together, some milliseconds
    /// later.
    fn call(&self, call: Call) {
        let _ = call;
    }

    /// From now on hears what is called out.
    fn hear(&self) -> Hearing {
        Hearing::nothing()
    }
}
