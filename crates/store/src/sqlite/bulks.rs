//! Bulk acts: what they are for, and how far they have come. What they do is none of its affair.

use super::{
    connection::database,
    rows::{collect, column},
};
use crate::{BulkRow, StoreError};
use rusqlite::{Connection, Transaction, params};

/// Bulk acts that are kept; of older ones the audit tells.
const KEPT: i64 = 1_000;

/// Keeps one; of one that is known, only the state is replaced.
pub(crate) fn put(tx: &Transaction<'_>, row: &BulkRow) -> Result<(), StoreError> {
    let id = row.id.cast_signed();
    let insert = "INSERT INTO bulks (id, ids, state) VALUES (?1, ?2, ?3)
                  ON CONFLICT (id) DO UPDATE SET state = ?3";
    tx.execute(insert, params![id, row.ids, row.state]).map_err(database("store a bulk act"))?;
    tx.execute("DELETE FROM bulks WHERE id <= ?1", [id - KEPT])
        .map_err(database("remove old bulk acts"))?;
    Ok(())
}

/// One by its number.
pub(crate) fn one(conn: &Connection, id: u64) -> Result<Option<BulkRow>, StoreError> {
    let sql = "SELECT id, ids, state FROM bulks WHERE id = ?1";
    let found = collect(conn, sql, [id.cast_signed()], |row| {
        let id = column::<i64>(row, 0)?.cast_unsigned();
        Ok(BulkRow { id, ids: column(row, 1)?, state: column(row, 2)? })
    })?;
    Ok(found.into_iter().next())
}

/// The newest ones, without what they are for.
pub(crate) fn newest(conn: &Connection, keep: usize) -> Result<Vec<BulkRow>, StoreError> {
    let sql = "SELECT id, state FROM bulks ORDER BY id DESC LIMIT ?1";
    collect(conn, sql, [keep as i64], |row| {
        let id = column::<i64>(row, 0)?.cast_unsigned();
        Ok(BulkRow { id, ids: String::new(), state: column(row, 1)? })
    })
}
