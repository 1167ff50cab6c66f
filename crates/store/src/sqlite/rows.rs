//! Reads rows of the tables back into the engine's rows. A row that doesn't make sense is an error, never a guess.

use super::{
    codes::{Coded, role_from},
    key::{case_number, case_of, key_range, position_of},
};
use crate::{RulebookRow, StoreError};
use amends_api::{StepStateName, StuckReason};
use amends_engine::{
    AttemptRow, CaseRow, HoldScope, ReportRow, RuleHoldRow, RulebookRef, SagaRow, ServiceRow,
    StepRow, StepState, StoredCase, StrangerDecisionRow, UnreadableRow,
};
use amends_protocol::{ActionName, CaseId, Outcome, SagaId, StepId, Timestamp};
use rusqlite::{
    Connection, ErrorCode, Params, Row, params_from_iter,
    types::{FromSql, Value},
};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Longest time that a query for people may take, so that one costly search can't keep a connection for ever.
pub(crate) const READ_LIMIT_SECONDS: u64 = 5;

pub(crate) const CASE_COLUMNS: &str = "c.id, c.state, c.opened_at, c.updated_at, c.settled_at, c.closed_on, c.saga, \
     c.rulebook, c.rulebook_hash, c.report, c.message, c.memo";
const REPORT_COLUMNS: &str = "key, received_at, role, role_arg, body";
pub(crate) const STEP_COLUMNS: &str = "s.key, s.state, s.ending, s.verb, s.service, s.action, s.tag, s.stage, \
     s.attempts, s.planned_at, s.updated_at, s.due_at, s.until, s.location, s.memo";
/// Of `attempts a` and its `steps s`.
pub(crate) const ATTEMPT_COLUMNS: &str =
    "a.step, s.tag, a.attempt, a.sent_at, a.ended_at, a.result, a.status, a.message";
pub(crate) const SAGA_COLUMNS: &str = "saga, service, action, deadline, state, data";

pub(crate) fn read_error(source: rusqlite::Error) -> StoreError {
    if source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
        return StoreError::TooSlow { seconds: READ_LIMIT_SECONDS };
    }
    match source {
        // The value is not what its place may hold; others can be read.
        rusqlite::Error::FromSqlConversionFailure(column, ..)
        | rusqlite::Error::IntegralValueOutOfRange(column, _)
        | rusqlite::Error::Utf8Error(column, _)
        | rusqlite::Error::InvalidColumnType(column, ..) => StoreError::Corrupt {
            row: format!("value {column} of a row"),
            what: source.to_string(),
        },
        source => StoreError::Database { doing: "read the store", source: source.into() },
    }
}

/// Parts a row that can't be read from a store that can't.
pub(crate) fn readable<T>(
    read: Result<T, StoreError>,
) -> Result<Result<T, UnreadableRow>, StoreError> {
    match read {
        Ok(row) => Ok(Ok(row)),
        Err(StoreError::Corrupt { row, what }) => Ok(Err(UnreadableRow { row, why: what })),
        Err(error) => Err(error),
    }
}

/// Runs a query that stays prepared, and reads each of its rows.
pub(crate) fn collect<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(read_error)?;
    let mut rows = statement.query(params).map_err(read_error)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(read_error)? {
        out.push(read(row)?);
    }
    Ok(out)
}

/// As [`collect`], without the rows that can't be read: for people, whom one such row must not keep from all others.
pub(crate) fn collect_readable<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = collect(conn, sql, params, |row| readable(read(row)))?;
    Ok(rows.into_iter().flatten().collect())
}

/// As [`collect_readable`], for a query that ends in `LIMIT ?`: as many rows as asked for, if there are that
/// many that can be read.
pub(crate) fn collect_up_to<T>(
    conn: &Connection,
    sql: &str,
    values: Vec<Value>,
    limit: usize,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut asked = limit;
    loop {
        let values = values.iter().cloned().chain([Value::from(asked as i64)]);
        let rows = collect(conn, sql, params_from_iter(values), |row| readable(read(row)))?;
        let is_all = rows.len() < asked;
        let mut rows: Vec<T> = rows.into_iter().flatten().collect();
        if is_all || rows.len() >= limit {
            rows.truncate(limit);
            return Ok(rows);
        }
        asked = asked.saturating_mul(2);
    }
}

/// A column as it is.
pub(crate) fn column<T: FromSql>(row: &Row<'_>, index: usize) -> Result<T, StoreError> {
    row.get(index).map_err(read_error)
}

pub(super) fn corrupt(name: impl Into<String>, what: impl ToString) -> StoreError {
    StoreError::Corrupt { row: name.into(), what: what.to_string() }
}

fn word<T: Coded>(code: i64, name: &dyn Fn() -> String) -> Result<T, StoreError> {
    T::from_code(code).ok_or_else(|| corrupt(name(), format!("{code} stands for no {}", T::WHAT)))
}

pub(super) fn json<T: DeserializeOwned>(
    row: &Row<'_>,
    index: usize,
    name: &dyn Fn() -> String,
) -> Result<T, StoreError> {
    let text = row.get_ref(index).map_err(read_error)?;
    let text = text.as_str().map_err(|e| corrupt(name(), e))?;
    serde_json::from_str(text).map_err(|e| corrupt(name(), e))
}

pub(super) fn saga_id(
    row: &Row<'_>,
    index: usize,
    name: &dyn Fn() -> String,
) -> Result<SagaId, StoreError> {
    let text = row.get_ref(index).map_err(read_error)?;
    let text = text.as_str().map_err(|e| corrupt(name(), e))?;
    SagaId::new(text).map_err(|e| corrupt(name(), e))
}

/// A case number as stored.
pub(crate) fn case_id(row: &Row<'_>, index: usize) -> Result<CaseId, StoreError> {
    Ok(CaseId(column::<i64>(row, index)?.cast_unsigned()))
}

pub(super) fn moment(row: &Row<'_>, index: usize) -> Result<Timestamp, StoreError> {
    let time = Timestamp(column(row, index)?);
    if time.is_writable() {
        return Ok(time);
    }
    let name = row.as_ref().column_name(index).unwrap_or("a time");
    Err(corrupt(
        format!("`{name}` of a row"),
        format!("{} ms is no time of the years 0 to 9999", time.0),
    ))
}

/// Names the row in what is wrong with one of its values.
fn of_row<T>(read: Result<T, StoreError>, name: &dyn Fn() -> String) -> Result<T, StoreError> {
    read.map_err(|error| match error {
        StoreError::Corrupt { row, what } if row.ends_with("of a row") => {
            corrupt(name(), format!("{}: {what}", row.trim_end_matches(" of a row")))
        }
        error => error,
    })
}

/// A row of [`CASE_COLUMNS`].
pub(crate) fn case_row(row: &Row<'_>) -> Result<CaseRow, StoreError> {
    let id = case_id(row, 0)?;
    let name = || format!("case `{id}`");
    of_row(whole_case_row(row, id, &name), &name)
}

fn whole_case_row(
    row: &Row<'_>,
    id: CaseId,
    name: &dyn Fn() -> String,
) -> Result<CaseRow, StoreError> {
    let rulebook = match (column::<Option<Arc<str>>>(row, 7)?, column::<Option<Arc<str>>>(row, 8)?)
    {
        (Some(name), Some(hash)) => Some(RulebookRef { name, hash }),
        _ => None,
    };
    let settled = column::<Option<i64>>(row, 4)?.is_some();
    Ok(CaseRow {
        id,
        state: word(column(row, 1)?, name)?,
        opened_at: moment(row, 2)?,
        updated_at: moment(row, 3)?,
        settled_at: settled.then(|| moment(row, 4)).transpose()?,
        closed_on: column::<Option<i64>>(row, 5)?.map(|code| word(code, name)).transpose()?,
        saga: saga_id(row, 6, name)?,
        rulebook,
        report: column(row, 9)?,
        message: column(row, 10)?,
        extra: json(row, 11, name)?,
    })
}

pub(crate) fn report_row(row: &Row<'_>) -> Result<ReportRow, StoreError> {
    let key: i64 = column(row, 0)?;
    let (case, position) = (case_of(key), position_of(key));
    let name = || format!("report {position} of case `{case}`");
    let read = || {
        let (role, arg): (i64, Option<i64>) = (column(row, 2)?, column(row, 3)?);
        Ok(ReportRow {
            case,
            position,
            received_at: moment(row, 1)?,
            role: role_from(role, arg)
                .ok_or_else(|| corrupt(name(), format!("{role} stands for no role")))?,
            report: Arc::new(json(row, 4, &name)?),
        })
    };
    of_row(read(), &name)
}

/// A row of [`STEP_COLUMNS`].
pub(crate) fn step_row(row: &Row<'_>) -> Result<StepRow, StoreError> {
    let key: i64 = column(row, 0)?;
    let tag = column::<i64>(row, 6)?.cast_unsigned();
    let id = StepId { case: case_of(key), ordinal: position_of(key), tag, part: None };
    let name = || format!("step `{id}`");
    let read = || {
        Ok(StepRow {
            id,
            verb: word(column(row, 3)?, &name)?,
            action: ActionName { service: column(row, 4)?, action: column(row, 5)? },
            stage: column(row, 7)?,
            state: step_state(row, &name)?,
            attempts: column(row, 8)?,
            planned_at: moment(row, 9)?,
            updated_at: moment(row, 10)?,
            extra: json(row, 14, &name)?,
        })
    };
    of_row(read(), &name)
}

fn step_state(row: &Row<'_>, name: &dyn Fn() -> String) -> Result<StepState, StoreError> {
    let needed = |index: usize, what: &str| {
        column::<Option<i64>>(row, index)?
            .ok_or_else(|| corrupt(name(), format!("its {what} is missing")))
    };
    Ok(match word(column(row, 1)?, name)? {
        StepStateName::Waiting => StepState::Waiting,
        StepStateName::Due => StepState::Due(Timestamp(needed(11, "time")?)),
        StepStateName::InFlight => StepState::InFlight,
        StepStateName::Accepted => StepState::Accepted {
            poll_at: Timestamp(needed(11, "time")?),
            until: Timestamp(needed(12, "time limit")?),
            location: column(row, 13)?,
        },
        StepStateName::Done => StepState::Done(word::<Outcome>(needed(2, "outcome")?, name)?),
        StepStateName::Stuck => StepState::Stuck(word::<StuckReason>(needed(2, "reason")?, name)?),
        StepStateName::Superseded => StepState::Superseded,
        StepStateName::Shadow => StepState::Shadow,
    })
}

/// A row of [`ATTEMPT_COLUMNS`].
pub(crate) fn attempt_row(row: &Row<'_>) -> Result<AttemptRow, StoreError> {
    let key: i64 = column(row, 0)?;
    let tag = column::<i64>(row, 1)?.cast_unsigned();
    Ok(AttemptRow {
        step: StepId { case: case_of(key), ordinal: position_of(key), tag, part: None },
        attempt: column(row, 2)?,
        sent_at: moment(row, 3)?,
        ended_at: moment(row, 4)?,
        result: column::<String>(row, 5)?.into(),
        status: column(row, 6)?,
        message: column(row, 7)?,
    })
}

/// A row of [`SAGA_COLUMNS`].
pub(crate) fn saga_row(row: &Row<'_>) -> Result<SagaRow, StoreError> {
    let saga = saga_id(row, 0, &|| "an announced saga".to_owned())?;
    let name = || format!("announced saga `{saga}`");
    let (state, data) = (word(column(row, 4)?, &name)?, Arc::new(json(row, 5, &name)?));
    Ok(SagaRow {
        service: column(row, 1)?,
        action: column(row, 2)?,
        deadline: moment(row, 3)?,
        state,
        data,
        saga,
    })
}

/// A row of `service, settings`.
pub(crate) fn service_row(row: &Row<'_>) -> Result<ServiceRow, StoreError> {
    let service: Arc<str> = column(row, 0)?;
    let settings = json(row, 1, &|| format!("settings of service `{service}`"))?;
    Ok(ServiceRow { service, settings })
}

/// A row of `rulebook, service, action, decision`.
pub(crate) fn stranger_row(row: &Row<'_>) -> Result<StrangerDecisionRow, StoreError> {
    let (rulebook, service): (Arc<str>, Arc<str>) = (column(row, 0)?, column(row, 1)?);
    let action = ActionName { service, action: column(row, 2)? };
    let named = || format!("decision on stranger `{action}` of rulebook `{rulebook}`");
    let decision = Some(json(row, 3, &named)?);
    Ok(StrangerDecisionRow { rulebook, action, decision })
}

/// A row of `rulebook, rule, decision`: what is held can be read, whatever became of the decision.
pub(crate) fn rule_hold_row(
    row: &Row<'_>,
) -> Result<Result<RuleHoldRow, (HoldScope, UnreadableRow)>, StoreError> {
    let (rulebook, rule): (Arc<str>, Arc<str>) = (column(row, 0)?, column(row, 1)?);
    let scope = HoldScope { rulebook, rule: Some(rule).filter(|rule| !rule.is_empty()) };
    Ok(match readable(json(row, 2, &|| format!("hold of {scope}")))? {
        Ok(decision) => Ok(RuleHoldRow { scope, decision: Some(decision) }),
        Err(unreadable) => Err((scope, unreadable)),
    })
}

/// A row of `hash, name, stored_at, active, from_file` and, if wanted, `sources`.
pub(crate) fn rulebook_row(row: &Row<'_>, with_sources: bool) -> Result<RulebookRow, StoreError> {
    let hash: Arc<str> = column(row, 0)?;
    let sources = if with_sources {
        json(row, 5, &|| format!("rulebook version `{hash}`"))?
    } else {
        Vec::new()
    };
    Ok(RulebookRow {
        name: column(row, 1)?,
        stored_at: moment(row, 2)?,
        active: column(row, 3)?,
        from_file: column(row, 4)?,
        sources,
        hash,
    })
}

/// Reports of a case, by position.
pub(crate) fn reports_of(conn: &Connection, case: CaseId) -> Result<Vec<ReportRow>, StoreError> {
    let sql =
        format!("SELECT {REPORT_COLUMNS} FROM reports WHERE key BETWEEN ?1 AND ?2 ORDER BY key");
    collect(conn, &sql, key_range(case), report_row)
}

/// The report that a case began with.
pub(crate) fn first_report(
    conn: &Connection,
    case: CaseId,
) -> Result<Option<ReportRow>, StoreError> {
    let sql = format!(
        "SELECT {REPORT_COLUMNS} FROM reports WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT 1"
    );
    Ok(collect(conn, &sql, key_range(case), report_row)?.into_iter().next())
}

/// Steps of a case, by ordinal.
pub(crate) fn steps_of(conn: &Connection, case: CaseId) -> Result<Vec<StepRow>, StoreError> {
    let sql =
        format!("SELECT {STEP_COLUMNS} FROM steps s WHERE s.key BETWEEN ?1 AND ?2 ORDER BY s.key");
    collect(conn, &sql, key_range(case), step_row)
}

/// The steps of a case that a person sees are read by its number: whether there is such a case.
pub(crate) fn case_by_id(conn: &Connection, id: CaseId) -> Result<Option<CaseRow>, StoreError> {
    let Ok(number) = case_number(id) else { return Ok(None) };
    let sql = format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.id = ?1");
    Ok(collect(conn, &sql, [number], case_row)?.into_iter().next())
}

/// A case with what hangs on it.
pub(crate) fn with_rows(conn: &Connection, case: CaseRow) -> Result<StoredCase, StoreError> {
    let reports = reports_of(conn, case.id)?;
    let steps = steps_of(conn, case.id)?;
    Ok(StoredCase { case, reports, steps })
}
