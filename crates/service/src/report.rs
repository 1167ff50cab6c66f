//! Builds a report from History and puts it into the outbox, within the transaction that marks the failure. Sends
//! nothing.

use crate::config::KitError;
use crate::failure::Failure;
use crate::kit::now_ms;
use crate::rows::{RequestRow, corrupt, parse_state};
use amends_protocol::{Evidence, HistoryState, ReportData, SagaId};
use rusqlite::{Connection, Transaction, params};

/// Puts the report about `failure` of the request into the outbox, under the id that the caller's answer names.
pub(crate) fn publish(
    tx: &Transaction<'_>,
    service: &str,
    row: &RequestRow,
    failure: &Failure,
    id: &str,
) -> Result<(), KitError> {
    let data = ReportData {
        code: failure.code.clone(),
        action: Some(row.action.clone()),
        request_id: Some(row.request_id.clone()),
        message: Some(failure.message.clone()),
        caused_by: failure.caused_by.clone(),
        history: evidence(tx, service, &row.saga)?,
        data: failure.data.clone(),
    };
    tx.execute(
        "INSERT INTO amends_outbox (report_id, saga, traceparent, happened_at, data) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            id,
            row.saga.as_str(),
            row.passed_on.traceparent,
            now_ms(),
            serde_json::to_string(&data).map_err(corrupt)?
        ],
    )?;
    Ok(())
}

/// What a report says of the saga: the service's own requests that are not undone, then its calls to others.
fn evidence(
    connection: &Connection,
    service: &str,
    saga: &SagaId,
) -> Result<Vec<Evidence>, KitError> {
    let mut found = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT action, request_id, state FROM amends_requests
         WHERE saga = ?1 AND state NOT IN ('compensated', 'fenced') ORDER BY seq",
    )?;
    let mut rows = statement.query([saga.as_str()])?;
    while let Some(row) = rows.next()? {
        found.push(Evidence {
            service: service.to_owned(),
            action: row.get(0)?,
            request_id: row.get(1)?,
            state: parse_state(&row.get::<_, String>(2)?)?,
        });
    }
    found.extend(calls(connection, saga)?.into_iter().map(|mut call| {
        if call.state == HistoryState::Started {
            // Nobody waits for its answer any more.
            call.state = HistoryState::Unknown;
        }
        call
    }));
    Ok(found)
}

/// The calls that the service made in the saga, in their order, as recorded.
pub(crate) fn calls(connection: &Connection, saga: &SagaId) -> Result<Vec<Evidence>, KitError> {
    let mut statement = connection.prepare_cached(
        "SELECT service, action, call_id, state FROM amends_calls WHERE saga = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([saga.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Evidence {
            service: row.get(0)?,
            action: row.get(1)?,
            request_id: row.get(2)?,
            state: parse_state(&row.get::<_, String>(3)?)?,
        });
    }
    Ok(found)
}
