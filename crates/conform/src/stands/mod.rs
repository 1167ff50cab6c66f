//! Where the kit listens itself: as the supervisor, and as the service that the participant calls.

mod downstream;
mod envelope;
mod listener;
mod supervisor;

pub(crate) use downstream::{Call, Downstream, Reply};
pub(crate) use envelope::Event;
pub(crate) use supervisor::{Supervisor, Take, Try};

use crate::Config;
use crate::ConformError;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// The listeners of one run, bound before the first check.
#[derive(Debug, Default)]
pub struct Stands {
    /// For the participant's reports.
    pub supervisor: Option<TcpListener>,
    /// For the participant's calls.
    pub downstream: Option<TcpListener>,
}

impl Stands {
    /// Listens at the addresses of the configuration.
    ///
    /// # Errors
    /// Names the address that can't be had.
    pub async fn listen(config: &Config) -> Result<Self, ConformError> {
        Ok(Self {
            supervisor: bind(config.supervisor).await?,
            downstream: bind(config.downstream).await?,
        })
    }
}

async fn bind(address: Option<SocketAddr>) -> Result<Option<TcpListener>, ConformError> {
    let Some(address) = address else { return Ok(None) };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(ConformError::Listen { address, source }),
    }
}

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

    fn contains(&self, saga: &str) -> bool {
        let of_another_run = saga.starts_with(SAGA_PREFIX) && !saga.starts_with(&self.run);
        of_another_run || lock(&self.over).contains(saga)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
