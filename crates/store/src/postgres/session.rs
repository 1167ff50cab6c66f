//! A connection on a thread of its own: what is asked on it is waited for, and for a bounded time only.

use crate::StoreError;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
};
use std::{cell::RefCell, io, time::Duration};
use tokio::runtime::{Builder, Runtime};

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What a connection is told of itself, and how long it may take to answer.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) settings: &'static [(&'static str, &'static str)],
    pub(crate) limit: Duration,
}

/// For commits. A plan is made once, perhaps while the tables are empty, and what is looked up here is found by an
/// index whatever the planner thinks of that then; what it guesses of a large table is no reason to compile it anew for
/// each commit. A statement for which its process does not wait any more is noticed
/// within seconds.
pub(crate) const COMMITTING: Kind = Kind {
    settings: &[
        ("search_path", "amends,pg_catalog"),
        ("statement_timeout", "10s"),
        ("lock_timeout", "8s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("client_connection_check_interval", "2s"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_user_timeout", "10000"),
        ("plan_cache_mode", "force_generic_plan"),
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
        ("enable_seqscan", "off"),
    ],
    limit: Duration::from_secs(12),
};
/// For people: what takes longer than `READ_LIMIT_SECONDS` is ended by the server. A plan is made for what is asked
/// each time, and is one process's: `amends_json` works in no other.
pub(crate) const READING: Kind = Kind {
    settings: &[
        ("search_path", "amends,pg_catalog"),
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("default_transaction_read_only", "on"),
        ("plan_cache_mode", "force_custom_plan"),
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
    ],
    limit: Duration::from_secs(8),
};
/// For a copy, which takes as long as there is much.
pub(crate) const COPYING: Kind = Kind {
    settings: &[("search_path", "amends,pg_catalog"), ("default_transaction_read_only", "on")],
    limit: Duration::from_secs(60),
};
/// To move a store into the database: whoever waits is a person, and the last statement looks through all tables.
pub(crate) const MOVING: Kind = Kind {
    settings: &[
        ("search_path", "amends,pg_catalog"),
        ("statement_timeout", "15min"),
        ("lock_timeout", "8s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("client_connection_check_interval", "2s"),
    ],
    limit: Duration::from_secs(16 * 60),
};
/// To bring the tables up to date: an index takes as long as there is much, and each wait says itself how long it may
/// be.
pub(crate) const MIGRATING: Kind = Kind {
    settings: &[
        ("search_path", "amends,pg_catalog"),
        ("statement_timeout", "0"),
        ("client_connection_check_interval", "2s"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
    ],
    limit: Duration::from_secs(24 * 3_600),
};
/// To show that a node lives. That need not survive a crash of the server, after which everybody begins anew.
pub(crate) const BEATING: Kind = Kind {
    settings: &[
        ("search_path", "amends,pg_catalog"),
        ("statement_timeout", "2s"),
        ("synchronous_commit", "local"),
        ("tcp_user_timeout", "3000"),
    ],
    limit: Duration::from_secs(3),
};

/// A connection and what it runs on.
pub(crate) struct Session {
    runtime: Runtime,
    connection: RefCell<PgConnection>,
    /// Past this the connection is given up: nobody knows what became of what was asked.
    limit: Duration,
    /// How often something was asked.
    #[cfg(test)]
    pub(crate) asked: std::cell::Cell<u32>,
}

impl Session {
    fn connect(options: &PgConnectOptions, kind: Kind) -> sqlx::Result<Self> {
        let Kind { settings, limit } = kind;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let options = options.clone().options(settings.iter().copied());
        let connecting = async { tokio::time::timeout(CONNECT_LIMIT, options.connect()).await };
        let connection = runtime.block_on(connecting).map_err(|_| timed_out())??;
        Ok(Self {
            runtime,
            connection: RefCell::new(connection),
            limit,
            #[cfg(test)]
            asked: std::cell::Cell::default(),
        })
    }

    /// Does something on it, and waits for that.
    pub(crate) fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        #[cfg(test)]
        self.asked.update(|asked| asked + 1);
        let mut connection = self.connection.borrow_mut();
        let limited = async { tokio::time::timeout(self.limit, work(&mut *connection)).await };
        self.runtime.block_on(limited).map_err(|_| timed_out())?
    }

    /// Runs statements without values, one after another; several are one transaction if none of them says otherwise.
    pub(crate) fn batch(&self, sql: &str) -> sqlx::Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        self.run(async |line| sqlx::raw_sql(sql).execute(line).await.map(drop))
    }

    /// Does `work` whole or not at all. Where it fails, it is rolled back; where that fails as well, the connection is
    /// of no use any more.
    pub(crate) fn transact<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.batch("BEGIN ISOLATION LEVEL READ COMMITTED").map_err(database("begin a commit"))?;
        match work() {
            // A transaction in which a statement has failed takes `COMMIT` as `ROLLBACK`, without an error; the empty
            // `SELECT` has one then.
            Ok(done) => match self.batch("SELECT; COMMIT") {
                Ok(()) => Ok(done),
                Err(error) => self.roll_back(database("commit")(error)),
            },
            Err(error) => self.roll_back(error),
        }
    }

    /// For this reason; or because of what is worse.
    fn roll_back<T>(&self, why: StoreError) -> Result<T, StoreError> {
        if breaks(&why) {
            return Err(why);
        }
        match self.batch("ROLLBACK") {
            Ok(()) => Err(why),
            Err(broken) => Err(database("roll back")(broken)),
        }
    }

    /// One value.
    pub(crate) fn text(&self, sql: &'static str) -> sqlx::Result<String> {
        self.run(async |line| sqlx::query_scalar(sql).fetch_one(line).await)
    }

    /// Says good-bye.
    pub(crate) fn close(self) {
        let Self { runtime, connection, .. } = self;
        let closing = connection.into_inner().close();
        let _ = runtime.block_on(async { tokio::time::timeout(CONNECT_LIMIT, closing).await });
    }
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"))
}

/// Connects to a database whose place is told where that fails.
pub(crate) fn reach(
    options: &PgConnectOptions,
    place: &str,
    kind: Kind,
) -> Result<Session, StoreError> {
    Session::connect(options, kind).map_err(|error| StoreError::Unusable {
        database: place.to_owned(),
        why: format!("no connection: {error}"),
    })
}

/// What was tried, for the error of it.
pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| StoreError::Database { doing, source: error.into() }
}

/// Whether an error leaves the connection in doubt, and with it what was asked: it broke, the server closed it (08,
/// 57P), or it leads to a standby (25006), and a new one may lead elsewhere. Any other error of the server is of one
/// statement, of which nothing is stored then.
pub(crate) fn is_line_dead(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        Some(told) => told.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P") || code == "25006"
        }),
        None => !matches!(error, sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. }),
    }
}

/// The same of an error that was told already.
pub(crate) fn breaks(error: &StoreError) -> bool {
    match error {
        StoreError::Database { source, .. } => {
            source.downcast_ref::<sqlx::Error>().is_none_or(is_line_dead)
        }
        StoreError::Unusable { .. } => true,
        _ => false,
    }
}

/// Whether it is an error of the server with this code.
pub(crate) fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|told| told.code());
    code.is_some_and(|code| codes.contains(&&*code))
}

/// The same of an error that was told already.
pub(crate) fn tells(error: &StoreError, codes: &[&str]) -> bool {
    match error {
        StoreError::Database { source, .. } => {
            source.downcast_ref::<sqlx::Error>().is_some_and(|error| has_code(error, codes))
        }
        _ => false,
    }
}

/// A column of ours, whose type is known.
pub(crate) fn get<'r, T>(row: &'r PgRow, index: usize) -> sqlx::Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(index)
}
