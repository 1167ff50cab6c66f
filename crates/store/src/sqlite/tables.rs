//! The tables as SQLite has them.

use super::scrub;
use crate::{
    StoreError,
    tables::{
        Columns, Dialect, Read, Tables, Value, ValueRef,
        rows::READ_LIMIT_SECONDS,
        written::{Unwritten, Why},
    },
};
use rusqlite::{Connection, ErrorCode, Row, params_from_iter};

/// What it means that something can't be read.
pub(crate) fn read_error(source: rusqlite::Error) -> StoreError {
    if source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
        return StoreError::TooSlow { seconds: READ_LIMIT_SECONDS };
    }
    StoreError::Database { doing: "read the store", source: source.into() }
}

/// What it means that something was not written.
pub(crate) fn unwritten(source: rusqlite::Error) -> Unwritten {
    let why = match source.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => Why::Taken,
        Some(ErrorCode::TooBig) => Why::TooLong,
        _ => Why::Failed,
    };
    Unwritten { why, source: source.into() }
}

impl Columns for Row<'_> {
    fn value(&self, index: usize) -> Result<ValueRef<'_>, StoreError> {
        self.get_ref(index).map_err(read_error)
    }

    fn name(&self, index: usize) -> &str {
        self.as_ref().column_name(index).unwrap_or("a column")
    }
}

pub(crate) const DIALECT: Dialect = Dialect {
    place_in: "instr",
    like: "LIKE",
    numbers: "SELECT value FROM json_each(?)",
    customer: "json_extract(CASE WHEN json_valid(c.memo) THEN c.memo ELSE '{}' END, '$.business.customer')",
    amounts: "json_each(CASE WHEN json_valid(c.memo) THEN c.memo ELSE '{}' END, '$.business.order') a",
    message: "json_extract(s.memo, '$.message')",
    part_of: "json_extract(s.memo, '$.part_of')",
    steps_of_case: "CROSS JOIN steps s ON s.key BETWEEN (c.id << 20) AND (c.id << 20 | 1048575)",
};

impl Tables for Connection {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn each(&self, sql: &str, values: &[Value], read: Read<'_>) -> Result<(), StoreError> {
        let mut statement = self.prepare_cached(sql).map_err(read_error)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(read_error)?;
        while let Some(row) = rows.next().map_err(read_error)? {
            read(row)?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<usize, Unwritten> {
        let statement = self.prepare_cached(sql);
        statement
            .and_then(|mut statement| statement.execute(params_from_iter(values)))
            .map_err(unwritten)
    }

    fn note_erased(&self) -> Result<(), StoreError> {
        scrub::mark(self, true)
    }
}
