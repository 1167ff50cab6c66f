//! What the listeners no longer listen to: the sagas of checks that are over.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sagas of checks that are over, and those of earlier runs. What still comes from them is answered well and
/// otherwise ignored, so that a slow relay can't spoil a later check.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// What the sagas of this run begin with.
    run: String,
    over: Arc<Mutex<HashSet<String>>>,
}

/// What every saga of the kit begins with.
pub(crate) const SAGA_PREFIX: &str = "conform-";

impl Past {
    /// Of the run with this name.
    pub(crate) fn of(run: &str) -> Self {
        Self { run: format!("{SAGA_PREFIX}{run}-"), over: Arc::default() }
    }

    pub(crate) fn add(&self, sagas: impl IntoIterator<Item = String>) {
        lock(&self.over).extend(sagas);
    }

    pub(super) fn contains(&self, saga: &str) -> bool {
        let of_another_run = saga.starts_with(SAGA_PREFIX) && !saga.starts_with(&self.run);
        of_another_run || lock(&self.over).contains(saga)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
