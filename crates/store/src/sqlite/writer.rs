//! The one connection that writes: commits in the order of arrival, several in one transaction when they have queued.
//!
//! It also answers the loop's look-ups, so that they see every commit before them.

use super::{
    checkpoint::Checkpointer, connection::database, lease::WholeLease, write::write_batch,
};
use crate::{
    Adopted, Batch, Committed, Epoch, Lease, Loaded, LookupRequest, LookupResult, OpenPage,
    OpenPlace, Partition, Settings, SettledBefore, StoreError,
    tables::{
        Tables, lookup, marks,
        prune::{self, Lent, Partitions, PrunePlace},
    },
    threads::{Reply, Writer, write_group},
};
use amends_engine::Write;
use rusqlite::{Connection, TransactionBehavior};

/// The writing connection and what goes with it.
pub(crate) struct SqliteWriter {
    conn: Connection,
    checkpointer: Checkpointer,
    lent: Lent,
    /// Where pruning goes on: those before are kept longer.
    prune_from: PrunePlace,
    lease: WholeLease,
}

impl Writer for SqliteWriter {
    fn commit(&mut self, group: Vec<(Batch, Reply<Committed>)>) {
        write_group(group, |batches| {
            let written = self.write(batches);
            if written.is_ok() && batches.iter().any(|batch| erases(batch)) {
                self.checkpointer.wipe(&self.conn);
            }
            written
        });
        // Answers must not wait for a checkpoint.
        self.checkpointer.after_commit(&self.conn);
    }

    /// Puts the WAL into the file.
    fn finish(mut self) {
        self.checkpointer.finish(&self.conn);
    }
}

impl SqliteWriter {
    pub(crate) fn new(conn: Connection, checkpointer: Checkpointer) -> Self {
        let lease = WholeLease::of_open_directory();
        let (lent, prune_from) = (Lent::default(), PrunePlace::default());
        Self { conn, checkpointer, lent, prune_from, lease }
    }

    fn write(&mut self, batches: &[&Batch]) -> Result<Committed, StoreError> {
        batches.iter().try_for_each(|batch| self.lease.check(batch))?;
        if batches.iter().all(|batch| batch.is_empty()) {
            return Ok(Committed::default());
        }
        self.transact(|conn| {
            let shares = batches.iter().flat_map(|batch| &batch.shares);
            shares.map(|share| &share.writes).try_for_each(|writes| write_batch(conn, writes))?;
            let clock = batches.iter().filter_map(|batch| batch.clock).max();
            clock.map_or(Ok(()), |clock| marks::keep_clock(conn, clock))
        })?;
        Ok(Committed::default())
    }

    pub(crate) fn find(&mut self, wanted: &LookupRequest) -> Result<LookupResult, StoreError> {
        let found = lookup::find(&self.conn, wanted)?;
        self.lent.lend(&found);
        Ok(found)
    }

    pub(crate) fn load(&mut self) -> Result<Loaded, StoreError> {
        lookup::load(&self.conn, self.lease.epoch())
    }

    pub(crate) fn settings(&mut self) -> Result<Settings, StoreError> {
        lookup::settings(&self.conn)
    }

    /// It is owned as a whole.
    pub(crate) fn adopt(&mut self, partition: Partition) -> Result<Adopted, StoreError> {
        Err(StoreError::NotHeld { partition, epoch: Epoch::default() })
    }

    pub(crate) fn open_cases(
        &mut self,
        partition: Partition,
        after: OpenPlace,
        most: usize,
    ) -> Result<OpenPage, StoreError> {
        lookup::open(&self.conn, partition, after, most)
    }

    pub(crate) fn prune(
        &mut self,
        settled_before: &SettledBefore,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let (lent, from) = (self.lent.cases(), self.prune_from);
        let (removed, next) = self.change(|conn| {
            prune::prune(conn, settled_before, limit, (&lent, from), Partitions::All)
        })?;
        self.prune_from = next;
        Ok(removed)
    }

    /// As [`change`](Self::change): nobody shares the store.
    pub(crate) fn add<T>(
        &mut self,
        work: impl FnOnce(&dyn Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.change(work)
    }

    /// Does what no loop decided, whole or not at all.
    pub(crate) fn change<T>(
        &mut self,
        work: impl FnOnce(&dyn Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = self.transact(|conn| work(conn));
        self.checkpointer.after_commit(&self.conn);
        self.checkpointer.wipe_again(&self.conn);
        done
    }

    #[allow(clippy::unnecessary_wraps)] // as of a store that asks a database
    pub(crate) fn claim(&mut self, most: usize) -> Result<Vec<Lease>, StoreError> {
        Ok(self.lease.claim(most))
    }

    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn raise(&mut self) -> Result<Vec<Lease>, StoreError> {
        Ok(self.lease.raise())
    }

    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn release(&mut self, partitions: &[Partition]) -> Result<(), StoreError> {
        self.lease.release(partitions);
        Ok(())
    }

    /// Does `work` whole or not at all. Once this returns `Ok`, it is on the disk.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(database("begin a commit"))?;
        let done = work(&tx)?;
        tx.commit().map_err(database("commit"))?;
        Ok(done)
    }
}

/// Whether business data goes with it.
fn erases(batch: &Batch) -> bool {
    batch.writes().any(|write| matches!(write, Write::Erased(row) if row.done_at.is_some()))
}
