//! Who waits at this node for what others tell, which of them did not answer the last time, and what each told last.

use super::feed::Feed;
use super::said::Outage;
use super::work::OpenWork;
use crate::random;
use amends_protocol::{CaseId, Timestamp};
use amends_store::NodeSeen;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Answers that wait for one who asks: more than there are nodes.
const ANSWERS: usize = 256;

/// What a node told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) by: String,
    pub(crate) body: String,
}

/// What the others have told, and who of them did not.
#[derive(Debug)]
pub(super) struct Answers<T> {
    pub(super) told: Vec<(String, T)>,
    pub(super) silent: Vec<NodeSeen>,
}

/// When others were asked last of their open work, by the monotonic clock, and what they told.
type LastAsked = Option<(Duration, Arc<Answers<Arc<OpenWork>>>)>;

/// Where it is handed over.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    known: Mutex<Known>,
    /// What happens at all nodes.
    pub(super) feed: Arc<Feed>,
    process: OnceLock<u64>,
    /// Held while others are asked: of many who want to know within a moment, one asks.
    pub(super) asked: tokio::sync::Mutex<LastAsked>,
    /// By node, the services that it can't reach, and when it said so.
    pub(super) outages: Mutex<BTreeMap<String, (Duration, Vec<Outage>)>>,
}

#[derive(Debug, Default)]
struct Known {
    waiting: FxHashMap<u64, mpsc::Sender<Told>>,
    /// Nobody waits for these until something is heard of them: they hang, or their program does not know the question.
    mute: BTreeSet<String>,
    /// What each told last of its open work, and when.
    last: BTreeMap<String, (Timestamp, Arc<OpenWork>)>,
}

/// Somebody who waits, until this is dropped.
pub(super) struct Waiting<'h> {
    hub: &'h Hub,
    number: u64,
    told: mpsc::Receiver<Told>,
}

impl Hub {
    /// Somebody waits for what is told under this number.
    pub(super) fn wait_for(&self, number: u64) -> Waiting<'_> {
        let (sender, told) = mpsc::channel(ANSWERS);
        self.lock().waiting.insert(number, sender);
        Waiting { hub: self, number, told }
    }

    /// A node has told something.
    pub(super) fn told(&self, number: u64, told: Told) {
        let mut known = self.lock();
        known.mute.remove(&told.by);
        if let Some(waiting) = known.waiting.get(&number) {
            let _ = waiting.try_send(told); // it has waited for long enough, or been told all
        }
    }

    pub(super) fn is_mute(&self, node: &str) -> bool {
        self.lock().mute.contains(node)
    }

    /// It was waited for in vain.
    pub(super) fn did_not_answer(&self, node: &str) {
        self.lock().mute.insert(node.to_owned());
    }

    /// What a node told at that moment.
    pub(super) fn keep(&self, node: &str, at: Timestamp, work: Arc<OpenWork>) {
        self.lock().last.insert(node.to_owned(), (at, work));
    }

    /// What it told last.
    pub(super) fn last_of(&self, node: &str) -> Option<(Timestamp, Arc<OpenWork>)> {
        self.lock().last.get(node).cloned()
    }

    /// Only these are there.
    pub(super) fn forget_others(&self, there: &BTreeSet<&str>) {
        let mut known = self.lock();
        known.last.retain(|node, _| there.contains(&**node));
        known.mute.retain(|node| there.contains(&**node));
    }

    /// Whether another node could not work on a case, or on any if none is named, when it was asked last.
    pub(crate) fn has_quarantined(&self, case: Option<CaseId>) -> bool {
        let known = self.lock();
        let mut told = known.last.values().map(|(_, work)| &work.quarantined);
        told.any(|cases| match case {
            Some(case) => cases.contains(&case),
            None => !cases.is_empty(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells this process from others, also from earlier ones of this node.
    pub(super) fn process(&self) -> u64 {
        *self.process.get_or_init(|| random::bytes().map(u64::from_le_bytes).unwrap_or_default())
    }
}

impl Waiting<'_> {
    /// The next that is told. May be given up at any time.
    pub(super) async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.hub.lock().waiting.remove(&self.number);
    }
}
