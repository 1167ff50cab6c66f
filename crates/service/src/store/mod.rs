//! Where History lies: the contract between the kit, which decides, and a database, which keeps. Holds no rule about
//! requests; all SQL of the kit is below this folder.
//!
//! The kit ships [`Sqlite`](crate::Sqlite) (one file, one process) and [`Postgres`](crate::Postgres) (one database, any
//! number of processes). A team with another database implements [`HistoryStore`] and [`HistoryTx`]; both are plain
//! reading and writing of rows, and every decision about them stays with the kit.
//!
//! # What a store promises
//!
//! **Isolation.** Transactions that name the same saga run one after the other: the first statement of the next one
//! sees everything that the one before committed. Nothing is read before that is so. Transactions of different sagas
//! may overlap, and each of their statements sees at least what was committed before it began. Two of them that insert
//! the same request id: one is told that it did, the other one waits for it and is told that it did not.
//!
//! **Atomicity and durability.** [`HistoryStore::write`] answers `Ok` only after the transaction is durable, host's
//! writes included. When it answers with an error, nothing of it is there, with one exception: on
//! [`KitError::CommitUnknown`] nobody knows, and a later transaction of the same saga sees the truth.
//!
//! **Order.** Requests, calls and reports have a number that grows in the order in which they were written within
//! their saga.
//!
//! **Time.** All times come from one clock, in UTC milliseconds. Ages are compared by the store, so that no process's
//! own clock decides about another's rows.
//!
//! **Workers.** Each process is a worker with an id that no other process has or had. [`HistoryTx::is_alive`] may call
//! a living worker dead (it was paused), never a dead one alive for long: what a paused process still tries to write is
//! refused by its run number.

#[cfg(feature = "postgres")]
pub mod postgres;
mod rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use crate::config::KitError;
use amends_protocol::{Evidence, HistoryState, Outcome, SagaId};
use std::future::ready;
use std::pin::Pin;

pub use rows::{
    CallRow, Claimed, Fence, NewRequest, OutgoingReport, OwedRow, ReportRow, ReportState,
    RequestRow, StepRow, StoredAnswer, StoredStanding, Unfinished,
};
pub(crate) use rows::{corrupt, parse_json, state_of};

/// A future in a box, as closures give it that borrow a transaction.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A database that holds History next to the host's own tables. See the module's page for what it promises.
pub trait HistoryStore: Send + Sync + 'static {
    /// One transaction.
    type Tx: HistoryTx;

    /// The id of this process among all that work, or ever worked, on the same History.
    fn worker(&self) -> &str;

    /// Runs `work` in one transaction: committed when it gives `Ok`, rolled back when it gives `Err`. With a `saga`, no
    /// other transaction of that saga runs meanwhile.
    ///
    /// # Errors
    /// What `work` gave; or the store's own [`KitError`], as an `E`.
    fn write<T, E, F>(
        &self,
        saga: Option<&SagaId>,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<KitError> + Send + 'static;

    /// Runs `work` to read alone. Each of its statements sees what was committed before it began.
    ///
    /// # Errors
    /// What `work` gave, or why it could not run.
    fn read<T, F>(&self, work: F) -> impl Future<Output = Result<T, KitError>> + Send
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, KitError>> + Send + 'static,
        T: Send + 'static;
}

/// What the kit reads and writes within one transaction. Every method is one look or one change; none decides.
///
/// # Errors
/// Every method fails with a [`KitError`] when the database does; the transaction is rolled back then.
pub trait HistoryTx: Send {
    /// The request with this id.
    fn find_request(
        &mut self,
        request_id: &str,
    ) -> impl Future<Output = Result<Option<RequestRow>, KitError>> + Send;

    /// Writes a request as run 1 by this worker: `started`, or `succeeded` already if it comes with its answer; unless its
    /// id is taken or the fence of its action is up in its saga. Says whether it did.
    fn insert_request(
        &mut self,
        request: &NewRequest,
        answer: Option<&StoredAnswer>,
    ) -> impl Future<Output = Result<bool, KitError>> + Send;

    /// Whether [`HistoryTx::insert_request`] would write it, as far as this transaction can see: another one that is not
    /// committed yet may be writing the id in another saga.
    fn may_insert(
        &mut self,
        request: &NewRequest,
    ) -> impl Future<Output = Result<bool, KitError>> + Send;

    /// Makes a request `started` again, by this worker, under the next run number, which it gives.
    fn restart_request(
        &mut self,
        request_id: &str,
    ) -> impl Future<Output = Result<i64, KitError>> + Send;

    /// Ends a request with a state and its answer.
    fn end_request(
        &mut self,
        request_id: &str,
        state: HistoryState,
        answer: &StoredAnswer,
    ) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Gives a request the state that a compensation led to; its answer stays.
    fn undo_request(
        &mut self,
        request_id: &str,
        state: HistoryState,
    ) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Where a request stands, in one look.
    fn standing_of(
        &mut self,
        request_id: &str,
    ) -> impl Future<Output = Result<Option<StoredStanding>, KitError>> + Send;

    /// Every request of a saga, or of one action in it, in the order of arrival.
    fn requests_of(
        &mut self,
        saga: &SagaId,
        action: Option<&str>,
    ) -> impl Future<Output = Result<Vec<RequestRow>, KitError>> + Send;

    /// Requests that have been `started` for at least `age_ms`, by this worker or by one that is not alive; at most
    /// `limit` of those that come after `after_seq`, in their order.
    fn unfinished(
        &mut self,
        age_ms: u64,
        after_seq: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Unfinished>, KitError>> + Send;

    /// Whether a worker has shown itself lately.
    fn is_alive(&mut self, worker: &str) -> impl Future<Output = Result<bool, KitError>> + Send;

    /// The fence of an action in a saga.
    fn fence_of(
        &mut self,
        saga: &SagaId,
        action: &str,
    ) -> impl Future<Output = Result<Fence, KitError>> + Send;

    /// Puts up the fence, if it isn't up.
    fn put_fence(
        &mut self,
        saga: &SagaId,
        action: &str,
    ) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Counts one more original that the fence turned away, if there is a fence.
    fn count_refused(
        &mut self,
        saga: &SagaId,
        action: &str,
    ) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Writes a call to another service as `started`. One that is known is started again, unless it succeeded.
    fn begin_call(&mut self, call: &CallRow) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Writes how a call ended, unless it succeeded before.
    fn end_call(
        &mut self,
        call_id: &str,
        state: HistoryState,
    ) -> impl Future<Output = Result<(), KitError>> + Send;

    /// How many calls a request made.
    fn count_calls(
        &mut self,
        saga: &SagaId,
        request_id: &str,
    ) -> impl Future<Output = Result<u64, KitError>> + Send;

    /// The calls that the service made in a saga, in their order.
    fn calls_of(
        &mut self,
        saga: &SagaId,
    ) -> impl Future<Output = Result<Vec<Evidence>, KitError>> + Send;

    /// The outcome that is remembered of a step.
    fn find_step(
        &mut self,
        step_id: &str,
    ) -> impl Future<Output = Result<Option<StepRow>, KitError>> + Send;

    /// Remembers the outcome of a step, unless there is one.
    fn insert_step(&mut self, step: &StepRow) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Writes that the outcome of a step is owed. One that is known already is owed anew if it was refused, and else
    /// stays as it is.
    fn owe(&mut self, owed: &OwedRow) -> impl Future<Output = Result<(), KitError>> + Send {
        let _ = owed;
        ready(Err(KitError::Config("this store keeps no outcomes that are owed".to_owned())))
    }

    /// What is owed of a step.
    fn find_owed(
        &mut self,
        step_id: &str,
    ) -> impl Future<Output = Result<Option<OwedRow>, KitError>> + Send {
        let _ = step_id;
        ready(Ok(None))
    }

    /// The steps on an action in a saga whose undo goes on.
    fn unfinished_steps(
        &mut self,
        saga: &SagaId,
        action: &str,
    ) -> impl Future<Output = Result<Vec<OwedRow>, KitError>> + Send {
        let _ = (saga, action);
        ready(Ok(Vec::new()))
    }

    /// Writes how a step ended; from now on that is to be told.
    fn end_owed(
        &mut self,
        step_id: &str,
        outcome: Outcome,
    ) -> impl Future<Output = Result<(), KitError>> + Send {
        let _ = (step_id, outcome);
        ready(Ok(()))
    }

    /// Outcomes that are to be told, those that have been owed for longest first.
    fn outcomes_to_tell(
        &mut self,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<OwedRow>, KitError>> + Send {
        let _ = limit;
        ready(Ok(Vec::new()))
    }

    /// Writes that an outcome has been told, or why it will never be taken; not if another one is owed meanwhile.
    fn settle_owed(
        &mut self,
        owed: &OwedRow,
        error: Option<&str>,
    ) -> impl Future<Output = Result<(), KitError>> + Send {
        let _ = (owed, error);
        ready(Ok(()))
    }

    /// Marks a notice as sent; says whether it was not before.
    fn insert_notice(
        &mut self,
        saga: &SagaId,
        notice: &str,
    ) -> impl Future<Output = Result<bool, KitError>> + Send;

    /// Puts a report into the outbox.
    fn put_report(
        &mut self,
        report: &ReportRow,
    ) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Takes reports that are due, those that have been due for longest first (one that keeps failing must not be the first
    /// again and again), at most `limit`, and of each saga only the oldest that is pending. For `hold_ms` nobody else is
    /// given them.
    fn claim_reports(
        &mut self,
        limit: u32,
        hold_ms: u64,
    ) -> impl Future<Output = Result<Claimed, KitError>> + Send;

    /// Writes what became of a report. One that is `pending` still is due again after `pause_ms`.
    fn settle_report(
        &mut self,
        report_id: &str,
        state: ReportState,
        error: Option<&str>,
        pause_ms: u64,
    ) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Makes dead reports pending again, at their old places, and those that only a dead process holds due at once.
    /// Gives the number of the dead.
    fn revive_reports(&mut self) -> impl Future<Output = Result<u64, KitError>> + Send;

    /// Reports that are on their way.
    fn count_pending(&mut self) -> impl Future<Output = Result<u64, KitError>> + Send;

    /// Sagas of requests (and of fences that no request has) that are older than `age_ms`, with their numbers, oldest
    /// first, at most `limit` requests and as many fences, after request `after_seq`.
    fn aged_sagas(
        &mut self,
        age_ms: u64,
        after_seq: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(i64, SagaId)>, KitError>> + Send;

    /// Removes everything of those of the sagas in which nothing is `started`, nothing happened for `age_ms` and no
    /// report waits. A saga that another transaction is at work on is left for the next time. Gives how many went.
    fn forget(
        &mut self,
        sagas: &[SagaId],
        age_ms: u64,
    ) -> impl Future<Output = Result<u64, KitError>> + Send;

    /// Marks a place to which [`HistoryTx::roll_back_to_savepoint`] leads back. Never nested by the kit.
    fn savepoint(&mut self) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Takes back everything since the savepoint, whatever failed since.
    fn roll_back_to_savepoint(&mut self) -> impl Future<Output = Result<(), KitError>> + Send;

    /// Keeps everything since the savepoint.
    ///
    /// # Errors
    /// Also when something since then has failed and the host's code kept that to itself.
    fn release_savepoint(&mut self) -> impl Future<Output = Result<(), KitError>> + Send;
}
