//! Reads a service's answer to a step: a pure function from status, headers and body to a [`StepResult`].
//!
//! The table (what a mapped endpoint says of its answers stands above it):
//!
//! | answer | reading |
//! | --- | --- |
//! | 200 with an outcome that the verb can have | done |
//! | 204 | done, with the verb's plain outcome |
//! | 202 | accepted |
//! | 4xx or 5xx problem of type `refused`; 200 with the outcome `refused` | refused |
//! | 409 | busy |
//! | a problem of ours with 422, e.g. `key-reused` | rejected |
//! | 429, 503 | busy and overloaded |
//! | any other 3xx and 4xx but 408, 423 and 425 | definite |
//! | all else, also a 200 without a readable outcome | unknown |
//!
//! A mapped endpoint knows nothing of outcomes, so there the rest of 2xx is read otherwise: 200, 201 and 204 are done
//! unless a web page came, and 203, 205, 206, 207 and the like are for a person. A look at an accepted step may have a
//! mapping of its own; then no answer that this doesn't name is done. Where `done` or `already` wants a body to say
//! something, the same status without that is for a person, too.
//!
//! Whatever the status and the mapping, a `history` in a JSON body is taken as evidence.

use super::retry_after::retry_after_ms;
use amends_engine::{StepReading, StepResult};
use amends_protocol::causes::of_json;
use amends_protocol::{
    Outcome, PROBLEM_TYPE_BASE, Problem, ProblemCode, StepAnswer, Testimony, Timestamp, Verb,
};
use amends_rulebook::{AnswerMap, Endpoint, Mapped};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Longest message that is kept of an answer, in bytes; it is shown in lists.
const MESSAGE_LIMIT: usize = 500;
/// Members by which a JSON answer says why something failed.
const TOLD: [&str; 12] = [
    "type",
    "title",
    "status",
    "detail",
    "outcome",
    "error",
    "error_description",
    "message",
    "code",
    "reason",
    "issue",
    "decline_code",
];
/// Longest of them that is shown of what is only read, in bytes.
const TOLD_LIMIT: usize = 120;

/// Who says what answers mean.
#[derive(Clone, Copy, Debug)]
pub enum Meaning<'a> {
    /// The participant protocol.
    Protocol,
    /// A mapped endpoint.
    Mapped(&'a AnswerMap, Quotes),
    /// The mapping of looks at an accepted step.
    Looks(&'a AnswerMap),
}

/// What of a body a person is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotes {
    /// Its beginning.
    Beginning,
    /// Only what says in words or a code why something failed. Who may write a rulebook should not read by it what
    /// stands at any address that the supervisor reaches, so this is for whatever only reads.
    Errors,
}

impl<'a> Meaning<'a> {
    /// Of the answer to a step.
    pub(crate) fn of_step(endpoint: Option<&'a Endpoint>) -> Self {
        let quotes = |endpoint: &Endpoint| match endpoint.method.as_str() {
            "GET" => Quotes::Errors,
            _ => Quotes::Beginning,
        };
        endpoint
            .map_or(Self::Protocol, |endpoint| Self::Mapped(&endpoint.answers, quotes(endpoint)))
    }

    /// Of the answer to a look.
    pub(crate) fn of_look(endpoint: Option<&'a Endpoint>) -> Self {
        match endpoint.and_then(|endpoint| endpoint.poll.as_ref()) {
            Some(poll) if !poll.answers.is_empty() => Self::Looks(&poll.answers),
            _ => endpoint
                .map_or(Self::Protocol, |endpoint| Self::Mapped(&endpoint.answers, Quotes::Errors)),
        }
    }

    /// What of a body is left for everything but the mapping.
    fn quoted(self, body: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Protocol | Self::Mapped(_, Quotes::Beginning) => Cow::Borrowed(body),
            Self::Mapped(_, Quotes::Errors) | Self::Looks(_) => Cow::Owned(errors_in(body)),
        }
    }
}

/// What an answer means. `now` is for a `Retry-After` that is a date.
#[must_use]
pub fn read_answer(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    meaning: Meaning<'_>,
    now: Timestamp,
) -> StepResult {
    let body = without_mark(body);
    let quoted = &*meaning.quoted(body);
    let mapped = |map: &AnswerMap| {
        let json = serde_json::from_slice::<Value>(body).ok();
        read_mapped(verb, status, headers, quoted, map.classify(status, json.as_ref())?, now)
    };
    let (answer, message) =
        match meaning {
            Meaning::Protocol if status == 200 => return read_200(verb, headers, body),
            Meaning::Protocol => read_status(verb, status, headers, body, now),
            Meaning::Mapped(map, _) => mapped(map)
                .unwrap_or_else(|| read_unmapped(verb, status, headers, quoted, map, now)),
            Meaning::Looks(map) => mapped(map)
                .unwrap_or_else(|| read_unmapped_look(verb, status, headers, quoted, now)),
        };
    let history = told(headers, body);
    StepResult { message, ..StepResult::new(answer, Some(status)).telling(history) }
}

/// The members of a JSON object that say why something failed, each cut short: a problem's, and those that providers
/// use; in it or in its `error`. Nothing of any other body.
pub(crate) fn errors_in(body: &[u8]) -> Vec<u8> {
    fn told(name: &str, value: &Value) -> Option<Value> {
        match value {
            Value::String(text) if TOLD.contains(&name) => Some(cut(text, TOLD_LIMIT).into()),
            Value::Number(_) | Value::Bool(_) if TOLD.contains(&name) => Some(value.clone()),
            Value::Object(inner) if name == "error" => Some(all(inner)),
            _ => None,
        }
    }
    fn all(members: &Map<String, Value>) -> Value {
        members
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), told(name, value)?)))
            .collect()
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => match all(&members) {
            Value::Object(kept) if kept.is_empty() => Vec::new(),
            kept => kept.to_string().into_bytes(),
        },
        _ => Vec::new(),
    }
}

/// A body without its byte order mark, which RFC 8259 section 8.1 lets a reader skip.
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

type Reading = (StepReading, Option<String>);

fn read_mapped(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    quoted: &[u8],
    mapped: Mapped,
    now: Timestamp,
) -> Option<Reading> {
    let said = || message_of(status, headers, quoted);
    Some(match mapped {
        Mapped::Done => (StepReading::Done(verb.ends_as()), None),
        Mapped::Already => (StepReading::Done(verb.ends_as_already()), None),
        Mapped::Nothing => (StepReading::Done(verb.ends_as_nothing()), None),
        Mapped::Accepted => (accepted(headers, now), None),
        Mapped::Retry => {
            let retry_after_ms = retry_after_ms(headers, now);
            (StepReading::Busy { overloaded: false, retry_after_ms }, said())
        }
        Mapped::Refused => (StepReading::Refused, said()),
        Mapped::Stuck => (StepReading::Rejected, said()),
    })
}

/// What a mapped endpoint answers that it says nothing of.
fn read_unmapped(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    map: &AnswerMap,
    now: Timestamp,
) -> Reading {
    match status {
        200 | 201 | 204 if is_page(headers) || begins_as_page(headers, body) => {
            let why = format!("HTTP {status} with a web page; that is no answer of the service");
            (StepReading::Rejected, Some(why))
        }
        200 | 201 | 204 => match outcome_of(body) {
            Some(Outcome::Refused) => (StepReading::Refused, message_of(status, headers, body)),
            Some(outcome) if verb.may_end(outcome) => (StepReading::Done(outcome), None),
            Some(outcome) => {
                let why = format!("the outcome `{outcome}` is none that `{verb}` can have");
                (StepReading::Rejected, Some(format!("HTTP {status} with {why}")))
            }
            None if map.wants_more_than(status) => {
                let why = format!("HTTP {status}, and its body says nothing that `done` names");
                let said = message_of(status, headers, body).unwrap_or_default();
                (StepReading::Rejected, Some(shortened(&format!("{why}: {said}"))))
            }
            None => (StepReading::Done(verb.ends_as()), None),
        },
        203 | 205..=299 => {
            let why = format!("HTTP {status} is not mapped; say in `endpoints` what it means");
            (StepReading::Rejected, Some(why))
        }
        _ => read_status(verb, status, headers, body, now),
    }
}

/// What the body says in the protocol's own word, whatever else is in it; none if it doesn't use that.
fn outcome_of(body: &[u8]) -> Option<Outcome> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    Outcome::deserialize(body.get("outcome")?).ok()
}

/// What a look gets that has a mapping of its own, which says nothing of it: the step is not done by that.
fn read_unmapped_look(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Reading {
    match status {
        200..=299 => (accepted(headers, now), None),
        _ => read_status(verb, status, headers, body, now),
    }
}

fn accepted(headers: &HeaderMap, now: Timestamp) -> StepReading {
    let location = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    StepReading::Accepted {
        location: location.map(str::to_owned),
        retry_after_ms: retry_after_ms(headers, now),
    }
}

/// What any status but 200 means, with a word for people.
fn read_status(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Reading {
    let retry_after_ms = || retry_after_ms(headers, now);
    match status {
        202 => (accepted(headers, now), None),
        204 => (StepReading::Done(verb.ends_as()), None),
        400..=599 => {
            let busy =
                |overloaded| StepReading::Busy { overloaded, retry_after_ms: retry_after_ms() };
            let answer = match status {
                _ if is_refusal(body) => StepReading::Refused,
                409 => busy(false),
                // No gateway sends that: it is the service's own word.
                422 if is_of_ours(body) => StepReading::Rejected,
                429 | 503 => busy(true),
                // The request that is to run again may still come.
                404 if verb == Verb::Retry && is_of_ours(body) => StepReading::Unknown,
                408 | 423 | 425 | 500..=599 => StepReading::Unknown,
                _ => return (StepReading::Definite, Some(definite_message(status, headers, body))),
            };
            (answer, message_of(status, headers, body))
        }
        300..=399 => {
            let why = format!("HTTP {status}: a redirect, which is never followed");
            (StepReading::Definite, Some(why))
        }
        _ => {
            let why = format!("HTTP {status} has no meaning here; answer 200, 202 or 204");
            (StepReading::Unknown, Some(why))
        }
    }
}

fn read_200(verb: Verb, headers: &HeaderMap, body: &[u8]) -> StepResult {
    let unknown = |message: String, history: Testimony| {
        StepResult::new(StepReading::Unknown, Some(200))
            .telling(history)
            .saying(shortened(&message))
    };
    let answer: StepAnswer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(e) => {
            let odd = oddity(headers, body).map_or_else(|| of_json(&e), str::to_owned);
            let why =
                format!("HTTP 200 without a readable `outcome`: {odd}; answer 204 if it is done");
            return unknown(why, told(headers, body));
        }
    };
    let history = answer.history;
    let reading = match answer.outcome {
        Outcome::Refused => StepReading::Refused,
        outcome if verb.may_end(outcome) => StepReading::Done(outcome),
        outcome => {
            let why = format!("HTTP 200 with the outcome `{outcome}`, which `{verb}` cannot have");
            return unknown(why, history);
        }
    };
    let message = answer.message.map(|m| shortened(&m));
    StepResult { message, ..StepResult::new(reading, Some(200)).telling(history) }
}

/// The evidence that any answer with a JSON object as its body may carry. It is a courtesy there: what is no list of
/// entries is something else of that name.
fn told(headers: &HeaderMap, body: &[u8]) -> Testimony {
    #[derive(Deserialize)]
    struct Aside {
        #[serde(default)]
        history: Value,
    }
    if !is_json(headers) || !body.trim_ascii_start().starts_with(b"{") {
        return Testimony::default();
    }
    match serde_json::from_slice(body) {
        Ok(Aside { history: Value::Array(list) }) => {
            // What cannot be read there may be anybody's own list of that name: nothing is lost by that.
            let is_empty = list.is_empty();
            let (read, _) = Testimony::read(list, None).into_parts();
            if read.is_empty() && !is_empty { Testimony::default() } else { read.into() }
        }
        _ => Testimony::default(),
    }
}

/// Whether the body may be JSON (`application/json`, `application/problem+json`, …); it may when nothing is said.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = content_type(headers);
    kind.starts_with("text/html") || kind.starts_with("application/xhtml+xml")
}

/// Whether a body of no declared type is a web page.
fn begins_as_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let begins = |with: &str| {
        let head = body.trim_ascii_start().get(..with.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
    };
    content_type(headers).is_empty() && (begins("<!doctype html") || begins("<html"))
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

/// What makes a body unreadable that nobody here asked for.
fn oddity(headers: &HeaderMap, body: &[u8]) -> Option<&'static str> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes());
    if encoding.is_some_and(|e| !e.eq_ignore_ascii_case(b"identity")) {
        Some(
            "the answer is compressed (Content-Encoding: gzip or the like), which nobody asked for",
        )
    } else if is_page(headers) {
        Some("a web page (text/html) came; is a login or a gateway in front of the service?")
    } else if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) {
        Some("the answer is UTF-16; JSON is UTF-8")
    } else {
        None
    }
}

fn is_refusal(body: &[u8]) -> bool {
    problem(body).is_some_and(|p| p.is(ProblemCode::Refused))
}

fn is_of_ours(body: &[u8]) -> bool {
    problem(body).is_some_and(|p| p.type_uri.starts_with(PROBLEM_TYPE_BASE))
}

/// What a definite answer says: a person decides by it, so the status stands there too.
fn definite_message(status: u16, headers: &HeaderMap, body: &[u8]) -> String {
    let said = problem(body).map(|p| {
        let title = Some(p.title).filter(|title| !title.is_empty());
        title.into_iter().chain(p.detail).collect::<Vec<_>>().join(": ")
    });
    match said.filter(|said| !said.is_empty()) {
        Some(said) => shortened(&format!("HTTP {status}: {said}")),
        None => message_of(status, headers, body).unwrap_or_else(|| format!("HTTP {status}")),
    }
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
    if let Some(odd) = oddity(headers, body) {
        return Some(format!("HTTP {status}: {odd}"));
    }
    let content_type = content_type(headers);
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
    cut(text, MESSAGE_LIMIT)
}

fn cut(text: &str, limit: usize) -> String {
    let mut short = String::with_capacity(text.len().min(limit + 4));
    for c in text.trim().chars() {
        if short.len() + c.len_utf8() > limit {
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
