//! How many rejected messages there are, for whoever draws a page and must not wait for the store.

use amends_store::RejectedLimits;
use std::sync::atomic::AtomicU64;

/// How many lie there, as people were last told, and how many may.
#[derive(Debug, Default)]
pub(crate) struct RejectedShown {
    pub(super) rows: AtomicU64,
    pub(super) limits: RejectedLimits,
}

impl RejectedShown {
    pub(crate) const fn new(rows: u64, limits: RejectedLimits) -> Self {
        Self { rows: AtomicU64::new(rows), limits }
    }
}
