//! Reads a service's answer to a step: a pure function from status, headers and body to a [`StepResult`].
//!
//! The table (a mapped endpoint's own statuses stand above it):
//!
//! | answer | reading |
//! | --- | --- |
//! | 200 with an outcome that the verb can have | done |
//! | 204 | done, with the verb's plain outcome |
//! | 202 | accepted |
//! | 4xx or 5xx problem of type `refused`; 200 with the outcome `refused` | refused |
//! | 409 | busy |
//! | 422 | rejected |
//! | 429, 503 | busy and overloaded |
//! | all else, also 3xx, 410 and a 200 without a readable outcome | unknown |
//!
//! Whatever the status and the mapping, a `history` in a JSON body is taken as evidence.

use super::retry_after::retry_after_ms;
use amends_engine::{StepReading, StepResult};
use amends_protocol::{
    EVIDENCE_LIMIT, Evidence, Outcome, Problem, ProblemCode, StepAnswer, Timestamp, Verb,
};
use amends_rulebook::{Endpoint, Mapped};
use http::{HeaderMap, header};
use serde::Deserialize;

/// Longest message that is kept of an answer, in bytes; it is shown in lists.
const MESSAGE_LIMIT: usize = 500;

/// What an answer means. `now` is for a `Retry-After` that is a date.
#[must_use]
pub fn read_answer(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    mapping: Option<&Endpoint>,
    now: Timestamp,
) -> StepResult {
    let (answer, message) = match mapping.and_then(|endpoint| endpoint.classify(status)) {
        Some(Mapped::Done) => (StepReading::Done(verb.ends_as()), None),
        Some(Mapped::Nothing) => (StepReading::Done(verb.ends_as_nothing()), None),
        Some(Mapped::Refused) => (StepReading::Refused, message_of(status, headers, body)),
        None if status == 200 => return read_200(verb, headers, body),
        None => read_status(verb, status, headers, body, now),
    };
    StepResult { answer, status: Some(status), message, history: told(headers, body) }
}

/// What any status but 200 means, with a word for people.
fn read_status(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> (StepReading, Option<String>) {
    let retry_after_ms = || retry_after_ms(headers, now);
    match status {
        202 => {
            let location =
                headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
            (StepReading::Accepted { location, retry_after_ms: retry_after_ms() }, None)
        }
        204 => (StepReading::Done(verb.ends_as()), None),
        400..=599 => {
            let busy =
                |overloaded| StepReading::Busy { overloaded, retry_after_ms: retry_after_ms() };
            let answer = match status {
                _ if is_refusal(body) => StepReading::Refused,
                409 => busy(false),
                422 => StepReading::Rejected,
                429 | 503 => busy(true),
                _ => StepReading::Unknown,
            };
            (answer, message_of(status, headers, body))
        }
        300..=399 => {
            let why = format!("HTTP {status}: a redirect, which is never followed");
            (StepReading::Unknown, Some(why))
        }
        _ => {
            let why = format!("HTTP {status} has no meaning here; answer 200, 202 or 204");
            (StepReading::Unknown, Some(why))
        }
    }
}

fn read_200(verb: Verb, headers: &HeaderMap, body: &[u8]) -> StepResult {
    let unknown = |message: String, history| StepResult {
        answer: StepReading::Unknown,
        status: Some(200),
        message: Some(shortened(&message)),
        history,
    };
    let answer: StepAnswer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(e) => {
            let why =
                format!("HTTP 200 without a readable `outcome`: {e}; answer 204 if it is done");
            return unknown(why, told(headers, body));
        }
    };
    let history = bounded(answer.history);
    let reading = match answer.outcome {
        Outcome::Refused => StepReading::Refused,
        outcome if verb.may_end(outcome) => StepReading::Done(outcome),
        outcome => {
            let why = format!("HTTP 200 with the outcome `{outcome}`, which `{verb}` cannot have");
            return unknown(why, history);
        }
    };
    let message = answer.message.map(|m| shortened(&m));
    StepResult { answer: reading, status: Some(200), message, history }
}

/// The evidence that any answer with a JSON object as its body may carry. It is a courtesy there: a malformed one is
/// ignored, where in a 200 of the protocol it makes the answer unreadable.
fn told(headers: &HeaderMap, body: &[u8]) -> Vec<Evidence> {
    #[derive(Deserialize)]
    struct Aside {
        #[serde(default)]
        history: Vec<Evidence>,
    }
    if !is_json(headers) || !body.trim_ascii_start().starts_with(b"{") {
        return Vec::new();
    }
    serde_json::from_slice(body).map_or_else(|_| Vec::new(), |aside: Aside| bounded(aside.history))
}

/// Whether the body may be JSON (`application/json`, `application/problem+json`, …); it may when nothing is said.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// Evidence with ids that can be stored, up to a limit; the rest is dropped, since an answer is no place to argue.
pub(crate) fn bounded(mut history: Vec<Evidence>) -> Vec<Evidence> {
    history.truncate(EVIDENCE_LIMIT);
    let fits = |text: &str| amends_protocol::is_opaque_name(text);
    history.retain(|e| fits(&e.service) && fits(&e.action) && fits(&e.request_id));
    history
}

fn is_refusal(body: &[u8]) -> bool {
    problem(body).is_some_and(|p| p.is(ProblemCode::Refused))
}

pub(crate) fn problem(body: &[u8]) -> Option<Problem> {
    if body.first() != Some(&b'{') && !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// What a failed answer says, in one line for people.
pub(crate) fn message_of(status: u16, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if let Some(said) =
        problem(body).and_then(|p| p.detail.or(Some(p.title)).filter(|text| !text.is_empty()))
    {
        return Some(shortened(&said));
    }
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let text =
        content_type.starts_with("text/plain") || content_type.starts_with("application/json");
    let said = if text {
        String::from_utf8_lossy(body.get(..MESSAGE_LIMIT).unwrap_or(body))
    } else {
        "".into()
    };
    let said = said.trim();
    Some(if said.is_empty() {
        format!("HTTP {status}")
    } else {
        shortened(&format!("HTTP {status}: {said}"))
    })
}

/// One line of bounded length, cut at a character.
pub(crate) fn shortened(text: &str) -> String {
    let mut short = String::with_capacity(text.len().min(MESSAGE_LIMIT + 4));
    for c in text.trim().chars() {
        if short.len() + c.len_utf8() > MESSAGE_LIMIT {
            short.push('…');
            break;
        }
        short.push(if c.is_control() { ' ' } else { c });
    }
    short
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
