//! The relay of reports: in order, until each is taken.

use super::ledger::Report;
use super::{Defect, Participant, SERVICE, header, json_request, send};
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
        let next = match participant.has(Defect::NewestReportFirst) {
            true => participant.ledger().outbox.back().cloned(),
            false => participant.ledger().outbox.front().cloned(),
        };
        let Some(report) = next else { return };
        tries += 1;
        let again_in = match participant.has(Defect::NeverReports) {
            true => None,
            false => post(participant, &report, tries).await,
        };
        match again_in.filter(|_| !participant.has(Defect::GivesUp)) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => {
                participant.ledger().outbox.retain(|one| one.id != report.id);
                tries = 0;
            }
        }
    }
}

/// Tries once; gives after which time it is to come again, if it is.
async fn post(participant: &Participant, report: &Report, tries: u32) -> Option<Duration> {
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
    let Some(answer) = send(&url, json_request(&headers, &report.data)).await else {
        return Some(PAUSE);
    };
    let status = match participant.has(Defect::FollowsReportRedirect) {
        // What is at the other end takes everything.
        true if answer.headers.contains_key("location") => 202,
        _ => answer.status,
    };
    let dropped = match status {
        200 | 202 => true,
        // What is wrong in itself is set aside.
        400 | 413 | 415 | 422 => {
            !participant.has(Defect::RepeatsRefusedReport)
                && !participant.has(Defect::RefusedReportBlocks)
        }
        401 => participant.has(Defect::DropsReportOn401),
        403 => participant.has(Defect::DropsReportOn403),
        404 => participant.has(Defect::DropsReportOn404),
        500 => participant.has(Defect::DropsReportOn500),
        _ => false,
    };
    if status == 400 && participant.has(Defect::RefusedReportBlocks) {
        // It waits for a person, and all others with it.
        return Some(Duration::from_secs(3_600));
    }
    if dropped && matches!(status, 400 | 413 | 415 | 422) {
        participant.ledger().refused.push(report.clone());
    }
    let seconds = header(&answer.headers, "retry-after").and_then(|text| text.parse().ok());
    let seconds = seconds.filter(|_| !participant.has(Defect::IgnoresRetryAfter)).unwrap_or(0);
    (!dropped).then_some(PAUSE.max(Duration::from_secs(seconds)))
}
