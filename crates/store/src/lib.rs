//! Keeps cases durable: the [`Store`] trait, its implementation on SQLite, and the tests that every store has to pass.
//!
//! A store gives back what it was given and decides nothing: it knows no rule, starts no step and reads no clock to
//! fill a row. All SQL of the product is in this crate.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod filter;
mod found;
mod sqlite;

pub use error::StoreError;
pub use filter::{
    CaseFilter, CaseOrder, DEFAULT_PAGE, MOST_STEP_IDS, PAGE_LIMIT, PageRequest, StepFilter,
};
pub use found::{BulkRow, CaseRecord, ListedCase, ListedStep, RowPage, Settlements, StepRecord};
pub use sqlite::{FILE_NAME, SqliteOptions, SqliteStore, StoreSeen, inspect};

pub use amends_engine::{Batch, Loaded, LookupRequest, LookupResult, RulebookRow};

use amends_engine::{ActRow, SagaRow};
use amends_protocol::{CaseId, CaseState, SagaId, StepId, Timestamp};
use std::{collections::BTreeMap, future::Future, path::Path, sync::Arc};

/// Where one supervisor keeps what it must not forget. Clones share one store.
///
/// One driver writes ([`commit`](Self::commit)) and looks up ([`find`](Self::find)); everything under "for people" may
/// be called by anybody at any time and never delays a commit.
pub trait Store: Clone + Send + Sync + 'static {
    /// Makes all writes durable, in their order; of several writes of one key the last counts. A store that is owned as
    /// a whole has no use for the batch's partition and epoch.
    ///
    /// If the returned future is dropped early, the batch may or may not be committed, but never in part.
    ///
    /// # Errors
    /// On any error nothing of the batch is stored. [`StoreError::Conflict`] when a report's `(source, id)` or a
    /// case's saga already belongs to another row.
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Looks up, in one round trip, what a batch of inputs is about, before it is stepped.
    ///
    /// # Errors
    /// When the store can't be read.
    fn find(
        &self,
        wanted: LookupRequest,
    ) -> impl Future<Output = Result<LookupResult, StoreError>> + Send;

    /// Reads everything that the engine needs at its start.
    ///
    /// # Errors
    /// When the store can't be read.
    fn load(&self) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

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

    /// For people: cases, in the order that the filter says. A page may end before it is full, so that it comes soon; then
    /// `searched_until` says how far it came, and `next` goes on from there.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    fn cases(
        &self,
        filter: CaseFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<ListedCase>, StoreError>> + Send;

    /// For people: all that is stored of one case.
    ///
    /// # Errors
    /// When the store can't be read.
    fn case(
        &self,
        id: CaseId,
    ) -> impl Future<Output = Result<Option<CaseRecord>, StoreError>> + Send;

    /// For people: steps, newest case first, without their tries.
    ///
    /// # Errors
    /// As [`cases`](Self::cases).
    fn steps(
        &self,
        filter: StepFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<ListedStep>, StoreError>> + Send;

    /// For people: one step with its tries.
    ///
    /// # Errors
    /// When the store can't be read.
    fn step(
        &self,
        id: StepId,
    ) -> impl Future<Output = Result<Option<StepRecord>, StoreError>> + Send;

    /// For bulk acts: ids of the steps that a filter finds, newest case first; at most `limit`, and never more than
    /// [`MOST_STEP_IDS`].
    ///
    /// # Errors
    /// As [`cases`](Self::cases).
    fn step_ids(
        &self,
        filter: StepFilter,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StepId>, StoreError>> + Send;

    /// Keeps a bulk act. Of one that is known, only the state is replaced.
    ///
    /// # Errors
    /// When it can't be written.
    fn put_bulk(&self, row: BulkRow) -> impl Future<Output = Result<(), StoreError>> + Send;

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

    /// For people: the audit, newest first; of one case if given.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    fn acts(
        &self,
        case: Option<CaseId>,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<ActRow>, StoreError>> + Send;

    /// For people: an announced saga.
    ///
    /// # Errors
    /// When the store can't be read.
    fn saga(
        &self,
        saga: &SagaId,
    ) -> impl Future<Output = Result<Option<SagaRow>, StoreError>> + Send;

    /// For people: cases by state, states without cases absent. Exact, and as quick with a million settled cases.
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

    /// Removes cases that were settled before a moment, with their reports, steps and attempts, and announced sagas
    /// whose deadline passed before it, that are over and have no case. The audit stays.
    ///
    /// Removes at most `limit` rows of cases and sagas together (an implementation may cap it) and says how many; less
    /// means that nothing more is to be removed now, or that the rest is in use. A case that a recent
    /// [`find`](Self::find) gave out is left for later, since a report may be about to reopen it.
    ///
    /// # Errors
    /// On any error nothing is removed.
    fn prune(
        &self,
        settled_before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Writes a consistent copy to a file while work goes on. The copy opens as a store.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is such a file already; it is never overwritten.
    fn backup(&self, to: &Path) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes something small durably, to learn whether writing works.
    ///
    /// # Errors
    /// When it doesn't, with the reason.
    fn check_writable(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
