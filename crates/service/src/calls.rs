//! What a running request remembers of the calls that it made.

use crate::failure::Failure;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a running request remembers of its calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    /// How many calls were made to each `service.action`.
    ordinals: HashMap<String, u32>,
    /// The report about the last call, if that call failed and there is one.
    suspect: Option<String>,
}

impl Calls {
    /// Names the last failed call's report as the cause of a failure that names none; see [`Failure::uncaused`].
    pub(crate) fn blame(&self, mut failure: Failure) -> Failure {
        if failure.takes_cause && failure.caused_by.is_empty() {
            failure.caused_by.extend(self.lock().suspect.take());
        }
        failure
    }

    /// The report about the call that has just ended, if it failed and there is one.
    pub(crate) fn suspect(&self, report: Option<String>) {
        self.lock().suspect = report;
    }

    pub(crate) fn next_ordinal(&self, service: &str, action: &str) -> u32 {
        let mut made = self.lock();
        let count = made.ordinals.entry(format!("{service}.{action}")).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
