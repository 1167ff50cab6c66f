//! Removes what was settled or done long ago: slowly, and only while the wall clock can be trusted, so that a clock
//! that is wrong for a while removes nothing.

use crate::clock::{Clock, SystemClock};
use crate::supervisor::Supervisor;
use amends_protocol::Timestamp;
use amends_store::{Partition, SettledBefore, Store, StoreError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// How often old settled cases are looked for.
const EVERY: Duration = Duration::from_secs(60);

/// Most cases of one look. A commit behind it waits for milliseconds.
const SLICE: u64 = 200;

/// Pause between two looks that found much.
const PAUSE: Duration = Duration::from_millis(50);

/// One part of so many is removed an hour at most: a store that fills evenly for days loses less, and a mistake is seen
/// before much is gone.
const PART_AN_HOUR: u64 = 100;

/// Cases that may go an hour whatever the size of the store.
const LEAST_AN_HOUR: u64 = 200;

/// After what time settled cases are removed; none keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepSettled {
    /// Of all rulebooks that are not named.
    pub all: Option<Duration>,
    /// Of single rulebooks, by name.
    pub of_rulebooks: BTreeMap<String, Option<Duration>>,
}

impl KeepSettled {
    /// Whether any are ever removed.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.all.is_some() || self.of_rulebooks.values().any(Option::is_some)
    }

    /// The shortest that any case is kept.
    #[must_use]
    pub fn shortest(&self) -> Option<Duration> {
        self.of_rulebooks.values().copied().chain([self.all]).flatten().min()
    }

    fn before(&self) -> SettledBefore {
        let of = self.of_rulebooks.iter().map(|(name, keep)| (name.clone(), keep.map(before)));
        SettledBefore { all: self.all.map(before), of_rulebooks: of.collect() }
    }
}

/// What may still be removed.
#[derive(Debug, Default)]
struct Budget {
    /// In cases times milliseconds of an hour, so that nothing is lost by rounding.
    saved: u64,
    at: Option<Duration>,
}

impl Budget {
    const HOUR_MS: u64 = 3_600_000;
    /// What is not removed is saved for so long: two looks.
    const SAVED_MS: u64 = 120_000;

    /// How many cases may be removed now, of a store that holds so many. `now` never goes back.
    fn left(&mut self, now: Duration, cases: u64) -> u64 {
        let an_hour = (cases / PART_AN_HOUR).max(LEAST_AN_HOUR);
        let passed = now.saturating_sub(self.at.unwrap_or(now)).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX).min(Self::SAVED_MS);
        self.at = Some(now);
        let most = an_hour.saturating_mul(Self::SAVED_MS);
        self.saved = self.saved.saturating_add(an_hour.saturating_mul(passed)).min(most);
        self.saved / Self::HOUR_MS
    }

    fn take(&mut self, cases: u64) {
        self.saved = self.saved.saturating_sub(cases.saturating_mul(Self::HOUR_MS));
    }
}

/// Removes what has been settled for longer than `keep` says, slice by slice.
pub(crate) async fn watch<S: Store>(
    supervisor: Supervisor<S>,
    keep: KeepSettled,
    mut stopping: watch::Receiver<bool>,
) {
    let mut budget = Budget::default();
    loop {
        let pause = match look(&supervisor, &keep, &mut budget).await {
            Ok(removed) if removed >= SLICE => PAUSE,
            Ok(_) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "settled cases could not be removed");
                EVERY
            }
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Removes entries of the audit that were made longer than `keep` ago, slice by slice.
pub(crate) async fn watch_audit<S: Store>(
    supervisor: Supervisor<S>,
    keep: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let pause = match look_at_audit(&supervisor, keep).await {
            Ok(removed) if removed >= SLICE as usize => PAUSE,
            Ok(_) => EVERY,
            Err(StoreError::NotHeld { partition: Partition::SEAT, .. }) => EVERY, // another's to do
            Err(error) => {
                tracing::warn!(%error, "old entries of the audit could not be removed");
                EVERY
            }
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Removes messages that were rejected longer than `keep` ago, slice by slice.
pub(crate) async fn watch_rejected<S: Store>(
    supervisor: Supervisor<S>,
    keep: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let pause = match look_at_rejected(&supervisor, keep).await {
            Ok(0) => EVERY,
            Ok(_) => PAUSE,
            Err(StoreError::NotHeld { partition: Partition::SEAT, .. }) => EVERY, // another's to do
            Err(error) => {
                tracing::warn!(%error, "old rejected messages could not be removed");
                EVERY
            }
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

pub(crate) async fn look_at_rejected<S: Store>(
    supervisor: &Supervisor<S>,
    keep: Duration,
) -> Result<usize, StoreError> {
    if !supervisor.shared().clock.is_trusted() {
        return Ok(0);
    }
    let removed = supervisor.store().prune_rejected(before(keep), SLICE as usize).await?;
    if removed > 0 {
        supervisor.count_rejected().await?;
    }
    Ok(removed)
}

pub(crate) async fn look_at_audit<S: Store>(
    supervisor: &Supervisor<S>,
    keep: Duration,
) -> Result<usize, StoreError> {
    if !supervisor.shared().clock.is_trusted() {
        return Ok(0);
    }
    supervisor.store().prune_audit(before(keep), SLICE as usize).await
}

/// The moment that was so long ago.
fn before(keep: Duration) -> Timestamp {
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    Timestamp(SystemClock.now().0.saturating_sub(keep_ms))
}

async fn look<S: Store>(
    supervisor: &Supervisor<S>,
    keep: &KeepSettled,
    budget: &mut Budget,
) -> Result<u64, StoreError> {
    if !supervisor.shared().clock.is_trusted() {
        return Ok(0);
    }
    let cases = supervisor.store().case_counts().await?.values().sum();
    let most = budget.left(SystemClock.monotonic(), cases).min(SLICE);
    if most == 0 {
        return Ok(0);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let removed = supervisor.store().prune(keep.before(), most).await?;
    let removed = u64::try_from(removed).unwrap_or(u64::MAX);
    budget.take(removed);
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_hundredth_of_the_store_goes_an_hour() {
        for (cases, an_hour) in [(1_000_000, 10_000), (10, LEAST_AN_HOUR)] {
            let (mut budget, mut now) = (Budget::default(), MINUTE * 6_000);
            let mut removed = 0;
            for _ in 0..=60 {
                let left = budget.left(now, cases);
                budget.take(left);
                removed += left;
                now += MINUTE;
            }
            assert_eq!(removed, an_hour);
        }
    }

    #[test]
    fn what_is_not_taken_is_not_saved_for_long() {
        let mut budget = Budget::default();
        assert_eq!(budget.left(MINUTE, 1_000_000), 0);
        assert_eq!(budget.left(MINUTE * 6_000, 1_000_000), 333);
    }
}
