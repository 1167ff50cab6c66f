//! What a settled case says of itself: its closing word, what may still stand, and the proof.

use super::desk::Desk;
use axum::http::StatusCode;
use serde_json::{Value, json};

fn action<'v>(proof: &'v Value, name: &str) -> &'v Value {
    let actions = proof["actions"].as_array().expect("a list");
    actions.iter().find(|one| one["action"] == name).expect("the action")
}

#[tokio::test]
async fn a_proof_is_given_whole_and_shown_on_a_page() {
    let desk = Desk::open().await;
    let case = desk.report("o-1", "r-1").await;
    desk.until(&format!("/v1/cases/{case}"), |body| body["state"] == "settled").await;
    let proof = desk.get(&format!("/v1/cases/{case}/proof")).await.body;
    assert_eq!((&proof["caseId"], &proof["closedOn"]), (&json!(case), &json!("proven")));
    assert_eq!((&proof["sagaId"], &proof["mayStillStand"]), (&json!("o-1"), &json!([])));
    let payment = action(&proof, "payment.pay");
    assert_eq!(payment["verdict"], "undone", "{payment}");
    let said = payment["statements"].as_array().and_then(|all| all.last()).expect("said");
    assert_eq!((&said["by"], &said["source"]), (&json!("payment"), &json!("answer")));
    assert_eq!(said["outcome"], "compensated");
    assert!(said["at"].is_string() && said["id"].is_string(), "{said}");

    let page = desk.get(&format!("/cases/{case}/proof")).await;
    let text = page.body.as_str().expect("a page");
    assert!(text.contains("payment.pay") && text.contains("refuses what comes late"), "{text}");
    let missing = desk.get("/v1/cases/c-99/proof").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(desk.get("/cases/c-99/proof").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_person_went_without_is_named_once_the_saga_has_ended() {
    let desk = Desk::open().await;
    let (case, step) = desk.stuck("o-2").await;
    let ended = desk.post("/v1/sagas/o-2/end", &Value::Null).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT, "{ended:?}");
    let waive = json!({"act": "waive", "reason": "a test order"});
    desk.post(&format!("/v1/steps/{step}/acts"), &waive).await;
    let path = format!("/v1/cases/{case}");
    let settled = desk.until(&path, |body| body["state"] == "settled").await;
    assert_eq!(settled["closedOn"], "quiet");
    assert!(settled["sagaEndedAt"].is_string(), "{settled}");
    let left = &settled["mayStillStand"][0];
    assert_eq!((&left["service"], &left["action"]), (&json!("payment"), &json!("pay")));
    assert!(left["why"].as_str().is_some_and(|why| why.contains("waived")), "{left}");
    let sentence = settled["sentence"].as_str().expect("a sentence");
    assert!(sentence.ends_with("payment.pay may still stand"), "{sentence}");

    let listed = desk.get("/v1/cases?closedOn=quiet").await.body;
    assert_eq!(listed["items"][0]["id"], json!(case));
    assert_eq!(desk.get("/v1/cases?closed_on=proven").await.body["items"], json!([]));
    let page = desk.get(&format!("/cases/{case}")).await;
    let text = page.body.as_str().expect("a page");
    assert!(text.contains("What may still stand") && text.contains("settled: quiet"), "{text}");

    let unknown = desk.post("/v1/sagas/o-99/end", &Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
