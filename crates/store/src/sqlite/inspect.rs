//! A look at a store from outside, beside a supervisor that may be using it. Changes nothing.

use super::connection::{self, FILE_NAME, SCHEMA};
use crate::StoreError;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a store is looked through for damage.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
/// Steps of SQLite's machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSeen {
    /// Length of the file.
    pub bytes: u64,
    /// Cases in it.
    pub cases: u64,
    /// A supervisor has it open.
    pub in_use: bool,
    /// It was looked through to its end.
    pub checked: bool,
    /// The first damage that was found.
    pub damage: Option<String>,
}

/// What a store in a folder is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteSeen {
    /// Version of its tables.
    pub schema: i64,
    /// Length of the file, without its log.
    pub bytes: u64,
    /// A supervisor has it open.
    pub in_use: bool,
    /// It was moved into a database, and no supervisor starts on it.
    pub moved: bool,
    /// Its tables by name, with their rows.
    pub rows: Vec<(String, u64)>,
}

/// Looks at what the store of a folder is made of, beside a supervisor that may be using it; none if there is no store.
/// Counts all rows, so it takes as long as the file is large.
///
/// # Errors
/// As [`inspect`].
pub fn sqlite_status(dir: &Path) -> Result<Option<SqliteSeen>, StoreError> {
    let path = dir.join(FILE_NAME);
    let Ok(metadata) = path.metadata() else { return Ok(None) };
    let conn = connection::open_reader(&path)?;
    connection::refuse_foreign(&conn, &path)?;
    let schema = connection::version(&conn)?;
    if schema > SCHEMA {
        return Err(StoreError::NewerSchema { found: schema, known: SCHEMA });
    }
    let reading = || connection::database("read the store");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
    let mut tables = conn.prepare(tables).map_err(reading())?;
    let names = tables.query_map([], |row| row.get::<_, String>(0)).map_err(reading())?;
    let mut rows = Vec::new();
    for name in names {
        let name = name.map_err(reading())?;
        let count: i64 = conn
            .query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0))
            .map_err(reading())?;
        rows.push((name, count.cast_unsigned()));
    }
    Ok(Some(SqliteSeen {
        schema,
        bytes: metadata.len(),
        in_use: connection::is_locked(dir),
        moved: super::moved::refuse(dir).is_err(),
        rows,
    }))
}

/// Copies the store of a folder into another, empty one, beside a supervisor that may be using it. The copy opens as a
/// store; nothing of the original changes, whatever version wrote it.
///
/// # Errors
/// As [`inspect`], and that there is no store, or that the copy can't be written.
pub fn copy_store(dir: &Path, to: &Path) -> Result<(), StoreError> {
    let path = dir.join(FILE_NAME);
    path.metadata().map_err(connection::file("read", &path))?;
    let conn = connection::open_reader(&path)?;
    connection::refuse_foreign(&conn, &path)?;
    let found = connection::version(&conn)?;
    if found > SCHEMA {
        return Err(StoreError::NewerSchema { found, known: SCHEMA });
    }
    drop(conn);
    super::upkeep::backup(&path, &to.join(FILE_NAME))
}

/// Looks at the store of a folder; none if there is no store.
///
/// # Errors
/// [`StoreError::NewerSchema`], [`StoreError::ForeignFile`], or that it can't be read.
pub fn inspect(dir: &Path) -> Result<Option<StoreSeen>, StoreError> {
    let path = dir.join(FILE_NAME);
    let Ok(metadata) = path.metadata() else { return Ok(None) };
    let conn = connection::open_reader(&path)?;
    connection::refuse_foreign(&conn, &path)?;
    let found = connection::version(&conn)?;
    if found > SCHEMA {
        return Err(StoreError::NewerSchema { found, known: SCHEMA });
    }
    let database = connection::database;
    let cases: i64 = conn
        .query_row("SELECT count(*) FROM cases", [], |row| row.get(0))
        .map_err(database("read the store"))?;
    let began = Instant::now();
    conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || began.elapsed() > CHECK_LIMIT))
        .map_err(database("read the store"))?;
    let first: rusqlite::Result<String> =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    let (checked, damage) = match first {
        Ok(text) if text == "ok" => (true, None),
        Ok(damage) => (true, Some(damage)),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            (false, None)
        }
        Err(error) => (true, Some(error.to_string())),
    };
    Ok(Some(StoreSeen {
        bytes: metadata.len(),
        cases: cases.cast_unsigned(),
        in_use: connection::is_locked(dir),
        checked,
        damage,
    }))
}
