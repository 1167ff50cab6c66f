//! The store that a configuration names, whatever its kind. Adds nothing: each role is handed on as it is.

use crate::{
    ActFilter, Adopted, Archive, AuditEnds, AuditEntry, Batch, Beat, BulkRow, Call, Calls,
    CaseFilter, CaseRecord, ClusterSeen, Committed, CredentialKind, CredentialRow, Credentials,
    FieldValue, Hearing, HoldingPage, HoldingPlace, Lease, Leases, Ledger, LetterId, Letters,
    LettersRead, LettersWanted, ListedCase, ListedErasure, ListedRejected, ListedStep, Listening,
    Loaded, LookupRequest, LookupResult, NodeSeen, Nodes, OpenPage, OpenPlace, PageRequest,
    Partition, PermitsHeld, PermitsWanted, RawCase, Rejected, RejectedFilter, RejectedKept,
    RejectedLimits, RejectedRow, RowPage, RulebookRow, Settings, SettledBefore, Settlements,
    SqliteStore, StepFilter, StepRecord, StoreError, Upkeep,
};
use amends_api::{CaseState, RejectedId};
use amends_engine::{ErasedRow, ErasureRow, SagaRow, StoredCase};
use amends_protocol::{CaseId, SagaId, StepId, Timestamp};
use std::{collections::BTreeMap, path::Path, pin::Pin, sync::Arc};

#[cfg(feature = "postgres")]
use crate::PostgresStore;

/// A store of one of the kinds that this build knows. Clones share it.
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// In one SQLite file.
    Sqlite(SqliteStore),
    /// In a database of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

impl From<SqliteStore> for AnyStore {
    fn from(store: SqliteStore) -> Self {
        Self::Sqlite(store)
    }
}

#[cfg(feature = "postgres")]
impl From<PostgresStore> for AnyStore {
    fn from(store: PostgresStore) -> Self {
        Self::Postgres(store)
    }
}

impl AnyStore {
    /// Ends when the last clone is gone and everything of the store is closed. Does not keep it open.
    pub fn closed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::Sqlite(store) => Box::pin(store.closed()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Box::pin(store.closed()),
        }
    }
}

impl AnyStore {
    /// Looks at the nodes that share it; none if it is in a file, which is never shared.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn cluster(&self) -> Result<Option<ClusterSeen>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.cluster().await.map(Some),
        }
    }

    /// Tells a node that shares it to give back all that it holds and to take nothing more, or to go on; until its
    /// process ends. False if no node of this name lives.
    ///
    /// # Errors
    /// When the store can't be written.
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))]
    pub async fn tell_leaving(&self, node: String, leaving: bool) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(false),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.tell_leaving(node, leaving).await,
        }
    }
}

/// Asks the store that there is.
macro_rules! ask {
    ($any:ident.$role:ident($($argument:expr),*)) => {
        match $any {
            Self::Sqlite(store) => store.$role($($argument),*).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.$role($($argument),*).await,
        }
    };
}

impl Ledger for AnyStore {
    async fn find(&self, wanted: LookupRequest) -> Result<LookupResult, StoreError> {
        ask!(self.find(wanted))
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        ask!(self.load())
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        ask!(self.settings())
    }

    async fn adopt(&self, partition: Partition) -> Result<Adopted, StoreError> {
        ask!(self.adopt(partition))
    }

    async fn open(
        &self,
        partition: Partition,
        after: OpenPlace,
        most: usize,
    ) -> Result<OpenPage, StoreError> {
        // A store of its own has an `open`, too, which makes one.
        match self {
            Self::Sqlite(store) => Ledger::open(store, partition, after, most).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Ledger::open(store, partition, after, most).await,
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        ask!(self.commit(batch))
    }
}

impl Archive for AnyStore {
    async fn cases(
        &self,
        filter: CaseFilter,
        page: PageRequest,
    ) -> Result<RowPage<ListedCase>, StoreError> {
        ask!(self.cases(filter, page))
    }

    async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        ask!(self.case(id))
    }

    async fn rulebooks_of(
        &self,
        cases: Vec<CaseId>,
    ) -> Result<BTreeMap<CaseId, Option<Arc<str>>>, StoreError> {
        ask!(self.rulebooks_of(cases))
    }

    async fn steps(
        &self,
        filter: StepFilter,
        page: PageRequest,
    ) -> Result<RowPage<ListedStep>, StoreError> {
        ask!(self.steps(filter, page))
    }

    async fn step(&self, id: StepId) -> Result<Option<StepRecord>, StoreError> {
        ask!(self.step(id))
    }

    async fn acts(
        &self,
        filter: ActFilter,
        page: PageRequest,
    ) -> Result<RowPage<AuditEntry>, StoreError> {
        ask!(self.acts(filter, page))
    }

    async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
        ask!(self.audit_ends())
    }

    async fn saga(&self, saga: &SagaId) -> Result<Option<SagaRow>, StoreError> {
        ask!(self.saga(saga))
    }

    async fn case_counts(&self) -> Result<BTreeMap<CaseState, u64>, StoreError> {
        ask!(self.case_counts())
    }

    async fn settlements(&self, since: Timestamp, limit: usize) -> Result<Settlements, StoreError> {
        ask!(self.settlements(since, limit))
    }

    async fn rulebook(&self, hash: Arc<str>) -> Result<Option<RulebookRow>, StoreError> {
        ask!(self.rulebook(hash))
    }

    async fn rulebooks(&self) -> Result<Vec<RulebookRow>, StoreError> {
        ask!(self.rulebooks())
    }

    async fn bulk(&self, id: u64) -> Result<Option<BulkRow>, StoreError> {
        ask!(self.bulk(id))
    }

    async fn bulks(&self, keep: usize) -> Result<Vec<BulkRow>, StoreError> {
        ask!(self.bulks(keep))
    }

    async fn erasures(&self, page: PageRequest) -> Result<RowPage<ListedErasure>, StoreError> {
        ask!(self.erasures(page))
    }

    async fn erasure(
        &self,
        number: u64,
    ) -> Result<Option<(ErasureRow, Vec<ErasedRow>)>, StoreError> {
        ask!(self.erasure(number))
    }

    async fn holding(
        &self,
        field: FieldValue,
        after: HoldingPlace,
    ) -> Result<HoldingPage, StoreError> {
        ask!(self.holding(field, after))
    }
}

impl Upkeep for AnyStore {
    async fn prune(
        &self,
        settled_before: impl Into<SettledBefore> + Send,
        limit: usize,
    ) -> Result<usize, StoreError> {
        ask!(self.prune(settled_before, limit))
    }

    async fn prune_audit(&self, made_before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        ask!(self.prune_audit(made_before, limit))
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        ask!(self.backup(to))
    }

    async fn raw_case(&self, id: CaseId) -> Result<Option<RawCase>, StoreError> {
        ask!(self.raw_case(id))
    }

    async fn read_raw(&self, raw: RawCase) -> Result<StoredCase, StoreError> {
        ask!(self.read_raw(raw))
    }

    async fn salvage(&self, raw: RawCase) -> Result<Option<StoredCase>, StoreError> {
        ask!(self.salvage(raw))
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        ask!(self.check_writable())
    }

    async fn put_bulk(&self, row: BulkRow) -> Result<(), StoreError> {
        ask!(self.put_bulk(row))
    }
}

impl Leases for AnyStore {
    async fn beat(&self) -> Result<Beat, StoreError> {
        ask!(self.beat())
    }

    async fn claim(&self, most: usize) -> Result<Vec<Lease>, StoreError> {
        ask!(self.claim(most))
    }

    async fn raise(&self) -> Result<Vec<Lease>, StoreError> {
        ask!(self.raise())
    }

    async fn release(&self, partitions: Vec<Partition>) -> Result<(), StoreError> {
        ask!(self.release(partitions))
    }

    fn saw_settings(&self, version: u64) {
        match self {
            Self::Sqlite(store) => store.saw_settings(version),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.saw_settings(version),
        }
    }
}

impl Nodes for AnyStore {
    fn is_shared(&self) -> bool {
        match self {
            Self::Sqlite(store) => store.is_shared(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.is_shared(),
        }
    }

    async fn nodes(&self) -> Result<Vec<NodeSeen>, StoreError> {
        ask!(self.nodes())
    }

    async fn highest_sequence(&self) -> Result<u64, StoreError> {
        ask!(self.highest_sequence())
    }

    async fn permits(&self, wanted: Vec<PermitsWanted>) -> Result<Vec<PermitsHeld>, StoreError> {
        ask!(self.permits(wanted))
    }
}

impl Letters for AnyStore {
    async fn letters(&self, wanted: Vec<LettersWanted>) -> Result<Vec<LettersRead>, StoreError> {
        ask!(self.letters(wanted))
    }

    async fn letter_waits(&self, id: LetterId) -> Result<bool, StoreError> {
        ask!(self.letter_waits(id))
    }

    async fn letters_waiting(&self) -> Result<Vec<(Partition, u64)>, StoreError> {
        ask!(self.letters_waiting())
    }
}

impl Calls for AnyStore {
    fn own_name(&self) -> Option<Arc<str>> {
        match self {
            Self::Sqlite(store) => store.own_name(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.own_name(),
        }
    }

    fn say(&self, text: String) {
        match self {
            Self::Sqlite(store) => store.say(text),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.say(text),
        }
    }

    fn listen(&self) -> Listening {
        match self {
            Self::Sqlite(store) => store.listen(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.listen(),
        }
    }

    fn call(&self, call: Call) {
        match self {
            Self::Sqlite(store) => store.call(call),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.call(call),
        }
    }

    fn hear(&self) -> Hearing {
        match self {
            Self::Sqlite(store) => store.hear(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.hear(),
        }
    }
}

impl Credentials for AnyStore {
    async fn credentials(&self) -> Result<Vec<CredentialRow>, StoreError> {
        ask!(self.credentials())
    }

    async fn put_credential(&self, row: CredentialRow) -> Result<(), StoreError> {
        ask!(self.put_credential(row))
    }

    async fn drop_credential(&self, kind: CredentialKind, id: String) -> Result<(), StoreError> {
        ask!(self.drop_credential(kind, id))
    }
}

impl Rejected for AnyStore {
    async fn reject(
        &self,
        row: RejectedRow,
        most: RejectedLimits,
    ) -> Result<RejectedKept, StoreError> {
        ask!(self.reject(row, most))
    }

    async fn rejected(
        &self,
        filter: RejectedFilter,
        page: PageRequest,
    ) -> Result<RowPage<ListedRejected>, StoreError> {
        ask!(self.rejected(filter, page))
    }

    async fn rejected_one(&self, id: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        ask!(self.rejected_one(id))
    }

    async fn make_room_for_rejected(&self, most: RejectedLimits) -> Result<u64, StoreError> {
        ask!(self.make_room_for_rejected(most))
    }

    async fn rejected_count(&self) -> Result<u64, StoreError> {
        ask!(self.rejected_count())
    }

    async fn forget_rejected(&self, id: RejectedId) -> Result<bool, StoreError> {
        ask!(self.forget_rejected(id))
    }

    async fn prune_rejected(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        ask!(self.prune_rejected(before, limit))
    }
}
