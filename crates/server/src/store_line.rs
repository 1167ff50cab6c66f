//! Time in a store that nodes share: the clock of the database, carried on by the boot-time clock between two beats, so
//! that nobody who sets a machine's clock moves a timer, and all nodes mean the same.

use crate::life::Clock;
use amends_engine::{Moment, Trust};
use amends_node::{JUMP_MS, Jump};
use amends_protocol::Timestamp;

/// Beats in a row that have to tell the same before it is believed that the database's clock has changed.
const BEATS: u32 = 3;

/// Milliseconds by which two measurements of one clock differ at most.
const NEAR_MS: i64 = 1_000;

/// Supervisor time.
#[derive(Debug)]
pub(crate) struct StoreLine {
    now: Timestamp,
    /// The database's clock, or the machine's as long as that is not known, less the boot-time clock.
    ahead_ms: i64,
    /// The last measurement that was looked at; 0 is none.
    seen: u64,
    /// A clock that is far from where it was, and how many beats have told so.
    doubt: Option<(i64, u32)>,
    /// How far the database's clock has jumped. Timers stay as they are then.
    apart_ms: i64,
    /// Until then nothing is decided by the wall clock: whoever would have told us something could reach nobody.
    trusted_from: Timestamp,
}

impl StoreLine {
    /// Begins with the machine's clock.
    pub(crate) fn begin(boot_ms: u64, wall: Timestamp) -> Self {
        Self {
            now: Timestamp(i64::MIN),
            ahead_ms: wall.0.saturating_sub(signed(boot_ms)),
            seen: 0,
            doubt: None,
            apart_ms: 0,
            trusted_from: Timestamp(i64::MAX),
        }
    }

    /// The wall clock can be trusted from then on, or earlier if that was said before.
    pub(crate) fn trust_from(&mut self, at: Timestamp) {
        self.trusted_from = self.trusted_from.min(at);
    }

    /// Nobody could reach this node for a while: what was said of trust counts no more.
    pub(crate) fn begin_anew(&mut self) {
        self.trusted_from = Timestamp(i64::MAX);
    }

    /// Reads it.
    pub(crate) fn read(&mut self, boot_ms: u64, clock: Clock) -> (Moment, Option<Jump>) {
        let jump = clock.ahead_ms.filter(|_| clock.number != self.seen).and_then(|ahead_ms| {
            let is_first = self.seen == 0;
            self.seen = clock.number;
            self.measured(ahead_ms, is_first)
        });
        self.now = self.now.max(Timestamp(self.ahead_ms.saturating_add(signed(boot_ms))));
        let trust = if self.apart_ms != 0 {
            Trust::Jumped
        } else if self.seen == 0 || self.now < self.trusted_from {
            Trust::Started
        } else {
            Trust::Agreed
        };
        let wall = Timestamp(self.now.0.saturating_add(self.apart_ms));
        (Moment { now: self.now, wall, trust }, jump)
    }

    fn measured(&mut self, ahead_ms: i64, is_first: bool) -> Option<Jump> {
        let far_ms = ahead_ms.saturating_sub(self.ahead_ms);
        if is_first || far_ms.saturating_abs() <= NEAR_MS {
            self.ahead_ms = ahead_ms;
            self.doubt = None;
            return self.is_apart(0);
        }
        let times = match self.doubt {
            Some((before, times)) if before.abs_diff(ahead_ms) <= NEAR_MS.unsigned_abs() => {
                times + 1
            }
            _ => 1,
        };
        self.doubt = Some((ahead_ms, times));
        if times < BEATS {
            return None;
        }
        if far_ms.saturating_abs() > JUMP_MS {
            return self.is_apart(far_ms);
        }
        self.ahead_ms = ahead_ms; // it has been set by a little
        self.doubt = None;
        self.is_apart(0)
    }

    /// Tells it, if that is news.
    fn is_apart(&mut self, apart_ms: i64) -> Option<Jump> {
        let by_ms = apart_ms.saturating_sub(self.apart_ms);
        let is_news = by_ms.saturating_abs() > JUMP_MS;
        if is_news || apart_ms == 0 {
            self.apart_ms = apart_ms;
        }
        is_news.then_some(Jump { by_ms })
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    struct Machine {
        line: StoreLine,
        clock: Clock,
        boot_ms: u64,
    }

    impl Machine {
        /// Its own clock is an hour behind.
        fn started() -> Self {
            let mut line = StoreLine::begin(5_000, Timestamp(1_000_000_000 - HOUR));
            line.trust_from(Timestamp(0));
            Self { line, clock: Clock::default(), boot_ms: 5_000 }
        }

        /// A second later, with a beat that has measured this.
        fn beat(&mut self, ahead_ms: i64) -> (Moment, Option<i64>) {
            self.boot_ms += 1_000;
            self.clock = Clock { number: self.clock.number + 1, ahead_ms: Some(ahead_ms) };
            let (moment, jump) = self.line.read(self.boot_ms, self.clock);
            (moment, jump.map(|jump| jump.by_ms))
        }
    }

    #[test]
    fn it_is_the_clock_of_the_database_once_that_is_known() {
        let mut machine = Machine::started();
        let (before, _) = machine.line.read(5_000, Clock::default());
        assert_eq!(before.trust, Trust::Started);
        let (now, jump) = machine.beat(999_995_000);
        assert_eq!((now.now, now.wall, jump), (Timestamp(1_000_001_000), now.now, None));
        assert_eq!(now.trust, Trust::Agreed);
        assert_eq!(machine.beat(999_994_800).0.now, Timestamp(1_000_001_800), "it is followed");
    }

    #[test]
    fn one_wrong_measurement_moves_nothing() {
        let mut machine = Machine::started();
        machine.beat(999_995_000);
        for ahead_ms in [999_995_000 + HOUR, 999_995_000, 999_995_000 - HOUR, 999_995_010] {
            let (moment, jump) = machine.beat(ahead_ms);
            let true_ms = 999_995_000 + i64::try_from(machine.boot_ms).expect("small");
            assert!((moment.now.0 - true_ms).abs() <= 10 && jump.is_none());
        }
    }

    #[test]
    fn a_database_whose_clock_jumps_moves_no_timer() {
        for by_ms in [HOUR, -HOUR] {
            let mut machine = Machine::started();
            let (before, _) = machine.beat(999_995_000);
            let told: Vec<_> = (0..5).map(|_| machine.beat(999_995_000 + by_ms)).collect();
            let (after, _) = told[4];
            assert_eq!(told.iter().filter_map(|(_, jump)| *jump).collect::<Vec<_>>(), [by_ms]);
            assert_eq!(after.now.ms_since(before.now), 5_000);
            assert_eq!((after.wall.0 - after.now.0, after.trust), (by_ms, Trust::Jumped));
            let (back, jump) = machine.beat(999_995_000);
            assert_eq!((jump, back.trust, back.wall), (Some(-by_ms), Trust::Agreed, back.now));
        }
    }

    #[test]
    fn a_clock_that_is_set_by_seconds_is_followed_and_time_never_goes_back() {
        let mut machine = Machine::started();
        machine.beat(999_995_000);
        let before = machine.beat(999_995_000).0.now;
        let times: Vec<_> = (0..9).map(|_| machine.beat(999_990_000).0.now).collect();
        assert!(times.is_sorted() && times[0] > before);
        let true_ms = 999_990_000 + i64::try_from(machine.boot_ms).expect("small");
        assert_eq!(times[8], Timestamp(true_ms));
    }

    #[test]
    fn nothing_is_decided_by_the_wall_while_those_who_tell_could_reach_nobody() {
        let mut machine = Machine::started();
        assert_eq!(machine.beat(999_995_000).0.trust, Trust::Agreed);
        machine.line.begin_anew();
        for at in [1_000_003_500, 1_000_009_000] {
            machine.line.trust_from(Timestamp(at));
        }
        assert_eq!(machine.beat(999_995_000).0.trust, Trust::Started);
        assert_eq!(machine.beat(999_995_000).0.trust, Trust::Started);
        assert_eq!(machine.beat(999_995_000).0.trust, Trust::Agreed);
    }
}
