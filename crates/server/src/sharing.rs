//! What the loop of one node has to know of the others: how much is its due, what was left for it, and what became of
//! what it has left. Nothing here writes, and nothing is decided.

use crate::clock::Clock;
use crate::mailbox::Shared;
use crate::rejected::letters::was_told;
use amends_engine::Partition;
use amends_protocol::Timestamp;
use amends_store::{Call, LetterAnswered, Store, StoreError, fair_share};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Time between two looks at the nodes and the inboxes, if nobody calls.
const LOOK: Duration = Duration::from_secs(1);

/// Time between two looks whoever calls: of many calls one is heeded.
const SOONEST: Duration = Duration::from_millis(50);

/// How often doors are closed at which nobody has got word.
const DOORS: Duration = Duration::from_millis(100);

/// What a look at the nodes has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// How many partitions are due to each node.
    pub(crate) share: usize,
    /// The node that holds the seat.
    pub(crate) seat_at: Option<String>,
    /// Since when one of those that live has lived without a break.
    pub(crate) since: Option<Timestamp>,
    /// The highest sequence of all case numbers.
    pub(crate) highest: u64,
    /// How many letters wait, of partitions that have any.
    pub(crate) letters: Vec<(Partition, u64)>,
}

/// Looks at them.
pub(crate) async fn look<S: Store>(store: &S) -> Result<Look, StoreError> {
    let nodes = store.nodes().await?;
    let alive = nodes.iter().filter(|node| node.is_alive);
    let seat_at = alive.clone().find(|node| node.parts.contains(&Partition::SEAT));
    Ok(Look {
        share: fair_share(&nodes),
        seat_at: seat_at.map(|node| node.name.clone()),
        since: alive.map(|node| node.since).min(),
        highest: store.highest_sequence().await?,
        letters: store.letters_waiting().await?,
    })
}

/// What the loop has not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Partitions for which something was left.
    pub(crate) mail: BTreeSet<Partition>,
    /// The last look.
    pub(crate) look: Option<Look>,
    /// The version of the settings that was heard of.
    pub(crate) settings: u64,
}

/// Where what was heard waits for the loop.
#[derive(Debug, Default)]
pub(crate) struct Told {
    heard: Mutex<Heard>,
    came: Notify,
    /// Somebody wants a look at once.
    wanted: Notify,
}

impl Told {
    /// All that has come, if anything has.
    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Comes back when there is something. May be given up at any time.
    pub(crate) async fn came(&self) {
        self.came.notified().await;
    }

    /// Asks for a look at the nodes.
    pub(crate) fn look_soon(&self) {
        self.wanted.notify_one();
    }

    fn tell(&self, tell: impl FnOnce(&mut Heard)) {
        tell(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        self.came.notify_one();
    }
}

/// The tasks that look and hear. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Sharing {
    told: Arc<Told>,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl Sharing {
    pub(crate) fn begin<S: Store>(store: &S, clock: &impl Clock, shared: &Arc<Shared>) -> Self {
        let told = Arc::new(Told::default());
        let looking = keep_looking(store.clone(), Arc::clone(&told));
        let hearing =
            keep_hearing(store.clone(), clock.clone(), Arc::clone(&told), Arc::clone(shared));
        let tasks = [tokio::spawn(looking), tokio::spawn(hearing)];
        Self { told, shared: Arc::clone(shared), tasks }
    }

    pub(crate) fn told(&self) -> &Arc<Told> {
        &self.told
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.shared.doors.close_all();
    }
}

async fn keep_looking<S: Store>(store: S, told: Arc<Told>) {
    loop {
        match look(&store).await {
            Ok(look) => told.tell(|heard| {
                // Words get lost: what lies there is looked at all the same.
                heard.mail.extend(look.letters.iter().map(|(partition, _)| *partition));
                heard.look = Some(look);
            }),
            // Whoever can't read can't commit either, and that is told.
            Err(error) => tracing::debug!(%error, "the nodes of the store can't be looked at"),
        }
        tokio::time::sleep(SOONEST).await;
        let _ = tokio::time::timeout(LOOK - SOONEST, told.wanted.notified()).await;
    }
}

async fn keep_hearing<S: Store>(store: S, clock: impl Clock, told: Arc<Told>, shared: Arc<Shared>) {
    let mut hearing = store.hear();
    let mut doors = tokio::time::interval(DOORS);
    loop {
        let call = tokio::select! {
            call = hearing.next() => call,
            _ = doors.tick() => {
                shared.doors.close_old(clock.monotonic());
                continue;
            }
        };
        match call {
            Some(Call::Letters(partition)) => told.tell(|heard| {
                heard.mail.insert(partition);
            }),
            Some(Call::Answered(LetterAnswered { letter, answer })) => {
                let is_refusal = answer.refused().is_some();
                if shared.doors.answered(letter, answer) && is_refusal {
                    // As many as wait at doors, at most.
                    tokio::spawn(was_told(store.clone(), letter));
                }
            }
            Some(Call::Settings(version)) => told.tell(|heard| {
                heard.settings = heard.settings.max(version);
            }),
            Some(Call::Leases | Call::Missed) => told.look_soon(),
            None => break, // the store is closed
        }
    }
}
