//! What every handler shares. Plain handles; no logic.

use super::ApiError;
use super::backup_folder::BackupFolder;
use super::bodies::Bodies;
use super::limits::HttpLimits;
use super::own_names::OwnNames;
use super::verdicts::Verdicts;
use super::versions::Versions;
use super::workshop::Workshop;
use crate::access::{Access, Pace};
use crate::books::Rejections;
use crate::bulk::Bulks;
use crate::dispatch::AllowedHosts;
use crate::ingest::Channels;
use crate::nodes::Nodes;
use crate::supervisor::Supervisor;
use crate::withheld::Withheld;
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Exports and previews of bulk acts at once: each reads page after page, and people's other questions share the store's
/// connections with them.
const LONG_READS: usize = 4;

/// Cases that are read whole at once; a question for another one waits. A case commonly takes half a millisecond, and a
/// very large one hundreds of megabytes.
const CASE_READS: usize = 4;

/// The shared state of all handlers. Clones are cheap.
pub struct App<S: Store> {
    pub(crate) supervisor: Supervisor<S>,
    pub(crate) rejections: Rejections,
    pub(crate) limits: HttpLimits,
    pub(crate) versions: Versions,
    /// What is wrong with each version.
    pub(crate) verdicts: Verdicts,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) bodies: Bodies,
    /// Where rulebooks that come over the network are looked at.
    pub(crate) workshop: Workshop,
    /// Turns of files and previews that read much of the store.
    pub(crate) long_reads: Arc<Semaphore>,
    /// Turns of reading a whole case.
    pub(crate) case_reads: Arc<Semaphore>,
    /// Where services may be.
    pub(crate) allow_hosts: AllowedHosts,
    pub(crate) backups: Option<BackupFolder>,
    pub(crate) bulks: Bulks,
    /// Who shares the store with us.
    pub(crate) nodes: Nodes,
    /// Where people reach us, perhaps through a proxy; empty if nobody said.
    pub(crate) public_url: String,
    /// Where services reach us, if that is known.
    pub(crate) callbacks: Option<Arc<str>>,
    /// What no answer shows.
    pub(crate) withheld: Withheld,
    /// Who may report on which subject or topic of a broker.
    pub(crate) channels: Arc<Channels>,
    /// The names by which we may be reached.
    pub(crate) own_names: OwnNames,
    /// Who is let in.
    pub(crate) access: Access,
    /// How often each may ask.
    pub(crate) pace: Pace,
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
            verdicts: Verdicts::new(stopping.clone()),
            streams,
            bodies: Bodies::new(limits.bodies),
            workshop: Workshop::default(),
            long_reads: Arc::new(Semaphore::new(LONG_READS)),
            case_reads: Arc::new(Semaphore::new(CASE_READS)),
            allow_hosts: AllowedHosts::default(),
            backups: None,
            bulks,
            nodes: Nodes::default(),
            public_url: String::new(),
            callbacks: None,
            withheld: Withheld::default(),
            channels: Arc::default(),
            own_names: OwnNames::default(),
            access: Access::default(),
            pace: Pace::of(limits.requests),
            stopping,
        }
    }

    /// A turn for a read of much of the store; dropping it gives it back.
    ///
    /// # Errors
    /// `overloaded` when others have all of them.
    pub(crate) fn long_read(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.long_reads).try_acquire_owned().map_err(|_| {
            let detail = format!(
                "{LONG_READS} exports and previews are under way already; ask again when one has ended"
            );
            Problem::new(ProblemCode::Overloaded, detail).into()
        })
    }

    /// People reach the console at this address, perhaps through a proxy (empty if nobody said), and programs at that
    /// or at one of `names`. What no name of the public DNS can be is ours without being named.
    #[must_use]
    pub fn reached_at(mut self, public_url: &str, names: &[String]) -> Self {
        public_url.clone_into(&mut self.public_url);
        self.own_names = OwnNames::new(names, public_url);
        self
    }

    /// Services reach the API at this address, which is what they are told for callbacks.
    #[must_use]
    pub fn called_back_at(mut self, url: Option<Arc<str>>) -> Self {
        self.own_names = self.own_names.and_host_of(url.as_deref().unwrap_or_default());
        self.callbacks = url;
        self
    }

    /// Refuses rulebooks whose services are where no request goes.
    #[must_use]
    pub fn reaching(mut self, allow_hosts: AllowedHosts) -> Self {
        self.allow_hosts = allow_hosts;
        self
    }

    /// Lets in whom it says. Without it, whoever comes may do everything.
    #[must_use]
    pub fn guarded_by(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Reads messages of brokers once more, from who may report there.
    #[must_use]
    pub fn hearing(mut self, channels: Channels) -> Self {
        self.channels = Arc::new(channels);
        self
    }

    /// Shows none of these values in any answer.
    #[must_use]
    pub fn withholding(mut self, values: Withheld) -> Self {
        self.withheld = values;
        self
    }

    /// Shows the nodes that share the store, and has people drain them.
    #[must_use]
    pub(crate) fn among(mut self, nodes: Nodes) -> Self {
        self.nodes = nodes;
        self
    }

    /// Takes backups, into this folder only; it is made when it is first needed. Without one, backups are refused.
    #[must_use]
    pub fn with_backups(mut self, folder: PathBuf) -> Self {
        self.backups = Some(BackupFolder::new(folder));
        self
    }
}

impl<S: Store> Clone for App<S> {
    fn clone(&self) -> Self {
        Self {
            channels: Arc::clone(&self.channels),
            supervisor: self.supervisor.clone(),
            rejections: self.rejections.clone(),
            limits: self.limits,
            versions: self.versions.clone(),
            verdicts: self.verdicts.clone(),
            streams: Arc::clone(&self.streams),
            bodies: self.bodies.clone(),
            workshop: self.workshop.clone(),
            long_reads: Arc::clone(&self.long_reads),
            case_reads: Arc::clone(&self.case_reads),
            allow_hosts: self.allow_hosts.clone(),
            backups: self.backups.clone(),
            bulks: self.bulks.clone(),
            nodes: self.nodes.clone(),
            public_url: self.public_url.clone(),
            callbacks: self.callbacks.clone(),
            withheld: self.withheld.clone(),
            own_names: self.own_names.clone(),
            access: self.access.clone(),
            pace: self.pace.clone(),
            stopping: self.stopping.clone(),
        }
    }
}
