//! Forward requests: taken into History, run, ended; and the call that one may make.

use super::ledger::{CallRow, Failure, Row, Stands, Stored};
use super::{
    Defect, Participant, answer, header, json_request, outbox, problem, problem_body, send,
};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

/// The saga that a request names; `Err` if it is malformed.
fn saga_of(participant: &Participant, headers: &HeaderMap) -> Result<Option<String>, ()> {
    let named = header(headers, "saga-id").map(str::to_owned);
    let members = baggage(participant, headers);
    let baggage = members.iter().find_map(|member| member.strip_prefix("saga-id="));
    let decoded = baggage
        .map(|value| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned());
    let decoded = decoded.filter(|_| !participant.has(Defect::BaggageIgnored));
    let saga = match participant.has(Defect::HeaderLoses) {
        true => decoded.or(named),
        false => named.or(decoded),
    };
    let lettered = |saga: &str| saga.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let fits = |saga: &String| {
        is_saga(saga) && (!participant.has(Defect::SagaOfLettersOnly) || lettered(saga))
    };
    match saga {
        Some(saga) if fits(&saga) => Ok(Some(saga)),
        Some(_) if participant.has(Defect::MalformedSagaStartsNew) => Ok(None),
        Some(_) => Err(()),
        None => Ok(None),
    }
}

/// The members of `baggage`, as they are written.
fn baggage(participant: &Participant, headers: &HeaderMap) -> Vec<String> {
    let lines = if participant.has(Defect::FirstBaggageLineOnly) { 1 } else { usize::MAX };
    let lines = headers.get_all("baggage").iter().take(lines);
    let members = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let kept = if participant.has(Defect::KeepsFewBaggage) { 16 } else { usize::MAX };
    members.map(|member| member.trim().to_owned()).take(kept).collect()
}

/// The id of a request; a new one where none is named, and `Err` if it is malformed.
fn request_of(participant: &Participant, headers: &HeaderMap) -> Result<String, ()> {
    let made = || format!("made-{}", participant.ledger().requests.len());
    match header(headers, "request-id") {
        Some(id) if is_saga(id) => Ok(id.to_owned()),
        Some(_) if !participant.has(Defect::MalformedRequestReplaced) => Err(()),
        Some(_) | None => Ok(made()),
    }
}

pub fn is_saga(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// `POST /redeem`
pub async fn forward(
    State(participant): State<Participant>,
    Path(action): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let bad_trace = header(&headers, "traceparent").is_some_and(|text| text.len() != 55);
    let Ok(saga) = saga_of(&participant, &headers) else {
        return problem(400, "invalid-request");
    };
    if bad_trace && participant.has(Defect::MalformedTraceRefused) {
        return problem(400, "invalid-request");
    }
    let (Ok(id), Ok(body)) = (request_of(&participant, &headers), serde_json::from_slice(&bytes))
    else {
        return problem(400, "invalid-request");
    };
    let nameless = saga.is_none() && participant.has(Defect::BeginsNameless);
    let saga = saga.unwrap_or_else(|| format!("saga-of-{id}"));
    if !matches!(action.as_str(), "redeem" | "relay") {
        return problem(404, "not-found");
    }
    let row = Row {
        id: id.clone(),
        saga: saga.clone(),
        action,
        body,
        bytes: bytes.to_vec(),
        headers,
        stands: Stands::Started,
        answer: None,
    };
    // In a task of its own: a request that began goes on when its caller hangs up.
    let taken = tokio::spawn(take(participant.clone(), row)).await.expect("no panic");
    let mut response = match taken {
        Taken::Stored(stored) => respond(&participant, &stored),
        Taken::Busy => {
            let mut busy = problem(409, "in-progress");
            if !participant.has(Defect::NoRetryAfter) {
                busy.headers_mut().insert("retry-after", "1".parse().expect("text"));
            }
            busy
        }
        Taken::Fenced => problem(409, "saga-fenced"),
        Taken::KeyReused => problem(422, "key-reused"),
    };
    let is_named = response.status().is_success() || !participant.has(Defect::NamesSuccessOnly);
    if is_named && !nameless && !participant.has(Defect::NamesNothing) {
        response.headers_mut().insert("saga-id", saga.parse().expect("checked"));
        response.headers_mut().insert("request-id", id.parse().expect("a header"));
    }
    response
}

fn respond(participant: &Participant, stored: &Stored) -> Response {
    let mut response = answer(stored.status, &stored.body);
    if let Some(report) =
        stored.report.as_ref().filter(|_| !participant.has(Defect::ReportNotNamed))
    {
        response.headers_mut().insert("amends-report", report.parse().expect("text"));
    }
    response
}

enum Taken {
    Stored(Stored),
    Busy,
    Fenced,
    KeyReused,
}

/// How a request begins.
enum Begun {
    Answered(Taken),
    /// It calls nobody, so it has ended in the transaction in which it began.
    Ended(Option<Stored>),
    Runs,
}

async fn take(participant: Participant, row: Row) -> Taken {
    let (id, body) = (row.id.clone(), row.body.clone());
    let ended = match begin(&participant, row) {
        Begun::Answered(taken) => return taken,
        Begun::Ended(ended) => ended,
        Begun::Runs => {
            let run = work(&participant, &id, &body).await;
            participant.ledger().finish(&participant, &id, run, true)
        }
    };
    participant.0.outbox.notify_one();
    if participant.has(Defect::WaitsForSupervisor) {
        outbox::empty(&participant).await;
    }
    ended.map_or(Taken::Fenced, Taken::Stored)
}

fn begin(participant: &Participant, row: Row) -> Begun {
    let mut ledger = participant.ledger();
    if let Some(known) = ledger.find(&row.id).cloned() {
        return repeated(participant, &mut ledger, &known, &row)
            .map_or(Begun::Runs, Begun::Answered);
    }
    if ledger.is_fenced(participant, &row.saga, &row.action) {
        return Begun::Answered(Taken::Fenced);
    }
    let (id, body) = (row.id.clone(), row.body.clone());
    ledger.requests.push(row);
    match body["call"].is_null() && body["pause_ms"].is_null() {
        true => Begun::Ended(ledger.finish(participant, &id, business(&body), true)),
        false => Begun::Runs,
    }
}

/// What a request is answered that came before; nothing if it is to run once more.
fn repeated(
    participant: &Participant,
    ledger: &mut super::ledger::Ledger,
    known: &Row,
    row: &Row,
) -> Option<Taken> {
    let other_saga = known.saga != row.saga && !participant.has(Defect::SagaNotCompared);
    let other_action = known.action != row.action && !participant.has(Defect::ActionNotCompared);
    let other_bytes = known.bytes != row.bytes && participant.has(Defect::ComparesBytes);
    let packed = |row: &Row| -> Vec<u8> {
        row.bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).copied().collect()
    };
    let other_order = packed(known) != packed(row) && participant.has(Defect::ComparesOrder);
    let trace = |row: &Row| header(&row.headers, "traceparent").map(str::to_owned);
    let other_trace = trace(known) != trace(row) && participant.has(Defect::HeadersAreContents);
    let other = known.body != row.body
        || other_saga
        || other_action
        || other_bytes
        || other_order
        || other_trace;
    if other && !participant.has(Defect::NoFingerprint) {
        return Some(Taken::KeyReused);
    }
    let answer = || known.answer.clone().expect("it has ended");
    let fenced = participant.has(Defect::RefusalFencesAnswered)
        && ledger.is_fenced(participant, &known.saga, &known.action);
    if fenced {
        return Some(Taken::Fenced);
    }
    Some(match known.stands {
        Stands::Started if participant.has(Defect::RunsDuplicates) => return None,
        Stands::Started => Taken::Busy,
        Stands::Succeeded if participant.has(Defect::EffectOnRepeat) => {
            ledger.change_effect(&known.saga, 1);
            Taken::Stored(answer())
        }
        Stands::Succeeded if participant.has(Defect::AnswersRepeatAnew) => {
            Taken::Stored(Stored { body: json!({ "redeemed": "before" }), ..answer() })
        }
        Stands::Failed if participant.has(Defect::ReportOnRepeat) => {
            let failure = Failure { code: "expired".to_owned(), causes: Vec::new() };
            ledger.report(participant, known, &failure);
            Taken::Stored(answer())
        }
        Stands::Succeeded | Stands::Failed | Stands::Unknown => Taken::Stored(answer()),
        Stands::Fenced
            if participant.has(Defect::ReplaysFencedFailure) && known.answer.is_some() =>
        {
            Taken::Stored(answer())
        }
        Stands::Compensated if participant.has(Defect::ReplaysCompensated) => {
            Taken::Stored(answer())
        }
        Stands::Compensated | Stands::Fenced => Taken::Fenced,
    })
}

/// The action itself.
fn business(body: &Value) -> Result<(), Failure> {
    match body["fail"].as_str() {
        Some(code) => Err(Failure { code: code.to_owned(), causes: Vec::new() }),
        None => Ok(()),
    }
}

/// The action with its call.
pub async fn work(participant: &Participant, id: &str, body: &Value) -> Result<(), Failure> {
    if let Some(pause_ms) = body["pause_ms"].as_u64() {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    if let Some(url) = body["call"].as_str() {
        for ordinal in 1..=body["calls"].as_u64().unwrap_or(1) {
            call(participant, id, ordinal, url, body).await?;
        }
    }
    business(body)
}

/// The id of a call of a request to `payment.pay`: the first, the second …
fn derived(parent: &str, ordinal: u64) -> String {
    let mut digest = Sha256::new();
    for part in [parent, "payment.pay", &ordinal.to_string()] {
        digest.update(format!("{}:{part}", part.len()));
    }
    digest.finalize()[..16].iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

async fn call(
    participant: &Participant,
    parent: &str,
    ordinal: u64,
    url: &str,
    body: &Value,
) -> Result<(), Failure> {
    let mut id = derived(parent, if participant.has(Defect::OrdinalIgnored) { 1 } else { ordinal });
    let (saga, came) = {
        let mut ledger = participant.ledger();
        let row = ledger.find(parent).cloned().expect("it runs");
        if !ledger.may_go_on(participant, &row) && !participant.has(Defect::CallsAfterFence) {
            return Err(Failure { code: "fenced".to_owned(), causes: Vec::new() });
        }
        if participant.has(Defect::NewCallId) {
            id = format!("{id}-{}", ledger.calls.len());
        }
        if !ledger.calls.iter().any(|call| call.id == id && call.state == "succeeded") {
            ledger.calls.retain(|call| call.id != id);
            let (saga, call_id, parent) = (row.saga.clone(), id.clone(), parent.to_owned());
            ledger.calls.push(CallRow { saga, id: call_id, parent, state: "started" });
        }
        (row.saga, row.headers)
    };
    let contents = json!({ "coupon": body["coupon"] });
    let mut answered = exchange(participant, url, &saga, &id, &came, &contents).await;
    while answered.as_ref().is_some_and(|(_, body)| is_kind(body, "in-progress")) {
        let again = match participant.has(Defect::BusyCallAnew) {
            true => format!("{id}-again"),
            false => id.clone(),
        };
        answered = exchange(participant, url, &saga, &again, &came, &contents).await;
    }
    let state = proves(participant, answered.as_ref());
    if let Some(row) = participant.ledger().calls.iter_mut().find(|call| call.id == id) {
        let downgrades = match state {
            "failed" => participant.has(Defect::DowngradesToFailed),
            _ => participant.has(Defect::DowngradesToUnknown),
        };
        if row.state != "succeeded" || downgrades {
            row.state = state;
        }
    }
    let cause = answered
        .and_then(|(answer, _)| header(&answer.headers, "amends-report").map(str::to_owned));
    match state {
        "succeeded" => Ok(()),
        _ => Err(Failure { code: "downstream".to_owned(), causes: cause.into_iter().collect() }),
    }
}

/// What the answer to a call proves; nothing is the answer of a broken connection.
fn proves(
    participant: &Participant,
    answered: Option<&(amends_conform::HttpAnswer, Value)>,
) -> &'static str {
    let Some((answer, body)) = answered else {
        return if participant.has(Defect::BrokenCallFailed) { "failed" } else { "unknown" };
    };
    let is_plain = participant.has(Defect::StatusDecides);
    let ours = body["type"].as_str().filter(|_| !is_plain);
    let kind = ours.and_then(|kind| kind.strip_prefix("https://amends.dev/problems/"));
    match (answer.status, kind) {
        (200..=299, _) => "succeeded",
        _ if participant.has(Defect::EveryFailureUnknown) => "unknown",
        (_, Some("internal" | "effect-unknown" | "in-progress")) => "unknown",
        (_, Some(_)) => "failed",
        (408, None) if participant.has(Defect::TimeoutStatusFailed) => "failed",
        (300..=399, None) if participant.has(Defect::RedirectFailed) => "failed",
        (408, None) => "unknown",
        (400..=499, None) if participant.has(Defect::PlainRefusalUnknown) => "unknown",
        (400..=499, None) => "failed",
        _ => "unknown",
    }
}

fn is_kind(body: &Value, kind: &str) -> bool {
    body["type"] == problem_body(0, kind, kind)["type"]
}

async fn exchange(
    participant: &Participant,
    url: &str,
    saga: &str,
    id: &str,
    came: &HeaderMap,
    contents: &Value,
) -> Option<(amends_conform::HttpAnswer, Value)> {
    let mut headers = vec![("request-id", id)];
    if !participant.has(Defect::DropsSaga) {
        headers.push(("saga-id", saga));
    }
    let passed_on = baggage(participant, came).join(",");
    if !participant.has(Defect::DropsBaggage) {
        headers.push(("baggage", &passed_on));
    }
    if let Some(trace) =
        header(came, "traceparent").filter(|_| !participant.has(Defect::DropsTrace))
    {
        headers.push(("traceparent", trace));
    }
    let mut answer = send(&format!("{url}/pay"), json_request(&headers, contents)).await?;
    if participant.has(Defect::FollowsRedirects) && answer.headers.contains_key("location") {
        answer = send(&format!("{url}/moved"), json_request(&headers, contents)).await?;
    }
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    Some((answer, body))
}
