//! What is known of where the open cases are: which of those in memory may leave, what is kept of those that have left,
//! and which of these are needed again. Who leaves and who comes is decided in `engine/spilling.rs`.

use crate::Partition;
use crate::brief::{Brief, Texts};
use crate::case::Case;
use crate::timer::Timer;
use amends_protocol::{CaseId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Versions of rulebooks that are kept although no resident case needs them.
pub(crate) const BOOKS_KEPT: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct Residence {
    /// Bytes that resident cases may take.
    pub(crate) budget: usize,
    /// Bytes that they take, by their own count.
    pub(crate) bytes: usize,
    /// Those that may leave, by when they were changed last.
    pub(crate) idle: BTreeMap<u64, CaseId>,
    /// Counts changes.
    pub(crate) changes: u64,
    pub(crate) spilled: BTreeMap<CaseId, Box<Brief>>,
    pub(crate) spilled_bytes: usize,
    /// The versions that spilled cases are planned with, by hash, with the number of cases.
    pub(crate) versions: BTreeMap<Arc<str>, u64>,
    pub(crate) texts: Texts,
    /// Spilled cases that are needed, with the timers that wait for them, and since when these were due.
    pub(crate) wanted: BTreeMap<CaseId, Vec<(Timestamp, Timer)>>,
    /// Services whose next key waits for a wanted case.
    pub(crate) held_up: BTreeSet<Arc<str>>,
    /// Cases that are to be quarantined as soon as they are here, and why.
    pub(crate) refused: BTreeMap<CaseId, String>,
    /// Versions that may be known before those that nobody needs are dropped.
    pub(crate) books_most: usize,
    /// Of which partitions not all open cases have been read since they are here.
    pub(crate) reading: BTreeSet<Partition>,
}

impl Default for Residence {
    fn default() -> Self {
        Self {
            budget: usize::MAX,
            bytes: 0,
            idle: BTreeMap::new(),
            changes: 0,
            spilled: BTreeMap::new(),
            spilled_bytes: 0,
            versions: BTreeMap::new(),
            texts: Texts::default(),
            wanted: BTreeMap::new(),
            held_up: BTreeSet::new(),
            refused: BTreeMap::new(),
            books_most: BOOKS_KEPT,
            reading: BTreeSet::new(),
        }
    }
}

/// What open cases take in memory, by the engine's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Cases in memory.
    pub resident_cases: usize,
    /// Their bytes.
    pub resident_bytes: usize,
    /// Cases that are in the store only.
    pub spilled_cases: usize,
    /// Bytes that memory keeps of them.
    pub spilled_bytes: usize,
    /// Bytes of timers and queues.
    pub waiting_bytes: usize,
}

impl MemoryUse {
    /// All bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.resident_bytes + self.spilled_bytes + self.waiting_bytes
    }
}

impl Residence {
    /// The same limits, and no cases.
    pub(crate) fn emptied(&self) -> Self {
        Self { budget: self.budget, ..Self::default() }
    }

    pub(crate) fn insert(&mut self, id: CaseId, brief: Brief) {
        if let Some(version) = &brief.version {
            *self.versions.entry(Arc::clone(&version.hash)).or_default() += 1;
        }
        self.spilled_bytes += brief.bytes();
        self.spilled.insert(id, Box::new(brief));
    }

    pub(crate) fn remove(&mut self, id: CaseId) -> Option<Box<Brief>> {
        let brief = self.spilled.remove(&id)?;
        self.spilled_bytes -= brief.bytes();
        if let Some(version) = &brief.version
            && let Some(cases) = self.versions.get_mut(&version.hash)
        {
            *cases -= 1;
            if *cases == 0 {
                self.versions.remove(&version.hash);
            }
        }
        Some(brief)
    }

    /// A case in memory is not there any more.
    pub(crate) fn left(&mut self, case: &Case) {
        self.bytes -= case.counted_bytes;
        self.idle.remove(&case.changed_as);
    }
}
