//! Reads what a service answers to a reading of its History, or to one of its pages.

use super::answer::{errors_in, message_of, problem, shortened, without_mark};
use super::exchange::{Answered, Ended, Unanswered};
use super::retry_after::retry_after_ms;
use crate::clock::{Clock, SystemClock};
use amends_engine::{HistoryResult, ReadHistory};
use amends_protocol::causes::of_json;
use amends_protocol::{SagaId, Testimony, headers, is_history_next};
use serde_json::Value;

/// What one page says, and where the next one is.
pub(super) struct Page {
    pub(super) told: Testimony,
    pub(super) next: Option<String>,
}

/// A History as it came: an entry that cannot be read costs itself alone.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    saga_id: SagaId,
    entries: Vec<Value>,
    #[serde(default)]
    next: Value,
}

/// The same with something else for the text that says why it could not be read.
pub(super) fn saying(result: HistoryResult, other: impl FnOnce(String) -> String) -> HistoryResult {
    match result {
        HistoryResult::Failed { message, unreachable, retry_after_ms } => {
            HistoryResult::Failed { message: other(message), unreachable, retry_after_ms }
        }
        result => result,
    }
}

pub(super) fn failed(message: String) -> HistoryResult {
    HistoryResult::Failed { message, unreachable: false, retry_after_ms: None }
}

pub(super) fn unanswered(none: &Unanswered) -> HistoryResult {
    let unreachable = none.status.is_none() && none.end != Ended::Refused;
    HistoryResult::Failed { message: shortened(&none.message), unreachable, retry_after_ms: None }
}

/// Reads an answer. `further` says that it is none to the first page.
///
/// # Errors
/// The result of the whole reading, if the answer is no page.
pub(super) fn read(
    walk: &ReadHistory,
    answered: &Answered,
    further: bool,
) -> Result<Page, HistoryResult> {
    match answered.status {
        200 => match serde_json::from_slice::<Told>(without_mark(&answered.body)) {
            Ok(told) if told.saga_id != walk.saga => Err(failed(format!(
                "the History is of saga `{}`, not of the one asked for",
                told.saga_id
            ))),
            Ok(told) => {
                let next = next(told.next)?;
                Ok(Page { told: Testimony::read(told.entries, Some(&walk.service)), next })
            }
            Err(e) => Err(failed(shortened(&format!(
                "HTTP 200 without a readable History: {}",
                of_json(&e)
            )))),
        },
        // Whatever stands before a service answers 404, too, while it is deployed.
        204 | 404 if !further && is_its_own(walk, answered) => {
            Ok(Page { told: Testimony::read(Vec::new(), None), next: None })
        }
        status @ (204 | 404) if !further => Err(HistoryResult::Unproven { status }),
        status => Err(HistoryResult::Failed {
            message: message_of(status, &answered.headers, &errors_in(&answered.body))
                .unwrap_or_default(),
            unreachable: false,
            retry_after_ms: retry_after_ms(&answered.headers, SystemClock.now()),
        }),
    }
}

/// What leads on must lead somewhere: a History whose end is not read may hide what still stands.
fn next(said: Value) -> Result<Option<String>, HistoryResult> {
    match said {
        Value::Null => Ok(None),
        Value::String(text) if is_history_next(&text) => Ok(Some(text)),
        other => Err(failed(shortened(&format!(
            "its History goes on at `next`: {other}, which is no place to go on"
        )))),
    }
}

/// Whether an answer without a History is of somebody who knows what was asked: it repeats the saga, or is a problem of
/// ours.
fn is_its_own(walk: &ReadHistory, answered: &Answered) -> bool {
    let said = answered.headers.get(headers::SAGA_ID).and_then(|v| v.to_str().ok());
    said == Some(walk.saga.as_str()) || problem(&answered.body).is_some_and(|p| p.is_ours())
}
