//! A store that forgets everything at once: what remains is the server without its database.

use amends_api::audit::ChainLink;
use amends_api::{CaseState, RejectedId};
use amends_engine::{ErasedRow, ErasureRow, StoredCase};
use amends_protocol::{CaseId, SagaId, StepId, Timestamp};
use amends_store::{
    ActFilter, Adopted, Archive, AuditEnds, AuditEntry, Batch, Beat, BulkRow, Calls, CaseFilter,
    CaseRecord, Committed, CredentialKind, CredentialRow, Credentials, Epoch, FieldValue,
    HoldingPage, HoldingPlace, Lease, Leases, Ledger, Letters, ListedCase, ListedErasure,
    ListedRejected, ListedStep, Loaded, LookupRequest, LookupResult, Nodes, OpenPage, OpenPlace,
    PageRequest, Partition, RawCase, Rejected, RejectedFilter, RejectedKept, RejectedLimits,
    RejectedRow, RowPage, RulebookRow, Settings, SettledBefore, Settlements, StepFilter,
    StepRecord, StoreError, Upkeep,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Takes everything, keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct NullStore;

impl Ledger for NullStore {
    async fn find(&self, wanted: LookupRequest) -> Result<LookupResult, StoreError> {
        Ok(LookupResult { reports: vec![None; wanted.reports.len()], ..LookupResult::default() })
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        Ok(Settings::default())
    }

    async fn adopt(&self, partition: Partition) -> Result<Adopted, StoreError> {
        Err(StoreError::NotHeld { partition, epoch: Epoch::default() })
    }

    async fn open(
        &self,
        _partition: Partition,
        _after: OpenPlace,
        _most: usize,
    ) -> Result<OpenPage, StoreError> {
        Ok(OpenPage::default())
    }

    async fn commit(&self, _batch: Batch) -> Result<Committed, StoreError> {
        Ok(Committed::default())
    }
}

impl Archive for NullStore {
    async fn cases(
        &self,
        _f: CaseFilter,
        _p: PageRequest,
    ) -> Result<RowPage<ListedCase>, StoreError> {
        Ok(RowPage::default())
    }

    async fn case(&self, _id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        Ok(None)
    }

    async fn rulebooks_of(
        &self,
        _cases: Vec<CaseId>,
    ) -> Result<BTreeMap<CaseId, Option<Arc<str>>>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn steps(
        &self,
        _f: StepFilter,
        _p: PageRequest,
    ) -> Result<RowPage<ListedStep>, StoreError> {
        Ok(RowPage::default())
    }

    async fn step(&self, _id: StepId) -> Result<Option<StepRecord>, StoreError> {
        Ok(None)
    }

    async fn acts(
        &self,
        _f: ActFilter,
        _p: PageRequest,
    ) -> Result<RowPage<AuditEntry>, StoreError> {
        Ok(RowPage::default())
    }

    async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
        Ok(AuditEnds { removed: ChainLink::START, written: ChainLink::START })
    }

    async fn saga(&self, _saga: &SagaId) -> Result<Option<amends_engine::SagaRow>, StoreError> {
        Ok(None)
    }

    async fn case_counts(&self) -> Result<BTreeMap<CaseState, u64>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn settlements(
        &self,
        _since: Timestamp,
        _limit: usize,
    ) -> Result<Settlements, StoreError> {
        Ok(Settlements::default())
    }

    async fn rulebook(&self, _hash: Arc<str>) -> Result<Option<RulebookRow>, StoreError> {
        Ok(None)
    }

    async fn rulebooks(&self) -> Result<Vec<RulebookRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn bulk(&self, _id: u64) -> Result<Option<BulkRow>, StoreError> {
        Ok(None)
    }

    async fn bulks(&self, _keep: usize) -> Result<Vec<BulkRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn erasures(&self, _page: PageRequest) -> Result<RowPage<ListedErasure>, StoreError> {
        Ok(RowPage::default())
    }

    async fn erasure(
        &self,
        _number: u64,
    ) -> Result<Option<(ErasureRow, Vec<ErasedRow>)>, StoreError> {
        Ok(None)
    }

    async fn holding(
        &self,
        _field: FieldValue,
        _after: HoldingPlace,
    ) -> Result<HoldingPage, StoreError> {
        Ok(HoldingPage { found: Vec::new(), next: None })
    }
}

impl Upkeep for NullStore {
    async fn prune(
        &self,
        _settled_before: impl Into<SettledBefore> + Send,
        _limit: usize,
    ) -> Result<usize, StoreError> {
        Ok(0)
    }

    async fn prune_audit(
        &self,
        _made_before: Timestamp,
        _limit: usize,
    ) -> Result<usize, StoreError> {
        Ok(0)
    }

    async fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn raw_case(&self, _id: CaseId) -> Result<Option<RawCase>, StoreError> {
        Ok(None)
    }

    async fn read_raw(&self, _raw: RawCase) -> Result<StoredCase, StoreError> {
        Err(StoreError::Closed)
    }

    async fn salvage(&self, _raw: RawCase) -> Result<Option<StoredCase>, StoreError> {
        Ok(None)
    }

    async fn put_bulk(&self, _row: BulkRow) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Credentials for NullStore {
    async fn credentials(&self) -> Result<Vec<CredentialRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn put_credential(&self, _row: CredentialRow) -> Result<(), StoreError> {
        Ok(())
    }

    async fn drop_credential(&self, _kind: CredentialKind, _id: String) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Rejected for NullStore {
    async fn reject(
        &self,
        _row: RejectedRow,
        _most: RejectedLimits,
    ) -> Result<RejectedKept, StoreError> {
        Ok(RejectedKept { is_new: true, dropped: 0 })
    }

    async fn rejected(
        &self,
        _f: RejectedFilter,
        _p: PageRequest,
    ) -> Result<RowPage<ListedRejected>, StoreError> {
        Ok(RowPage::default())
    }

    async fn rejected_one(&self, _id: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        Ok(None)
    }

    async fn make_room_for_rejected(&self, _: RejectedLimits) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn rejected_count(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn forget_rejected(&self, _id: RejectedId) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn prune_rejected(
        &self,
        _rejected_before: Timestamp,
        _limit: usize,
    ) -> Result<usize, StoreError> {
        Ok(0)
    }
}

impl Leases for NullStore {
    fn saw_settings(&self, _version: u64) {}

    async fn beat(&self) -> Result<Beat, StoreError> {
        Ok(Beat::default())
    }

    async fn claim(&self, _most: usize) -> Result<Vec<Lease>, StoreError> {
        Ok(vec![Lease { partition: Partition::WHOLE, epoch: Epoch(0) }])
    }

    async fn raise(&self) -> Result<Vec<Lease>, StoreError> {
        self.claim(1).await
    }

    async fn release(&self, _partitions: Vec<Partition>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Nodes for NullStore {}
impl Letters for NullStore {}
impl Calls for NullStore {}
