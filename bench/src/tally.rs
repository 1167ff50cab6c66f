//! Who was reported when, and when all of its compensations had been asked for.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::Semaphore;

/// Times of one run, by saga number. All in microseconds since its start.
pub struct Tally {
    start: Instant,
    reported: Vec<AtomicU64>,
    done: Vec<AtomicU64>,
    parts: Vec<AtomicU8>,
    /// Compensations that make a saga whole.
    parts_needed: u8,
    finished: AtomicUsize,
    /// Room for sagas that are reported and not finished.
    pub room: Semaphore,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

impl Tally {
    pub fn new(sagas: usize, window: usize, parts_needed: u8) -> Self {
        Self {
            start: Instant::now(),
            reported: (0..sagas).map(|_| AtomicU64::new(0)).collect(),
            done: (0..sagas).map(|_| AtomicU64::new(0)).collect(),
            parts: (0..sagas).map(|_| AtomicU8::new(0)).collect(),
            parts_needed,
            finished: AtomicUsize::new(0),
            room: Semaphore::new(window),
        }
    }

    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// The saga's report is about to be sent (or, in an open loop, should be).
    pub fn reported_at(&self, saga: usize, us: u64) {
        self.reported[saga].store(us, Ordering::Relaxed);
    }

    pub fn compensated(&self, saga: usize) {
        let Some(parts) = self.parts.get(saga) else { return };
        if parts.fetch_add(1, Ordering::Relaxed) + 1 == self.parts_needed {
            self.done[saga].store(self.now_us(), Ordering::Relaxed);
            self.finished.fetch_add(1, Ordering::Release);
            self.room.add_permits(1);
        }
    }

    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::Acquire)
    }

    /// Sagas finished between two moments.
    pub fn finished_between(&self, from_us: u64, to_us: u64) -> usize {
        self.done.iter().filter(|d| (from_us..to_us).contains(&d.load(Ordering::Relaxed))).count()
    }

    /// From report to the last compensation, of sagas reported between two moments and finished.
    pub fn percentiles(&self, from_us: u64, to_us: u64) -> Option<Percentiles> {
        let mut took: Vec<u64> = self
            .reported
            .iter()
            .zip(&self.done)
            .map(|(r, d)| (r.load(Ordering::Relaxed), d.load(Ordering::Relaxed)))
            .filter(|(r, d)| (from_us..to_us).contains(r) && *d > 0)
            .map(|(r, d)| d.saturating_sub(r))
            .collect();
        took.sort_unstable();
        let at = |share: usize| took.get((took.len().saturating_sub(1)) * share / 100);
        #[allow(clippy::cast_precision_loss)] // microseconds of a run
        let ms = |us: &u64| *us as f64 / 1_000.0;
        Some(Percentiles {
            p50: ms(at(50)?),
            p90: ms(at(90)?),
            p99: ms(at(99)?),
            max: ms(at(100)?),
        })
    }
}
