//! What people ask of a store, and the rows that they get. What a row means to people is said elsewhere.

use crate::{
    ActFilter, BulkRow, CaseFilter, FieldValue, HoldingPage, HoldingPlace, ListedErasure,
    PageRequest, StepFilter, StoreError,
};
use amends_api::CaseState;
use amends_api::audit::{ActDigest, ChainLink};
use amends_engine::{
    ActRow, AttemptRow, CaseRow, ErasedRow, ErasureRow, ReportRow, RulebookRef, RulebookRow,
    SagaRow, StepRow, StoredCase,
};
use amends_protocol::{CaseId, SagaId, StepId, Timestamp};
use std::{collections::BTreeMap, future::Future, sync::Arc};

/// Everything that is stored, for reading. It may be asked by anybody at any time and never delays a commit.
///
/// Cases and their steps are listed by the time of opening, then by number.
pub trait Archive: Clone + Send + Sync + 'static {
    /// Cases, in the order that the filter says. A page may end before it is full, so that it comes soon; then
    /// `searched_until` says how far it came, and `next` goes on from there.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    fn cases(
        &self,
        filter: CaseFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<ListedCase>, StoreError>> + Send;

    /// All that is stored of one case.
    ///
    /// # Errors
    /// When the store can't be read.
    fn case(
        &self,
        id: CaseId,
    ) -> impl Future<Output = Result<Option<CaseRecord>, StoreError>> + Send;

    /// The name of the rulebook that each of these cases is planned with, if with any; cases that are not there are
    /// absent. It reads no more than that.
    ///
    /// # Errors
    /// When the store can't be read.
    fn rulebooks_of(
        &self,
        cases: Vec<CaseId>,
    ) -> impl Future<Output = Result<BTreeMap<CaseId, Option<Arc<str>>>, StoreError>> + Send;

    /// Steps, newest case first, without their tries. A page may end before it is full, as above.
    ///
    /// # Errors
    /// As [`cases`](Self::cases).
    fn steps(
        &self,
        filter: StepFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<ListedStep>, StoreError>> + Send;

    /// One step with its tries.
    ///
    /// # Errors
    /// When the store can't be read.
    fn step(
        &self,
        id: StepId,
    ) -> impl Future<Output = Result<Option<StepRecord>, StoreError>> + Send;

    /// The audit, newest first if nothing else is said.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    fn acts(
        &self,
        filter: ActFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<AuditEntry>, StoreError>> + Send;

    /// The two ends of the chain that the entries of the audit form.
    ///
    /// # Errors
    /// When the store can't be read.
    fn audit_ends(&self) -> impl Future<Output = Result<AuditEnds, StoreError>> + Send;

    /// An announced saga.
    ///
    /// # Errors
    /// When the store can't be read.
    fn saga(
        &self,
        saga: &SagaId,
    ) -> impl Future<Output = Result<Option<SagaRow>, StoreError>> + Send;

    /// Cases by state, states without cases absent. Exact, and as quick with a million settled cases.
    ///
    /// # Errors
    /// When the store can't be read.
    fn case_counts(
        &self,
    ) -> impl Future<Output = Result<BTreeMap<CaseState, u64>, StoreError>> + Send;

    /// What was settled at a moment or later, at most the last `limit` cases.
    ///
    /// # Errors
    /// When the store can't be read.
    fn settlements(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Settlements, StoreError>> + Send;

    /// One version of a rulebook with its sources, by content hash.
    ///
    /// # Errors
    /// When the store can't be read.
    fn rulebook(
        &self,
        hash: Arc<str>,
    ) -> impl Future<Output = Result<Option<RulebookRow>, StoreError>> + Send;

    /// All versions of all rulebooks, by name, newest first; without their sources.
    ///
    /// # Errors
    /// When the store can't be read.
    fn rulebooks(&self) -> impl Future<Output = Result<Vec<RulebookRow>, StoreError>> + Send;

    /// One bulk act.
    ///
    /// # Errors
    /// When the store can't be read.
    fn bulk(&self, id: u64) -> impl Future<Output = Result<Option<BulkRow>, StoreError>> + Send;

    /// The newest bulk acts, newest first, without their `ids`. At most `keep` of them.
    ///
    /// # Errors
    /// When the store can't be read.
    fn bulks(&self, keep: usize) -> impl Future<Output = Result<Vec<BulkRow>, StoreError>> + Send;

    /// Erasures, the newest first.
    ///
    /// # Errors
    /// When the store can't be read, or the cursor is of another list.
    fn erasures(
        &self,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<ListedErasure>, StoreError>> + Send;

    /// One erasure, and what became of each of its sagas, by saga.
    ///
    /// # Errors
    /// When the store can't be read.
    fn erasure(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Option<(ErasureRow, Vec<ErasedRow>)>, StoreError>> + Send;

    /// Looks for sagas that hold a value in a field, in their reports, evidence, steps or announcement; goes through
    /// some rows at a time.
    ///
    /// # Errors
    /// When the store can't be read.
    fn holding(
        &self,
        field: FieldValue,
        after: HoldingPlace,
    ) -> impl Future<Output = Result<HoldingPage, StoreError>> + Send;
}

/// Cases that were settled lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlements {
    /// When each was opened and settled, the last settled first.
    pub times: Vec<(Timestamp, Timestamp)>,
    /// There may be more than were asked for: what was settled before this moment is missing.
    pub settled_since: Option<Timestamp>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPage<T> {
    /// The rows, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last one.
    pub next: Option<String>,
    /// The page ended early so that it comes soon: only cases opened after this moment (or before it, oldest first)
    /// have been looked at; `next` goes on from there.
    pub searched_until: Option<Timestamp>,
}

impl<T> Default for RowPage<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None, searched_until: None }
    }
}

impl<T> RowPage<T> {
    /// The same page with something else made of each of its rows.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> RowPage<U> {
        let Self { items, next, searched_until } = self;
        RowPage { items: items.into_iter().map(make).collect(), next, searched_until }
    }
}

/// A case of a list, with what its row tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedCase {
    /// The case.
    pub case: CaseRow,
    /// The report that it began with.
    pub first_report: Option<ReportRow>,
    /// Its steps, by ordinal.
    pub steps: Vec<StepRow>,
}

/// All that is stored of one case.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseRecord {
    /// The case, its reports by position and its steps by ordinal.
    pub stored: StoredCase,
    /// Tries of its steps, by step and number. The try that ended a step has no row: the step's own row tells of it.
    pub attempts: Vec<AttemptRow>,
    /// Acts on it, oldest first; of very many, the latest.
    pub acts: Vec<AuditEntry>,
}

/// An entry of the audit with its place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// From 1, without gaps; the key.
    pub number: u64,
    /// What it and all before it come to; absent only of what the store has not written itself.
    pub digest: Option<ActDigest>,
    /// Of its reason, as it was written.
    pub reason_digest: ActDigest,
    /// Of its detail, as it was written.
    pub detail_digest: ActDigest,
    /// A text of it was erased: its digest is all that is left.
    pub is_erased: bool,
    /// What was done.
    pub row: ActRow,
}

/// The ends of the audit's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditEnds {
    /// The last entry that was removed from its beginning.
    pub removed: ChainLink,
    /// The last entry that was written.
    pub written: ChainLink,
}

/// A step of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedStep {
    /// The step.
    pub step: StepRow,
    /// The saga of its case.
    pub saga: SagaId,
    /// The rulebook version that its case is planned with.
    pub rulebook: Option<RulebookRef>,
    /// Ids of the reports at the positions of `because`, in that order; those that are not stored are left out.
    pub because: Vec<String>,
    /// The same for `would_have_asked`.
    pub would_have_asked: Vec<String>,
}

/// All that is stored of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// The step, or the part of one.
    pub listed: ListedStep,
    /// Its other rows, if it is meant as a whole.
    pub others: Vec<StepRow>,
    /// The tries of all these rows by number, as in [`CaseRecord::attempts`].
    pub attempts: Vec<AttemptRow>,
}
