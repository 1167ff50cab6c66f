//! What keeps a store in order, beside the loop.

use crate::{RawCase, StoreError};
use amends_engine::StoredCase;
use amends_protocol::{CaseId, Timestamp};
use std::{collections::BTreeMap, future::Future, path::Path};

/// Writes and copies that belong to no batch of the loop. They may wait for a commit, and a commit for them, but only
/// for moments.
pub trait Upkeep: Clone + Send + Sync + 'static {
    /// Removes cases that were settled before a moment, which may be another one for single rulebooks, with their
    /// reports, steps and attempts, and announced sagas whose deadline passed before the moment for all, that are over
    /// and have no case. The audit stays.
    ///
    /// Removes at most `limit` rows of cases and sagas together (an implementation may cap it) and says how many; less
    /// means that nothing more is to be removed now, or that the rest is in use. A case that a recent
    /// [`find`](crate::Ledger::find) gave out is left for later, since a report may be about to reopen it.
    ///
    /// # Errors
    /// On any error nothing is removed.
    fn prune(
        &self,
        settled_before: impl Into<SettledBefore> + Send,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Removes entries of the audit that were made before a moment, oldest first, at most `limit` (an implementation
    /// may cap it), and says how many. The chain of what is left begins behind the last one that went; the newest entry
    /// of all stays.
    ///
    /// # Errors
    /// On any error nothing is removed.
    fn prune_audit(
        &self,
        made_before: Timestamp,
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

    /// All rows of a case as they lie in the store, readable or not; none if there is no such case.
    ///
    /// # Errors
    /// When the store can't be read.
    fn raw_case(
        &self,
        id: CaseId,
    ) -> impl Future<Output = Result<Option<RawCase>, StoreError>> + Send;

    /// Reads rows that somebody has mended, as they would be read from the store. Writes nothing.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the first row that can't be read.
    fn read_raw(&self, raw: RawCase)
    -> impl Future<Output = Result<StoredCase, StoreError>> + Send;

    /// What can be read of a case without its steps; none if not even its saga can. For a case that is given up: its
    /// reports stay known.
    ///
    /// # Errors
    /// When the store can't be read.
    fn salvage(
        &self,
        raw: RawCase,
    ) -> impl Future<Output = Result<Option<StoredCase>, StoreError>> + Send;

    /// Keeps a bulk act. Of one that is known, only the state is replaced.
    ///
    /// # Errors
    /// When it can't be written.
    fn put_bulk(&self, row: BulkRow) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Which settled cases have been kept long enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettledBefore {
    /// Those that were settled before this moment; none keeps them.
    pub all: Option<Timestamp>,
    /// The same of single rulebooks, by name, in place of that.
    pub of_rulebooks: BTreeMap<String, Option<Timestamp>>,
}

impl From<Timestamp> for SettledBefore {
    fn from(moment: Timestamp) -> Self {
        Self { all: Some(moment), of_rulebooks: BTreeMap::new() }
    }
}

impl SettledBefore {
    /// Whether a case of a rulebook that was settled at this moment may go.
    #[must_use]
    pub fn lets_go(&self, rulebook: Option<&str>, settled_at: Timestamp) -> bool {
        let own = rulebook.and_then(|name| self.of_rulebooks.get(name));
        own.unwrap_or(&self.all).is_some_and(|before| settled_at < before)
    }

    /// The latest of all moments: what was settled after it stays, whatever its rulebook.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.of_rulebooks.values().chain([&self.all]).copied().flatten().max()
    }
}

/// One bulk act. What its texts mean is its maker's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRow {
    /// From 1; the key.
    pub id: u64,
    /// What it is for; never changes. Empty in lists.
    pub ids: String,
    /// Everything else.
    pub state: String,
}
