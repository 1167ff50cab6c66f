//! Whether a message is younger than what is remembered, by a wall clock that somebody may set: while it has jumped
//! lately, nobody knows.

use super::fault::Fault;
use amends_node::JUMP_MS;
use amends_protocol::{ProblemCode, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is remembered, and how far the clock can be trusted.
#[derive(Debug)]
pub(crate) struct Ages {
    /// How long settled cases are kept: a report that is older could be of a case that nobody remembers.
    keep: Option<Duration>,
    /// How long both clocks must have agreed.
    trust_after: Duration,
    clock: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    /// By how many milliseconds the wall clock was ahead of the boot-time clock.
    offset: Option<i64>,
    /// When that had changed by more than a correction does, by the boot-time clock.
    jumped_at: Option<Duration>,
}

/// How old a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Young,
    /// It is too old: in a sentence.
    TooOld(Fault),
    /// It is too old by a clock that has jumped. It is to be judged later.
    InDoubt,
}

impl Ages {
    pub(crate) fn new(keep: Option<Duration>, trust_after: Duration) -> Self {
        Self { keep, trust_after, clock: Mutex::default() }
    }

    /// Judges a message that its broker has had since then.
    pub(super) fn of(&self, sent_at: Option<Timestamp>, boot: Duration, wall: Timestamp) -> Age {
        let is_trusted = self.read(boot, wall);
        let (Some(sent_at), Some(keep)) = (sent_at, self.keep) else { return Age::Young };
        let age = u64::try_from(wall.0.saturating_sub(sent_at.0)).unwrap_or(0);
        if u128::from(age) < keep.as_millis() {
            return Age::Young;
        }
        if !is_trusted {
            return Age::InDoubt;
        }
        Age::TooOld(Fault::new(
            ProblemCode::InvalidReport,
            format!(
                "the broker has had the message since {sent_at}, longer than settled cases are kept (`retention.settled`): its saga \
                 may be settled and forgotten, and would be compensated twice; look, and take it by `retry` if it is not"
            ),
        ))
    }

    /// Reads both clocks; says whether they have agreed for long enough.
    fn read(&self, boot: Duration, wall: Timestamp) -> bool {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let since_boot = i64::try_from(boot.as_millis()).unwrap_or(i64::MAX);
        let offset = wall.0.saturating_sub(since_boot);
        let before = clock.offset.replace(offset).unwrap_or(offset);
        if offset.saturating_sub(before).saturating_abs() > JUMP_MS {
            clock.jumped_at = Some(boot);
        }
        clock.jumped_at.is_none_or(|at| boot.saturating_sub(at) >= self.trust_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const TEN_MINUTES: Duration = Duration::from_secs(600);
    const NOW: i64 = 100 * 86_400_000;

    #[test]
    fn what_is_older_than_what_is_remembered_is_not_taken() {
        let ago = |days: i64| Some(Timestamp(NOW - days * 86_400_000));
        let judged = |keep, sent_at| {
            Ages::new(keep, TEN_MINUTES).of(sent_at, Duration::ZERO, Timestamp(NOW))
        };
        assert_eq!(judged(Some(DAY), ago(0)), Age::Young);
        assert_eq!(judged(None, ago(2)), Age::Young);
        assert_eq!(judged(Some(DAY), None), Age::Young, "a broker without a clock can't be judged");
        assert_eq!(judged(Some(DAY), Some(Timestamp(NOW + 1))), Age::Young, "its clock is ahead");
        let Age::TooOld(fault) = judged(Some(DAY), ago(1)) else { panic!("too old") };
        assert!(fault.detail.contains("retention.settled"), "{}", fault.detail);
    }

    #[test]
    fn by_a_clock_that_has_jumped_nothing_is_too_old_until_it_can_be_trusted() {
        let ages = Ages::new(Some(DAY), TEN_MINUTES);
        let at = |seconds: u64, set_by_days: i64| {
            let wall = Timestamp(NOW + set_by_days * 86_400_000 + seconds as i64 * 1_000);
            ages.of(Some(Timestamp(NOW)), Duration::from_secs(seconds), wall)
        };
        assert_eq!(at(0, 0), Age::Young);
        assert_eq!(at(60, 30), Age::InDoubt, "somebody has set it a month ahead");
        assert_eq!(at(120, 0), Age::Young, "it is right again");
        assert_eq!(at(180, 30), Age::InDoubt);
        assert_eq!(at(779, 30), Age::InDoubt);
        assert!(matches!(at(780, 30), Age::TooOld(_)), "it has been so for ten minutes");
    }
}
