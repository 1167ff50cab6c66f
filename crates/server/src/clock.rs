//! Where the shell gets the time from. Engine and node never ask for it.

use amends_engine::{Moment, Trust};
use amends_protocol::Timestamp;
use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest sleep in one go: a wall clock that is set while we sleep is noticed within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The time, and waiting for it.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Time since 1970, as exact as the clock is.
    fn wall(&self) -> Duration;

    /// Time since some moment that stays the same. It never goes back: for measuring how long something took.
    fn monotonic(&self) -> Duration;

    /// Time since the machine started, asleep or not. It never goes back, and nobody can set it.
    fn boot(&self) -> Duration;

    /// Comes back after `pause`, or somewhat earlier or later; the caller looks at the clock again.
    fn sleep(&self, pause: Duration) -> impl Future<Output = ()> + Send;

    /// Comes back at `at` by the wall clock, or somewhat earlier or later; the caller looks at the clock again.
    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = ()> + Send {
        let pause = Duration::from_millis(at.ms_since(self.now())).min(LONGEST_SLEEP);
        self.sleep(pause)
    }

    /// The present moment.
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.wall().as_millis()).unwrap_or(i64::MAX))
    }
}

/// Milliseconds, as the node counts time.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

    fn boot(&self) -> Duration {
        #[cfg(target_os = "linux")]
        {
            let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let (seconds, nanos) = (u64::try_from(since.tv_sec), u32::try_from(since.tv_nsec));
            Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
        }
        #[cfg(not(target_os = "linux"))]
        self.monotonic()
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}

/// What the loop shows of the clocks to those who look.
#[derive(Debug, Default)]
pub(crate) struct ClockFace {
    ahead_ms: AtomicI64,
    trusted: AtomicBool,
}

impl ClockFace {
    pub(crate) fn show(&self, moment: Moment) {
        let ahead_ms = moment.wall.0.saturating_sub(moment.now.0);
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        self.trusted.store(moment.trust == Trust::Agreed, Ordering::Relaxed);
    }

    /// Milliseconds that the wall clock is ahead of supervisor time.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Whether what the wall clock decides may be decided now.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }
}
