//! The rows of the request table: reads and writes them as they are. Decides nothing; see `ledger`.

use crate::config::KitError;
use crate::history::Fence;
use crate::kit::now_ms;
use crate::saga_context::PassedOn;
use amends_protocol::{HistoryState, SagaId};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

/// One request as History holds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestRow {
    pub(crate) request_id: String,
    pub(crate) saga: SagaId,
    pub(crate) action: String,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) body: Value,
    pub(crate) passed_on: PassedOn,
    pub(crate) state: HistoryState,
    pub(crate) answer: Option<StoredAnswer>,
}

/// What a request was answered; replayed word for word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredAnswer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) report: Option<String>,
}

/// Every request of one action in one saga, in the order of arrival.
pub(crate) fn of_action(
    connection: &Connection,
    saga: &SagaId,
    action: &str,
) -> Result<Vec<RequestRow>, KitError> {
    select(
        connection,
        "WHERE saga = ?1 AND action = ?2 ORDER BY seq",
        params![saga.as_str(), action],
    )
}

/// Every request of one saga, in the order of arrival.
pub(crate) fn of_saga(connection: &Connection, saga: &SagaId) -> Result<Vec<RequestRow>, KitError> {
    select(connection, "WHERE saga = ?1 ORDER BY seq", params![saga.as_str()])
}

/// The request with this id.
pub(crate) fn find(
    connection: &Connection,
    request_id: &str,
) -> Result<Option<RequestRow>, KitError> {
    Ok(select(connection, "WHERE request_id = ?1", [request_id])?.pop())
}

/// The stored state of one request, and the fence of its action.
pub(crate) fn state_of(
    connection: &Connection,
    request_id: &str,
) -> Result<Option<(HistoryState, Fence)>, KitError> {
    let found: Option<(String, bool)> = connection
        .prepare_cached(
            "SELECT state, EXISTS (SELECT 1 FROM amends_fences AS f WHERE f.saga = r.saga AND f.action = r.action)
             FROM amends_requests AS r WHERE request_id = ?1",
        )?
        .query_row([request_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found.map(|(state, up)| Ok((parse_state(&state)?, fence_when(up)))).transpose()
}

/// The fence of one action in one saga.
pub(crate) fn fence_of(
    connection: &Connection,
    saga: &SagaId,
    action: &str,
) -> rusqlite::Result<Fence> {
    connection
        .prepare_cached("SELECT 1 FROM amends_fences WHERE saga = ?1 AND action = ?2")?
        .exists([saga.as_str(), action])
        .map(fence_when)
}

const fn fence_when(up: bool) -> Fence {
    match up {
        true => Fence::Up,
        false => Fence::Down,
    }
}

/// Writes a request that is new, as `started`.
pub(crate) fn insert(tx: &Transaction<'_>, row: &RequestRow) -> Result<(), KitError> {
    tx.prepare_cached(
        "INSERT INTO amends_requests (request_id, saga, action, fingerprint, body, context, state, started_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'started', ?7)",
    )?
    .execute(params![
        row.request_id,
        row.saga.as_str(),
        row.action,
        row.fingerprint,
        row.body.to_string(),
        serde_json::to_string(&row.passed_on).map_err(corrupt)?,
        now_ms()
    ])?;
    Ok(())
}

/// The requests that fulfil an SQL condition.
pub(crate) fn select(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<RequestRow>, KitError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT request_id, saga, action, fingerprint, body, context, state, status, answer, report
         FROM amends_requests {condition}"
    ))?;
    let mut found = statement.query(values)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(read_row(row)?);
    }
    Ok(rows)
}

fn read_row(row: &Row<'_>) -> Result<RequestRow, KitError> {
    let json = |text: String| serde_json::from_str(&text).map_err(corrupt);
    let status: Option<u16> = row.get(7)?;
    let answer: Option<String> = row.get(8)?;
    let answer = match (status, answer) {
        (Some(status), Some(body)) => {
            Some(StoredAnswer { status, body: json(body)?, report: row.get(9)? })
        }
        _ => None,
    };
    Ok(RequestRow {
        request_id: row.get(0)?,
        saga: SagaId::new(&row.get::<_, String>(1)?).map_err(corrupt)?,
        action: row.get(2)?,
        fingerprint: row.get(3)?,
        body: json(row.get(4)?)?,
        passed_on: serde_json::from_str(&row.get::<_, String>(5)?).map_err(corrupt)?,
        state: parse_state(&row.get::<_, String>(6)?)?,
        answer,
    })
}

/// Reads a stored word.
pub(crate) fn parse_state(text: &str) -> Result<HistoryState, KitError> {
    text.parse().map_err(corrupt)
}

/// A stored value cannot be read back.
pub(crate) fn corrupt(error: impl ToString) -> KitError {
    KitError::Corrupt(error.to_string())
}
