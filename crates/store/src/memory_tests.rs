//! The engine's [`Memory`] passes the ledger's chapter of the suite: what is played with it behaves as with a database.

use crate::{
    Batch, Committed, Ledger, Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace, Settings,
    StoreError, conformance::Place,
};
use amends_engine::{Adopted, Epoch, Memory, MemoryConflict, Partition};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Memory>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for Shared {
    async fn find(&self, wanted: LookupRequest) -> Result<LookupResult, StoreError> {
        Ok(self.lock().find(&wanted))
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        Ok(self.lock().load())
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        Ok(self.lock().settings())
    }

    async fn adopt(&self, partition: Partition) -> Result<Adopted, StoreError> {
        Err(StoreError::NotHeld { partition, epoch: Epoch::default() })
    }

    async fn open(
        &self,
        partition: Partition,
        after: OpenPlace,
        most: usize,
    ) -> Result<OpenPage, StoreError> {
        Ok(self.lock().open(partition, after, most))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.lock().commit(batch).map_err(|conflict| {
            let MemoryConflict { row, case } = conflict;
            StoreError::Conflict { row, case }
        })
    }
}

impl Place for Shared {
    type Store = Self;

    async fn open(&self) -> Self {
        self.clone()
    }
}

mod conformance {
    crate::ledger_conformance!(crate::memory_tests::Shared::default());
}
