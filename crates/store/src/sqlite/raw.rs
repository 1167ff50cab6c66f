//! Rows that can't be read: what is left of their case, its rows as they lie here, and whether mended ones would read.

use super::{
    codes::Coded,
    connection,
    key::{POSITION_BITS, case_number, key_range, position_of},
    rows::{case_by_id, read_error, readable, with_rows},
};
use crate::{BrokenCase, RawCase, RawRow, RawValue, StoreError, UnreadableRow};
use amends_api::CaseState;
use amends_engine::{CaseExtra, CaseRow, ReportRole, ReportRow, StoredCase};
use amends_protocol::{CaseId, Report, ReportData, SagaId, Timestamp};
use rusqlite::{Connection, params_from_iter, types::Value, types::ValueRef};
use std::sync::Arc;

/// The tables that a case needs, with the range of keys that its rows have there.
const TABLES: [&str; 3] = ["cases", "reports", "steps"];

/// A case, or what is left of it.
pub(crate) fn case_or_rest(
    conn: &Connection,
    case: Result<CaseRow, Rest>,
) -> Result<Result<StoredCase, BrokenCase>, StoreError> {
    let rest = match case {
        Ok(row) => {
            let (id, saga) = (row.id, row.saga.clone());
            let settled = row.state == CaseState::Settled;
            match readable(with_rows(conn, row))? {
                Ok(whole) => return Ok(Ok(whole)),
                Err(broken) => Rest { id, saga: Some(saga), settled, broken },
            }
        }
        Err(rest) => rest,
    };
    broken_case(conn, rest).map(Err)
}

/// What a row of `cases` tells although it can't be read.
pub(crate) struct Rest {
    pub(crate) id: CaseId,
    pub(crate) saga: Option<SagaId>,
    pub(crate) settled: bool,
    pub(crate) broken: UnreadableRow,
}

fn broken_case(conn: &Connection, rest: Rest) -> Result<BrokenCase, StoreError> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(key) FROM reports WHERE key BETWEEN ?1 AND ?2")
        .and_then(|mut last| last.query_row(key_range(rest.id), |row| row.get(0)))
        .map_err(read_error)?;
    let next_report = last.map_or(0, |key| position_of(key) + 1);
    let Rest { id, saga, settled, broken } = rest;
    Ok(BrokenCase { id, saga, settled, next_report, broken })
}

/// The row of `cases` of [`super::rows::CASE_COLUMNS`], or what it tells all the same.
pub(crate) fn case_row_or_rest(
    row: &rusqlite::Row<'_>,
) -> Result<Result<CaseRow, Rest>, StoreError> {
    Ok(readable(super::rows::case_row(row))?.map_err(|broken| {
        let id = CaseId(row.get::<_, i64>(0).unwrap_or_default().cast_unsigned());
        let saga = row.get_ref(6).ok().and_then(|text| text.as_str().ok());
        let settled = row.get(1).is_ok_and(|code: i64| code == CaseState::Settled.code());
        Rest { id, saga: saga.and_then(|text| SagaId::new(text).ok()), settled, broken }
    }))
}

/// All rows of a case as they lie here; none if there is no such case.
pub(crate) fn export(conn: &Connection, id: CaseId) -> Result<Option<RawCase>, StoreError> {
    let Ok(number) = case_number(id) else { return Ok(None) };
    let (first, last) = key_range(id);
    let mut rows = Vec::new();
    for table in TABLES {
        let (key, range) =
            if table == "cases" { ("id", (number, number)) } else { ("key", (first, last)) };
        let sql = format!("SELECT * FROM {table} WHERE {key} BETWEEN ?1 AND ?2 ORDER BY {key}");
        let mut statement = conn.prepare_cached(&sql).map_err(read_error)?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut found = statement.query(range).map_err(read_error)?;
        while let Some(row) = found.next().map_err(read_error)? {
            let columns = names.iter().enumerate().map(|(index, name)| {
                Ok((name.clone(), raw_value(row.get_ref(index).map_err(read_error)?)))
            });
            let columns = columns.collect::<Result<_, StoreError>>()?;
            rows.push(RawRow { table: table.to_owned(), columns });
        }
        if table == "cases" && rows.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(RawCase { id, rows }))
}

fn raw_value(value: ValueRef<'_>) -> RawValue {
    match value {
        ValueRef::Null => RawValue::Nothing,
        ValueRef::Integer(number) => RawValue::Number(number),
        // The tables are strict: no column holds one.
        ValueRef::Real(number) => RawValue::Text(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            RawValue::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// Reads rows as they would be read from a store that holds them.
pub(crate) fn read(raw: &RawCase) -> Result<StoredCase, StoreError> {
    let name = || format!("case `{}`", raw.id);
    let wrong = |what: String| StoreError::Corrupt { row: name(), what };
    let mut conn = Connection::open_in_memory().map_err(read_error)?;
    connection::migrate(&mut conn)?;
    for row in &raw.rows {
        insert(&conn, raw.id, row).map_err(wrong)?;
    }
    let case = case_by_id(&conn, raw.id)?;
    let case = case.ok_or_else(|| wrong("the row of the table `cases` is missing".to_owned()))?;
    with_rows(&conn, case)
}

/// What can be read without the steps.
pub(crate) fn salvage(raw: &RawCase) -> Option<StoredCase> {
    let of_table = |table: &'static str| raw.rows.iter().filter(move |row| row.table == table);
    let case = of_table("cases").next()?;
    let saga = SagaId::new(text(case, "saga")?).ok()?;
    let now = time(case, "updated_at").or(time(case, "opened_at")).unwrap_or(Timestamp(0));
    let reports: Vec<ReportRow> = (0..)
        .zip(of_table("reports"))
        .map(|(position, row)| {
            let body = text(row, "body").and_then(|body| serde_json::from_str(body).ok());
            let report = body.unwrap_or_else(|| Report {
                id: text(row, "id").unwrap_or_default().to_owned(),
                source: text(row, "source").unwrap_or_default().to_owned(),
                saga_id: saga.clone(),
                time: None,
                traceparent: None,
                data: ReportData { code: "unreadable".to_owned(), ..ReportData::default() },
            });
            ReportRow {
                case: raw.id,
                position,
                received_at: time(row, "received_at").unwrap_or(now),
                role: ReportRole::ByHand,
                report: Arc::new(report),
            }
        })
        .collect();
    let case = CaseRow {
        id: raw.id,
        saga,
        rulebook: None,
        state: CaseState::Open,
        closed_on: None,
        opened_at: time(case, "opened_at").unwrap_or(now),
        updated_at: now,
        settled_at: None,
        report: text(case, "report").unwrap_or("unknown/unreadable").into(),
        message: text(case, "message").map(Into::into),
        extra: CaseExtra::default(),
    };
    Some(StoredCase { case, reports, steps: Vec::new() })
}

fn text<'r>(row: &'r RawRow, column: &str) -> Option<&'r str> {
    match row.columns.get(column)? {
        RawValue::Text(text) => Some(text),
        RawValue::Number(_) | RawValue::Nothing => None,
    }
}

fn time(row: &RawRow, column: &str) -> Option<Timestamp> {
    match row.columns.get(column)? {
        RawValue::Number(ms) => Some(Timestamp(*ms)).filter(|time| time.is_writable()),
        RawValue::Text(_) | RawValue::Nothing => None,
    }
}

fn insert(conn: &Connection, id: CaseId, row: &RawRow) -> Result<(), String> {
    let table = TABLES.into_iter().find(|table| *table == row.table);
    let table = table.ok_or_else(|| {
        format!("`{}` is no table of a case; it has {}", row.table, TABLES.join(", "))
    })?;
    let key = if table == "cases" { "id" } else { "key" };
    let owner = match row.columns.get(key) {
        Some(RawValue::Number(number)) if table == "cases" => *number,
        Some(RawValue::Number(number)) => number >> POSITION_BITS,
        _ => return Err(format!("a row of `{table}` has no number in `{key}`")),
    };
    if owner.cast_unsigned() != id.0 {
        return Err(format!(
            "the row of `{table}` with `{key}` of another case stands among these"
        ));
    }
    // Names are put into the statement, so they must be some of the table's.
    let known = columns_of(conn, table).map_err(|e| e.to_string())?;
    if let Some(name) = row.columns.keys().find(|name| !known.contains(name)) {
        return Err(format!("`{table}` has no column `{name}`; it has {}", known.join(", ")));
    }
    let names: Vec<&str> = row.columns.keys().map(String::as_str).collect();
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
    let values = row.columns.values().map(|value| match value {
        RawValue::Number(number) => Value::Integer(*number),
        RawValue::Text(text) => Value::Text(text.clone()),
        RawValue::Nothing => Value::Null,
    });
    conn.execute(&sql, params_from_iter(values)).map_err(|e| format!("a row of `{table}`: {e}"))?;
    Ok(())
}

fn columns_of(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let statement = conn.prepare(&format!("SELECT * FROM {table} LIMIT 0"))?;
    Ok(statement.column_names().into_iter().map(str::to_owned).collect())
}
