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

use super::retry_after::retry_after_ms;
use amends_engine::{StepReading, StepResult};
use amends_protocol::{Evidence, Outcome, Problem, ProblemCode, StepAnswer, Timestamp, Verb};
use amends_rulebook::{Endpoint, Mapped};
use http::{HeaderMap, header};

/// Longest message that is kept of an answer, in bytes; it is shown in lists.
const MESSAGE_LIMIT: usize = 500;

/// Pieces of evidence that are taken from one answer: what fits an answer of 1 MiB is thousands, no saga has them.
pub(crate) const EVIDENCE_LIMIT: usize = 1_000;

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
    let result =
        |answer, message| StepResult { answer, status: Some(status), message, history: Vec::new() };
    match mapping.and_then(|endpoint| endpoint.classify(status)) {
        Some(Mapped::Done) => return result(StepReading::Done(plain_outcome(verb)), None),
        Some(Mapped::Nothing) => return result(StepReading::Done(nothing_outcome(verb)), None),
        Some(Mapped::Refused) => {
            return result(StepReading::Refused, message_of(status, headers, body));
        }
        None => {}
    }
    match status {
        200 => read_200(verb, body),
        202 => {
            let location =
                headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
            result(
                StepReading::Accepted { location, retry_after_ms: retry_after_ms(headers, now) },
                None,
            )
        }
        204 => result(StepReading::Done(plain_outcome(verb)), None),
        400..=599 => {
            let answer = match status {
                _ if is_refusal(body) => StepReading::Refused,
                409 => StepReading::Busy {
                    overloaded: false,
                    retry_after_ms: retry_after_ms(headers, now),
                },
                422 => StepReading::Rejected,
                429 | 503 => StepReading::Busy {
                    overloaded: true,
                    retry_after_ms: retry_after_ms(headers, now),
                },
                _ => StepReading::Unknown,
            };
            result(answer, message_of(status, headers, body))
        }
        300..=399 => result(
            StepReading::Unknown,
            Some(format!("HTTP {status}: a redirect, which is never followed")),
        ),
        _ => result(
            StepReading::Unknown,
            Some(format!("HTTP {status} has no meaning here; answer 200, 202 or 204")),
        ),
    }
}

/// The outcome of a step that is done and says no more.
const fn plain_outcome(verb: Verb) -> Outcome {
    match verb {
        Verb::Compensate => Outcome::Compensated,
        Verb::Retry => Outcome::Retried,
        Verb::Notify => Outcome::Notified,
    }
}

/// The outcome of a mapped status that means that there was nothing to do.
const fn nothing_outcome(verb: Verb) -> Outcome {
    match verb {
        Verb::Compensate => Outcome::NothingToCompensate,
        Verb::Retry => Outcome::Retried,
        Verb::Notify => Outcome::Notified,
    }
}

/// Whether a service may end a step of this verb so. `refused` is read apart, `waived` is a person's to say.
const fn may_end(verb: Verb, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Compensated | Outcome::AlreadyCompensated | Outcome::NothingToCompensate => {
            matches!(verb, Verb::Compensate)
        }
        Outcome::Retried => matches!(verb, Verb::Retry),
        Outcome::Notified => matches!(verb, Verb::Notify),
        Outcome::Refused | Outcome::Waived => false,
    }
}

fn read_200(verb: Verb, body: &[u8]) -> StepResult {
    let unknown = |message: String| StepResult {
        answer: StepReading::Unknown,
        status: Some(200),
        message: Some(shortened(&message)),
        history: Vec::new(),
    };
    let mut answer: StepAnswer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(e) => {
            return unknown(format!(
                "HTTP 200 without a readable `outcome`: {e}; answer 204 if it is done"
            ));
        }
    };
    answer.history.truncate(EVIDENCE_LIMIT);
    let reading = match answer.outcome {
        Outcome::Refused => StepReading::Refused,
        outcome if may_end(verb, outcome) => StepReading::Done(outcome),
        outcome => {
            return unknown(format!(
                "HTTP 200 with the outcome `{outcome}`, which `{verb}` cannot have"
            ));
        }
    };
    StepResult {
        answer: reading,
        status: Some(200),
        message: answer.message.map(|m| shortened(&m)),
        history: bounded(answer.history),
    }
}

/// Evidence with ids that can be stored; the rest is dropped, since an answer is no place to argue.
pub(crate) fn bounded(mut history: Vec<Evidence>) -> Vec<Evidence> {
    let fits = |text: &str| amends_protocol::is_opaque_name(text);
    history.retain(|e| fits(&e.service) && fits(&e.action) && fits(&e.request_id));
    history
}

fn is_refusal(body: &[u8]) -> bool {
    problem(body).is_some_and(|p| p.is(ProblemCode::Refused))
}

fn problem(body: &[u8]) -> Option<Problem> {
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
