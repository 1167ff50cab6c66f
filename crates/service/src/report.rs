//! Builds a report from History and puts it into the outbox, within the transaction that marks the failure. Keeps the
//! supervisor's bounds, so that none is refused for its length. Sends nothing.

use crate::config::KitError;
use crate::failure::Failure;
use crate::kit::now_ms;
use crate::rows::{RequestRow, corrupt, parse_state};
use amends_protocol::{Evidence, HistoryState, ReportData, SagaId, is_opaque_name};
use rusqlite::{Connection, Transaction, params};
use std::collections::HashSet;

// The supervisor refuses a report beyond any of these for good.

/// Longest message, in bytes.
const MESSAGE_LIMIT: usize = 8 << 10;

/// Most causes of one report.
const CAUSES_LIMIT: usize = 64;

/// Most pieces of evidence in one report.
const HISTORY_LIMIT: usize = 1_000;

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
        message: Some(shortened(&failure.message)),
        caused_by: causes(&failure.caused_by),
        history: fitting(evidence(tx, service, &row.saga)?, &row.request_id),
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

fn shortened(message: &str) -> String {
    const CUT: &str = " …";
    match message.len() > MESSAGE_LIMIT {
        true => {
            let kept = message.floor_char_boundary(MESSAGE_LIMIT - CUT.len());
            format!("{}{CUT}", &message[..kept])
        }
        false => message.to_owned(),
    }
}

/// The first causes. What another service called its report and cannot be a report's id is left out.
fn causes(named: &[String]) -> Vec<String> {
    named.iter().filter(|id| is_opaque_name(id)).take(CAUSES_LIMIT).cloned().collect()
}

/// The evidence that matters most, in its old order: first the failed request itself and one entry of each action and
/// state, since plans are about actions and not requests; then what may have taken effect; then the rest.
fn fitting(found: Vec<Evidence>, failed: &str) -> Vec<Evidence> {
    if found.len() <= HISTORY_LIMIT {
        return found;
    }
    tracing::warn!(
        entries = found.len(),
        "a report has too much history; the least telling is left out"
    );
    let mut seen = HashSet::new();
    let mut ranked: Vec<(bool, bool, usize)> = Vec::with_capacity(found.len());
    for (place, entry) in found.iter().enumerate() {
        let kind = (entry.service.as_str(), entry.action.as_str(), entry.state);
        let told_before = !seen.insert(kind) && entry.request_id != failed;
        ranked.push((told_before, !entry.state.may_have_effect(), place));
    }
    ranked.sort_unstable();
    let kept: HashSet<usize> =
        ranked.into_iter().take(HISTORY_LIMIT).map(|(_, _, place)| place).collect();
    let keep = |(place, entry)| kept.contains(&place).then_some(entry);
    found.into_iter().enumerate().filter_map(keep).collect()
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
