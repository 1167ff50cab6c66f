//! What lies between the loop and those who ask it: the mailbox that they write to, the inbox that the loop reads, and
//! what the loop shows of itself.

use crate::all_nodes::Hub;
use crate::arrivals::{Arrivals, ArrivalsOfLoop};
use crate::clock::ClockFace;
use crate::doors::Doors;
use crate::heartbeat::Heartbeat;
use crate::life::Life;
use crate::memory::MemoryGauge;
use crate::observers::Observers;
use crate::open_case_queries::{OpenCaseQuery, QUESTIONS};
use crate::rejected::shown::RejectedShown;
use crate::store_fault::LastStoreFault;
use amends_engine::{Engine, Partition, Quarantined, RuleHold, ServiceQueueStatus, UnreadableRow};
use amends_protocol::CaseId;
use amends_rulebook::Rulebook;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The loop's inlets: inputs (bounded, in fair turns), read-only questions, stop.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) arrivals: Arrivals,
    pub(crate) questions: mpsc::Sender<OpenCaseQuery>,
    pub(crate) stop: watch::Sender<bool>,
}

/// The loop's side of a [`Mailbox`].
pub(crate) struct Inbox {
    pub(crate) arrivals: ArrivalsOfLoop,
    pub(crate) questions: mpsc::Receiver<OpenCaseQuery>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// A mailbox for at most so many inputs, and its other side.
pub(crate) fn open(inputs: usize) -> (Mailbox, Inbox) {
    let (arrivals, of_loop) = Arrivals::open(inputs);
    let (question_sender, questions) = mpsc::channel(QUESTIONS);
    let (stop_sender, stop) = watch::channel(false);
    let inbox = Inbox { arrivals: of_loop, questions, stop };
    (Mailbox { arrivals, questions: question_sender, stop: stop_sender }, inbox)
}

/// What the loop shows of itself to those who look.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) ready: AtomicBool,
    pub(crate) store_fault: LastStoreFault,
    pub(crate) queues: Mutex<Arc<Vec<ServiceQueueStatus>>>,
    pub(crate) rule_holds: Mutex<Arc<Vec<Arc<RuleHold>>>>,
    pub(crate) quarantine: Mutex<Arc<Quarantine>>,
    pub(crate) books: Mutex<Arc<Vec<Arc<Rulebook>>>>,
    pub(crate) observers: Observers,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) memory: MemoryGauge,
    pub(crate) clock: ClockFace,
    pub(crate) rejected: RejectedShown,
    pub(crate) life: Life,
    /// Until when the permits last that the loop holds, in milliseconds of the boot-time clock.
    pub(crate) permits_until_ms: AtomicU64,
    pub(crate) doors: Doors,
    /// Where what other nodes tell comes in.
    pub(crate) hub: Hub,
    /// What this node holds of a store that nodes share.
    pub(crate) held: Mutex<Arc<BTreeSet<Partition>>>,
    /// Who holds the seat of it, as the last look has found.
    pub(crate) seat_at: Mutex<Option<String>>,
    /// How many letters may wait for a partition.
    pub(crate) letters: u64,
    /// Partitions for which more wait.
    pub(crate) crowded: Mutex<BTreeSet<Partition>>,
}

/// What can't be worked on, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// Cases, by number.
    pub cases: Vec<Quarantined>,
    /// Stored rows of no case that can't be read.
    pub rows: Vec<UnreadableRow>,
}

impl Quarantine {
    pub(crate) fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.rows.is_empty()
    }

    pub(crate) fn holds(&self, id: CaseId) -> bool {
        self.cases.iter().any(|found| found.case.id == id)
    }
}

impl Shared {
    /// Whether what was decided in this life may be sent now: nobody can have taken over meanwhile, and what was
    /// permitted is so still.
    pub(crate) fn may_send(&self, life: u64, now: Duration) -> bool {
        let until = Duration::from_millis(self.permits_until_ms.load(Ordering::Acquire));
        self.life.goes_on(life, now) && now < until
    }

    /// Shows what can't be worked on.
    pub(crate) fn show_quarantine(&self, engine: &Engine) {
        let mut shown = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_empty() && !engine.has_quarantined() {
            return; // as nearly always
        }
        let now = Quarantine { cases: engine.quarantined(), rows: engine.unreadable().to_vec() };
        if now != **shown {
            *shown = Arc::new(now);
        }
    }

    /// Shows what people hold. INVARIANT: only for an engine whose writes are durable.
    pub(crate) fn show_rule_holds(&self, engine: &Engine) {
        let mut shown = self.rule_holds.lock().unwrap_or_else(PoisonError::into_inner);
        let now = engine.rule_holds();
        if now != **shown {
            *shown = Arc::new(now);
        }
    }

    /// Shows which versions are active. INVARIANT: only for an engine whose writes are durable.
    pub(crate) fn show_rulebooks(&self, engine: &Engine) {
        let active = engine.active_rulebooks();
        active.iter().for_each(|book| self.observers.metrics.know(book));
        *self.books.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(active);
    }

    /// Shows how the services' queues stand. INVARIANT: as above.
    pub(crate) fn show_queues(&self, engine: &Engine) {
        let queues = Arc::new(engine.queues());
        *self.queues.lock().unwrap_or_else(PoisonError::into_inner) = queues;
    }
}
