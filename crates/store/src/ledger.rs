//! What the loop needs of a store: to look up, to load, to commit.

use crate::StoreError;
use amends_engine::{
    Adopted, Batch, Committed, Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace, Partition,
    Settings,
};
use std::future::Future;

/// What one loop remembers by. Nothing is decided here: it gives back what was committed.
///
/// It is asked by the loop alone: a look-up sees every commit before it.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Looks up, in one round trip, what a batch of inputs is about, before it is stepped.
    ///
    /// # Errors
    /// When the store can't be read.
    fn find(
        &self,
        wanted: LookupRequest,
    ) -> impl Future<Output = Result<LookupResult, StoreError>> + Send;

    /// Reads what the engine needs at its start but for the open cases, and tells the epoch that commits have to carry
    /// from now on. A row that doesn't read back is no error: it is in [`Loaded::unreadable`].
    ///
    /// After a commit of unknown end, [`Leases::raise`](crate::Leases::raise) comes first: otherwise that commit may
    /// still land over what was loaded.
    ///
    /// # Errors
    /// When the store can't be read.
    fn load(&self) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Reads what belongs to no saga, as part of [`load`](Self::load) and again where another node has changed it. What
    /// is told is at least as new as its version says.
    ///
    /// # Errors
    /// When the store can't be read.
    fn settings(&self) -> impl Future<Output = Result<Settings, StoreError>> + Send;

    /// Reads what a partition of a store that several share has beside its open cases; to be asked for once it is
    /// claimed.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] when it is not held, or the store is owned as a whole; otherwise when the store can't be
    /// read.
    fn adopt(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Adopted, StoreError>> + Send;

    /// Reads at most so many of the cases of a partition that are open, after a place; the first page is after
    /// [`OpenPlace::default`]. Open are those that are not settled, and settled ones with a report that has no answer
    /// (`ReportRole::Unmatched`): it came while nobody could work on the case. A case whose state changes meanwhile
    /// may come twice or be left out: the loop, which has changed it, knows it. A row that doesn't read back is no
    /// error: what is left of its case is in [`OpenPage::broken`], and in the same way in [`LookupResult::broken`].
    ///
    /// # Errors
    /// When the store can't be read.
    fn open(
        &self,
        partition: Partition,
        after: OpenPlace,
        most: usize,
    ) -> impl Future<Output = Result<OpenPage, StoreError>> + Send;

    /// Makes the writes of all shares durable whose partition is held in its epoch (see [`Leases`](crate::Leases)), in
    /// their order; of several writes of one key the last counts. The answer names the partitions that are not held.
    ///
    /// If the returned future is dropped early, the batch may or may not be committed, but no share in part.
    ///
    /// # Errors
    /// On any error nothing of the batch is stored. [`StoreError::NotHeld`] when a store that is owned as a whole is
    /// not held in the epoch, or not as a whole: load again. [`StoreError::Conflict`] when a report's `(source, id)`
    /// or a case's saga already belongs to another row. [`StoreError::Unstorable`] when what was to be written would
    /// not read back: whatever is committed can be read. [`StoreError::Outdated`] in a store that nodes share, when a
    /// version of a rulebook became active after the batch was planned ([`Batch::settings`]), when it has a share of
    /// the seat that is not held, on which the others may rest, or when a limited rule would answer more cases of all
    /// nodes in its minute than it may ([`Share::rule_cases`](crate::Share)).
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<Committed, StoreError>> + Send;
}
