//! Where the kit listens itself: as the supervisor, and as the service that the participant calls.

mod downstream;
mod envelope;
mod listener;
mod past;
mod supervisor;

pub(crate) use downstream::{Call, Downstream, Reply};
pub(crate) use envelope::ReceivedReport;
pub(crate) use past::{Past, SAGA_PREFIX};
pub(crate) use supervisor::{FakeSupervisor, Reception, Try};

use crate::Config;
use crate::ConformError;
use std::net::SocketAddr;
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
