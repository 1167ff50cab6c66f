//! History in one SQLite file, for one process: one writing thread with group commit, one reading thread. Transactions
//! run one after the other, so every decision is made without rivals.

mod host;
mod tx;
mod writer;

pub use tx::SqliteTx;

use super::{BoxFuture, HistoryStore};
use crate::config::KitError;
use amends_protocol::SagaId;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tx::Clock;
use uuid::Uuid;
use writer::{Reader, Writer};

/// How long SQLite waits for another process (a backup, an operator's shell) that holds the file's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps prepared: all of the kit's, and as many of the host's.
const PREPARED: usize = 64;

const SCHEMA: &str = include_str!("schema.sql");

/// Version of [`SCHEMA`]; a file from a newer kit is refused rather than damaged.
const SCHEMA_VERSION: i64 = 1;

/// A SQLite file with History and the host's own tables. Closed when the last kit that uses it is gone.
pub struct Sqlite {
    database: PathBuf,
    worker: String,
    writer: Writer,
    reader: Reader,
}

impl Sqlite {
    /// Opens or creates the file (WAL, every commit waits for the disk), brings the kit's tables up to date and runs
    /// `schema`: the host's own tables, as `CREATE TABLE IF NOT EXISTS …` statements.
    ///
    /// # Errors
    /// [`KitError::Locked`] when another process has the file: it would take this one's requests for abandoned.
    /// [`KitError::Open`] when the file cannot be used, [`KitError::Config`] when a newer kit wrote it, or a
    /// table has a deferred foreign key.
    pub fn open(database: impl Into<PathBuf>, schema: &str) -> Result<Self, KitError> {
        Self::open_with_clock(database, schema, || {
            let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
        })
    }

    /// The same with a clock of one's own, in UTC milliseconds: for tests of what takes days.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_with_clock(
        database: impl Into<PathBuf>,
        schema: &str,
        clock: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Self, KitError> {
        let database = database.into();
        let clock: Clock = Arc::new(clock);
        let lock = lock(&database)?;
        let failed = |error: rusqlite::Error| KitError::Open {
            what: format!("`{}`", database.display()),
            why: error.to_string(),
        };
        let mut writing = connect(&database).map_err(failed)?;
        migrate(&mut writing, &database, schema)?;
        let reading = connect(&database).map_err(failed)?;
        reading.pragma_update(None, "query_only", true).map_err(failed)?;
        let worker = Uuid::now_v7().to_string();
        let tx = |connection| SqliteTx::new(connection, Arc::clone(&clock), &worker);
        let writer = Writer::spawn(tx(writing), lock)?;
        let reader = Reader::spawn(tx(reading))?;
        Ok(Self { database, worker, writer, reader })
    }

    /// The file.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.database
    }
}

impl HistoryStore for Sqlite {
    type Tx = SqliteTx;

    fn worker(&self) -> &str {
        &self.worker
    }

    async fn write<T, E, F>(&self, _saga: Option<&SagaId>, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<KitError> + Send + 'static,
    {
        self.writer.run(work).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T, KitError>
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, KitError>> + Send + 'static,
        T: Send + 'static,
    {
        self.reader.run(work).await
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("database", &self.database)
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

/// INVARIANT: one process at a time writes History to a file, since it takes every request that it doesn't know to be
/// under way for abandoned. The system lets go of the lock when the process ends, however it ends.
fn lock(database: &Path) -> Result<File, KitError> {
    let mut name = database.as_os_str().to_owned();
    name.push("-amends.lock");
    let path = PathBuf::from(name);
    let open = |error: std::io::Error| KitError::Open {
        what: format!("`{}`", database.display()),
        why: format!("its lock file `{}`: {error}", path.display()),
    };
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(open)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(KitError::Locked { database: database.to_owned(), lock: path })
        }
        Err(TryLockError::Error(error)) => Err(open(error)),
    }
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
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

fn migrate(connection: &mut Connection, database: &Path, schema: &str) -> Result<(), KitError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    let found: i64 =
        transaction.query_row("SELECT max(version) FROM amends_schema", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(KitError::Config(format!(
            "the database `{}` was written by a newer kit (schema {found}, this one knows {SCHEMA_VERSION}); use that one",
            database.display()
        )));
    }
    transaction.execute_batch(schema)?;
    refuse_deferred(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// INVARIANT: what is wrong with a request's effect shows before its group commits. A deferred foreign key shows only
/// then, and would fail all requests of the group for one.
fn refuse_deferred(connection: &Connection) -> Result<(), KitError> {
    let table: Option<String> = connection
        .query_row(
            "SELECT name FROM sqlite_schema WHERE sql LIKE '%INITIALLY DEFERRED%' LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    match table {
        None => Ok(()),
        Some(table) => Err(KitError::Config(format!(
            "the table `{table}` has a deferred foreign key; it would be looked at when requests are committed together, \
             and fail those of others too: leave `INITIALLY DEFERRED` out"
        ))),
    }
}

impl From<rusqlite::Error> for KitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}
