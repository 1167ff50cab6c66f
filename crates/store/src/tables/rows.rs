//! Reads rows of the tables back into the engine's rows. A row that doesn't make sense is an error, never a guess.

use super::{
    Columns, Tables, Value, ValueRef,
    codes::{Coded, role_from},
    collect,
    database::wrong_value,
    key::{case_of, position_of},
};
use crate::{RulebookRow, StoreError};
use amends_api::{StepStateName, StuckReason};
use amends_engine::{
    AttemptRow, CaseRow, HoldScope, ReportRow, RuleHoldRow, RulebookRef, SagaRow, ServiceRow,
    StepRow, StepState, StrangerDecisionRow, UnreadableRow,
};
use amends_protocol::{ActionName, CaseId, Outcome, SagaId, StepId, Timestamp};
use serde::de::DeserializeOwned;
use std::sync::Arc;

pub(crate) use super::database::{
    CASE_COLUMNS, REPORT_COLUMNS, SAGA_COLUMNS, STEP_COLUMNS, column, corrupt, text,
};

/// Longest time that a query for people may take, so that one costly search can't keep a connection for ever.
pub(crate) const READ_LIMIT_SECONDS: u64 = 5;

/// Of `attempts a` and its `steps s`.
pub(crate) const ATTEMPT_COLUMNS: &str =
    "a.step, s.tag, a.attempt, a.sent_at, a.ended_at, a.result, a.status, a.message";

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

/// As [`collect`], without the rows that can't be read: for people, whom one such row must not keep from all others.
pub(crate) fn collect_readable<T>(
    conn: &dyn Tables,
    sql: &str,
    values: &[Value],
    mut read: impl FnMut(&dyn Columns) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = collect(conn, sql, values, |row| readable(read(row)))?;
    Ok(rows.into_iter().flatten().collect())
}

/// As [`collect_readable`], for a query that ends in `LIMIT ?`: as many rows as asked for, if there are that
/// many that can be read.
pub(crate) fn collect_up_to<T>(
    conn: &dyn Tables,
    sql: &str,
    mut values: Vec<Value>,
    limit: usize,
    mut read: impl FnMut(&dyn Columns) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut asked = limit;
    loop {
        values.push(Value::from(asked as i64));
        let rows = collect(conn, sql, &values, |row| readable(read(row)))?;
        values.pop();
        let is_all = rows.len() < asked;
        let mut rows: Vec<T> = rows.into_iter().flatten().collect();
        if is_all || rows.len() >= limit {
            rows.truncate(limit);
            return Ok(rows);
        }
        asked = asked.saturating_mul(2);
    }
}

fn as_text(row: &dyn Columns, index: usize) -> Result<&str, StoreError> {
    match row.value(index)? {
        ValueRef::Text(bytes) => {
            std::str::from_utf8(bytes).map_err(|error| wrong_value(row, index, &error))
        }
        _ => Err(wrong_value(row, index, &"it is no text")),
    }
}

pub(crate) fn word<T: Coded>(code: i64, name: &dyn Fn() -> String) -> Result<T, StoreError> {
    T::from_code(code).ok_or_else(|| corrupt(name(), format!("{code} stands for no {}", T::WHAT)))
}

pub(crate) fn json<T: DeserializeOwned>(
    row: &dyn Columns,
    index: usize,
    name: &dyn Fn() -> String,
) -> Result<T, StoreError> {
    let text = as_text(row, index)?;
    serde_json::from_str(text).map_err(|e| corrupt(name(), e))
}

pub(crate) fn saga_id(
    row: &dyn Columns,
    index: usize,
    name: &dyn Fn() -> String,
) -> Result<SagaId, StoreError> {
    let text = as_text(row, index)?;
    SagaId::new(text).map_err(|e| corrupt(name(), e))
}

/// A case number as stored.
pub(crate) fn case_id(row: &dyn Columns, index: usize) -> Result<CaseId, StoreError> {
    Ok(CaseId(column::<i64>(row, index)?.cast_unsigned()))
}

pub(crate) fn moment(row: &dyn Columns, index: usize) -> Result<Timestamp, StoreError> {
    let time = Timestamp(column(row, index)?);
    if time.is_writable() {
        return Ok(time);
    }
    Err(corrupt(
        format!("`{}` of a row", row.name(index)),
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
pub(crate) fn case_row(row: &dyn Columns) -> Result<CaseRow, StoreError> {
    let id = case_id(row, 0)?;
    let name = || format!("case `{id}`");
    of_row(whole_case_row(row, id, &name), &name)
}

fn whole_case_row(
    row: &dyn Columns,
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

pub(crate) fn report_row(row: &dyn Columns) -> Result<ReportRow, StoreError> {
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
pub(crate) fn step_row(row: &dyn Columns) -> Result<StepRow, StoreError> {
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

fn step_state(row: &dyn Columns, name: &dyn Fn() -> String) -> Result<StepState, StoreError> {
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
pub(crate) fn attempt_row(row: &dyn Columns) -> Result<AttemptRow, StoreError> {
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
pub(crate) fn saga_row(row: &dyn Columns) -> Result<SagaRow, StoreError> {
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
pub(crate) fn service_row(row: &dyn Columns) -> Result<ServiceRow, StoreError> {
    let service: Arc<str> = column(row, 0)?;
    let settings = json(row, 1, &|| format!("settings of service `{service}`"))?;
    Ok(ServiceRow { service, settings })
}

/// A row of `rulebook, service, action, decision`.
pub(crate) fn stranger_row(row: &dyn Columns) -> Result<StrangerDecisionRow, StoreError> {
    let (rulebook, service): (Arc<str>, Arc<str>) = (column(row, 0)?, column(row, 1)?);
    let action = ActionName { service, action: column(row, 2)? };
    let named = || format!("decision on stranger `{action}` of rulebook `{rulebook}`");
    let decision = Some(json(row, 3, &named)?);
    Ok(StrangerDecisionRow { rulebook, action, decision })
}

/// A row of `rulebook, rule, decision`: what is held can be read, whatever became of the decision.
pub(crate) fn rule_hold_row(
    row: &dyn Columns,
) -> Result<Result<RuleHoldRow, (HoldScope, UnreadableRow)>, StoreError> {
    let (rulebook, rule): (Arc<str>, Arc<str>) = (column(row, 0)?, column(row, 1)?);
    let scope = HoldScope { rulebook, rule: Some(rule).filter(|rule| !rule.is_empty()) };
    Ok(match readable(json(row, 2, &|| format!("hold of {scope}")))? {
        Ok(decision) => Ok(RuleHoldRow { scope, decision: Some(decision) }),
        Err(unreadable) => Err((scope, unreadable)),
    })
}

/// A row of `hash, name, stored_at, active, from_file` and, if wanted, `sources`.
pub(crate) fn rulebook_row(
    row: &dyn Columns,
    with_sources: bool,
) -> Result<RulebookRow, StoreError> {
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
