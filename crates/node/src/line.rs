//! The line of supervisor time, drawn from two readings: a boot-time clock, which nobody can set, and the wall clock.
//!
//! It goes on from where the store says that it stood, whatever time has passed meanwhile. It is to be read every few
//! seconds: a longer gap means that the process did not run (stopped, frozen, its machine asleep), and stands for no
//! more than [`STRIDE_MS`].
//!
//! It also says how far the wall clock can be trusted: after a start, and after both clocks have disagreed, only once
//! they have agreed for a while.

use amends_engine::{Moment, Trust};
use amends_protocol::Timestamp;

/// Most milliseconds that may lie between two readings of a process that runs.
pub const STRIDE_MS: u64 = 30_000;

/// Milliseconds by which both clocks may disagree: more than any correction by NTP in small steps.
pub const JUMP_MS: i64 = 30_000;

/// Supervisor time.
#[derive(Debug)]
pub struct Line {
    now: Timestamp,
    boot_ms: u64,
    /// The wall clock less supervisor time, when they last agreed.
    offset: i64,
    /// Since when they agree, and what was before.
    agreed: (Timestamp, Trust),
    trust_after_ms: u64,
}

/// The wall clock has jumped against the boot-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// By so many milliseconds; ahead if positive.
    pub by_ms: i64,
}

impl Line {
    /// Goes on from `stored`, or begins at the wall clock's time, which is trusted once both clocks have agreed for
    /// `trust_after_ms`.
    #[must_use]
    pub fn begin(
        stored: Option<Timestamp>,
        boot_ms: u64,
        wall: Timestamp,
        trust_after_ms: u64,
    ) -> Self {
        let now = stored.unwrap_or(wall);
        let offset = wall.0.saturating_sub(now.0);
        Self { now, boot_ms, offset, agreed: (now, Trust::Started), trust_after_ms }
    }

    /// Reads both clocks.
    pub fn read(&mut self, boot_ms: u64, wall: Timestamp) -> (Moment, Option<Jump>) {
        let passed_ms = boot_ms.saturating_sub(self.boot_ms);
        self.boot_ms = self.boot_ms.max(boot_ms);
        self.now = self.now.plus_ms(passed_ms.min(STRIDE_MS));
        let gap_ms = passed_ms.saturating_sub(STRIDE_MS);
        self.offset = self.offset.saturating_add(i64::try_from(gap_ms).unwrap_or(i64::MAX));
        if gap_ms > 0 && self.trust() == Trust::Agreed {
            // As after a start: nobody could tell us anything meanwhile.
            self.agreed = (self.now, Trust::Started);
        }
        let offset = wall.0.saturating_sub(self.now.0);
        let by_ms = offset.saturating_sub(self.offset);
        let jumped = by_ms.saturating_abs() > JUMP_MS;
        if jumped {
            self.offset = offset;
            self.agreed = (self.now, Trust::Jumped);
        } else if self.trust() == Trust::Agreed {
            // A slow drift is no jump, however far it goes in the end.
            self.offset = offset;
        }
        let moment = Moment { now: self.now, wall, trust: self.trust() };
        (moment, jumped.then_some(Jump { by_ms }))
    }

    /// How many milliseconds the wall clock is ahead of supervisor time.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset
    }

    fn trust(&self) -> Trust {
        let (since, before) = self.agreed;
        if self.now.ms_since(since) >= self.trust_after_ms { Trust::Agreed } else { before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MINUTES: u64 = 600_000;
    const HOUR: i64 = 3_600_000;
    const START: Timestamp = Timestamp(1_700_000_000_000);

    /// A machine whose wall clock can be set.
    struct Machine {
        line: Line,
        boot_ms: u64,
        set_by_ms: i64,
        jumps: Vec<i64>,
    }

    impl Machine {
        fn started() -> Self {
            let line = Line::begin(Some(START), 5_000, START, TEN_MINUTES);
            Self { line, boot_ms: 5_000, set_by_ms: 0, jumps: vec![] }
        }

        fn look(&mut self) -> Moment {
            let wall = START.0 + i64::try_from(self.boot_ms).expect("small") - 5_000;
            let (moment, jump) = self.line.read(self.boot_ms, Timestamp(wall + self.set_by_ms));
            self.jumps.extend(jump.map(|jump| jump.by_ms));
            moment
        }

        /// Time passes, with a look every five seconds.
        fn run(&mut self, ms: u64) -> Moment {
            for _ in 0..ms / 5_000 {
                self.boot_ms += 5_000;
                self.look();
            }
            self.boot_ms += ms % 5_000;
            self.look()
        }
    }

    #[test]
    fn a_clock_that_is_set_moves_no_timer() {
        for by_ms in [-2 * HOUR, 2 * HOUR, 24 * HOUR] {
            let mut machine = Machine::started();
            let before = machine.run(3_000);
            machine.set_by_ms = by_ms;
            let after = machine.run(2_000);
            assert_eq!(after.now.ms_since(before.now), 2_000, "by {by_ms}");
            assert_eq!(after.wall.0 - before.wall.0, 2_000 + by_ms);
            machine.set_by_ms = 0;
            assert_eq!(machine.run(2_000).now.ms_since(before.now), 4_000);
            assert_eq!(machine.jumps, [by_ms, -by_ms]);
        }
    }

    #[test]
    fn the_wall_clock_is_trusted_after_ten_minutes_of_agreement() {
        let mut machine = Machine::started();
        assert_eq!(machine.run(599_000).trust, Trust::Started);
        assert_eq!(machine.run(1_000).trust, Trust::Agreed);
        machine.set_by_ms = 2 * HOUR;
        assert_eq!(machine.run(2_000).trust, Trust::Jumped);
        machine.set_by_ms = 0;
        assert_eq!(machine.run(590_000).trust, Trust::Jumped, "it jumped back, too");
        assert_eq!(machine.run(15_000).trust, Trust::Agreed);
    }

    #[test]
    fn a_start_with_a_wrong_clock_trusts_nothing_until_it_is_right() {
        let mut machine = Machine::started();
        machine.set_by_ms = 40 * 24 * HOUR;
        machine.line =
            Line::begin(Some(START), 5_000, Timestamp(START.0 + machine.set_by_ms), TEN_MINUTES);
        assert_eq!(machine.run(5_000).trust, Trust::Started);
        machine.set_by_ms = 0;
        assert_eq!(machine.run(5_000).trust, Trust::Jumped);
        assert_eq!(machine.run(600_000).trust, Trust::Agreed);
    }

    #[test]
    fn an_hour_in_which_the_process_did_not_run_counts_for_seconds() {
        let mut machine = Machine::started();
        let before = machine.run(700_000);
        machine.boot_ms += 3_600_000;
        let after = machine.look();
        assert_eq!(after.now.ms_since(before.now), STRIDE_MS);
        assert_eq!(after.wall.ms_since(before.wall), 3_600_000);
        assert!(machine.jumps.is_empty(), "both clocks have gone on alike");
        assert_eq!(after.trust, Trust::Started, "sagas that ended meanwhile have yet to say so");
    }

    #[test]
    fn a_drift_is_no_jump() {
        let mut machine = Machine::started();
        machine.run(700_000);
        for _ in 0..100 {
            machine.set_by_ms += 1_000;
            assert_eq!(machine.run(5_000).trust, Trust::Agreed);
        }
        assert!(machine.jumps.is_empty());
    }

    #[test]
    fn it_goes_on_from_where_it_stood() {
        let days_later = Timestamp(START.0 + 72 * HOUR);
        let mut line = Line::begin(Some(START), 7_000, days_later, TEN_MINUTES);
        let (moment, jump) = line.read(8_000, days_later.plus_ms(1_000));
        assert_eq!((moment.now, jump), (START.plus_ms(1_000), None));
        assert_eq!(moment.on_the_wall(START.plus_ms(3_000)), days_later.plus_ms(3_000));
    }
}
