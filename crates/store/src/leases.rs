//! Who may write for which part of the sagas. A commit is refused by the store, not by a clock, once its part has gone
//! to another.

use crate::StoreError;
use amends_engine::{Lease, Partition};
use std::future::Future;

/// What a store tells whoever has shown that it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Another number once the node had counted as dead meanwhile: others may have taken what it held, so nothing is
    /// done any more that was decided in the life before.
    pub life: u64,
    /// Somebody wants this node to give back all that it holds, in order, and to take nothing more.
    pub leaving: bool,
    /// Milliseconds that the store's clock is ahead of the one here; none if that could not be measured, and of a store
    /// without a clock of its own.
    pub offset_ms: Option<i64>,
    /// The version of the settings, of a store that nodes share ([`Settings::version`](crate::Settings)).
    pub settings: u64,
}

/// The parts of a store that nodes share between them. A store that one node owns as a whole has one part, which is
/// held from its opening on.
pub trait Leases: Clone + Send + Sync + 'static {
    /// Says that this node lives, so that nobody else claims what it holds. To be called about once a second.
    ///
    /// # Errors
    /// When it can't be said: then others may claim soon, and nothing new should be begun.
    fn beat(&self) -> impl Future<Output = Result<Beat, StoreError>> + Send;

    /// Takes up to `most` partitions that no living node holds. Gives all that this node holds then, in their order.
    ///
    /// # Errors
    /// When the store can't be written.
    fn claim(&self, most: usize) -> impl Future<Output = Result<Vec<Lease>, StoreError>> + Send;

    /// Raises the epoch of everything that this node holds, so that no commit from before can land any more: after a
    /// commit of unknown end, before loading. Gives all that this node holds, in their order.
    ///
    /// # Errors
    /// When the store can't be written; then nothing may be loaded either.
    fn raise(&self) -> impl Future<Output = Result<Vec<Lease>, StoreError>> + Send;

    /// Gives partitions back, so that others need not wait until this node counts as dead. What is not held is left
    /// alone.
    ///
    /// # Errors
    /// When the store can't be written.
    fn release(
        &self,
        partitions: Vec<Partition>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// From now on this node goes by this version of the settings; it is said along with each sign of life.
    fn saw_settings(&self, version: u64);
}
