//! Numbers that people ask for all the time, answered without looking at settled rows.

use super::{
    codes::Coded,
    connection::database,
    rows::{collect, column, read_error},
};
use crate::{Settlements, StoreError};
use amends_api::CaseState;
use amends_protocol::Timestamp;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Name of the mark that counts the rows of `cases`.
const CASES: &str = "cases";

/// Name of the mark that keeps the highest case number once its case is pruned.
pub(crate) const LAST_CASE: &str = "last_case";
/// Writes that mark. Numbers are never given out again, or an old audit entry would speak of the wrong case.
pub(crate) const KEEP_LAST_CASE: &str =
    "INSERT INTO marks (name, value) SELECT ?1, max(id) FROM cases WHERE true
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";

pub(super) const SETTLEMENTS: &str =
    "SELECT opened_at, settled_at FROM cases INDEXED BY cases_settled
    WHERE state = 3 AND settled_at >= ?1 ORDER BY settled_at DESC, id DESC LIMIT ?2";

/// The highest case number that is stored now, 0 if none.
pub(crate) fn highest_case(conn: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT ifnull(max(id), 0) FROM cases";
    let mut highest = conn.prepare_cached(sql).map_err(read_error)?;
    highest.query_row([], |row| row.get(0)).map_err(read_error)
}

/// Notes that cases were added or removed, within the transaction that does it.
pub(crate) fn more_cases(conn: &Connection, by: i64) -> Result<(), StoreError> {
    if by == 0 {
        return Ok(());
    }
    let sql = "UPDATE marks SET value = value + ?1 WHERE name = ?2";
    conn.prepare_cached(sql)
        .and_then(|mut update| update.execute((by, CASES)))
        .map_err(database("count cases"))?;
    Ok(())
}

/// Cases by state: unsettled ones through their own small index, settled ones as the rest.
pub(crate) fn by_state(conn: &Connection) -> Result<BTreeMap<CaseState, u64>, StoreError> {
    let sql = "SELECT state, count(*) FROM cases WHERE state <> 3 GROUP BY state";
    let unsettled = collect(conn, sql, [], |row| Ok((column(row, 0)?, column::<i64>(row, 1)?)))?;
    let mark = "SELECT value FROM marks WHERE name = ?1";
    let all = collect(conn, mark, [CASES], |row| column::<i64>(row, 0))?;
    let mut settled = all.first().copied().unwrap_or(0);
    let mut counts = BTreeMap::new();
    for (code, count) in unsettled {
        settled -= count;
        if let Some(state) = CaseState::from_code(code) {
            counts.insert(state, count.cast_unsigned());
        }
    }
    if settled > 0 {
        counts.insert(CaseState::Settled, settled.cast_unsigned());
    }
    Ok(counts)
}

/// What was settled lately, by walking back from what was settled last.
pub(crate) fn settlements(
    conn: &Connection,
    since: Timestamp,
    limit: usize,
) -> Result<Settlements, StoreError> {
    let times = collect(conn, SETTLEMENTS, [since.0, limit as i64], |row| {
        Ok((Timestamp(column(row, 0)?), Timestamp(column(row, 1)?)))
    })?;
    let settled_since = times.last().filter(|_| times.len() == limit).map(|(_, settled)| *settled);
    Ok(Settlements { times, settled_since })
}
