//! Where the shell gets the time from. Engine and node never ask for it.

use amends_protocol::Timestamp;
use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest sleep in one go: a wall clock that is set while we sleep is noticed within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The time, and waiting for it.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Time since 1970, as exact as the clock is.
    fn wall(&self) -> Duration;

    /// Time since some moment that stays the same. It never goes back: for measuring how long something took.
    fn monotonic(&self) -> Duration;

    /// Comes back at `at` or somewhat earlier or later; the caller looks at the clock again.
    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = ()> + Send;

    /// The present moment.
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.wall().as_millis()).unwrap_or(i64::MAX))
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// When the process first asked.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        BEGAN.elapsed()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let pause = Duration::from_millis(at.ms_since(self.now())).min(LONGEST_SLEEP);
        tokio::time::sleep(pause).await;
    }
}
