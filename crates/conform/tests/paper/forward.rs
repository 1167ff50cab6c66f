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
    let members = header(headers, "baggage").unwrap_or_default().split(',');
    let baggage = members.filter_map(|member| member.trim().strip_prefix("saga-id=")).next();
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
    let (Some(id), Ok(body)) = (header(&headers, "request-id"), serde_json::from_slice(&bytes))
    else {
        return problem(400, "invalid-request");
    };
    let id = id.to_owned();
    let saga = saga.unwrap_or_else(|| format!("saga-of-{id}"));
    if !matches!(action.as_str(), "redeem" | "relay") {
        return problem(404, "not-found");
    }
    let row = Row {
        id: id.clone(),
        saga: saga.clone(),
        action,
        body,
        bytes,
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
    if !participant.has(Defect::NamesNothing) {
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
    if ledger.is_fenced(&row.saga, &row.action, participant.has(Defect::FencesAllSagas)) {
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
    let other_bytes = known.bytes != row.bytes && participant.has(Defect::ComparesBytes);
    let other = known.body != row.body || other_saga || other_bytes;
    if other && !participant.has(Defect::NoFingerprint) {
        return Some(Taken::KeyReused);
    }
    let answer = || known.answer.clone().expect("it has ended");
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
        Stands::Succeeded | Stands::Failed => Taken::Stored(answer()),
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
        call(participant, id, url, body).await?;
    }
    business(body)
}

/// The id of the first call of a request to `payment.pay`.
fn derived(parent: &str) -> String {
    let mut digest = Sha256::new();
    for part in [parent, "payment.pay", "1"] {
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
    url: &str,
    body: &Value,
) -> Result<(), Failure> {
    let mut id = derived(parent);
    let (saga, came) = {
        let mut ledger = participant.ledger();
        let row = ledger.find(parent).cloned().expect("it runs");
        if participant.has(Defect::NewCallId) {
            id = format!("{id}-{}", ledger.calls.len());
        }
        ledger.calls.retain(|call| call.id != id);
        let (saga, call_id, parent) = (row.saga.clone(), id.clone(), parent.to_owned());
        ledger.calls.push(CallRow { saga, id: call_id, parent, state: "started" });
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
    let state = match &answered {
        Some((answer, _)) if answer.status < 300 => "succeeded",
        Some(_) if participant.has(Defect::EveryFailureUnknown) => "unknown",
        Some((_, body)) if is_kind(body, "action-failed") => "failed",
        None if participant.has(Defect::BrokenCallFailed) => "failed",
        Some(_) | None => "unknown",
    };
    if let Some(row) = participant.ledger().calls.iter_mut().find(|call| call.id == id) {
        row.state = state;
    }
    let cause = answered
        .and_then(|(answer, _)| header(&answer.headers, "amends-report").map(str::to_owned));
    match state {
        "succeeded" => Ok(()),
        _ => Err(Failure { code: "downstream".to_owned(), causes: cause.into_iter().collect() }),
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
) -> Option<(amends_conform::Answer, Value)> {
    let mut headers = vec![("request-id", id)];
    if !participant.has(Defect::DropsSaga) {
        headers.push(("saga-id", saga));
    }
    for (name, defect) in [("baggage", Defect::DropsBaggage), ("traceparent", Defect::DropsTrace)] {
        if let Some(value) = header(came, name).filter(|_| !participant.has(defect)) {
            headers.push((name, value));
        }
    }
    let answer = send(&format!("{url}/pay"), json_request(&headers, contents)).await?;
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    Some((answer, body))
}
