//! The requests that this process is working on. Whoever is `started` by this process and not here was given up. Knows
//! nothing of other processes.

use crate::store::RequestRow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The set of runs, by request id and run number; clones share it. A run enters it within the transaction that starts
/// it, so it is never `started` in the eyes of others without being here.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    worker: Arc<str>,
    runs: Arc<Mutex<HashSet<(String, i64)>>>,
}

impl Running {
    pub(crate) fn new(worker: &str) -> Self {
        Self { worker: worker.into(), runs: Arc::default() }
    }

    /// The id of this process.
    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    /// Counts the run in until the guard is dropped.
    pub(crate) fn enter(&self, row: &RequestRow) -> RunningGuard {
        let run = (row.request.request_id.clone(), row.run);
        self.lock().insert(run.clone());
        RunningGuard { running: self.clone(), run }
    }

    pub(crate) fn contains(&self, request_id: &str, run: i64) -> bool {
        self.lock().contains(&(request_id.to_owned(), run))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(String, i64)>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a run counted as under way.
#[derive(Debug)]
pub(crate) struct RunningGuard {
    running: Running,
    run: (String, i64),
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running.lock().remove(&self.run);
    }
}
