//! The two threads of a SQLite file. The writer takes what has queued, runs each job in a savepoint of its own, commits
//! once, and only then answers. Knows nothing of History.

use super::tx::SqliteTx;
use crate::config::KitError;
use crate::guarded::guarded_call;
use crate::store::BoxFuture;
use std::fs::File;
use std::task::{Context, Poll, Waker};
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for a database thread. A commit takes about a millisecond, so a full queue is about a second
/// of work; after that callers wait in their own tasks, which the server's connection limit bounds.
const QUEUE_LIMIT: usize = 1_024;

/// Jobs of one commit. By then the wait for the disk is shared by so many that more would only make the first wait.
const GROUP_LIMIT: usize = 64;

const GIVEN_UP: &str = "the transaction was rolled back by SQLite; check the disk";

/// Does its part of a transaction; what it gives answers its caller, once it is known how the commit went.
type Job = Box<dyn FnOnce(&mut SqliteTx) -> OnCommit + Send>;
type OnCommit = Box<dyn FnOnce(&Committed)>;

/// How the commit of a group went.
enum Committed {
    Yes,
    /// The whole transaction was rolled back before the commit.
    No(String),
    /// The commit failed on its way to the disk.
    Unknown(String),
}

/// Handle to the writing thread, which ends when it is dropped.
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread; the lock on the file is held until it has ended.
    pub(super) fn spawn(mut tx: SqliteTx, lock: File) -> Result<Self, KitError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_LIMIT);
        spawn("amends-writer", move || {
            let _lock = lock;
            while let Some(first) = queue.blocking_recv() {
                let others = std::iter::from_fn(|| queue.try_recv().ok());
                run_group(&mut tx, std::iter::once(first).chain(others).take(GROUP_LIMIT));
            }
        })?;
        Ok(Self { jobs })
    }

    /// Runs `work` within a transaction: durable when it returns `Ok`, rolled back when it returns `Err` or panics.
    pub(super) async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut SqliteTx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<KitError> + Send + 'static,
    {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            let result = in_savepoint(tx, work);
            Box::new(move |committed| {
                let result = result.and_then(|value| match committed {
                    Committed::Yes => Ok(value),
                    Committed::No(why) => Err(KitError::Database(why.clone()).into()),
                    Committed::Unknown(why) => Err(KitError::CommitUnknown(why.clone()).into()),
                });
                // The asker may have gone away; what it asked for stays done.
                let _ = done.send(result);
            })
        });
        self.jobs.send(job).await.map_err(|_| KitError::Closed)?;
        answer.await.map_err(|_| {
            KitError::CommitUnknown("the database thread ended while it was asked".to_owned())
        })?
    }
}

/// INVARIANT: nobody is answered before the commit, and nobody is told of a success that a failed commit took back.
fn run_group(tx: &mut SqliteTx, jobs: impl Iterator<Item = Job>) {
    let mut answers: Vec<OnCommit> = Vec::new();
    let mut begun = tx.connection().execute_batch("BEGIN IMMEDIATE");
    for job in jobs {
        if begun.is_ok() && tx.connection().is_autocommit() {
            // SQLite gave the transaction up (a full disk, a failed write), and with it all that came before.
            answer_all(&mut answers, &Committed::No(GIVEN_UP.to_owned()));
            begun = tx.connection().execute_batch("BEGIN IMMEDIATE");
        }
        // A job that finds no transaction begun says so itself.
        answers.push(job(tx));
    }
    let committed = match begun {
        Ok(()) if tx.connection().is_autocommit() => Committed::No(GIVEN_UP.to_owned()),
        Ok(()) => match tx.connection().execute_batch("COMMIT") {
            Ok(()) => Committed::Yes,
            Err(error) => Committed::Unknown(error.to_string()),
        },
        Err(error) => Committed::No(error.to_string()),
    };
    if !tx.connection().is_autocommit()
        && let Err(error) = tx.connection().execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a failed transaction cannot be rolled back");
    }
    answer_all(&mut answers, &committed);
}

fn answer_all(answers: &mut Vec<OnCommit>, committed: &Committed) {
    for answer in answers.drain(..) {
        answer(committed);
    }
}

/// Runs one job so that only what it wrote is rolled back when it fails.
fn in_savepoint<T, E, F>(tx: &mut SqliteTx, work: F) -> Result<T, E>
where
    F: for<'t> FnOnce(&'t mut SqliteTx) -> BoxFuture<'t, Result<T, E>>,
    E: From<KitError>,
{
    if tx.connection().is_autocommit() {
        return Err(KitError::Unavailable("no transaction could be begun".to_owned()).into());
    }
    cached(tx, "SAVEPOINT amends_job")?;
    let result = guarded_call(|| complete(work(tx))).map_err(E::from).flatten();
    if tx.connection().is_autocommit() {
        // Everything is rolled back already.
        return result.and_then(|_| Err(KitError::Database(GIVEN_UP.to_owned()).into()));
    }
    if result.is_err() {
        cached(tx, "ROLLBACK TO amends_job")?;
    }
    cached(tx, "RELEASE amends_job")?;
    result
}

/// Every job runs these: they are not read anew each time.
fn cached(tx: &SqliteTx, sql: &str) -> Result<(), KitError> {
    tx.connection().prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Drives a transaction's future to its end. Its statements never wait, so one poll does it.
fn complete<T, E: From<KitError>>(mut work: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(KitError::Database(
            "a transaction on SQLite waited for something; it may await nothing but its own statements".to_owned(),
        )
        .into()),
    }
}

type Query = Box<dyn FnOnce(&mut SqliteTx) + Send>;

/// Handle to the reading thread, which ends when it is dropped.
pub(super) struct Reader {
    queries: mpsc::Sender<Query>,
}

impl Reader {
    pub(super) fn spawn(mut tx: SqliteTx) -> Result<Self, KitError> {
        let (queries, mut queue) = mpsc::channel::<Query>(QUEUE_LIMIT);
        spawn("amends-reader", move || {
            while let Some(query) = queue.blocking_recv() {
                query(&mut tx);
            }
        })?;
        Ok(Self { queries })
    }

    /// Runs `work` on a connection that cannot write.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, KitError>
    where
        F: for<'t> FnOnce(&'t mut SqliteTx) -> BoxFuture<'t, Result<T, KitError>> + Send + 'static,
        T: Send + 'static,
    {
        let (done, answer) = oneshot::channel();
        let query: Query = Box::new(move |tx| {
            let _ = done.send(guarded_call(|| complete(work(tx))).flatten());
        });
        self.queries.send(query).await.map_err(|_| KitError::Closed)?;
        answer.await.map_err(|_| KitError::Closed)?
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), KitError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| KitError::Config(format!("cannot start the database thread: {error}")))
}
