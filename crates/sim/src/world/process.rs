//! A supervisor's process and its machine: the node and the clock.

use crate::event::BEGINNING;
use crate::node_event::Asked;
use crate::scenario::CrashPoint;
use amends_engine::{Lease, Moment, Trust};
use amends_node::{Done, Line, Node, NodeOptions, STRIDE_MS};
use amends_protocol::Timestamp;

/// Small, so that turns are full and queues run over. With two seeds of three hardly any case that waits is in memory.
/// Of several nodes, some find more letters than they may take in one turn.
pub(super) fn options(seed: u64, process: u64, are_many: bool) -> NodeOptions {
    let resident_bytes = match seed % 3 {
        0 => 0,
        1 => ABOUT_ONE_CASE,
        _ => usize::MAX,
    };
    NodeOptions {
        queue: 64,
        resident_bytes,
        open_page: 4,
        batch: if are_many && seed.is_multiple_of(4) { 2 } else { 16 },
        // No request takes longer: what is handed over is handed over in order.
        grace_ms: if are_many { 120_000 } else { 1_000 },
        letters_from: u128::from(process) << 64,
    }
}

/// In bytes of memory.
const ABOUT_ONE_CASE: usize = 6_000;

/// Shorter than the server's, so that it comes into the short runs too.
pub(super) const TRUST_AFTER_MS: u64 = 20_000;

/// The machine started when the run did.
fn boot_ms(now: i64) -> u64 {
    now.unsigned_abs()
}

/// A process and its machine.
pub(super) struct Shell {
    /// Which of the machines.
    pub(super) number: usize,
    /// What the store knows it by, of several.
    pub(super) name: usize,
    pub(super) node: Option<Node>,
    /// Counts the starts of processes; what an earlier one waited for is of no interest.
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
    /// Supervisor time is the clock of the store that it shares with others, and how far ahead it takes that to be.
    shared_clock_off_ms: Option<i64>,
    /// It stands still for so long once it has asked for its next commit.
    pub(super) stops_in_a_commit: Option<u64>,
    /// Until when it has shown that it lives, and how often it was found dead.
    pub(super) last_beat: (i64, u64),
    /// The version of the settings at its last sign of life.
    pub(super) settings_then: u64,
    /// How often it had been found dead when it asked the store what it asks now.
    pub(super) asked_in: u64,
    /// What the store has said, of one that is shared.
    pub(super) told: Option<Done>,
    /// What the last commit said that it has lost.
    pub(super) lost: Vec<Lease>,
    /// This process has loaded before.
    pub(super) has_loaded: bool,
}

impl Shell {
    pub(super) fn new(number: usize, shared_clock_off_ms: Option<i64>) -> Self {
        Self {
            number,
            name: number,
            node: None,
            process: 0,
            skew_ms: 0,
            line: None,
            moment: BEGINNING.into(),
            suspended: None,
            wake_at: None,
            asked: None,
            crash: None,
            shared_clock_off_ms,
            stops_in_a_commit: None,
            last_beat: (i64::MIN / 2, 0),
            settings_then: 0,
            asked_in: 0,
            told: None,
            lost: Vec::new(),
            has_loaded: false,
        }
    }

    /// Whether another process has taken its name.
    pub(super) const fn is_replaced(&self) -> bool {
        self.number != self.name
    }

    /// Whether it lives although another process has taken its name.
    pub(super) const fn lives_on(&self) -> bool {
        self.is_replaced() && self.node.is_some()
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
    pub(super) fn begin_line(&mut self, now: i64, stored: Option<Timestamp>) {
        let wall = self.wall(now);
        self.suspended = None;
        self.line = Some((now, Line::begin(stored, boot_ms(now), wall, TRUST_AFTER_MS)));
    }

    /// What the clocks say. The server's shell reads them every few seconds, whether anything happens or not.
    pub(super) fn moment(&mut self, now: i64) -> Moment {
        if let Some(off_ms) = self.shared_clock_off_ms {
            let now = Timestamp(BEGINNING.0 + now + off_ms);
            return Moment { now, wall: now, trust: Trust::Agreed };
        }
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
