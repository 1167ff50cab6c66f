//! Gathers what hangs on cases, for many at once. One that can't be read keeps no other from being read.

use super::{
    Columns, Tables,
    codes::Coded,
    key::{case_number, case_of, key_range, position_of, row_key},
    one,
    rows::{REPORT_COLUMNS, STEP_COLUMNS, case_row, column, readable, report_row, step_row, text},
};
use crate::{BrokenCase, ListedCase, StoreError, UnreadableRow};
use amends_api::CaseState;
use amends_engine::{CaseRow, ReportRow, StepRow, StoredCase};
use amends_protocol::{CaseId, SagaId};
use rustc_hash::FxHashMap;

/// What a row of `cases` tells although it can't be read.
pub(crate) struct Rest {
    pub(crate) id: CaseId,
    saga: Option<SagaId>,
    settled: bool,
    broken: UnreadableRow,
}

/// A row of [`super::rows::CASE_COLUMNS`], or what it tells all the same.
pub(crate) fn case_row_or_rest(row: &dyn Columns) -> Result<Result<CaseRow, Rest>, StoreError> {
    Ok(readable(case_row(row))?.map_err(|broken| {
        let id = CaseId(column::<i64>(row, 0).unwrap_or_default().cast_unsigned());
        let saga: Option<String> = column(row, 6).ok();
        let settled = column::<i64>(row, 1).is_ok_and(|code| code == CaseState::Settled.code());
        Rest { id, saga: saga.and_then(|text| SagaId::new(&text).ok()), settled, broken }
    }))
}

/// Rows of cases, or the first of a case that can't be read.
type OfCases<T> = FxHashMap<CaseId, Result<Vec<T>, UnreadableRow>>;

fn take_row<T>(
    found: &mut OfCases<T>,
    row: &dyn Columns,
    read: fn(&dyn Columns) -> Result<T, StoreError>,
) -> Result<(), StoreError> {
    let of_case = found.entry(case_of(column(row, 0)?)).or_insert_with(|| Ok(Vec::new()));
    match (readable(read(row))?, &mut *of_case) {
        (Ok(row), Ok(rows)) => rows.push(row),
        (Err(broken), Ok(_)) => *of_case = Err(broken),
        (_, Err(_)) => {}
    }
    Ok(())
}

fn steps(conn: &dyn Tables, cases: &[CaseId]) -> Result<OfCases<StepRow>, StoreError> {
    let (sql, mut found) = (format!("SELECT {STEP_COLUMNS} FROM steps s"), OfCases::default());
    conn.each_of_cases(&sql, "s.key", cases, &mut |row| take_row(&mut found, row, step_row))?;
    Ok(found)
}

fn reports_and_steps(
    conn: &dyn Tables,
    cases: &[CaseId],
) -> Result<(OfCases<ReportRow>, OfCases<StepRow>), StoreError> {
    let (mut reports, mut steps) = (OfCases::default(), OfCases::default());
    conn.each_report_and_step(
        cases,
        &mut |row| take_row(&mut reports, row, report_row),
        &mut |row| take_row(&mut steps, row, step_row),
    )?;
    Ok((reports, steps))
}

fn of_case<T>(found: &mut OfCases<T>, case: CaseId) -> Result<Vec<T>, UnreadableRow> {
    found.remove(&case).unwrap_or_else(|| Ok(Vec::new()))
}

/// Whole cases, by number and each once, and what is left of the others.
pub(crate) fn whole_and_broken(
    conn: &dyn Tables,
    mut rows: Vec<Result<CaseRow, Rest>>,
) -> Result<(Vec<StoredCase>, Vec<BrokenCase>), StoreError> {
    let id = |row: &Result<CaseRow, Rest>| row.as_ref().map_or_else(|rest| rest.id, |row| row.id);
    rows.sort_by_key(id);
    rows.dedup_by_key(|row| id(row));
    let ids: Vec<CaseId> = rows.iter().flatten().map(|row| row.id).collect();
    let (mut reports, mut steps) = reports_and_steps(conn, &ids)?;
    let (mut whole, mut broken) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let rest = match row {
            Ok(case) => {
                let (reports, steps) =
                    (of_case(&mut reports, case.id), of_case(&mut steps, case.id));
                match reports.and_then(|reports| Ok((reports, steps?))) {
                    Ok((reports, steps)) => {
                        whole.push(StoredCase { case, reports, steps });
                        continue;
                    }
                    Err(broken) => Rest {
                        id: case.id,
                        saga: Some(case.saga),
                        settled: case.state == CaseState::Settled,
                        broken,
                    },
                }
            }
            Err(rest) => rest,
        };
        broken.push(broken_case(conn, rest)?);
    }
    Ok((whole, broken))
}

fn broken_case(conn: &dyn Tables, rest: Rest) -> Result<BrokenCase, StoreError> {
    let (first, last) = key_range(rest.id);
    let sql = "SELECT max(key) FROM reports WHERE key BETWEEN ?1 AND ?2";
    let last = one(conn, sql, &[first.into(), last.into()], |row| column::<Option<i64>>(row, 0))?;
    let next_report = last.flatten().map_or(0, |key| position_of(key) + 1);
    let Rest { id, saga, settled, broken } = rest;
    Ok(BrokenCase { id, saga, settled, next_report, broken })
}

/// A case with what hangs on it.
pub(crate) fn with_rows(conn: &dyn Tables, case: CaseRow) -> Result<StoredCase, StoreError> {
    let corrupt = |broken: UnreadableRow| StoreError::Corrupt { row: broken.row, what: broken.why };
    let (mut reports, mut steps) = reports_and_steps(conn, &[case.id])?;
    let reports = of_case(&mut reports, case.id).map_err(corrupt)?;
    let steps = of_case(&mut steps, case.id).map_err(corrupt)?;
    Ok(StoredCase { case, reports, steps })
}

/// Cases of a list, in their order. One that can't be read is among the quarantined, and left out.
pub(crate) fn listed_cases(
    conn: &dyn Tables,
    rows: Vec<CaseRow>,
) -> Result<Vec<ListedCase>, StoreError> {
    let ids: Vec<CaseId> = rows.iter().map(|row| row.id).collect();
    let mut first = first_reports(conn, &ids)?;
    let mut steps = steps(conn, &ids)?;
    let listed = rows.into_iter().filter_map(|case| {
        let first_report = of_case(&mut first, case.id).ok()?.pop();
        let steps = of_case(&mut steps, case.id).ok()?;
        Some(ListedCase { case, first_report, steps })
    });
    Ok(listed.collect())
}

/// The reports that cases began with.
fn first_reports(conn: &dyn Tables, cases: &[CaseId]) -> Result<OfCases<ReportRow>, StoreError> {
    let keys = cases.iter().map(|case| Ok(row_key(*case, 0)?.to_string()));
    let keys: Vec<String> = keys.collect::<Result<_, StoreError>>()?;
    let numbers = conn.dialect().numbers;
    let sql = format!("SELECT {REPORT_COLUMNS} FROM reports WHERE key IN ({numbers})");
    let mut found = OfCases::default();
    let keys = text(&format!("[{}]", keys.join(",")));
    conn.each(&sql, &[keys], &mut |row| take_row(&mut found, row, report_row))?;
    Ok(found)
}

/// A case by its number, if there is such a one.
pub(crate) fn case_by_id(conn: &dyn Tables, id: CaseId) -> Result<Option<CaseRow>, StoreError> {
    let Ok(number) = case_number(id) else { return Ok(None) };
    let sql = format!("SELECT {} FROM cases c WHERE c.id = ?1", super::rows::CASE_COLUMNS);
    one(conn, &sql, &[number.into()], case_row)
}
