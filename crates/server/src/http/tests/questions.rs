//! Open questions over HTTP: listed, told with their statements, answered one by one and in bulk.

use super::desk::{Desk, binary};
use amends_engine::StepReading;
use amends_protocol::Outcome;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// Sagas whose payment says that there was nothing to undo, though the order says that it was paid.
async fn contradicted(desk: &Desk, sagas: usize) -> Vec<String> {
    desk.script.answer("payment.pay", StepReading::Done(Outcome::NothingToCompensate));
    let paid = json!({
        "service": "payment", "action": "pay", "requestId": "p-1", "state": "succeeded",
    });
    let mut cases = Vec::new();
    for n in 0..sagas {
        let data = json!({"code": "failed", "action": "place", "history": [paid]});
        let reply = desk.send(binary(&format!("o-{n}"), &format!("r-{n}"), &data)).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
        cases.push(reply.body["caseId"].as_str().expect("a case").to_owned());
    }
    desk.until("/v1/overview", |body| body["questions"]["contradiction"] == sagas).await;
    cases
}

#[tokio::test]
async fn a_question_is_listed_told_and_answered() {
    let desk = Desk::open().await;
    let cases = contradicted(&desk, 1).await;
    let listed = desk.get("/v1/questions?kind=contradiction&service=payment").await.body;
    let question = &listed["items"][0];
    assert_eq!((&question["caseId"], &question["sagaId"]), (&json!(cases[0]), &json!("o-0")));
    assert_eq!(question["may"], json!(["accept", "record", "ask_again"]), "{question}");
    assert_eq!(desk.get("/v1/questions?kind=dropped").await.body["items"], json!([]));
    assert_eq!(desk.get("/v1/questions?kind=odd").await.problem(), "invalid-filter");

    let path = format!("/v1/questions/{}", question["id"].as_str().expect("an id"));
    let told = desk.get(&path).await.body;
    assert_eq!(told["sentence"], question["sentence"]);
    let says: Vec<&Value> =
        told["statements"].as_array().expect("a list").iter().map(|s| &s["says"]).collect();
    assert_eq!(says, ["succeeded", "nothing_to_compensate"], "{told}");

    let case = desk.get(&format!("/v1/cases/{}", cases[0])).await.body;
    assert_eq!((&case["state"], &case["questions"][0]["id"]), (&json!("stuck"), &question["id"]));
    let groups = desk.get("/v1/groups").await.body;
    assert_eq!((&groups[0]["cause"], &groups[0]["count"]), (&json!("question"), &json!(1)));
    let overview = desk.get("/v1/overview").await.body;
    assert_eq!(overview["troubles"][0]["why"], "contradiction", "{overview}");

    let act = json!({"act": "record", "outcome": "compensated", "reason": "refunded by hand"});
    let done = desk.post(&format!("{path}/acts"), &act).await;
    assert_eq!((done.status, &done.body["open"]), (StatusCode::OK, &json!([])), "{done:?}");
    let settled = |body: &Value| body["state"] == "settled";
    let case = desk.until(&format!("/v1/cases/{}", cases[0]), settled).await;
    assert_eq!((&case["closedOn"], &case["settledBy"]), (&json!("by_person"), &json!("ann")));
    assert_eq!(case["answers"][0]["outcome"], "compensated", "{case}");
    assert_eq!(desk.get(&path).await.problem(), "not-found");
    assert_eq!(desk.post(&format!("{path}/acts"), &act).await.problem(), "not-found");
}

#[tokio::test]
async fn many_are_accepted_in_waves_and_stand_in_the_audit() {
    let desk = Desk::open().await;
    contradicted(&desk, 7).await;
    let filter = json!({"kind": "contradiction"});
    let wanted = json!({"act": "accept", "reason": "payment lost its table", "filter": filter});
    let made = desk.post("/v1/bulk", &wanted).await;
    assert_eq!((made.status, &made.body["matched"]), (StatusCode::CREATED, &json!(7)), "{made:?}");
    assert_eq!(made.body["counts"][0]["cause"], "question", "{made:?}");
    let job = format!("/v1/bulk/{}", made.body["id"].as_str().expect("an id"));
    desk.post(&format!("{job}/start"), &json!({})).await;
    let done = desk.until(&job, |body| body["state"] == "done").await;
    assert_eq!(done["progress"]["succeeded"], 7, "{done}");
    desk.until("/v1/overview", |body| body["cases"]["settled"] == 7).await;
    let acts = desk.get("/v1/acts?limit=100").await.body;
    let of_job = |act: &&Value| act["act"] == "answer" && act["detail"]["bulk"] == "b-1";
    assert_eq!(acts["items"].as_array().expect("acts").iter().filter(of_job).count(), 7);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let desk = Desk::open().await;
    contradicted(&desk, 5).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/questions?limit=2".to_owned());
    loop {
        let page = desk.get(&path).await.body;
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["caseId"].as_str().expect("a case").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/questions?limit=2&cursor={next}");
    }
    assert_eq!(seen, ["c-5", "c-4", "c-3", "c-2", "c-1"]);
    let page = desk.get("/questions").await;
    let text = page.body.as_str().expect("a page");
    assert!(page.status == StatusCode::OK && text.contains("there was nothing to undo"), "{text}");
}
