//! Rows that somebody has mended, or that can't be: whether they would read, and what of them can be kept.

use super::{connection, tables::read_error};
use crate::{
    RawCase, RawRow, RawValue, StoreError,
    tables::{
        gathered::{case_by_id, with_rows},
        key::POSITION_BITS,
        raw::TABLES,
    },
};
use amends_api::CaseState;
use amends_engine::{CaseExtra, CaseRow, ReportRole, ReportRow, StoredCase};
use amends_protocol::{CaseId, Report, ReportData, SagaId, Timestamp};
use rusqlite::{Connection, params_from_iter, types::Value};
use std::sync::Arc;

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
    let found = TABLES.into_iter().find(|(table, ..)| *table == row.table);
    let (table, key, known) = found.ok_or_else(|| {
        let names = TABLES.map(|(table, ..)| table).join(", ");
        format!("`{}` is no table of a case; it has {names}", row.table)
    })?;
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
    if let Some(name) = row.columns.keys().find(|name| !known.contains(&name.as_str())) {
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
