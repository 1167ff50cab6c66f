//! A sign that the loop turns: when it began its present turn. A loop that waits for something to do is as well as can
//! be; one whose turn does not end stands.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest turn of a loop that is well. A turn is one commit, of milliseconds; the longest part of one is to load all
/// open cases again after the store has failed, some seconds for a million.
pub(crate) const LONGEST_TURN: Duration = Duration::from_secs(60);

/// The heartbeat of one loop.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    began: Instant,
    /// Milliseconds after `began` of the last beat, plus one; 0 while the loop waits.
    beat: AtomicU64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { began: Instant::now(), beat: AtomicU64::new(0) }
    }
}

/// A turn that is under way; it is over when this is dropped.
#[must_use]
pub(crate) struct Turn<'a>(&'a Heartbeat);

impl Heartbeat {
    /// The loop begins a turn.
    pub(crate) fn turn(&self) -> Turn<'_> {
        self.beat();
        Turn(self)
    }

    /// Time since this began: a clock for whoever has no other.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The loop goes on within its turn.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.beat.store(now + 1, Ordering::Relaxed);
    }

    /// Time since the last beat of the turn that is under way; none if the loop waits.
    pub(crate) fn age(&self) -> Duration {
        match self.beat.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            beat => self.began.elapsed().saturating_sub(Duration::from_millis(beat - 1)),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.beat.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_turn_that_does_not_end_grows_old() {
        let ago = |ms| Instant::now().checked_sub(Duration::from_millis(ms)).expect("up for long");
        let heart = Heartbeat { began: ago(10), beat: AtomicU64::new(0) };
        assert_eq!(heart.age(), Duration::ZERO, "it waits");
        let turn = heart.turn();
        assert!(heart.age() < Duration::from_secs(1));
        heart.beat.store(1, Ordering::Relaxed); // begun when the clock began
        assert!(heart.age() >= Duration::from_millis(10));
        heart.beat();
        assert!(heart.age() < Duration::from_secs(1));
        drop(turn);
        assert_eq!(heart.age(), Duration::ZERO);
    }
}
