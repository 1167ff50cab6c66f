//! The supervisor's requests: steps, their outcomes where they were only taken, and History.

use super::forward::{is_saga, work};
use super::ledger::{Failure, Ledger, Row, Stands, StepEnd};
use super::signature::is_right;
use super::{Answers, Defect, Participant, SERVICE, answer, header, json_request, problem, send};
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Longest body of a step.
const BODY_LIMIT: usize = 1 << 20;

/// How often a compensation looks whether it may go on, for the defect that it waits.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A step that could be read.
#[derive(Clone, Debug)]
struct Step {
    verb: String,
    action: String,
    saga: String,
    id: String,
    requests: Vec<String>,
    /// Goes back with a late answer.
    proof: Value,
}

/// `POST /amends/v1/{verb}/{action}`
pub async fn step(
    State(participant): State<Participant>,
    Path((verb, action)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if method != Method::POST && !participant.has(Defect::AnyMethod) {
        return problem(405, "method-not-allowed");
    }
    let limit = if participant.has(Defect::NoBodyLimit) { usize::MAX } else { BODY_LIMIT };
    let Ok(body) = to_bytes(body, limit).await else { return problem(413, "too-large") };
    let unsigned =
        participant.has(Defect::UnsignedSteps) && !headers.contains_key("webhook-signature");
    if !unsigned && !is_right(&participant, &headers, &body) {
        return problem(401, "unauthorized");
    }
    let step = match read(&participant, &verb, &action, &headers, &body) {
        Ok(step) => step,
        Err((status, code)) => return problem(status, code),
    };
    let known = match step.verb.as_str() {
        "notify" => step.action == "send-receipt" || participant.has(Defect::AnyNotice),
        _ => matches!(step.action.as_str(), "redeem" | "relay"),
    };
    match known {
        false if participant.has(Defect::AnyAction) && step.verb != "notify" => {
            answer(200, &json!({ "outcome": "nothing_to_compensate" }))
        }
        false => problem(404, "not-found"),
        true => answer_step(participant, step).await,
    }
}

fn read(
    participant: &Participant,
    verb: &str,
    action: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Step, (u16, &'static str)> {
    let malformed = match participant.has(Defect::MalformedStepBreaks) {
        true => (500, "internal"),
        false => (400, "invalid-request"),
    };
    let body: Value = serde_json::from_slice(body).map_err(|_| malformed)?;
    let nulls = |members: &serde_json::Map<String, Value>| members.values().any(Value::is_null);
    if participant.has(Defect::NullIsAValue) && body.as_object().is_some_and(nulls) {
        return Err((400, "invalid-request"));
    }
    if participant.has(Defect::StrictFields) && !body["priority"].is_null() {
        return Err((400, "invalid-request"));
    }
    let text = |key: &str| body[key].as_str().map(str::to_owned).ok_or(malformed);
    let (saga, id, named) = (text("sagaId")?, text("stepId")?, text("action")?);
    if !is_saga(&saga) {
        return Err(malformed);
    }
    if named != format!("{SERVICE}.{action}") && !participant.has(Defect::PathUnchecked) {
        return Err((400, "invalid-request"));
    }
    let key = header(headers, "idempotency-key").unwrap_or_default();
    let bare = key.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
    let bare = match participant.has(Defect::QuotedKeyOnly) {
        true => bare.ok_or((422, "key-reused"))?,
        false => bare.unwrap_or(key),
    };
    if bare != id && !participant.has(Defect::KeyUnchecked) {
        return Err((422, "key-reused"));
    }
    let requests = body["requestIds"].as_array().into_iter().flatten();
    let requests = requests.filter_map(|id| id.as_str().map(str::to_owned)).collect();
    let proof = body["callback"]["proof"].clone();
    Ok(Step { verb: verb.to_owned(), action: action.to_owned(), saga, id, requests, proof })
}

async fn answer_step(participant: Participant, step: Step) -> Response {
    let own = (step.saga.clone(), step.verb.clone());
    let (saga, verb) =
        participant.ledger().step_firsts.entry(step.id.clone()).or_insert(own).clone();
    let of_other_saga = saga != step.saga && !participant.has(Defect::StepOfAnySaga);
    let of_other_verb = verb != step.verb && !participant.has(Defect::StepOfAnyVerb);
    if of_other_saga || of_other_verb {
        return problem(422, "key-reused");
    }
    // A late answer knows no "not yet", so only what always comes to an outcome is answered by one.
    let later = match participant.0.answers {
        Answers::ByCallback if step.verb != "compensate" => Answers::AtOnce,
        answers => answers,
    };
    match later {
        Answers::AtOnce => {
            let ended = perform(&participant, &step).await;
            end(&participant, &step.saga, &ended)
        }
        Answers::AtLocation | Answers::ByCallback => {
            let taken = {
                let mut ledger = participant.ledger();
                let taken = ledger.steps.contains_key(&step.id);
                ledger.steps.entry(step.id.clone()).or_default();
                taken && !participant.has(Defect::AcceptedTwice)
            };
            let id = step.id.clone();
            if !taken {
                let work = tokio::spawn(carry_out(participant.clone(), step));
                if participant.has(Defect::AcceptedTwice) {
                    // One after the other, so that the second one is always seen.
                    work.await.expect("no panic");
                }
            }
            let mut response = answer(202, &json!({}));
            if participant.0.answers == Answers::AtLocation {
                let place = format!("/amends/v1/steps/{id}");
                response.headers_mut().insert("location", place.parse().expect("text"));
            }
            response
        }
    }
}

/// Does a step that was taken, and says how it ended.
async fn carry_out(participant: Participant, step: Step) {
    let ended = perform(&participant, &step).await;
    participant.ledger().steps.insert(step.id.clone(), Some(ended.clone()));
    if participant.0.answers == Answers::ByCallback {
        let outcome = match ended {
            StepEnd::Outcome(outcome) => outcome,
            StepEnd::Problem(..) => "refused",
        };
        let url = format!("http://{}/v1/steps/{}/outcome", participant.0.supervisor, step.id);
        let said = match participant.has(Defect::ForgetsProof) {
            true => json!({ "outcome": outcome }),
            false => json!({ "outcome": outcome, "proof": step.proof }),
        };
        send(&url, json_request(&[], &said)).await;
    }
}

fn end(participant: &Participant, saga: &str, ended: &StepEnd) -> Response {
    let has_ended = |state: &str| {
        !participant.has(Defect::SaysEndedCallsOnly) || !matches!(state, "started" | "unknown")
    };
    let ledger = participant.ledger();
    let calls = ledger.calls.iter().filter(|call| call.saga == saga && call.state != "failed");
    let calls: Vec<Value> = calls
        .filter(|call| has_ended(call.state) && !participant.has(Defect::SaysNoCalls))
        .map(|call| json!({ "service": "payment", "action": "pay", "requestId": call.id, "state": call.state }))
        .collect();
    match ended {
        StepEnd::Outcome(outcome) => answer(200, &json!({ "outcome": outcome, "history": calls })),
        StepEnd::Problem(status, code) => problem(*status, code),
    }
}

/// `GET /amends/v1/steps/{id}`
pub async fn outcome(State(participant): State<Participant>, Path(id): Path<String>) -> Response {
    let (known, saga) = {
        let ledger = participant.ledger();
        let saga = ledger.step_firsts.get(&id).map(|(saga, _)| saga.clone()).unwrap_or_default();
        (ledger.steps.get(&id).cloned(), saga)
    };
    match known {
        Some(Some(ended)) => end(&participant, &saga, &ended),
        Some(None) => answer(202, &json!({})),
        None => problem(404, "not-found"),
    }
}

async fn perform(participant: &Participant, step: &Step) -> StepEnd {
    match step.verb.as_str() {
        "compensate" => compensate(participant, step).await,
        "retry" => retry(participant, step).await,
        "notify" => notify(participant, step).await,
        _ => StepEnd::Problem(404, "not-found"),
    }
}

async fn compensate(participant: &Participant, step: &Step) -> StepEnd {
    if participant.has(Defect::WaitsForRunning) {
        while participant
            .ledger()
            .requests
            .iter()
            .any(|row| row.saga == step.saga && row.stands == Stands::Started)
        {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    if participant.has(Defect::CompensationsRace) {
        let there =
            participant.ledger().requests.iter().filter(|row| row.saga == step.saga).count();
        participant.until_two_have_read().await;
        participant.ledger().change_effect(&step.saga, -i64::try_from(there).expect("few"));
        return StepEnd::Outcome("compensated");
    }
    let mut ledger = participant.ledger();
    if let Some(Some(StepEnd::Outcome(outcome))) = ledger.steps.get(&step.id)
        && !participant.has(Defect::ForgetsSteps)
        && !participant.has(Defect::AcceptedTwice)
    {
        return StepEnd::Outcome(outcome);
    }
    let ended = undo(participant, &mut ledger, step);
    if let StepEnd::Outcome(_) = ended {
        ledger.steps.insert(step.id.clone(), Some(ended.clone()));
    }
    ended
}

fn undo(participant: &Participant, ledger: &mut Ledger, step: &Step) -> StepEnd {
    let whole_saga = participant.has(Defect::UndoesWholeSaga);
    let of_step =
        |row: &&mut Row| row.saga == step.saga && (row.action == step.action || whole_saga);
    let fence = (step.saga.clone(), step.action.clone());
    let is_final = |row: &Row| row.stands == Stands::Succeeded && row.body["final"] == true;
    let mut rows: Vec<&mut Row> = ledger.requests.iter_mut().filter(of_step).collect();
    let refused = rows.iter().any(|row| is_final(row));
    let mut half = 0;
    for row in rows.iter_mut().filter(|row| refused && !is_final(row)) {
        match row.stands {
            Stands::Succeeded if participant.has(Defect::HalfAnUndo) => {
                row.stands = Stands::Compensated;
                half += 1;
            }
            Stands::Failed if participant.has(Defect::RefusalChangesRows) => {
                row.stands = Stands::Fenced;
            }
            _ => {}
        }
    }
    if refused && !(participant.has(Defect::RefusalRemembered) && ledger.fences.contains(&fence)) {
        ledger.change_effect(&step.saga, -half);
        if !participant.has(Defect::RefusalNotFenced) {
            ledger.fences.insert(fence);
        }
        return match participant.has(Defect::RefusalBreaks) {
            true => StepEnd::Problem(500, "internal"),
            false => StepEnd::Problem(422, "refused"),
        };
    }
    let there = !rows.is_empty();
    let named = |row: &Row| step.requests.is_empty() || step.requests.contains(&row.id);
    let (mut undone, mut before) = (0, false);
    for row in rows {
        match row.stands {
            Stands::Succeeded if participant.has(Defect::UndoesNamedOnly) && !named(row) => {}
            Stands::Succeeded => {
                undone += i64::from(row.is_effective());
                row.stands = Stands::Compensated;
            }
            Stands::Compensated if participant.has(Defect::CompensatesTwice) => undone += 1,
            Stands::Compensated => before = true,
            Stands::Failed => {
                undone += i64::from(participant.has(Defect::CompensatesFailure));
                row.stands = Stands::Fenced;
            }
            Stands::Started | Stands::Unknown => row.stands = Stands::Fenced,
            Stands::Fenced => {}
        }
    }
    if !participant.has(Defect::LeavesEffect) {
        ledger.change_effect(&step.saga, -undone);
    }
    let unfenced = step.action == "relay" && participant.has(Defect::FencesUndoablesOnly);
    let puts_up = !unfenced
        && !participant.has(Defect::NoFence)
        && (there || !participant.has(Defect::FenceNeedsRequest));
    if puts_up {
        ledger.fences.insert(fence);
    }
    StepEnd::Outcome(match (undone, before) {
        (1.., _) => "compensated",
        (_, true) => "already_compensated",
        _ if participant.has(Defect::CompensatesNothing) && !there => "compensated",
        _ => "nothing_to_compensate",
    })
}

async fn retry(participant: &Participant, step: &Step) -> StepEnd {
    let refused = StepEnd::Problem(422, "refused");
    let is_meant = |row: &&mut Row| step.requests.contains(&row.id);
    let row = {
        let mut ledger = participant.ledger();
        let fenced = ledger.fences.contains(&(step.saga.clone(), step.action.clone()));
        let of_step = |row: &&mut Row| row.saga == step.saga && row.action == step.action;
        let mut rows: Vec<&mut Row> = ledger.requests.iter_mut().filter(of_step).collect();
        let is_open = |row: &&mut Row| row.stands != Stands::Succeeded;
        let named = rows.iter().rposition(|row| is_open(row) && is_meant(row));
        let named = named.filter(|_| !participant.has(Defect::RetriesLatestOnly));
        let alone = rows.iter().position(|row| step.requests == [row.id.as_str()]);
        let alone = alone.filter(|_| {
            !participant.has(Defect::RetriesAnotherThanNamed)
                && !participant.has(Defect::RetriesLatestOnly)
        });
        let open = match participant.has(Defect::RetriesFirst) {
            true => rows.iter().position(is_open),
            false => rows.iter().rposition(is_open),
        };
        let meant = named.or(alone).or(open).or(rows.len().checked_sub(1));
        let Some(row) = meant.map(|at| rows.swap_remove(at)) else {
            let is_final = fenced && !participant.has(Defect::UnknownRetryNotFound);
            return match is_final || participant.has(Defect::RefusesUnknownRetry) {
                true => refused,
                false => StepEnd::Problem(404, "not-found"),
            };
        };
        match row.stands {
            Stands::Started if participant.has(Defect::RetriesRunning) => {
                return StepEnd::Outcome("retried");
            }
            Stands::Started => return StepEnd::Problem(409, "in-progress"),
            Stands::Succeeded if participant.has(Defect::RetriesSuccess) => {
                let saga = row.saga.clone();
                ledger.change_effect(&saga, 1);
                return StepEnd::Outcome("retried");
            }
            Stands::Succeeded => return StepEnd::Outcome("retried"),
            Stands::Compensated if participant.has(Defect::RetriesCompensated) => {
                return StepEnd::Outcome("retried");
            }
            Stands::Fenced if participant.has(Defect::RetriesFencedFailure) => {
                return StepEnd::Outcome("retried");
            }
            Stands::Failed if fenced && participant.has(Defect::RetriesAfterRefusal) => {
                return StepEnd::Outcome("retried");
            }
            Stands::Failed | Stands::Unknown if !fenced => {
                row.stands = Stands::Started;
                row.clone()
            }
            Stands::Failed | Stands::Unknown | Stands::Compensated | Stands::Fenced => {
                return refused;
            }
        }
    };
    let body = if participant.has(Defect::ForgetsBody) { json!({}) } else { row.body };
    let run: Result<(), Failure> = work(participant, &row.id, &body).await;
    let reported = participant.has(Defect::ReportsRetry);
    let ended = participant.ledger().finish(participant, &row.id, run, reported);
    participant.0.outbox.notify_one();
    match ended {
        Some(stored) if stored.status == 200 => StepEnd::Outcome("retried"),
        Some(_) if participant.has(Defect::FailedRetryIsFinal) => refused,
        Some(_) => StepEnd::Problem(503, "unavailable"),
        None => refused,
    }
}

async fn notify(participant: &Participant, step: &Step) -> StepEnd {
    if participant.has(Defect::NoticesRace) {
        let unsent = !participant.ledger().receipts.contains_key(&step.saga);
        if unsent {
            participant.until_two_have_read().await;
            *participant.ledger().receipts.entry(step.saga.clone()).or_default() += 1;
        }
        return StepEnd::Outcome("notified");
    }
    let mut ledger = participant.ledger();
    let sent = ledger.receipts.entry(step.saga.clone()).or_default();
    if *sent == 0 || participant.has(Defect::NotifiesTwice) {
        *sent += 1;
    }
    StepEnd::Outcome("notified")
}

/// `GET /amends/v1/history/{saga}`
pub async fn history(
    State(participant): State<Participant>,
    Path(saga): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if !participant.has(Defect::OpenHistory) && !is_right(&participant, &headers, b"") {
        return problem(401, "unauthorized");
    }
    if !is_saga(&saga) && !participant.has(Defect::AnyTextIsASaga) {
        return problem(400, "invalid-request");
    }
    let ledger = participant.ledger();
    let mut entries: Vec<Value> = Vec::new();
    for row in ledger.requests.iter().filter(|row| row.saga == saga) {
        if let Some(state) = own_state(&participant, row.stands) {
            entries.push(json!({ "action": row.action, "requestId": row.id, "state": state }));
        }
    }
    if participant.has(Defect::HistoryOutOfOrder) {
        entries.reverse();
    }
    for call in ledger.calls.iter().filter(|call| call.saga == saga) {
        let hidden = participant.has(Defect::CallsNotShown)
            || participant.has(Defect::StartedCallNotShown) && call.state == "started";
        let id = if participant.has(Defect::CallUnderParentId) { &call.parent } else { &call.id };
        if !hidden {
            entries.push(json!({ "service": "payment", "action": "pay", "requestId": id, "state": call.state }));
        }
    }
    if entries.is_empty() && participant.has(Defect::UnknownSagaNotFound) {
        return problem(404, "not-found");
    }
    // In pages of one entry: the page allows any.
    let from = asked.get("after").and_then(|after| after.parse().ok()).unwrap_or(0_usize);
    let mut told =
        json!({ "sagaId": saga, "entries": entries.get(from).into_iter().collect::<Vec<_>>() });
    if participant.has(Defect::PagesForEver) {
        told["next"] = json!("0");
    } else if from + 1 < entries.len() {
        told["next"] = json!((from + 1).to_string());
    }
    answer(200, &told)
}

fn own_state(participant: &Participant, stands: Stands) -> Option<&'static str> {
    Some(match stands {
        Stands::Started if participant.has(Defect::StartedNotShown) => return None,
        Stands::Started => "started",
        Stands::Succeeded if participant.has(Defect::OwnWordForSucceeded) => "done",
        Stands::Succeeded => "succeeded",
        Stands::Failed if participant.has(Defect::FailureShownAsSuccess) => "succeeded",
        Stands::Failed => "failed",
        Stands::Unknown => "unknown",
        Stands::Compensated if participant.has(Defect::CompensationNotShown) => "succeeded",
        Stands::Compensated => "compensated",
        Stands::Fenced => "fenced",
    })
}
