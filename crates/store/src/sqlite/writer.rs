//! The one thread that writes: commits in the order of arrival, several in one transaction when they have queued.
//!
//! It also answers the loop's look-ups, so that they see every commit before them.

use super::{
    audit, bulks,
    checkpoint::Checkpointer,
    connection::database,
    credentials,
    lease::WholeLease,
    lookup, rejected,
    upkeep::{self, PrunePlace},
    write::write_batch,
};
use crate::{
    Batch, BulkRow, CredentialKind, CredentialRow, Lease, Loaded, LookupRequest, LookupResult,
    OpenPage, OpenPlace, Partition, RejectedKept, RejectedLimits, RejectedRow, SettledBefore,
    StoreError,
};
use amends_api::RejectedId;
use amends_engine::Write;
use amends_protocol::{CaseId, SagaId, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::VecDeque;
use tokio::sync::{mpsc, oneshot};

/// Where an answer goes. Nobody may be waiting any more; that changes nothing.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Commands that may queue. The driver has one or two under way; the rest is upkeep.
pub(crate) const QUEUE: usize = 64;
/// Commits that share one transaction; more would let the first of them wait too long.
const GROUP: usize = 32;
/// Settled cases that a look-up gave out and that pruning leaves alone: those of the last look-ups, many times over
/// what the loop can have in its hands.
const LENT: usize = 4096;

/// What the writer can be asked for.
pub(crate) enum Command {
    Commit(Batch, Reply<()>),
    Find(LookupRequest, Reply<LookupResult>),
    Load(Reply<Loaded>),
    Open { after: OpenPlace, most: usize, reply: Reply<OpenPage> },
    Prune { settled_before: SettledBefore, limit: usize, reply: Reply<usize> },
    PruneAudit { made_before: Timestamp, limit: usize, reply: Reply<usize> },
    PutBulk(BulkRow, Reply<()>),
    PutCredential(CredentialRow, Reply<()>),
    DropCredential(CredentialKind, String, Reply<()>),
    Rejected(RejectedCommand),
    CheckWritable(Reply<()>),
    Claim(usize, Reply<Vec<Lease>>),
    Raise(Reply<Vec<Lease>>),
    Release(Vec<Partition>, Reply<()>),
}

/// What it can be asked for about messages that could not be taken.
pub(crate) enum RejectedCommand {
    Put(Box<RejectedRow>, RejectedLimits, Reply<RejectedKept>),
    Forget(RejectedId, Reply<bool>),
    ForgetOf(SagaId, Reply<u64>),
    Prune { before: Timestamp, limit: usize, reply: Reply<usize> },
}

impl From<RejectedCommand> for Command {
    fn from(command: RejectedCommand) -> Self {
        Self::Rejected(command)
    }
}

/// The writing connection and what goes with it.
pub(crate) struct Writer {
    conn: Connection,
    checkpointer: Checkpointer,
    lent: VecDeque<CaseId>,
    /// Where pruning goes on: those before are kept longer.
    prune_from: PrunePlace,
    lease: WholeLease,
}

impl Writer {
    pub(crate) fn new(conn: Connection, checkpointer: Checkpointer) -> Self {
        let lease = WholeLease::of_open_directory();
        let prune_from = PrunePlace::default();
        Self { conn, checkpointer, lent: VecDeque::new(), prune_from, lease }
    }

    /// Works until every sender is gone, then puts the WAL into the file.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = commands.blocking_recv();
        while let Some(command) = next.take() {
            if let Command::Commit(batch, reply) = command {
                let mut group = vec![(batch, reply)];
                while group.len() < GROUP {
                    match commands.try_recv() {
                        Ok(Command::Commit(batch, reply)) => group.push((batch, reply)),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                self.commit(group);
            } else {
                self.obey(command);
            }
            if next.is_none() {
                next = commands.blocking_recv();
            }
        }
        self.checkpointer.finish(&self.conn);
    }

    fn commit(&mut self, mut group: Vec<(Batch, Reply<()>)>) {
        let batches = group.iter().map(|(batch, _)| batch).collect::<Vec<_>>();
        let result = self.write(&batches);
        if result.is_ok() && batches.iter().any(|batch| erases(batch)) {
            self.checkpointer.wipe(&self.conn);
        }
        // Answers must not wait for a checkpoint.
        if group.len() > 1 && result.is_err() {
            // One of them is at fault; the others must not suffer for it.
            for (batch, reply) in group {
                let written = self.write(&[&batch]);
                if written.is_ok() && erases(&batch) {
                    self.checkpointer.wipe(&self.conn);
                }
                let _ = reply.send(written);
            }
        } else if let Some((_, last)) = group.pop() {
            for (_, reply) in group {
                let _ = reply.send(Ok(()));
            }
            let _ = last.send(result);
        }
        self.checkpointer.after_commit(&self.conn);
    }

    fn write(&mut self, batches: &[&Batch]) -> Result<(), StoreError> {
        batches.iter().try_for_each(|batch| self.lease.check(batch))?;
        if batches.iter().all(|batch| batch.writes.is_empty() && batch.clock.is_none()) {
            return Ok(());
        }
        self.transact(|tx| {
            batches.iter().try_for_each(|batch| write_batch(tx, &batch.writes))?;
            let clock = batches.iter().filter_map(|batch| batch.clock).max();
            clock.map_or(Ok(()), |clock| upkeep::keep_clock(tx, clock))
        })
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Commit(batch, reply) => self.commit(vec![(batch, reply)]),
            Command::Find(wanted, reply) => {
                let found = lookup::find(&self.conn, &wanted);
                if let Ok(found) = &found {
                    self.lend(found);
                }
                let _ = reply.send(found);
            }
            Command::Load(reply) => {
                let epoch = self.lease.epoch();
                let _ = reply.send(lookup::load(&self.conn, epoch));
            }
            Command::Open { after, most, reply } => {
                let _ = reply.send(lookup::open(&self.conn, after, most));
            }
            Command::Prune { settled_before, limit, reply } => {
                let (lent, from) = (self.lent.iter().copied().collect(), self.prune_from);
                let pruned =
                    self.transact(|tx| upkeep::prune(tx, &settled_before, limit, (&lent, from)));
                let pruned = pruned.map(|(removed, next)| {
                    self.prune_from = next;
                    removed
                });
                let _ = reply.send(pruned);
                self.checkpointer.after_commit(&self.conn);
                self.checkpointer.wipe_again(&self.conn);
            }
            Command::PruneAudit { made_before, limit, reply } => {
                let _ = reply.send(self.transact(|tx| audit::prune(tx, made_before, limit)));
                self.checkpointer.after_commit(&self.conn);
            }
            Command::PutBulk(row, reply) => {
                let _ = reply.send(self.transact(|tx| bulks::put(tx, &row)));
            }
            Command::PutCredential(row, reply) => {
                let _ = reply.send(self.transact(|tx| credentials::put(tx, &row)));
            }
            Command::DropCredential(kind, id, reply) => {
                let _ = reply.send(self.transact(|tx| credentials::remove(tx, kind, &id)));
            }
            Command::Rejected(command) => self.obey_about_rejected(command),
            Command::CheckWritable(reply) => {
                let _ = reply.send(self.transact(upkeep::touch));
                self.checkpointer.wipe_again(&self.conn);
            }
            Command::Claim(most, reply) => {
                let _ = reply.send(Ok(self.lease.claim(most)));
            }
            Command::Raise(reply) => {
                let _ = reply.send(Ok(self.lease.raise()));
            }
            Command::Release(partitions, reply) => {
                self.lease.release(&partitions);
                let _ = reply.send(Ok(()));
            }
        }
    }

    fn obey_about_rejected(&mut self, command: RejectedCommand) {
        match command {
            RejectedCommand::Put(row, most, reply) => {
                let _ = reply.send(self.transact(|tx| rejected::put(tx, &row, most)));
            }
            RejectedCommand::Forget(id, reply) => {
                let _ = reply.send(self.transact(|tx| rejected::forget(tx, id)));
            }
            RejectedCommand::ForgetOf(saga, reply) => {
                let _ = reply.send(self.transact(|tx| rejected::forget_of(tx, &saga)));
            }
            RejectedCommand::Prune { before, limit, reply } => {
                let _ = reply.send(self.transact(|tx| rejected::prune(tx, before, limit)));
            }
        }
        self.checkpointer.after_commit(&self.conn);
    }

    fn lend(&mut self, found: &LookupResult) {
        self.lent.extend(found.cases.iter().map(|stored| stored.case.id));
        let over = self.lent.len().saturating_sub(LENT);
        self.lent.drain(..over);
    }

    /// Does `work` whole or not at all. Once this returns `Ok`, it is on the disk.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
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
    batch.writes.iter().any(|write| matches!(write, Write::Erased(row) if row.done_at.is_some()))
}
