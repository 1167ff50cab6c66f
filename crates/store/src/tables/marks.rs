//! Numbers that outlive the rows they came from.

use super::{
    Tables, collect,
    rows::{column, text},
    written::{WRITING, doing},
};
use crate::StoreError;
use amends_protocol::Timestamp;

/// Name of the mark that counts the rows of `cases`.
pub(crate) const CASES: &str = "cases";
/// All of them. Where the mark counts only those up to a number (`postgres/counting.rs`), the others are few.
const COUNT_CASES: &str = "
    SELECT CAST((SELECT coalesce(sum(value), 0) FROM marks WHERE name = 'cases' OR name LIKE 'cases:%')
      + (SELECT count(*) FROM cases WHERE id > (SELECT value FROM marks WHERE name = 'counted_to')) AS bigint)";
/// Counts those as well, where there may be any; and up to which number all are counted then.
const COUNT_UP: [&str; 2] = [
    "UPDATE marks SET value = value
       + (SELECT count(*) FROM cases WHERE id > (SELECT value FROM marks WHERE name = 'counted_to'))
     WHERE name = 'cases' AND EXISTS (SELECT 1 FROM marks WHERE name = 'counted_to')",
    "UPDATE marks SET value = (SELECT max(id) FROM cases)
     WHERE name = 'counted_to' AND value < (SELECT max(id) FROM cases)",
];
/// Name of the mark that keeps the highest case number once its case is pruned.
pub(crate) const LAST_CASE: &str = "last_case";
/// Name of the mark that tells the version of what belongs to no saga, in a store that nodes share.
pub(crate) const SETTINGS: &str = "settings";
/// Writes the mark of the last case. Numbers are never given out again, or an old audit entry would speak of the wrong
/// case.
pub(crate) const KEEP_LAST_CASE: &str =
    "INSERT INTO marks (name, value) SELECT ?1, max(id) FROM cases HAVING max(id) IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > marks.value";

const KEEP_CLOCK: &str = "INSERT INTO marks (name, value) VALUES ('clock', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > marks.value";
const TOUCH: &str = "INSERT INTO marks (name, value) VALUES ('touched', 1)
    ON CONFLICT (name) DO UPDATE SET value = marks.value + 1";

/// The value of a mark, if it is there.
pub(crate) fn value(conn: &dyn Tables, name: &str) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT value FROM marks WHERE name = ?1";
    Ok(collect(conn, sql, &[text(name)], |row| column(row, 0))?.pop())
}

/// The values of a mark, and of those that nodes which share the store have in its place, one for each part:
/// `NAME:PART`.
pub(crate) fn values(conn: &dyn Tables, name: &str) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT value FROM marks WHERE name = ?1 OR name LIKE ?2";
    collect(conn, sql, &[text(name), text(&format!("{name}:%"))], |row| column(row, 0))
}

/// How many cases there are.
pub(crate) fn count_cases(conn: &dyn Tables) -> Result<i64, StoreError> {
    Ok(collect(conn, COUNT_CASES, &[], |row| column(row, 0))?.pop().unwrap_or_default())
}

/// Counts what was not counted yet, within a transaction that removes cases or ends such counting.
pub(crate) fn count_up(conn: &dyn Tables) -> Result<(), StoreError> {
    let mut both = COUNT_UP.into_iter();
    both.try_for_each(|sql| conn.execute(sql, &[]).map(drop).map_err(doing("count cases")))
}

/// Notes that cases were added, or removed after [`count_up`], within the transaction that does it.
pub(crate) fn more_cases(conn: &dyn Tables, by: i64) -> Result<(), StoreError> {
    if by == 0 {
        return Ok(());
    }
    let sql = "UPDATE marks SET value = value + ?1 WHERE name = ?2";
    conn.execute(sql, &[by.into(), text(CASES)]).map(drop).map_err(doing("count cases"))
}

/// Keeps the latest supervisor time.
pub(crate) fn keep_clock(conn: &dyn Tables, clock: Timestamp) -> Result<(), StoreError> {
    conn.execute(KEEP_CLOCK, &[clock.0.into()]).map(drop).map_err(doing(WRITING))
}

/// Writes something that has to reach the disk.
pub(crate) fn touch(conn: &dyn Tables) -> Result<(), StoreError> {
    conn.execute(TOUCH, &[]).map(drop).map_err(doing(WRITING))
}
