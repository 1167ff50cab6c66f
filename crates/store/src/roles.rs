//! The roles of a store that is made of threads (`threads.rs`) over tables (`tables/`), whichever database has them.

/// Gives a store the roles that all stores have in common. It has `writing()` and `reading()`, the asking sides of its
/// threads, and `copy_to`; what works on the writing thread has `find`, `load`, `settings`, `adopt`, `open_cases`,
/// `prune`, `claim`, `raise`, `release`; `change`, for what no loop decided; and `add`, for what anybody may write who
/// shares the store.
macro_rules! roles {
    ($store:ty) => {
        impl Ledger for $store {
            async fn find(&self, wanted: LookupRequest) -> Result<LookupResult, StoreError> {
                self.writing().order(move |writer| writer.find(&wanted)).await
            }

            async fn load(&self) -> Result<Loaded, StoreError> {
                self.writing().order(|writer| writer.load()).await
            }

            async fn settings(&self) -> Result<Settings, StoreError> {
                self.writing().order(|writer| writer.settings()).await
            }

            async fn adopt(&self, partition: Partition) -> Result<Adopted, StoreError> {
                self.writing().order(move |writer| writer.adopt(partition)).await
            }

            async fn open(
                &self,
                partition: Partition,
                after: OpenPlace,
                most: usize,
            ) -> Result<OpenPage, StoreError> {
                self.writing().order(move |writer| writer.open_cases(partition, after, most)).await
            }

            async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
                self.writing().commit(batch).await
            }
        }

        impl Archive for $store {
            async fn cases(
                &self,
                filter: CaseFilter,
                page: PageRequest,
            ) -> Result<RowPage<ListedCase>, StoreError> {
                self.reading().ask(move |conn| case_list::cases(conn, &filter, &page)).await
            }

            async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
                self.reading().ask(move |conn| records::case(conn, id)).await
            }

            async fn rulebooks_of(
                &self,
                cases: Vec<CaseId>,
            ) -> Result<BTreeMap<CaseId, Option<Arc<str>>>, StoreError> {
                self.reading().ask(move |conn| lookup::rulebooks_of(conn, &cases)).await
            }

            async fn steps(
                &self,
                filter: StepFilter,
                page: PageRequest,
            ) -> Result<RowPage<ListedStep>, StoreError> {
                self.reading().ask(move |conn| step_list::steps(conn, &filter, &page)).await
            }

            async fn step(&self, id: StepId) -> Result<Option<StepRecord>, StoreError> {
                self.reading().ask(move |conn| records::step(conn, id)).await
            }

            async fn acts(
                &self,
                filter: ActFilter,
                page: PageRequest,
            ) -> Result<RowPage<AuditEntry>, StoreError> {
                self.reading().ask(move |conn| act_list::acts(conn, filter, &page)).await
            }

            async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
                self.reading().ask(|conn| chain::ends(conn)).await
            }

            async fn saga(&self, saga: &SagaId) -> Result<Option<SagaRow>, StoreError> {
                let saga = saga.clone();
                self.reading().ask(move |conn| lookup::saga(conn, &saga)).await
            }

            async fn case_counts(&self) -> Result<BTreeMap<CaseState, u64>, StoreError> {
                self.reading().ask(|conn| counts::by_state(conn)).await
            }

            async fn settlements(
                &self,
                since: Timestamp,
                limit: usize,
            ) -> Result<Settlements, StoreError> {
                self.reading().ask(move |conn| counts::settlements(conn, since, limit)).await
            }

            async fn rulebook(&self, hash: Arc<str>) -> Result<Option<RulebookRow>, StoreError> {
                self.reading().ask(move |conn| lookup::rulebook(conn, &hash)).await
            }

            async fn rulebooks(&self) -> Result<Vec<RulebookRow>, StoreError> {
                self.reading().ask(|conn| lookup::rulebooks(conn)).await
            }

            async fn bulk(&self, id: u64) -> Result<Option<BulkRow>, StoreError> {
                self.reading().ask(move |conn| bulks::one(conn, id)).await
            }

            async fn bulks(&self, keep: usize) -> Result<Vec<BulkRow>, StoreError> {
                self.reading().ask(move |conn| bulks::newest(conn, keep)).await
            }

            async fn erasures(
                &self,
                page: PageRequest,
            ) -> Result<RowPage<ListedErasure>, StoreError> {
                self.reading().ask(move |conn| erasures::list(conn, &page)).await
            }

            async fn erasure(
                &self,
                number: u64,
            ) -> Result<Option<(ErasureRow, Vec<ErasedRow>)>, StoreError> {
                self.reading().ask(move |conn| erasures::one(conn, number)).await
            }

            async fn holding(
                &self,
                field: FieldValue,
                after: HoldingPlace,
            ) -> Result<HoldingPage, StoreError> {
                self.reading().ask(move |conn| erasures::holding(conn, &field, after)).await
            }
        }

        impl Upkeep for $store {
            async fn prune(
                &self,
                settled_before: impl Into<SettledBefore> + Send,
                limit: usize,
            ) -> Result<usize, StoreError> {
                let settled_before = settled_before.into();
                self.writing().order(move |writer| writer.prune(&settled_before, limit)).await
            }

            async fn prune_audit(
                &self,
                made_before: Timestamp,
                limit: usize,
            ) -> Result<usize, StoreError> {
                self.change(move |conn| chain::prune(conn, made_before, limit)).await
            }

            async fn backup(&self, to: &Path) -> Result<(), StoreError> {
                self.copy_to(to).await
            }

            async fn raw_case(&self, id: CaseId) -> Result<Option<RawCase>, StoreError> {
                self.reading().ask(move |conn| rows_as_they_lie::export(conn, id)).await
            }

            async fn read_raw(&self, raw: RawCase) -> Result<StoredCase, StoreError> {
                self.reading().ask(move |_| mended::read(&raw)).await
            }

            async fn salvage(&self, raw: RawCase) -> Result<Option<StoredCase>, StoreError> {
                Ok(mended::salvage(&raw))
            }

            async fn check_writable(&self) -> Result<(), StoreError> {
                self.add(|conn| marks::touch(conn)).await
            }

            async fn put_bulk(&self, row: BulkRow) -> Result<(), StoreError> {
                self.change(move |conn| bulks::put(conn, &row)).await
            }
        }

        impl Credentials for $store {
            async fn credentials(&self) -> Result<Vec<CredentialRow>, StoreError> {
                self.reading().ask(|conn| credentials::all(conn)).await
            }

            async fn put_credential(&self, row: CredentialRow) -> Result<(), StoreError> {
                self.add(move |conn| credentials::put(conn, &row)).await
            }

            async fn drop_credential(
                &self,
                kind: CredentialKind,
                id: String,
            ) -> Result<(), StoreError> {
                self.add(move |conn| credentials::remove(conn, kind, &id)).await
            }
        }

        impl Rejected for $store {
            async fn reject(
                &self,
                row: RejectedRow,
                most: RejectedLimits,
            ) -> Result<RejectedKept, StoreError> {
                self.add(move |conn| rejected::put(conn, &row, most)).await
            }

            async fn rejected(
                &self,
                filter: RejectedFilter,
                page: PageRequest,
            ) -> Result<RowPage<ListedRejected>, StoreError> {
                self.reading().ask(move |conn| rejected::list(conn, &filter, &page)).await
            }

            async fn rejected_one(
                &self,
                id: RejectedId,
            ) -> Result<Option<RejectedRow>, StoreError> {
                self.reading().ask(move |conn| rejected::one(conn, id)).await
            }

            async fn make_room_for_rejected(
                &self,
                most: RejectedLimits,
            ) -> Result<u64, StoreError> {
                self.add(move |conn| rejected::make_room(conn, most)).await
            }

            async fn rejected_count(&self) -> Result<u64, StoreError> {
                self.reading().ask(|conn| rejected::count(conn)).await
            }

            async fn forget_rejected(&self, id: RejectedId) -> Result<bool, StoreError> {
                self.add(move |conn| rejected::forget(conn, id)).await
            }

            async fn prune_rejected(
                &self,
                before: Timestamp,
                limit: usize,
            ) -> Result<usize, StoreError> {
                self.change(move |conn| rejected::prune(conn, before, limit)).await
            }
        }

        impl Leases for $store {
            async fn beat(&self) -> Result<Beat, StoreError> {
                self.show_life().await
            }

            async fn claim(&self, most: usize) -> Result<Vec<Lease>, StoreError> {
                self.writing().order(move |writer| writer.claim(most)).await
            }

            async fn raise(&self) -> Result<Vec<Lease>, StoreError> {
                self.writing().order(|writer| writer.raise()).await
            }

            async fn release(&self, partitions: Vec<Partition>) -> Result<(), StoreError> {
                self.writing().order(move |writer| writer.release(&partitions)).await
            }

            fn saw_settings(&self, version: u64) {
                self.tell_settings(version);
            }
        }

        impl $store {
            async fn change<T: Send + 'static>(
                &self,
                work: impl FnOnce(&dyn Tables) -> Result<T, StoreError> + Send + 'static,
            ) -> Result<T, StoreError> {
                self.writing().order(move |writer| writer.change(work)).await
            }

            async fn add<T: Send + 'static>(
                &self,
                work: impl FnOnce(&dyn Tables) -> Result<T, StoreError> + Send + 'static,
            ) -> Result<T, StoreError> {
                self.writing().order(move |writer| writer.add(work)).await
            }
        }
    };
}

pub(crate) use roles;

/// What the macro names.
pub(crate) mod names {
    pub(crate) use crate::{
        ActFilter, Adopted, Archive, AuditEnds, AuditEntry, Batch, Beat, BulkRow, CaseFilter,
        CaseRecord, Committed, CredentialKind, CredentialRow, Credentials, FieldValue, HoldingPage,
        HoldingPlace, Lease, Leases, Ledger, ListedCase, ListedErasure, ListedRejected, ListedStep,
        Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace, PageRequest, Partition, RawCase,
        Rejected, RejectedFilter, RejectedKept, RejectedLimits, RejectedRow, RowPage, RulebookRow,
        Settings, SettledBefore, Settlements, StepFilter, StepRecord, StoreError, Upkeep,
        sqlite::raw as mended,
        tables::{
            Tables, act_list, bulks, case_list, chain, counts, credentials, erasures, lookup,
            marks, raw as rows_as_they_lie, records, rejected, step_list,
        },
    };
    pub(crate) use amends_api::{CaseState, RejectedId};
    pub(crate) use amends_engine::{ErasedRow, ErasureRow, SagaRow, StoredCase};
    pub(crate) use amends_protocol::{CaseId, SagaId, StepId, Timestamp};
    pub(crate) use std::{collections::BTreeMap, path::Path, sync::Arc};
}
