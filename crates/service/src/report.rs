//! Builds a report from History and puts it into the outbox, within the transaction that marks the failure. Keeps the
//! supervisor's bounds, so that none is refused for its length. Sends nothing.

use crate::config::KitError;
use crate::failure::Failure;
use crate::store::{HistoryTx, NewRequest, ReportRow, corrupt};
use amends_protocol::{
    EVIDENCE_LIMIT, Evidence, HistoryState, REPORT_CAUSES_LIMIT, REPORT_MESSAGE_LIMIT, ReportData,
    SagaId, is_opaque_name,
};
use std::collections::HashSet;

/// Puts the report about `failure` of the request into the outbox, under the id that the caller's answer names.
pub(crate) async fn publish<T: HistoryTx>(
    tx: &mut T,
    service: &str,
    request: &NewRequest,
    failure: &Failure,
    id: &str,
) -> Result<(), KitError> {
    let data = ReportData {
        code: failure.code.clone(),
        action: Some(request.action.clone()),
        request_id: Some(request.request_id.clone()),
        entry: request.passed_on.entry.clone(),
        caller: request.passed_on.caller.clone(),
        message: Some(shortened(&failure.message)),
        caused_by: causes(&failure.caused_by),
        history: fitting(evidence(tx, service, &request.saga).await?, &request.request_id),
        data: failure.data.clone(),
    };
    let report = ReportRow {
        report_id: id.to_owned(),
        saga: request.saga.clone(),
        traceparent: request.passed_on.traceparent.clone(),
        data: serde_json::to_string(&data).map_err(corrupt)?,
    };
    tx.put_report(&report).await
}

fn shortened(message: &str) -> String {
    const CUT: &str = " …";
    match message.len() > REPORT_MESSAGE_LIMIT {
        true => {
            let kept = message.floor_char_boundary(REPORT_MESSAGE_LIMIT - CUT.len());
            format!("{}{CUT}", &message[..kept])
        }
        false => message.to_owned(),
    }
}

/// The first causes. What another service called its report and cannot be a report's id is left out.
fn causes(named: &[String]) -> Vec<String> {
    named.iter().filter(|id| is_opaque_name(id)).take(REPORT_CAUSES_LIMIT).cloned().collect()
}

/// The evidence that matters most, in its old order: first the failed request itself and one entry of each action and
/// state, since plans are about actions and not requests; then what may have taken effect; then the rest.
fn fitting(found: Vec<Evidence>, failed: &str) -> Vec<Evidence> {
    if found.len() <= EVIDENCE_LIMIT {
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
        let told_before = !seen.insert(kind) && entry.request_id.as_deref() != Some(failed);
        ranked.push((told_before, !entry.state.may_have_effect(), place));
    }
    ranked.sort_unstable();
    let kept: HashSet<usize> =
        ranked.into_iter().take(EVIDENCE_LIMIT).map(|(_, _, place)| place).collect();
    let keep = |(place, entry)| kept.contains(&place).then_some(entry);
    found.into_iter().enumerate().filter_map(keep).collect()
}

/// What a report says of the saga: the service's own requests that are not undone, then its calls to others.
async fn evidence<T: HistoryTx>(
    tx: &mut T,
    service: &str,
    saga: &SagaId,
) -> Result<Vec<Evidence>, KitError> {
    let undone = |state| matches!(state, HistoryState::Compensated | HistoryState::Fenced);
    let own = tx.requests_of(saga, None).await?.into_iter().filter(|row| !undone(row.state));
    let own = own
        .map(|row| Evidence::new(service, row.request.action, row.request.request_id, row.state));
    let calls = tx.calls_of(saga).await?.into_iter().map(|mut call| {
        if call.state == HistoryState::Started {
            // Nobody waits for its answer any more.
            call.state = HistoryState::Unknown;
        }
        call
    });
    Ok(own.chain(calls).collect())
}
