//! The store on SQLite: one directory, one writing thread, a few reading threads. Other databases are none of its
//! affair.

mod act_rows;
mod audit;
mod audit_begin;
#[cfg(test)]
mod audit_tests;
mod bulks;
mod case_list;
mod checkpoint;
mod codes;
mod connection;
mod counts;
mod credentials;
pub(crate) mod cursor;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod erase_tests;
mod erasures;
mod inspect;
mod key;
mod lease;
mod lists;
mod lookup;
mod order;
mod raw;
mod reader;
mod records;
mod rejected;
mod rows;
mod scrub;
mod search;
#[cfg(test)]
mod tests;
mod upkeep;
mod write;
mod writer;

pub use audit::verify_audit;
pub use connection::FILE_NAME;
pub use inspect::{StoreSeen, copy_store, inspect};

use crate::{
    ActFilter, Archive, AuditEnds, AuditEntry, Batch, BulkRow, CaseFilter, CaseRecord,
    CredentialKind, CredentialRow, Credentials, FieldValue, HoldingPage, HoldingPlace, Lease,
    Leases, Ledger, ListedCase, ListedErasure, ListedRejected, ListedStep, Loaded, LookupRequest,
    LookupResult, OpenPage, OpenPlace, PageRequest, Partition, RawCase, Rejected, RejectedFilter,
    RejectedKept, RejectedLimits, RejectedRow, RowPage, RulebookRow, SettledBefore, Settlements,
    StepFilter, StepRecord, StoreError, Upkeep,
};
use amends_api::{CaseState, RejectedId};
use amends_engine::{ErasedRow, ErasureRow, SagaRow, StoredCase};
use amends_protocol::{CaseId, SagaId, StepId, Timestamp};
use checkpoint::Checkpointer;
use reader::Readers;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::{mpsc, oneshot};
use writer::{Command, QUEUE, RejectedCommand, Reply, Writer};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Connections for reading; at least 1. They hold a thread each.
    pub readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 2 }
    }
}

/// A store in one SQLite file. Clones share it; when the last is dropped, queued commits are finished, the write-ahead
/// log is put into the file and the directory is free again (this blocks for that long).
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

struct Shared {
    path: PathBuf,
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
    readers: Option<Readers>,
    // Dropped after all threads have ended.
    _lock: File,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Readers first: an old snapshot of theirs would keep the log from being emptied.
        self.readers = None;
        self.commands = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl SqliteStore {
    /// Opens the store in a directory, or begins one there. The file is [`FILE_NAME`], readable by its owner alone.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another supervisor (or another call) has it open; [`StoreError::NewerSchema`] when
    /// a newer version wrote it; otherwise what the system or SQLite says.
    pub fn open(dir: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        let lock = connection::lock_directory(dir)?;
        let path = dir.join(FILE_NAME);
        let conn = connection::open_writer(&path)?;
        let checkpointer = Checkpointer::start(&path, &conn)?;
        let readers = Readers::start(&path, options.readers.max(1))?;
        let (commands, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(conn, checkpointer);
        let thread = thread::Builder::new()
            .name("amends-write".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(connection::file("start a thread for", &path))?;
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                commands: Some(commands),
                writer: Some(thread),
                readers: Some(readers),
                _lock: lock,
            }),
        })
    }

    async fn order<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.shared.commands.as_ref().ok_or(StoreError::Closed)?;
        commands.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    fn readers(&self) -> Result<&Readers, StoreError> {
        self.shared.readers.as_ref().ok_or(StoreError::Closed)
    }
}

impl Ledger for SqliteStore {
    async fn find(&self, wanted: LookupRequest) -> Result<LookupResult, StoreError> {
        self.order(|reply| Command::Find(wanted, reply)).await
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.order(Command::Load).await
    }

    async fn open(&self, after: OpenPlace, most: usize) -> Result<OpenPage, StoreError> {
        self.order(|reply| Command::Open { after, most, reply }).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.order(|reply| Command::Commit(batch, reply)).await
    }
}

impl Archive for SqliteStore {
    async fn cases(
        &self,
        filter: CaseFilter,
        page: PageRequest,
    ) -> Result<RowPage<ListedCase>, StoreError> {
        self.readers()?.ask(move |conn| case_list::cases(conn, &filter, &page)).await
    }

    async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        self.readers()?.ask(move |conn| records::case(conn, id)).await
    }

    async fn rulebooks_of(
        &self,
        cases: Vec<CaseId>,
    ) -> Result<BTreeMap<CaseId, Option<Arc<str>>>, StoreError> {
        self.readers()?.ask(move |conn| lookup::rulebooks_of(conn, &cases)).await
    }

    async fn steps(
        &self,
        filter: StepFilter,
        page: PageRequest,
    ) -> Result<RowPage<ListedStep>, StoreError> {
        self.readers()?.ask(move |conn| lists::steps(conn, &filter, &page)).await
    }

    async fn step(&self, id: StepId) -> Result<Option<StepRecord>, StoreError> {
        self.readers()?.ask(move |conn| records::step(conn, id)).await
    }

    async fn acts(
        &self,
        filter: ActFilter,
        page: PageRequest,
    ) -> Result<RowPage<AuditEntry>, StoreError> {
        self.readers()?.ask(move |conn| lists::acts(conn, filter, &page)).await
    }

    async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
        self.readers()?.ask(audit::ends).await
    }

    async fn saga(&self, saga: &SagaId) -> Result<Option<SagaRow>, StoreError> {
        let saga = saga.clone();
        self.readers()?.ask(move |conn| lookup::saga(conn, &saga)).await
    }

    async fn case_counts(&self) -> Result<BTreeMap<CaseState, u64>, StoreError> {
        self.readers()?.ask(counts::by_state).await
    }

    async fn settlements(&self, since: Timestamp, limit: usize) -> Result<Settlements, StoreError> {
        self.readers()?.ask(move |conn| counts::settlements(conn, since, limit)).await
    }

    async fn rulebook(&self, hash: Arc<str>) -> Result<Option<RulebookRow>, StoreError> {
        self.readers()?.ask(move |conn| lookup::rulebook(conn, &hash)).await
    }

    async fn rulebooks(&self) -> Result<Vec<RulebookRow>, StoreError> {
        self.readers()?.ask(lookup::rulebooks).await
    }

    async fn bulk(&self, id: u64) -> Result<Option<BulkRow>, StoreError> {
        self.readers()?.ask(move |conn| bulks::one(conn, id)).await
    }

    async fn bulks(&self, keep: usize) -> Result<Vec<BulkRow>, StoreError> {
        self.readers()?.ask(move |conn| bulks::newest(conn, keep)).await
    }

    async fn erasures(&self, page: PageRequest) -> Result<RowPage<ListedErasure>, StoreError> {
        self.readers()?.ask(move |conn| erasures::list(conn, &page)).await
    }

    async fn erasure(
        &self,
        number: u64,
    ) -> Result<Option<(ErasureRow, Vec<ErasedRow>)>, StoreError> {
        self.readers()?.ask(move |conn| erasures::one(conn, number)).await
    }

    async fn holding(
        &self,
        field: FieldValue,
        after: HoldingPlace,
    ) -> Result<HoldingPage, StoreError> {
        self.readers()?.ask(move |conn| erasures::holding(conn, &field, after)).await
    }
}

impl Upkeep for SqliteStore {
    async fn prune(
        &self,
        settled_before: impl Into<SettledBefore> + Send,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let settled_before = settled_before.into();
        self.order(|reply| Command::Prune { settled_before, limit, reply }).await
    }

    async fn prune_audit(&self, made_before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.order(|reply| Command::PruneAudit { made_before, limit, reply }).await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (from, to) = (self.shared.path.clone(), to.to_owned());
        let (reply, done) = oneshot::channel();
        // A thread of its own: it takes as long as the file is large, and must not keep a reader busy.
        thread::Builder::new()
            .name("amends-backup".to_owned())
            .spawn(move || {
                let _ = reply.send(upkeep::backup(&from, &to));
            })
            .map_err(connection::file("start a thread for", &self.shared.path))?;
        done.await.map_err(|_| StoreError::Closed)?
    }

    async fn raw_case(&self, id: CaseId) -> Result<Option<RawCase>, StoreError> {
        self.readers()?.ask(move |conn| raw::export(conn, id)).await
    }

    async fn read_raw(&self, raw: RawCase) -> Result<StoredCase, StoreError> {
        self.readers()?.ask(move |_| raw::read(&raw)).await
    }

    async fn salvage(&self, raw: RawCase) -> Result<Option<StoredCase>, StoreError> {
        Ok(raw::salvage(&raw))
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.order(Command::CheckWritable).await
    }

    async fn put_bulk(&self, row: BulkRow) -> Result<(), StoreError> {
        self.order(|reply| Command::PutBulk(row, reply)).await
    }
}

/// One node owns the directory as a whole: its lock is the claim, and it lives as long as its process.
impl Leases for SqliteStore {
    async fn beat(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn claim(&self, most: usize) -> Result<Vec<Lease>, StoreError> {
        self.order(|reply| Command::Claim(most, reply)).await
    }

    async fn raise(&self) -> Result<Vec<Lease>, StoreError> {
        self.order(Command::Raise).await
    }

    async fn release(&self, partitions: Vec<Partition>) -> Result<(), StoreError> {
        self.order(|reply| Command::Release(partitions, reply)).await
    }
}

impl Credentials for SqliteStore {
    async fn credentials(&self) -> Result<Vec<CredentialRow>, StoreError> {
        self.readers()?.ask(credentials::all).await
    }

    async fn put_credential(&self, row: CredentialRow) -> Result<(), StoreError> {
        self.order(|reply| Command::PutCredential(row, reply)).await
    }

    async fn drop_credential(&self, kind: CredentialKind, id: String) -> Result<(), StoreError> {
        self.order(|reply| Command::DropCredential(kind, id, reply)).await
    }
}

impl Rejected for SqliteStore {
    async fn reject(
        &self,
        row: RejectedRow,
        most: RejectedLimits,
    ) -> Result<RejectedKept, StoreError> {
        let row = Box::new(row);
        self.order(|reply| RejectedCommand::Put(row, most, reply).into()).await
    }

    async fn rejected(
        &self,
        filter: RejectedFilter,
        page: PageRequest,
    ) -> Result<RowPage<ListedRejected>, StoreError> {
        self.readers()?.ask(move |conn| rejected::list(conn, &filter, &page)).await
    }

    async fn rejected_one(&self, id: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        self.readers()?.ask(move |conn| rejected::one(conn, id)).await
    }

    async fn rejected_count(&self) -> Result<u64, StoreError> {
        self.readers()?.ask(rejected::count).await
    }

    async fn forget_rejected(&self, id: RejectedId) -> Result<bool, StoreError> {
        self.order(|reply| RejectedCommand::Forget(id, reply).into()).await
    }

    async fn forget_rejected_of(&self, saga: SagaId) -> Result<u64, StoreError> {
        self.order(|reply| RejectedCommand::ForgetOf(saga, reply).into()).await
    }

    async fn prune_rejected(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.order(|reply| RejectedCommand::Prune { before, limit, reply }.into()).await
    }
}
