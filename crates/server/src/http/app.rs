//! What every handler shares. Plain handles; no logic.

use super::backups::Backups;
use super::hosts::host_of;
use super::versions::Versions;
use crate::books::Rejections;
use crate::bulk::Bulks;
use crate::supervisor::Supervisor;
use amends_store::Store;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Limits of requests.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Longest body of one report, in bytes.
    pub report_bytes: usize,
    /// Longest body of a batch, in bytes.
    pub batch_bytes: usize,
    /// Most events of a batch.
    pub batch_events: usize,
    /// Most open event streams; each holds a connection and a place in the ring.
    pub event_streams: usize,
    /// Most open connections; more wait in the system's queue until one closes.
    pub connections: usize,
    /// How long a connection may take to send a request's headers, and also how long it may be idle.
    pub header_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            report_bytes: 1 << 20,
            batch_bytes: 8 << 20,
            batch_events: 1_000,
            event_streams: 256,
            connections: 4_096,
            header_timeout: Duration::from_secs(75),
        }
    }
}

/// The shared state of all handlers. Clones are cheap.
pub struct App<S: Store> {
    pub(crate) supervisor: Supervisor<S>,
    pub(crate) rejections: Rejections,
    pub(crate) limits: HttpLimits,
    pub(crate) versions: Versions,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) backups: Option<Backups>,
    pub(crate) bulks: Bulks,
    /// The name by which browsers reach us besides addresses and `localhost`.
    pub(crate) public_host: Option<String>,
    /// True once the process is told to stop.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl<S: Store> App<S> {
    /// Puts the handles together; `stopping` turns true when the process is told to stop.
    #[must_use]
    pub fn new(
        supervisor: Supervisor<S>,
        rejections: Rejections,
        limits: HttpLimits,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(limits.event_streams));
        let versions = Versions::default();
        let bulks = Bulks::default();
        Self {
            supervisor,
            rejections,
            limits,
            versions,
            streams,
            backups: None,
            bulks,
            public_host: None,
            stopping,
        }
    }

    /// People reach the console at this address, perhaps through a proxy; without a host in it nothing changes.
    #[must_use]
    pub fn with_public_url(mut self, url: &str) -> Self {
        self.public_host = host_of(url);
        self
    }

    /// Takes backups, into this folder only; it is made when it is first needed. Without one, backups are refused.
    #[must_use]
    pub fn with_backups(mut self, folder: PathBuf) -> Self {
        self.backups = Some(Backups::new(folder));
        self
    }
}

impl<S: Store> Clone for App<S> {
    fn clone(&self) -> Self {
        Self {
            supervisor: self.supervisor.clone(),
            rejections: self.rejections.clone(),
            limits: self.limits,
            versions: self.versions.clone(),
            streams: Arc::clone(&self.streams),
            backups: self.backups.clone(),
            bulks: self.bulks.clone(),
            public_host: self.public_host.clone(),
            stopping: self.stopping.clone(),
        }
    }
}
