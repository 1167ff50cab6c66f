//! Bulk acts: what they are for, and how far they have come. What they do is none of its affair.

use super::{
    Tables, collect, one as one_row,
    rows::{column, text},
    written::doing,
};
use crate::{BulkRow, StoreError};

/// Bulk acts that are kept; of older ones the audit tells.
const KEPT: i64 = 1_000;

/// Keeps one; of one that is known, only the state is replaced.
pub(crate) fn put(conn: &dyn Tables, row: &BulkRow) -> Result<(), StoreError> {
    let id = row.id.cast_signed();
    let insert = "INSERT INTO bulks (id, ids, state) VALUES (?1, ?2, ?3)
                  ON CONFLICT (id) DO UPDATE SET state = excluded.state";
    conn.execute(insert, &[id.into(), text(&row.ids), text(&row.state)])
        .map_err(doing("store a bulk act"))?;
    conn.execute("DELETE FROM bulks WHERE id <= ?1", &[(id - KEPT).into()])
        .map_err(doing("remove old bulk acts"))?;
    Ok(())
}

/// One by its number.
pub(crate) fn one(conn: &dyn Tables, id: u64) -> Result<Option<BulkRow>, StoreError> {
    let sql = "SELECT id, ids, state FROM bulks WHERE id = ?1";
    one_row(conn, sql, &[id.cast_signed().into()], |row| {
        let id = column::<i64>(row, 0)?.cast_unsigned();
        Ok(BulkRow { id, ids: column(row, 1)?, state: column(row, 2)? })
    })
}

/// The newest ones, without what they are for.
pub(crate) fn newest(conn: &dyn Tables, keep: usize) -> Result<Vec<BulkRow>, StoreError> {
    let sql = "SELECT id, state FROM bulks ORDER BY id DESC LIMIT ?1";
    collect(conn, sql, &[(keep as i64).into()], |row| {
        let id = column::<i64>(row, 0)?.cast_unsigned();
        Ok(BulkRow { id, ids: String::new(), state: column(row, 1)? })
    })
}
