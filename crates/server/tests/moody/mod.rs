//! SQLite whose commits can be made to fail and are counted, and an outside in which services answer when they may.

#![allow(dead_code)] // each test file uses its own part

use amends_api::{CaseState, RejectedId};
use amends_engine::{
    Effect, ErasedRow, ErasureRow, HistoryResult, SagaRow, StepReading, StepResult, StoredCase,
};
use amends_protocol::{CaseId, Outcome, SagaId, StepId, Timestamp, Verb};
use amends_server::{EffectResult, Outbound, Permit};
use amends_store::{
    ActFilter, Adopted, Archive, AuditEnds, AuditEntry, Batch, Beat, BulkRow, Calls, CaseFilter,
    CaseRecord, Committed, CredentialKind, CredentialRow, Credentials, FieldValue, HoldingPage,
    HoldingPlace, Lease, Leases, Ledger, Letters, ListedCase, ListedErasure, ListedRejected,
    ListedStep, Loaded, LookupRequest, LookupResult, Nodes, OpenPage, OpenPlace, PageRequest,
    Partition, RawCase, Rejected, RejectedFilter, RejectedKept, RejectedLimits, RejectedRow,
    RowPage, RulebookRow, Settings, SettledBefore, Settlements, SqliteStore, StepFilter,
    StepRecord, StoreError, Upkeep,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

type Stored<T> = Result<T, StoreError>;

#[derive(Clone)]
pub struct Moody {
    pub inner: SqliteStore,
    pub failing: Arc<AtomicBool>,
    pub commits: Arc<AtomicUsize>,
    /// What becomes of the next commit; nothing is special about those after it.
    pub next: Arc<Mutex<Option<Fate>>>,
}

/// What becomes of a commit.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It fails, and nothing is stored.
    Fails,
    /// It is stored, and the one who waits is told that it failed: nobody knows how it ended.
    Unknown,
    /// It waits for a permit of `go` before it is stored; `came` has one permit once it waits.
    Waits { came: Arc<Semaphore>, go: Arc<Semaphore> },
}

impl Moody {
    fn mood(&self) -> Stored<()> {
        if self.failing.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(()) }
    }
}

impl Ledger for Moody {
    async fn find(&self, wanted: LookupRequest) -> Stored<LookupResult> {
        self.inner.find(wanted).await
    }

    async fn load(&self) -> Stored<Loaded> {
        self.mood()?;
        self.inner.load().await
    }

    async fn settings(&self) -> Stored<Settings> {
        self.inner.settings().await
    }

    async fn adopt(&self, partition: Partition) -> Stored<Adopted> {
        self.inner.adopt(partition).await
    }

    async fn open(&self, partition: Partition, after: OpenPlace, most: usize) -> Stored<OpenPage> {
        self.inner.open(partition, after, most).await
    }

    async fn commit(&self, batch: Batch) -> Stored<Committed> {
        self.mood()?;
        let fate = self.next.lock().expect("not poisoned").take();
        match &fate {
            Some(Fate::Fails) => return Err(StoreError::Closed),
            Some(Fate::Waits { came, go }) => {
                came.add_permits(1);
                go.acquire().await.expect("never closed").forget();
            }
            Some(Fate::Unknown) | None => {}
        }
        let committed = self.inner.commit(batch).await?;
        self.commits.fetch_add(1, Ordering::SeqCst);
        if matches!(fate, Some(Fate::Unknown)) { Err(StoreError::Closed) } else { Ok(committed) }
    }
}

impl Archive for Moody {
    async fn cases(&self, filter: CaseFilter, page: PageRequest) -> Stored<RowPage<ListedCase>> {
        self.inner.cases(filter, page).await
    }

    async fn case(&self, id: CaseId) -> Stored<Option<CaseRecord>> {
        self.inner.case(id).await
    }

    async fn rulebooks_of(&self, of: Vec<CaseId>) -> Stored<BTreeMap<CaseId, Option<Arc<str>>>> {
        self.inner.rulebooks_of(of).await
    }

    async fn steps(&self, filter: StepFilter, page: PageRequest) -> Stored<RowPage<ListedStep>> {
        self.inner.steps(filter, page).await
    }

    async fn step(&self, id: StepId) -> Stored<Option<StepRecord>> {
        self.inner.step(id).await
    }

    async fn acts(&self, filter: ActFilter, page: PageRequest) -> Stored<RowPage<AuditEntry>> {
        self.inner.acts(filter, page).await
    }

    async fn audit_ends(&self) -> Stored<AuditEnds> {
        self.inner.audit_ends().await
    }

    async fn saga(&self, saga: &SagaId) -> Stored<Option<SagaRow>> {
        self.inner.saga(saga).await
    }

    async fn case_counts(&self) -> Stored<BTreeMap<CaseState, u64>> {
        self.inner.case_counts().await
    }

    async fn settlements(&self, since: Timestamp, limit: usize) -> Stored<Settlements> {
        self.inner.settlements(since, limit).await
    }

    async fn rulebook(&self, hash: Arc<str>) -> Stored<Option<RulebookRow>> {
        self.inner.rulebook(hash).await
    }

    async fn rulebooks(&self) -> Stored<Vec<RulebookRow>> {
        self.inner.rulebooks().await
    }

    async fn bulk(&self, id: u64) -> Stored<Option<BulkRow>> {
        self.inner.bulk(id).await
    }

    async fn bulks(&self, keep: usize) -> Stored<Vec<BulkRow>> {
        self.inner.bulks(keep).await
    }

    async fn erasures(&self, page: PageRequest) -> Stored<RowPage<ListedErasure>> {
        self.inner.erasures(page).await
    }

    async fn erasure(&self, number: u64) -> Stored<Option<(ErasureRow, Vec<ErasedRow>)>> {
        self.inner.erasure(number).await
    }

    async fn holding(&self, field: FieldValue, after: HoldingPlace) -> Stored<HoldingPage> {
        self.inner.holding(field, after).await
    }
}

impl Upkeep for Moody {
    async fn prune(
        &self,
        settled_before: impl Into<SettledBefore> + Send,
        limit: usize,
    ) -> Stored<usize> {
        self.inner.prune(settled_before, limit).await
    }

    async fn prune_audit(&self, made_before: Timestamp, limit: usize) -> Stored<usize> {
        self.inner.prune_audit(made_before, limit).await
    }

    async fn backup(&self, to: &Path) -> Stored<()> {
        self.inner.backup(to).await
    }

    async fn check_writable(&self) -> Stored<()> {
        self.inner.check_writable().await
    }

    async fn raw_case(&self, id: CaseId) -> Stored<Option<RawCase>> {
        self.inner.raw_case(id).await
    }

    async fn read_raw(&self, raw: RawCase) -> Stored<StoredCase> {
        self.inner.read_raw(raw).await
    }

    async fn salvage(&self, raw: RawCase) -> Stored<Option<StoredCase>> {
        self.inner.salvage(raw).await
    }

    async fn put_bulk(&self, row: BulkRow) -> Stored<()> {
        self.inner.put_bulk(row).await
    }
}

impl Credentials for Moody {
    async fn credentials(&self) -> Stored<Vec<CredentialRow>> {
        self.inner.credentials().await
    }

    async fn put_credential(&self, row: CredentialRow) -> Stored<()> {
        self.inner.put_credential(row).await
    }

    async fn drop_credential(&self, kind: CredentialKind, id: String) -> Stored<()> {
        self.inner.drop_credential(kind, id).await
    }
}

impl Rejected for Moody {
    async fn reject(&self, row: RejectedRow, most: RejectedLimits) -> Stored<RejectedKept> {
        self.inner.reject(row, most).await
    }

    async fn rejected(
        &self,
        filter: RejectedFilter,
        page: PageRequest,
    ) -> Stored<RowPage<ListedRejected>> {
        self.inner.rejected(filter, page).await
    }

    async fn make_room_for_rejected(&self, most: RejectedLimits) -> Stored<u64> {
        self.inner.make_room_for_rejected(most).await
    }

    async fn rejected_one(&self, id: RejectedId) -> Stored<Option<RejectedRow>> {
        self.inner.rejected_one(id).await
    }

    async fn rejected_count(&self) -> Stored<u64> {
        self.inner.rejected_count().await
    }

    async fn forget_rejected(&self, id: RejectedId) -> Stored<bool> {
        self.inner.forget_rejected(id).await
    }

    async fn prune_rejected(&self, before: Timestamp, limit: usize) -> Stored<usize> {
        self.inner.prune_rejected(before, limit).await
    }
}

impl Leases for Moody {
    async fn beat(&self) -> Stored<Beat> {
        self.inner.beat().await
    }

    async fn claim(&self, most: usize) -> Stored<Vec<Lease>> {
        self.inner.claim(most).await
    }

    async fn raise(&self) -> Stored<Vec<Lease>> {
        self.inner.raise().await
    }

    async fn release(&self, partitions: Vec<Partition>) -> Stored<()> {
        self.inner.release(partitions).await
    }

    fn saw_settings(&self, version: u64) {
        self.inner.saw_settings(version);
    }
}

impl Nodes for Moody {}
impl Letters for Moody {}
impl Calls for Moody {}

/// Services that answer with success, one for each permit of the gate.
#[derive(Clone)]
pub struct Outside {
    sent: Arc<Mutex<Vec<(String, usize)>>>,
    pub gate: Arc<Semaphore>,
    pub commits: Arc<AtomicUsize>,
    /// The next effect panics.
    pub panics: Arc<AtomicBool>,
}

impl Outside {
    pub fn open() -> Self {
        let outside = Self::closed();
        outside.gate.add_permits(1_000_000);
        outside
    }

    pub fn closed() -> Self {
        Self {
            sent: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            commits: Arc::default(),
            panics: Arc::default(),
        }
    }

    /// `verb service.action` of what was sent, sorted.
    pub fn sent(&self) -> Vec<String> {
        let mut sent: Vec<_> =
            self.sent.lock().expect("not poisoned").iter().map(|(what, _)| what.clone()).collect();
        sent.sort();
        sent
    }

    /// How many commits were durable when each effect was performed.
    pub fn commits_when_sent(&self) -> Vec<usize> {
        self.sent.lock().expect("not poisoned").iter().map(|(_, commits)| *commits).collect()
    }
}

impl Outbound for Outside {
    async fn perform(&self, effect: Effect, _: Permit) -> EffectResult {
        match effect {
            Effect::Send(send) => {
                let what =
                    (format!("{} {}", send.verb, send.action), self.commits.load(Ordering::SeqCst));
                self.sent.lock().expect("not poisoned").push(what);
                self.gate.acquire().await.expect("never closed").forget();
                assert!(!self.panics.swap(false, Ordering::SeqCst), "as the test wants");
                let outcome = match send.verb {
                    Verb::Compensate => Outcome::Compensated,
                    Verb::Retry => Outcome::Retried,
                    Verb::Notify => Outcome::Notified,
                };
                let answer = StepReading::Done(outcome);
                let result = StepResult::new(answer, Some(200)).telling(vec![]);
                EffectResult::Step(result)
            }
            Effect::ReadHistory(_) => EffectResult::History(HistoryResult::Told(vec![].into())),
            Effect::Poll(poll) => panic!("{} was never accepted", poll.step),
        }
    }
}
