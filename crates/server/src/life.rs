//! That this node lives, as it has told the store last: what it decided in one life it does in no other.

use amends_store::Beat;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Age of the last good beat from which on nothing is sent: it is less than what others wait before they take over.
const SENDS: Duration = Duration::from_secs(3);

/// Time between two good beats from which on the store, or the way to it, was away: others may have beaten as little.
const GAP: Duration = Duration::from_millis(2_500);

/// How long whoever was away is waited for: nobody takes what is theirs only because it came back first.
const ALL_ARE_BACK: Duration = Duration::from_secs(5);

/// What the last good beat has told; none before the first.
#[derive(Debug, Default)]
pub(crate) struct Life(Mutex<Option<LastBeat>>);

#[derive(Clone, Copy, Debug)]
struct LastBeat {
    /// When it began, by the boot-time clock.
    began: Duration,
    /// When the first one began after a gap; none if there has been none.
    back_at: Option<Duration>,
    life: u64,
    is_leaving: bool,
    settings: u64,
    clock: Clock,
}

/// The store's clock, as a beat has measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Counts the measurements.
    pub(crate) number: u64,
    /// Milliseconds that the store's clock is ahead of the boot-time clock; none as long as nobody has measured it.
    pub(crate) ahead_ms: Option<i64>,
}

impl Life {
    /// A beat that `began` then has been taken. `ahead_ms`: as [`Clock`] has it, if this beat has measured it.
    pub(crate) fn beaten(&self, began: Duration, beat: Beat, ahead_ms: Option<i64>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_away = last.is_some_and(|last| began.saturating_sub(last.began) > GAP);
        let back_at = if was_away { Some(began) } else { last.and_then(|last| last.back_at) };
        let mut clock = last.map(|last| last.clock).unwrap_or_default();
        if ahead_ms.is_some() {
            clock = Clock { number: clock.number + 1, ahead_ms };
        }
        let Beat { life, leaving: is_leaving, settings, .. } = beat;
        *last = Some(LastBeat { began, back_at, life, is_leaving, settings, clock });
    }

    /// The present life.
    pub(crate) fn current(&self) -> u64 {
        self.last().map_or(0, |last| last.life)
    }

    /// Whether somebody wants this node to give back all that it holds.
    pub(crate) fn is_leaving(&self) -> bool {
        self.last().is_some_and(|last| last.is_leaving)
    }

    /// The version of the settings that the store has.
    pub(crate) fn settings(&self) -> u64 {
        self.last().map_or(0, |last| last.settings)
    }

    /// Whether whoever else was away with us has had time to come back, `now` by the boot-time clock.
    pub(crate) fn all_are_back(&self, now: Duration) -> bool {
        let back_at = self.last().and_then(|last| last.back_at);
        back_at.is_none_or(|at| now.saturating_sub(at) >= ALL_ARE_BACK)
    }

    /// The store's clock.
    pub(crate) fn clock(&self) -> Clock {
        self.last().map(|last| last.clock).unwrap_or_default()
    }

    /// Whether what was decided in this life may still be done, `now` by the boot-time clock: nobody can have taken
    /// over meanwhile.
    pub(crate) fn goes_on(&self, life: u64, now: Duration) -> bool {
        self.last().is_some_and(|last| last.life == life && now.saturating_sub(last.began) < SENDS)
    }

    fn last(&self) -> Option<LastBeat> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_back_first_waits_for_the_others() {
        let (life, at) = (Life::default(), Duration::from_millis);
        for began in [50_000, 51_000, 52_100] {
            life.beaten(at(began), Beat::default(), None);
            assert!(life.all_are_back(at(began)));
        }
        life.beaten(at(56_000), Beat::default(), None);
        life.beaten(at(57_000), Beat::default(), None);
        assert!(!life.all_are_back(at(60_999)) && life.all_are_back(at(61_000)));
    }

    #[test]
    fn what_was_decided_counts_for_three_seconds_after_a_beat_and_in_one_life() {
        let at = Duration::from_millis;
        let life = Life::default();
        assert!(!life.goes_on(0, at(0)), "nobody has shown it yet");
        let beat = Beat { life: 7, ..Beat::default() };
        life.beaten(at(1_000), beat, Some(5));
        assert!(life.goes_on(7, at(3_999)) && !life.goes_on(7, at(4_000)));
        life.beaten(at(9_000), Beat { life: 8, leaving: true, ..beat }, None);
        assert!(!life.goes_on(7, at(9_001)) && life.goes_on(8, at(9_001)));
        assert!(life.is_leaving() && life.current() == 8);
        assert_eq!(life.clock(), Clock { number: 1, ahead_ms: Some(5) }, "the last measurement");
    }
}
