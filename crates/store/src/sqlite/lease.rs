//! The one lease of a store that one node owns as a whole. Its lock keeps others out, so nothing of it is stored: a
//! commit of an earlier process can't come any more.

use crate::{Batch, Epoch, Lease, Partition, Share, StoreError};

/// What is held: everything, or nothing.
pub(crate) struct WholeLease {
    epoch: Epoch,
    held: bool,
}

impl WholeLease {
    /// Held, as it is once the directory is open.
    pub(crate) fn of_open_directory() -> Self {
        Self { epoch: Epoch(0), held: true }
    }

    /// What commits have to carry now.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Refuses a batch from before.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        let held = |share: &&Share| {
            self.held && (share.partition, share.epoch) == (Partition::WHOLE, self.epoch)
        };
        match batch.shares.iter().find(|share| !held(share)) {
            None => Ok(()),
            Some(&Share { partition, epoch, .. }) => Err(StoreError::NotHeld { partition, epoch }),
        }
    }

    pub(crate) fn claim(&mut self, most: usize) -> Vec<Lease> {
        if !self.held && most > 0 {
            self.held = true;
            self.epoch.0 += 1;
        }
        self.leases()
    }

    pub(crate) fn raise(&mut self) -> Vec<Lease> {
        if self.held {
            self.epoch.0 += 1;
        }
        self.leases()
    }

    pub(crate) fn release(&mut self, partitions: &[Partition]) {
        self.held &= !partitions.contains(&Partition::WHOLE);
    }

    fn leases(&self) -> Vec<Lease> {
        let lease = Lease { partition: Partition::WHOLE, epoch: self.epoch };
        self.held.then_some(lease).into_iter().collect()
    }
}
