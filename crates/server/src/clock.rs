//! Where the driver gets the time from. The engine never asks for it; a simulator brings its own clock.

use amends_protocol::Timestamp;
use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest sleep in one go: a wall clock that is set while we sleep is noticed within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The time, and waiting for it.
pub trait Clock: Clone + Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Comes back at `at` or somewhat earlier or later; the caller looks at the clock again.
    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = ()> + Send;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep_until(&self, at: Timestamp) {
        let pause = Duration::from_millis(at.ms_since(self.now())).min(LONGEST_SLEEP);
        tokio::time::sleep(pause).await;
    }
}
