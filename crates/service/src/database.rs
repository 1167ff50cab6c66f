//! One SQLite file, one writing thread, one reading thread. Transactions come in as closures and run one after the
//! other, so every decision about a request is made without rivals. Knows no table of the kit but the schema.

use crate::config::{KitConfig, KitError};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for a database thread. A commit takes about a millisecond, so a full queue is about a second
/// of work; after that callers wait in their own tasks, which the server's connection limit bounds.
const QUEUE_LIMIT: usize = 1_024;

/// How long SQLite waits for another process (a backup, an operator's shell) that holds the file's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = include_str!("schema.sql");

/// Version of [`SCHEMA`]; a file from a newer kit is refused rather than damaged.
const SCHEMA_VERSION: i64 = 1;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Handle to both threads; they end when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
}

impl Database {
    /// Opens or creates the file, brings the kit's tables up to date and runs the host's schema.
    pub(crate) fn open(config: &KitConfig) -> Result<Self, KitError> {
        let failed = |source| KitError::Open { path: config.database.clone(), source };
        let mut writing = connect(&config.database).map_err(failed)?;
        migrate(&mut writing, config)?;
        let reading = connect(&config.database).map_err(failed)?;
        reading.pragma_update(None, "query_only", true)?;
        Ok(Self {
            writer: spawn(writing, format!("{}-writer", config.service))?,
            reader: spawn(reading, format!("{}-reader", config.service))?,
        })
    }

    /// Runs `work` in one transaction: committed when it returns `Ok`, rolled back when it returns `Err` or panics.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<KitError> + Send + 'static,
    {
        run(&self.writer, |connection| {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(KitError::from)?;
            let value = guarded(|| work(&transaction))??;
            transaction.commit().map_err(KitError::from)?;
            Ok(value)
        })
        .await
    }

    /// Runs `query` on a connection that cannot write; it sees everything committed before it began.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, KitError> {
        run(&self.reader, |connection| guarded(|| query(connection))?.map_err(KitError::from)).await
    }
}

async fn run<T, E>(
    lane: &mpsc::Sender<Job>,
    work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<KitError> + Send + 'static,
{
    let (done, answer) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        // The asker may have gone away; what it asked for stays done.
        let _ = done.send(work(connection));
    });
    lane.send(job).await.map_err(|_| KitError::Closed)?;
    answer.await.map_err(|_| KitError::Closed)?
}

/// Runs `work` within a transaction, so that only what it wrote is rolled back when it returns `Err` or panics. What was
/// written before stays.
///
/// # Errors
/// The outer one when SQLite cannot do even that; the whole transaction has to be rolled back then.
pub(crate) fn attempt<T, E: From<KitError>>(
    tx: &Transaction<'_>,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<Result<T, E>, KitError> {
    tx.execute_batch("SAVEPOINT amends_attempt")?;
    let done = guarded(work).map_err(E::from).flatten();
    if done.is_err() {
        tx.execute_batch("ROLLBACK TO amends_attempt")?;
    }
    tx.execute_batch("RELEASE amends_attempt")?;
    Ok(done)
}

/// Turns a panic of the host's code into an error, so that it cannot end the thread.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, KitError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| KitError::Panicked(panic_text(&*panic)))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // INVARIANT: what was answered survives a power cut, so every commit waits for the disk.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn migrate(connection: &mut Connection, config: &KitConfig) -> Result<(), KitError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    let found: i64 =
        transaction.query_row("SELECT max(version) FROM amends_schema", [], |r| r.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(KitError::Config(format!(
            "the database `{}` was written by a newer kit (schema {found}, this one knows {SCHEMA_VERSION}); use that one",
            config.database.display()
        )));
    }
    transaction.execute_batch(config.schema)?;
    transaction.commit()?;
    Ok(())
}

fn spawn(mut connection: Connection, name: String) -> Result<mpsc::Sender<Job>, KitError> {
    let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_LIMIT);
    std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
        })
        .map_err(|error| KitError::Config(format!("cannot start the database thread: {error}")))?;
    Ok(jobs)
}
