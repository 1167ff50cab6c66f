//! What a database of a store can be asked, and how a row of it is read, column by column.

use super::{
    key::{case_number, case_of, key_range},
    written::Unwritten,
};
use crate::StoreError;
use amends_protocol::{CaseId, ReportKey, SagaId};
use rusqlite::types::FromSql;
use std::borrow::Cow;

pub(crate) use rusqlite::types::{Value, ValueRef};

/// The columns of a case, in the order in which its row is read.
pub(crate) const CASE_COLUMNS: &str = "c.id, c.state, c.opened_at, c.updated_at, c.settled_at, c.closed_on, c.saga, \
     c.rulebook, c.rulebook_hash, c.report, c.message, c.memo";
/// The columns of an announced saga.
pub(crate) const SAGA_COLUMNS: &str = "saga, service, action, deadline, state, data";

/// The columns of a report.
pub(crate) const REPORT_COLUMNS: &str = "key, received_at, role, role_arg, body";
/// The columns of the step `s`.
pub(crate) const STEP_COLUMNS: &str = "s.key, s.state, s.ending, s.verb, s.service, s.action, s.tag, s.stage, \
     s.attempts, s.planned_at, s.updated_at, s.due_at, s.until, s.location, s.memo";

/// What a look-up asks for by keys.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'w> {
    pub(crate) reports: &'w [ReportKey],
    pub(crate) sagas: &'w [SagaId],
    pub(crate) cases: &'w [CaseId],
    pub(crate) announced: &'w [SagaId],
}

/// Something of it that is there.
pub(crate) enum Found<'r> {
    /// The report at this place is of this case.
    Report(usize, CaseId),
    /// A row of [`CASE_COLUMNS`].
    Case(&'r dyn Columns),
    /// A row of [`SAGA_COLUMNS`].
    Announced(&'r dyn Columns),
}

/// What is done with each of them.
pub(crate) type ReadWanted<'r> = &'r mut dyn FnMut(Found<'_>) -> Result<(), StoreError>;

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
    /// What joins the steps `s` of the case `c`, and looks them up case by case.
    pub(crate) steps_of_case: &'static str,
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

    /// Reads what a look-up asks for by keys: in any order, some perhaps twice. A database that is far away is asked
    /// once for all of it.
    fn each_wanted(&self, wanted: Wanted<'_>, read: ReadWanted<'_>) -> Result<(), StoreError> {
        let sql = "SELECT key FROM reports WHERE source = ?1 AND id = ?2";
        for (place, key) in wanted.reports.iter().enumerate() {
            self.each(sql, &[text(&key.source), text(&key.id)], &mut |row| {
                read(Found::Report(place, case_of(column(row, 0)?)))
            })?;
        }
        self.each_case(wanted.sagas, wanted.cases, &mut |row| read(Found::Case(row)))?;
        let sql = format!("SELECT {SAGA_COLUMNS} FROM sagas WHERE saga = ?1");
        let mut read = |row: &dyn Columns| read(Found::Announced(row));
        wanted
            .announced
            .iter()
            .try_for_each(|saga| self.each(&sql, &[text(saga.as_str())], &mut read))
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

    /// Reads reports and steps of cases, each by key: rows of [`REPORT_COLUMNS`] and of [`STEP_COLUMNS`].
    fn each_report_and_step(
        &self,
        cases: &[CaseId],
        report: Read<'_>,
        step: Read<'_>,
    ) -> Result<(), StoreError> {
        let reports = format!("SELECT {REPORT_COLUMNS} FROM reports");
        self.each_of_cases(&reports, "key", cases, report)?;
        let steps = format!("SELECT {STEP_COLUMNS} FROM steps s");
        self.each_of_cases(&steps, "s.key", cases, step)
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

    /// A text as it is kept, for whatever is made of it beside: as PostgreSQL can keep it, which has no NUL, wherever
    /// it is kept now.
    fn kept<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
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

/// A text as a value.
pub(crate) fn text(value: &str) -> Value {
    Value::from(value.to_owned())
}

/// A column as it is. One that can't be what its place has to hold is of one row; others can be read.
pub(crate) fn column<T: FromSql>(row: &dyn Columns, index: usize) -> Result<T, StoreError> {
    T::column_result(row.value(index)?).map_err(|error| wrong_value(row, index, &error))
}

pub(crate) fn wrong_value(
    row: &dyn Columns,
    index: usize,
    error: &dyn std::fmt::Display,
) -> StoreError {
    corrupt(format!("`{}` of a row", row.name(index)), error)
}

/// A row that doesn't make sense.
pub(crate) fn corrupt(name: impl Into<String>, what: impl ToString) -> StoreError {
    StoreError::Corrupt { row: name.into(), what: what.to_string() }
}
