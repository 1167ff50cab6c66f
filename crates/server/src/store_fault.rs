//! Why the store took nothing the last time, for whoever asks whether this node is ready. A store may be read, and
//! something small be written, while it has no room for what comes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a failed commit counts. Longer than the loop leaves a store alone that fails; then whoever sends may try
/// again, else nobody would find out that it is over.
const COUNTS: Duration = Duration::from_secs(15);

/// The last commit that failed, unless one has succeeded since.
#[derive(Debug, Default)]
pub(crate) struct LastStoreFault(Mutex<Option<(Duration, String)>>);

impl LastStoreFault {
    /// Nothing could be written, for this reason. Both times are by the heartbeat.
    pub(crate) fn failed(&self, now: Duration, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, why));
    }

    /// Something was written.
    pub(crate) fn is_over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why nothing can be written, as far as is known.
    pub(crate) fn why(&self, now: Duration) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = last.as_ref().filter(|(at, _)| now.saturating_sub(*at) < COUNTS);
        counts.map(|(_, why)| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_commit_counts_until_one_succeeds_or_for_a_while() {
        let (fault, at) = (LastStoreFault::default(), Duration::from_secs(7));
        assert_eq!(fault.why(at), None);
        fault.failed(at, "No space left on device".to_owned());
        let why = fault.why(at + COUNTS - Duration::from_millis(1));
        assert_eq!(why.as_deref(), Some("No space left on device"));
        assert_eq!(fault.why(at + COUNTS), None, "whoever sends may try again");
        fault.is_over();
        assert_eq!(fault.why(at), None);
    }
}
