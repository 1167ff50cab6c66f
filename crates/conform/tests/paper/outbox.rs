//! The relay of reports: in order, until each is taken.

use super::ledger::Report;
use super::{Defect, Participant, SERVICE, json_request, send};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::time::Duration;

/// Pause after a try in vain.
const PAUSE: Duration = Duration::from_millis(10);

/// What is encoded in a header of CloudEvents.
const SPECIAL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Brings reports to the supervisor for ever.
pub async fn relay(participant: Participant) {
    loop {
        participant.0.outbox.notified().await;
        if !participant.has(Defect::WaitsForSupervisor) {
            empty(&participant).await;
        }
    }
}

/// Brings all that is there now.
pub async fn empty(participant: &Participant) {
    let mut tries = 0;
    loop {
        let next = participant.ledger().outbox.front().cloned();
        let Some(report) = next else { return };
        tries += 1;
        let gives_up = participant.has(Defect::GivesUp);
        if participant.has(Defect::NeverReports)
            || post(participant, &report, tries).await
            || gives_up
        {
            participant.ledger().outbox.retain(|one| one.id != report.id);
            tries = 0;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn post(participant: &Participant, report: &Report, tries: u32) -> bool {
    let subject = match participant.has(Defect::SubjectNotEncoded) {
        true => report.saga.clone(),
        false => utf8_percent_encode(&report.saga, SPECIAL).to_string(),
    };
    let source = if participant.has(Defect::ForeignSource) { "shop" } else { SERVICE };
    let id = match participant.has(Defect::NewIdOnResend) {
        true if tries > 1 => format!("{}-{tries}", report.id),
        true | false => report.id.clone(),
    };
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.amends.report.v1"),
        ("ce-source", source),
        ("ce-id", &id),
        ("ce-subject", &subject),
    ];
    let url = format!("http://{}/v1/reports", participant.0.supervisor);
    let answer = send(&url, json_request(&headers, &report.data)).await;
    // What is wrong in itself is kept aside; here that means to forget it.
    answer.is_some_and(|answer| matches!(answer.status, 200 | 202 | 400 | 413 | 415 | 422))
}
