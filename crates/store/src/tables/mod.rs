//! What SQLite and PostgreSQL have in common: the same tables, how their rows read, and what is asked of them for
//! people and at a start. How a commit is made durable is the affair of each.
//!
//! The SQL here is such as both read. Each knows what it has to put in other words; where it can answer for many at
//! once what is written here as a loop, it does.

pub(crate) mod act_rows;
pub(crate) mod bulks;
pub(crate) mod case_list;
pub(crate) mod chain;
pub(crate) mod codes;
pub(crate) mod counts;
pub(crate) mod credentials;
pub(crate) mod cursor;
pub(crate) mod erasures;
pub(crate) mod gathered;
pub(crate) mod key;
pub(crate) mod lists;
pub(crate) mod lookup;
pub(crate) mod marks;
pub(crate) mod order;
pub(crate) mod prune;
pub(crate) mod raw;
pub(crate) mod records;
pub(crate) mod rejected;
pub(crate) mod rows;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod written;

use crate::StoreError;
use amends_protocol::{CaseId, ReportKey, SagaId};
use key::{case_number, case_of, key_range};
use rows::{CASE_COLUMNS, SAGA_COLUMNS, column, text};
use written::Unwritten;

pub(crate) use rusqlite::types::{Value, ValueRef};

/// A row of whichever database.
pub(crate) trait Columns {
    /// A column as it is.
    fn value(&self, index: usize) -> Result<ValueRef<'_>, StoreError>;

    /// The name of a column, for messages.
    fn name(&self, index: usize) -> &str;
}

/// What is done with each row.
pub(crate) type Read<'r> = &'r mut dyn FnMut(&dyn Columns) -> Result<(), StoreError>;

/// Words that the databases have for the same. JSON of theirs that can't be read says nothing and ends no search.
pub(crate) struct Dialect {
    /// Where a text is in another, from 1; 0 if it is not.
    pub(crate) place_in: &'static str,
    /// Whether a text matches a pattern, ASCII letters in either case.
    pub(crate) like: &'static str,
    /// The numbers of a JSON array that is the value of `?`, as a query.
    pub(crate) numbers: &'static str,
    /// The customer that the case `c` concerns.
    pub(crate) customer: &'static str,
    /// The amounts that the case `c` is about, as a table `a` with the column `value`.
    pub(crate) amounts: &'static str,
    /// The message of the step `s`.
    pub(crate) message: &'static str,
    /// The ordinal of the step whose part the step `s` is, or nothing.
    pub(crate) part_of: &'static str,
}

/// The tables, as far as they are asked and written here. All of one question is asked of one moment, all of one change
/// within one transaction; which that is, is the caller's affair.
pub(crate) trait Tables {
    /// Its words.
    fn dialect(&self) -> &'static Dialect;

    /// Asks, with a value for each `?` or for `?1`, `?2` …, and reads each row.
    fn each(&self, sql: &str, values: &[Value], read: Read<'_>) -> Result<(), StoreError>;

    /// Changes rows; says how many.
    fn execute(&self, sql: &str, values: &[Value]) -> Result<usize, Unwritten>;

    /// Which case each report is of, if it is known.
    fn cases_of_reports(&self, keys: &[ReportKey]) -> Result<Vec<Option<CaseId>>, StoreError> {
        let sql = "SELECT key FROM reports WHERE source = ?1 AND id = ?2";
        let mut cases = Vec::with_capacity(keys.len());
        for key in keys {
            let mut found = None;
            self.each(sql, &[text(&key.source), text(&key.id)], &mut |row| {
                found = Some(case_of(column(row, 0)?));
                Ok(())
            })?;
            cases.push(found);
        }
        Ok(cases)
    }

    /// Reads cases of these sagas and with these numbers: rows of [`CASE_COLUMNS`], in any order, some perhaps twice.
    fn each_case(
        &self,
        sagas: &[SagaId],
        ids: &[CaseId],
        read: Read<'_>,
    ) -> Result<(), StoreError> {
        let by_saga = format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.saga = ?1");
        let by_id = format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.id = ?1");
        for saga in sagas {
            self.each(&by_saga, &[text(saga.as_str())], read)?;
        }
        for &case in ids {
            // A number that no case can have is simply not found.
            let Ok(number) = case_number(case) else { continue };
            self.each(&by_id, &[number.into()], read)?;
        }
        Ok(())
    }

    /// Reads what these sagas have announced: rows of [`SAGA_COLUMNS`].
    fn each_saga(&self, sagas: &[SagaId], read: Read<'_>) -> Result<(), StoreError> {
        let sql = format!("SELECT {SAGA_COLUMNS} FROM sagas WHERE saga = ?1");
        sagas.iter().try_for_each(|saga| self.each(&sql, &[text(saga.as_str())], read))
    }

    /// Reads rows that lie under keys of these cases, by key: `sql` is a query of one table up to its `WHERE`, `key`
    /// the name of its key.
    fn each_of_cases(
        &self,
        sql: &str,
        key: &str,
        cases: &[CaseId],
        read: Read<'_>,
    ) -> Result<(), StoreError> {
        let sql = format!("{sql} WHERE {key} BETWEEN ?1 AND ?2 ORDER BY {key}");
        for &case in cases {
            let (first, last) = key_range(case);
            self.each(&sql, &[first.into(), last.into()], read)?;
        }
        Ok(())
    }

    /// Removes cases with all that lies under their keys.
    fn drop_cases(&self, cases: &[CaseId]) -> Result<(), Unwritten> {
        for &case in cases {
            let (first, last) = key_range(case);
            for sql in [
                "DELETE FROM attempts WHERE step BETWEEN ?1 AND ?2",
                "DELETE FROM steps WHERE key BETWEEN ?1 AND ?2",
                "DELETE FROM reports WHERE key BETWEEN ?1 AND ?2",
            ] {
                self.execute(sql, &[first.into(), last.into()])?;
            }
            let id = case.0.cast_signed();
            self.execute("DELETE FROM cases WHERE id = ?1", &[id.into()])?;
        }
        Ok(())
    }

    /// Notes that business data goes with this transaction, for a database that has to overwrite it.
    fn note_erased(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Asks, and reads each row.
pub(crate) fn collect<T>(
    conn: &dyn Tables,
    sql: &str,
    values: &[Value],
    mut read: impl FnMut(&dyn Columns) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    conn.each(sql, values, &mut |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}

/// As [`collect`], of which at most one row is expected.
pub(crate) fn one<T>(
    conn: &dyn Tables,
    sql: &str,
    values: &[Value],
    read: impl FnMut(&dyn Columns) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    Ok(collect(conn, sql, values, read)?.pop())
}
