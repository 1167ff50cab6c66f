//! History in PostgreSQL, for any number of processes of one service. Transactions of one saga are serialised by an
//! advisory lock; processes know of each other by heartbeats.
//!
//! # Why fence and commit cannot miss one another
//!
//! A transaction about a saga is `READ COMMITTED` and its first statement takes the saga's advisory lock, which is held
//! until the transaction has ended. Under `READ COMMITTED` every statement takes a snapshot of its own when it begins.
//! The lock's statement takes one too, perhaps before it waits, so nothing is read in it. PostgreSQL makes a commit
//! visible to new snapshots before it lets go of the locks of that transaction; so the next statement, which begins when
//! the lock is held, sees everything that any earlier holder committed. Nobody else writes rows of the saga until the
//! transaction has ended, so what was read stays true up to its commit. (Under `REPEATABLE READ` the lock's own snapshot
//! would be the one that all statements see, taken before the wait. Hence the level is named in every `BEGIN`.)
//!
//! The lock is named by two numbers, a constant and a hash of the saga. Two sagas with one hash only wait for each
//! other. Each transaction takes one such lock, before any row, so two of them cannot wait for each other's; the removal
//! of old sagas takes many, and waits for none.
//!
//! Two requests with one id in different sagas hold different locks. The unique index decides between them: the second
//! `INSERT … ON CONFLICT DO NOTHING` waits for the first transaction, inserts nothing, and the next statement sees the
//! first one's row. A request never changes its saga, so that is enough to refuse the second.

mod forget;
mod heartbeat;
mod host;
mod lock;
mod owed;
mod revive;
mod tx;

pub use tx::PostgresTx;

use super::{BoxFuture, HistoryStore};
use crate::config::KitError;
use amends_protocol::SagaId;
use heartbeat::Heartbeat;
use lock::{LOCK_CLASS, lock_number};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgPool};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const SCHEMA: &str = include_str!("schema.sql");

/// Version of [`SCHEMA`]; a database from a newer kit is refused rather than damaged.
const SCHEMA_VERSION: i64 = 1;

/// Longest wait for a connection of the pool; whoever asked is told to come again then.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of every connection. No transaction waits for a lock for longer than the supervisor waits for a step; and a
/// process that stops in the middle of a transaction, alive but not running, doesn't keep a saga's lock for ever.
const SESSION: [(&str, &str); 2] =
    [("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "60s")];

/// Where a service's PostgreSQL is, and how its processes know of each other.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// Its address, e.g. `postgres://coupon:secret@db/coupon`. Each service needs a database, or a schema in its
    /// `search_path`, of its own: the kit's tables are named alike everywhere.
    pub url: String,
    /// The host's own tables, as `CREATE TABLE IF NOT EXISTS …` statements; run each time a process opens.
    pub schema: String,
    /// Most connections of this process, besides one for its heartbeat.
    pub connections: u32,
    /// Pause between two heartbeats.
    pub heartbeat_every_ms: u64,
    /// A process that has not shown itself for this long counts as dead. Several heartbeats long, so that a slow one is
    /// not taken for dead; that does no harm but costs its requests in hand.
    pub dead_after_ms: u64,
}

impl PostgresConfig {
    /// The defaults: no tables, 16 connections, a heartbeat every 5 s, dead after 20 s.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            schema: String::new(),
            connections: 16,
            heartbeat_every_ms: 5_000,
            dead_after_ms: 20_000,
        }
    }
}

/// A PostgreSQL database with History and the host's own tables.
pub struct Postgres {
    pool: PgPool,
    worker: Arc<str>,
    dead_after_ms: i64,
    _heartbeat: Heartbeat,
}

impl Postgres {
    /// Opens the database at `url` with the defaults of [`PostgresConfig`] and the host's own tables.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub async fn connect(url: &str, schema: &str) -> Result<Self, KitError> {
        let mut config = PostgresConfig::new(url);
        schema.clone_into(&mut config.schema);
        Self::open(config).await
    }

    /// Opens the database, brings the kit's tables up to date, runs the host's schema, and shows this process as alive.
    ///
    /// # Errors
    /// [`KitError::Open`] when the database is out of reach or refuses; [`KitError::Config`] when a newer kit wrote it,
    /// or its settings don't do.
    pub async fn open(config: PostgresConfig) -> Result<Self, KitError> {
        let options = PgConnectOptions::from_str(&config.url)
            .map_err(|error| {
                KitError::Config(format!("the address of PostgreSQL is wrong: {error}"))
            })?
            .options(SESSION);
        if config.dead_after_ms <= config.heartbeat_every_ms {
            return Err(KitError::Config(format!(
                "a process would be taken for dead between two of its heartbeats: `dead_after_ms` is {}, \
                 `heartbeat_every_ms` {}; make the first several times as long",
                config.dead_after_ms, config.heartbeat_every_ms
            )));
        }
        let what =
            format!("`{}` at `{}`", options.get_database().unwrap_or("?"), options.get_host());
        let failed =
            |error: sqlx::Error| KitError::Open { what: what.clone(), why: error.to_string() };
        let pool = PgPoolOptions::new()
            .max_connections(config.connections.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A round trip less for each transaction; `begin` finds a dead connection out and takes another.
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        migrate(&pool, &what, &config.schema).await?;
        let worker: Arc<str> = Uuid::now_v7().to_string().into();
        let every = Duration::from_millis(config.heartbeat_every_ms.max(1));
        let heartbeat =
            Heartbeat::start(options, Arc::clone(&worker), every).await.map_err(failed)?;
        let dead_after_ms = i64::try_from(config.dead_after_ms).unwrap_or(i64::MAX);
        Ok(Self { pool, worker, dead_after_ms, _heartbeat: heartbeat })
    }

    /// The connections, for the host's own queries. They are not tested before they are given out: after a restart of
    /// the server, a query on one that was idle fails, and the next one gets another.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

impl HistoryStore for Postgres {
    type Tx = PostgresTx;

    fn worker(&self) -> &str {
        &self.worker
    }

    async fn write<T, E, F>(&self, saga: Option<&SagaId>, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<KitError> + Send + 'static,
    {
        let begin = match saga {
            Some(saga) => format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {})",
                lock_number(saga)
            ),
            None => "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned(),
        };
        let mut tx = self.begin(&begin).await?;
        match work(&mut tx).await {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(error) => {
                tx.roll_back().await;
                Err(error)
            }
        }
    }

    async fn read<T, F>(&self, work: F) -> Result<T, KitError>
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, KitError>> + Send + 'static,
        T: Send + 'static,
    {
        let mut tries = self.pool.options().get_max_connections();
        let mut tx = self.acquire().await?;
        while let Err(error) = tx.connection().ping().await {
            if tries == 0 {
                return Err(KitError::Unavailable(error.to_string()));
            }
            tries -= 1;
            tx = self.acquire().await?;
        }
        work(&mut tx).await
    }
}

impl Postgres {
    /// Begins on the first connection that is alive. Nothing has been asked of the database when one is not, so taking
    /// another is safe; after a restart of the server all that were idle are dead, hence as many tries as there are.
    async fn begin(&self, statements: &str) -> Result<PostgresTx, KitError> {
        let mut tries = self.pool.options().get_max_connections();
        loop {
            let mut tx = self.acquire().await?;
            match tx.begin(statements.to_owned()).await {
                Ok(()) => return Ok(tx),
                Err(error) if is_line_dead(&error) && tries > 0 => tries -= 1,
                Err(error) => return Err(KitError::Unavailable(error.to_string())),
            }
        }
    }

    async fn acquire(&self) -> Result<PostgresTx, KitError> {
        let connection =
            self.pool.acquire().await.map_err(|error| KitError::Unavailable(error.to_string()))?;
        Ok(PostgresTx::new(connection, Arc::clone(&self.worker), self.dead_after_ms))
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// Whether an error tells of the connection and not of what was asked: it broke, or the server closed it (08, 57P).
fn is_line_dead(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|told| told.code());
    matches!(error, sqlx::Error::Io(_))
        || code.is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
}

/// Processes that start together take turns, since two `CREATE TABLE IF NOT EXISTS` at once can fail.
async fn migrate(pool: &PgPool, what: &str, schema: &str) -> Result<(), KitError> {
    let failed =
        |error: sqlx::Error| KitError::Open { what: what.to_owned(), why: error.to_string() };
    let mut tx = pool.begin().await.map_err(failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, 0)")
        .bind(LOCK_CLASS)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    sqlx::raw_sql(SCHEMA).execute(&mut *tx).await.map_err(failed)?;
    let found: i64 = sqlx::query_scalar("SELECT max(version) FROM amends_schema")
        .fetch_one(&mut *tx)
        .await
        .map_err(failed)?;
    if found > SCHEMA_VERSION {
        return Err(KitError::Config(format!(
            "the database {what} was written by a newer kit (schema {found}, this one knows {SCHEMA_VERSION}); use that one"
        )));
    }
    let waits: String =
        sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut *tx).await.map_err(failed)?;
    if waits == "off" {
        return Err(KitError::Config(format!(
            "the database {what} has `synchronous_commit` off, so a crash of it would lose what was answered; switch it on"
        )));
    }
    // The host wrote it, and it is run as the host.
    sqlx::raw_sql(AssertSqlSafe(schema.to_owned())).execute(&mut *tx).await.map_err(failed)?;
    tx.commit().await.map_err(failed)
}

impl From<sqlx::Error> for KitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.to_string())
    }
}
