//! Opens the file: lock, permissions, settings of a connection, and schema migrations. It reads and writes no rows.

use super::audit_begin;
use crate::StoreError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::{
    cmp::Ordering,
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

/// The database within a store's directory.
pub const FILE_NAME: &str = "amends.sqlite";
const LOCK_NAME: &str = "amends.lock";
/// `AMND`, marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x414d_4e44;
/// One per version of the schema, in order; never changed once released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_begin.sql"),
    include_str!("schema/0002_operating.sql"),
    include_str!("schema/0003_by_time.sql"),
    include_str!("schema/0004_rulebook_files.sql"),
    include_str!("schema/0005_salt.sql"),
    include_str!("schema/0006_strangers.sql"),
    include_str!("schema/0007_unanswered.sql"),
    include_str!("schema/0008_rule_holds.sql"),
    include_str!("schema/0009_credentials.sql"),
    AUDIT_CHAIN,
    include_str!("schema/0011_erasures.sql"),
    include_str!("schema/0012_rejected.sql"),
];
/// What SQL alone can't do: the entries that are there get their digests.
const AUDIT_CHAIN: &str = include_str!("schema/0010_audit_chain.sql");
/// The version that this program writes.
pub(crate) const SCHEMA: i64 = MIGRATIONS.len() as i64;
/// Only a backup or a person's `sqlite3` can be in the way, and both only for moments.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept ready per connection; more than there are fixed ones, so that lists don't push them out.
const STATEMENTS: usize = 64;
/// Page cache of the writer: the hot ends of all tables at full load, with room.
const WRITER_CACHE_KIB: i64 = 64 * 1024;

/// Page cache of each reader: the rows that one page of a list looks at.
const READER_CACHE_KIB: i64 = 16 * 1024;

pub(crate) fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| StoreError::Database { doing, source: source.into() }
}

pub(crate) fn file<'p>(
    doing: &'static str,
    path: &'p Path,
) -> impl FnOnce(std::io::Error) -> StoreError + 'p {
    move |source| StoreError::File { doing, path: path.to_owned(), source }
}

/// Creates the directory if it is missing, and takes the lock that keeps a second supervisor out. The lock ends with
/// the returned file, or with the process.
pub(crate) fn lock_directory(dir: &Path) -> Result<File, StoreError> {
    create_private_directory(dir).map_err(file("create directory", dir))?;
    let path = dir.join(LOCK_NAME);
    let lock = private(&mut OpenOptions::new())
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(file("open lock", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::File { doing: "lock", path, source }),
    }
}

/// Whether somebody holds the lock of a directory.
pub(crate) fn is_locked(dir: &Path) -> bool {
    let lock = File::open(dir.join(LOCK_NAME));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The version of a file's schema.
pub(crate) fn version(conn: &Connection) -> Result<i64, StoreError> {
    pragma(conn, "user_version")
}

/// What the WAL gives back when it starts over, if a reader that held on to it has let it grow further.
const WAL_BYTES: u64 = 64 << 20;

/// Opens the one writing connection and brings the schema up to date. The WAL takes over the file's permissions.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    private(&mut OpenOptions::new())
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(file("create", path))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = open(path, flags)?;
    refuse_foreign(&conn, path)?;
    let settings = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA journal_size_limit = {WAL_BYTES}; PRAGMA secure_delete = ON;"
    );
    conn.execute_batch(&settings).map_err(database("set up the store"))?;
    if migrate(&mut conn)? == Brought::FromBeforeErasures {
        drop_remains(&conn, path)?;
    }
    // What was to be erased when the process ended stands in no log any more.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(database("set up the store"))?;
    Ok(conn)
}

/// Largest file that is written anew when it comes from a version that left remains of removed rows: some seconds.
const REWRITTEN_BYTES: u64 = 256 << 20;

/// Versions before erasures left what they had removed, or written anew, in free places of the file. That there is no
/// room to write it anew, or that it is too large, keeps nobody from going on.
fn drop_remains(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let bytes = path.metadata().map_err(file("read", path))?.len();
    let why = match bytes <= REWRITTEN_BYTES {
        true => conn.execute_batch("VACUUM").err().map(|error| error.to_string()),
        false => Some(format!("it has {bytes} bytes, and that would take long")),
    };
    if let Some(why) = why {
        tracing::warn!(
            why,
            "the store was not written anew, so free places of it may hold what an older version removed, and an erasure does not look there; a backup has no such places: make one, and start from it"
        );
    }
    Ok(())
}

/// Opens a connection that only copies from the WAL to the file.
pub(crate) fn open_checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open(path, flags)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")
        .map_err(database("set up the store"))?;
    Ok(conn)
}

/// Opens a connection that can't write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open(path, flags)?;
    // An index that is made for one query reads a whole table; ours are searched in their order, by keys.
    let settings = format!(
        "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{READER_CACHE_KIB}; PRAGMA automatic_index = OFF;"
    );
    conn.execute_batch(&settings).map_err(database("set up the store"))?;
    Ok(conn)
}

/// Creates a file that isn't there yet and that only its owner may read.
pub(crate) fn create_private_file(path: &Path) -> std::io::Result<File> {
    private(&mut OpenOptions::new()).write(true).create_new(true).open(path)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(path, flags).map_err(database("open the store"))?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(database("set up the store"))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

fn pragma(conn: &Connection, name: &str) -> Result<i64, StoreError> {
    conn.pragma_query_value(None, name, |row| row.get(0))
        .map_err(database("read the schema's version"))
}

pub(crate) fn refuse_foreign(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(database("read the store"))?;
    if tables > 0 && pragma(conn, "application_id")? != APPLICATION_ID {
        return Err(StoreError::ForeignFile { path: PathBuf::from(path) });
    }
    Ok(())
}

/// Refuses a file of another version, for whoever may not bring it up to date.
pub(crate) fn refuse_other_schema(conn: &Connection) -> Result<(), StoreError> {
    let (found, known) = (version(conn)?, SCHEMA);
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::NewerSchema { found, known }),
        Ordering::Less => Err(StoreError::OlderSchema { found, known }),
    }
}

/// What bringing the schema up to date has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// A new store, or one that needs no more than that.
    UpToDate,
    /// One of a version that removed rows without a trace in the tables, but not in the file.
    FromBeforeErasures,
}

/// The first version that overwrites what it removes.
const OVERWRITES: i64 = 11;

/// Brings the schema up to date.
pub(crate) fn migrate(conn: &mut Connection) -> Result<Brought, StoreError> {
    const DOING: &str = "bring the schema up to date";
    let known = SCHEMA;
    let found = pragma(conn, "user_version")?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    for (migration, version) in
        MIGRATIONS.iter().zip(1..).skip_while(|(_, version)| *version <= found)
    {
        let mut apply = || -> Result<(), StoreError> {
            let tx = conn
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(database(DOING))?;
            tx.execute_batch(migration).map_err(database(DOING))?;
            if *migration == AUDIT_CHAIN {
                audit_begin::chain_all(&tx)?;
            }
            tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(database(DOING))?;
            tx.pragma_update(None, "user_version", version).map_err(database(DOING))?;
            tx.commit().map_err(database(DOING))
        };
        apply()?;
    }
    Ok(if (1..OVERWRITES).contains(&found) {
        Brought::FromBeforeErasures
    } else {
        Brought::UpToDate
    })
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn create_private_directory(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private_directory(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)
}
