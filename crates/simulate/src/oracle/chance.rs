//! What is left to chance in one play. The same numbers for the same seed and play.

use crate::seeded_rng::SeededRng;

#[derive(Debug)]
pub(super) struct Chance(SeededRng);

impl Chance {
    pub(super) fn new(seed: u64, play: u64) -> Self {
        Self(SeededRng::of(seed, &[2, play]))
    }

    /// A number below `bound`, which is at least one.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
