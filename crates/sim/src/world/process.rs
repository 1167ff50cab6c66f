//! The supervisor's process and its machine: the node, the store, the clock, and what is left of their troubles.

use crate::event::BEGINNING;
use crate::scenario::{CrashPoint, Scenario};
use crate::stored::Stored;
use crate::switches::Switches;
use amends_engine::{Batch, LookupRequest, Moment, OpenPlace};
use amends_node::{Line, Node, NodeOptions, STRIDE_MS};
use amends_protocol::{CaseId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Small, so that turns are full and queues run over. With two seeds of three hardly any case that waits is in memory.
pub(super) const fn options(seed: u64) -> NodeOptions {
    let resident_bytes = match seed % 3 {
        0 => 0,
        1 => ABOUT_ONE_CASE,
        _ => usize::MAX,
    };
    NodeOptions { queue: 64, resident_bytes, open_page: 4, batch: 16, grace_ms: 1_000 }
}

/// In bytes of memory.
const ABOUT_ONE_CASE: usize = 6_000;

/// Shorter than the server's, so that it comes into the short runs too.
pub(super) const TRUST_AFTER_MS: u64 = 20_000;

/// The machine started when the run did.
fn boot_ms(now: i64) -> u64 {
    now.unsigned_abs()
}

/// The process and its machine.
pub(super) struct Shell {
    pub(super) node: Option<Node>,
    pub(super) store: Stored,
    /// Counts the starts of the process; what an earlier one waited for is of no interest.
    pub(super) process: u64,
    /// How far its wall clock is ahead of the true time.
    pub(super) skew_ms: i64,
    /// Supervisor time of the process that runs, and when its clocks were read last.
    pub(super) line: Option<(i64, Line)>,
    /// The last reading.
    moment: Moment,
    /// Until when the process does not run, if it is stopped.
    suspended: Option<i64>,
    pub(super) wake_at: Option<i64>,
    /// What the store is asked now.
    pub(super) asked: Option<Asked>,
    /// The crash of the commit whose effects are about to be let out.
    pub(super) crash: Option<(CrashPoint, u64)>,
    /// Cases of which the store takes no writes.
    pub(super) refused: BTreeSet<CaseId>,
    /// How often each item of trouble has struck.
    pub(super) used: BTreeMap<usize, u32>,
}

/// What the store can be asked.
pub(super) enum Asked {
    Load,
    Open(OpenPlace, usize),
    Lookup(LookupRequest),
    Commit(Batch),
}

impl Shell {
    pub(super) fn new(scenario: &Scenario, switches: Switches) -> Self {
        let mut store = Stored::new(&scenario.versions, BEGINNING);
        if !switches.gateway_hides_history {
            let services = scenario.world.services().iter();
            store.know(services.map(|service| Arc::clone(&service.name)));
        }
        Self {
            node: None,
            store,
            process: 0,
            skew_ms: 0,
            line: None,
            moment: BEGINNING.into(),
            suspended: None,
            wake_at: None,
            asked: None,
            crash: None,
            refused: BTreeSet::new(),
            used: BTreeMap::new(),
        }
    }

    /// The supervisor's wall clock.
    pub(super) const fn wall(&self, now: i64) -> Timestamp {
        Timestamp(BEGINNING.0 + now + self.skew_ms)
    }

    /// The process stops: whatever comes waits, and its clocks are not read.
    pub(super) fn suspend(&mut self, now: i64, ms: u64) {
        self.moment(now);
        self.suspended = Some(now.saturating_add_unsigned(ms));
    }

    /// Until when the process does not run, if it does not run now.
    pub(super) fn suspended(&self, now: i64) -> Option<i64> {
        self.suspended.filter(|until| now < *until && self.node.is_some())
    }

    /// Begins the line of a new process where the store says that the one before ended.
    pub(super) fn begin_line(&mut self, now: i64) {
        let (stored, wall) = (self.store.rows.load().clock, self.wall(now));
        self.suspended = None;
        self.line = Some((now, Line::begin(stored, boot_ms(now), wall, TRUST_AFTER_MS)));
    }

    /// What the clocks say. The server's shell reads them every few seconds, whether anything happens or not.
    pub(super) fn moment(&mut self, now: i64) -> Moment {
        let skew_ms = self.skew_ms;
        let Some((read_at, line)) = &mut self.line else { return self.moment };
        if let Some(until) = self.suspended.filter(|until| *until <= now) {
            // Nobody has read them meanwhile.
            self.suspended = None;
            *read_at = until;
            line.read(boot_ms(until), Timestamp(BEGINNING.0 + until + skew_ms));
        }
        while *read_at < now {
            *read_at = now.min(*read_at + i64::try_from(STRIDE_MS).unwrap_or(i64::MAX));
            let wall = Timestamp(BEGINNING.0 + *read_at + skew_ms);
            self.moment = line.read(boot_ms(*read_at), wall).0;
        }
        self.moment = line.read(boot_ms(now), Timestamp(BEGINNING.0 + now + skew_ms)).0;
        self.moment
    }
}
