//! The store that is moved: a folder of which no supervisor is running. Its file is read and never written.

use super::tables::{Cell, Kind, Row, TABLES, Table, TableDigest, TableDigester};
use crate::StoreError;
use crate::sqlite::connection::{self, FILE_NAME};
use crate::tables::act_rows::NO_REASON;
use amends_api::audit::ActDigest;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use std::fs::File;
use std::path::Path;

const DOING: &str = "read the store";

/// An open store, which nobody else can open meanwhile.
pub(crate) struct Source {
    conn: Connection,
    _lock: File,
}

impl Source {
    /// Opens the store of a folder.
    ///
    /// # Errors
    /// That there is none, that a supervisor uses it, or that another version wrote it.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        path.metadata().map_err(connection::file("read", &path))?;
        let lock = connection::lock_directory(dir)?;
        let conn = connection::open_reader(&path)?;
        connection::refuse_foreign(&conn, &path)?;
        connection::refuse_other_schema(&conn)?;
        Ok(Self { conn, _lock: lock })
    }

    /// Rows of all tables.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn rows_in_all(&self) -> Result<u64, StoreError> {
        let count = |table: &Table| {
            let sql = format!("SELECT count(*) FROM {} WHERE {}", table.name, table.ours());
            self.conn
                .query_row(&sql, [], |row| row.get::<_, i64>(0))
                .map_err(connection::database(DOING))
        };
        TABLES.iter().map(count).try_fold(0, |sum, rows| Ok(sum + rows?.cast_unsigned()))
    }

    /// At most so many rows in the order of their key: from the first on, or after those with this key.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn rows(
        &self,
        table: &Table,
        after: Option<&[Cell]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let (names, key) = (table.names(), table.key_names());
        let places = vec!["?"; table.key].join(", ");
        let begins = after.map(|_| format!("AND ({key}) > ({places})")).unwrap_or_default();
        let (name, ours) = (table.name, table.ours());
        let sql =
            format!("SELECT {names} FROM {name} WHERE {ours} {begins} ORDER BY {key} LIMIT {most}");
        let mut statement = self.conn.prepare_cached(&sql).map_err(connection::database(DOING))?;
        let after = after.unwrap_or_default().iter().take(table.key).map(value);
        let mut found =
            statement.query(params_from_iter(after)).map_err(connection::database(DOING))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(connection::database(DOING))? {
            rows.push(cells(table, row)?);
        }
        Ok(rows)
    }

    /// How many rows come before a key, itself included.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn rows_until(&self, table: &Table, key: &[Cell]) -> Result<u64, StoreError> {
        let places = vec!["?"; table.key].join(", ");
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {} AND ({}) <= ({places})",
            table.name,
            table.ours(),
            table.key_names()
        );
        let count: i64 = self
            .conn
            .query_row(&sql, params_from_iter(key.iter().take(table.key).map(value)), |row| {
                row.get(0)
            })
            .map_err(connection::database(DOING))?;
        Ok(count.cast_unsigned())
    }

    /// What the rows of a table come to.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn digest(&self, table: &Table) -> Result<TableDigest, StoreError> {
        let (mut digester, mut after) = (TableDigester::default(), None::<Row>);
        loop {
            let rows = self.rows(table, after.as_deref(), 2_000)?;
            rows.iter().for_each(|row| digester.add(row));
            match rows.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(digester.finish()),
            }
        }
    }

    /// The highest number that a rejected message has ever had.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn last_rejected(&self) -> Result<i64, StoreError> {
        let sql = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'rejected'";
        let last: Option<i64> =
            self.conn.query_row(sql, [], |row| row.get(0)).map_err(connection::database(DOING))?;
        Ok(last.unwrap_or(0))
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Nothing => Value::Null,
        Cell::Number(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
    }
}

fn cells(table: &Table, row: &rusqlite::Row<'_>) -> Result<Row, StoreError> {
    let mut cells = Vec::with_capacity(table.columns.len());
    for (place, (column, kind)) in table.columns.iter().enumerate() {
        let value = row.get_ref(place).map_err(connection::database(DOING))?;
        let cell = match (kind, value) {
            (_, ValueRef::Null) => Some(Cell::Nothing),
            (Kind::Number | Kind::Small | Kind::Medium, ValueRef::Integer(number)) => {
                Some(Cell::Number(number))
            }
            (Kind::Text, ValueRef::Text(text)) => {
                std::str::from_utf8(text).ok().map(|text| Cell::Text(text.to_owned()))
            }
            (Kind::Bytes, ValueRef::Blob(bytes)) => Some(Cell::Bytes(bytes.to_vec())),
            _ => None,
        };
        match cell {
            Some(cell) => cells.push(cell),
            None => {
                return Err(corrupt(
                    table,
                    &cells,
                    format!("`{column}` holds what no column of its kind holds"),
                ));
            }
        }
    }
    Ok(without_nul(table, cells))
}

/// As PostgreSQL keeps it: it has no NUL, and the store there writes something else in its place. A reason of the audit
/// that was kept with one goes as its digest does, as if it had been erased: of another text the chain would break.
fn without_nul(table: &Table, mut cells: Row) -> Row {
    let place = |name| table.columns.iter().position(|(column, _)| *column == name);
    if table.name == "acts"
        && let (Some(reason), Some(digest)) = (place("reason"), place("reason_digest"))
        && let Some(Cell::Text(text)) = cells.get(reason)
        && text.contains('\0')
    {
        cells[digest] = Cell::Bytes(ActDigest::of(text).bytes().to_vec());
        cells[reason] = Cell::Text(NO_REASON.to_owned());
    }
    for cell in &mut cells {
        if let Cell::Text(text) = cell
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    cells
}

fn corrupt(table: &Table, cells: &[Cell], what: String) -> StoreError {
    StoreError::Corrupt { row: table.row_name(cells), what }
}
