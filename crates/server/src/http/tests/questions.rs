//! Open questions over HTTP: listed, told with their statements, answered one by one and in bulk.

use super::desk::{BOOK, Desk, binary, send_form};
use amends_engine::StepReading;
use amends_protocol::Outcome;
use amends_rulebook::Rulebook;
use axum::body::Body;
use axum::http::{Request, StatusCode};
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
    // Whoever comes late hears who was quicker; nothing is counted twice.
    let late = desk.post(&format!("{path}/acts"), &act).await;
    assert_eq!(late.problem(), "conflict");
    assert!(
        late.detail().contains("ann has answered") && late.detail().contains("`record`"),
        "{late:?}"
    );
    let form = [("act", "accept"), ("reason", "the same"), ("actor", "bob")];
    let late = send_form(&desk, &format!("{}/acts", path.trim_start_matches("/v1")), &form).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{late:?}");
    assert!(late.body.as_str().is_some_and(|page| page.contains("ann has answered")), "{late:?}");
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
async fn of_a_frozen_set_only_those_are_changed_that_are_still_open() {
    let desk = Desk::open().await;
    contradicted(&desk, 3).await;
    let listed = desk.get("/v1/questions").await.body;
    let ids: Vec<&Value> =
        listed["items"].as_array().expect("a list").iter().map(|q| &q["id"]).collect();
    let wanted = json!({"act": "accept", "reason": "looked into it", "ids": ids});
    let job = desk.post("/v1/bulk", &wanted).await.body;
    let job = format!("/v1/bulk/{}", job["id"].as_str().expect("an id"));
    let quicker = json!({"act": "record", "outcome": "compensated", "reason": "refunded by hand"});
    let path = format!("/v1/questions/{}/acts", ids[1].as_str().expect("an id"));
    assert!(desk.post(&path, &quicker).await.status.is_success());
    desk.post(&format!("{job}/start"), &json!({})).await;
    let done = desk.until(&job, |body| body["state"] == "done").await;
    assert_eq!(
        (&done["progress"]["succeeded"], &done["progress"]["unchanged"]),
        (&json!(2), &json!(1)),
        "{done}"
    );
    let why = done["failures"][0]["detail"].as_str().expect("why");
    assert!(why.contains("ann has answered"), "{why}");
}

/// Two callers may tell of one charge; its refund names the payment.
const TILL: &str = r#"
rulebook: shop
settle: { quiet: 100ms }
services:
  order: { actions: { place: { effect: none, calls: [billing.charge] } } }
  till: { actions: { ring: { effect: none, calls: [billing.charge] } } }
  billing:
    url: "http://127.0.0.1:1"
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate: { method: POST, path: "/payments/{data.paymentId}/refund", done: [200], nothing: [404] }
rules:
  - on: "*/*"
    compensate: recorded
"#;

async fn charged(desk: &Desk, source: &str, payment: &str) -> String {
    let event = json!({
        "specversion": "1.0", "type": "dev.amends.report.v1", "source": source, "id": source,
        "subject": "o-1",
        "data": { "code": "failed", "history": [{
            "service": "billing", "action": "charge", "requestId": "q-1", "state": "succeeded",
            "data": { "paymentId": payment },
        }]},
    });
    let request =
        Request::post("/v1/reports").header("content-type", "application/cloudevents+json");
    let reply = desk.send(request.body(Body::from(event.to_string())).expect("a request")).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    reply.body["caseId"].as_str().expect("a case").to_owned()
}

#[tokio::test]
async fn of_a_data_conflict_one_of_the_told_values_is_chosen() {
    let desk = Desk::open().await;
    let book = Rulebook::from_yaml(TILL).expect("a valid rulebook");
    desk.supervisor.activate(book, "ann", "with a till").await.expect("active");
    let reason = json!({"reason": "for a moment"});
    desk.post("/v1/services/billing/pause", &reason).await;
    let case = charged(&desk, "order", "p-1").await;
    assert_eq!(charged(&desk, "till", "p-2").await, case);
    desk.post("/v1/services/billing/resume", &reason).await;
    let open =
        desk.until("/v1/questions?kind=data_conflict", |body| body["items"] != json!([])).await;
    let question = &open["items"][0];
    assert_eq!(question["may"], json!(["accept", "record", "choose"]), "{question}");
    assert_eq!((&question["field"], &question["requestId"]), (&json!("paymentId"), &json!("q-1")));
    let path = format!("/v1/questions/{}", question["id"].as_str().expect("an id"));
    let told = desk.get(&path).await.body;
    let values: Vec<&Value> =
        told["statements"].as_array().expect("a list").iter().map(|s| &s["value"]).collect();
    assert_eq!(values, ["p-1", "p-2"], "{told}");

    let acts = format!("{path}/acts");
    let choose = |value: &str| json!({"act": "choose", "reason": "so it is", "value": value});
    let wrong = desk.post(&acts, &choose("p-3")).await;
    assert_eq!(wrong.problem(), "invalid-request");
    assert!(wrong.detail().contains("told are \"p-1\" and \"p-2\""), "{wrong:?}");
    let again = desk.post(&acts, &json!({"act": "ask_again", "reason": "x"})).await;
    assert_eq!(again.problem(), "conflict");
    let waived = json!({"act": "record", "outcome": "waived", "reason": "x"});
    assert_eq!(desk.post(&acts, &waived).await.problem(), "invalid-request");
    let done = desk.post(&acts, &choose("p-2")).await;
    assert_eq!((done.status, &done.body["open"]), (StatusCode::OK, &json!([])), "{done:?}");
    let settled = |body: &Value| body["state"] == "settled";
    let case = desk.until(&format!("/v1/cases/{case}"), settled).await;
    assert_eq!(
        (&case["plan"][0]["outcome"], &case["answers"][0]["value"]),
        (&json!("compensated"), &json!("p-2"))
    );
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

#[tokio::test]
async fn a_rulebook_tells_what_its_questions_hold_and_would_hold() {
    let desk = Desk::open().await;
    let cases = contradicted(&desk, 2).await;
    let of = |told: &Value, kind: &str| {
        let kinds = told["kinds"].as_array().expect("a list");
        kinds.iter().find(|one| one["kind"] == kind).expect("all kinds").clone()
    };
    let told = desk.get("/v1/rulebooks/shop/questions").await.body;
    assert_eq!((&told["rulebook"], &told["cases"]), (&json!("shop"), &json!(2)));
    let contradiction = of(&told, "contradiction");
    assert_eq!(
        contradiction,
        json!({"kind": "contradiction", "effect": "hold", "stuck": 2, "wouldBeStuck": 0, "example": cases[1]})
    );
    assert_eq!(of(&told, "dropped")["stuck"], 0);

    // Noted only, the next case settles, and is counted as one that would be stuck.
    let noted = format!("{BOOK}questions: {{ contradiction: note }}\nsettle: {{ quiet: 100ms }}\n");
    let book = Rulebook::from_yaml(&noted).expect("a valid rulebook");
    desk.supervisor.activate(book, "ann", "try it out").await.expect("active");
    let paid = json!({
        "service": "payment", "action": "pay", "requestId": "p-1", "state": "succeeded",
    });
    let data = json!({"code": "failed", "action": "place", "history": [paid]});
    let case = desk.send(binary("o-9", "r-9", &data)).await.body["caseId"].clone();
    let path = format!("/v1/cases/{}", case.as_str().expect("a case"));
    desk.until(&path, |body| body["state"] == "settled").await;
    let told = desk.get("/v1/rulebooks/shop/questions").await.body;
    assert_eq!(
        of(&told, "contradiction"),
        json!({"kind": "contradiction", "effect": "note", "stuck": 2, "wouldBeStuck": 1, "example": case})
    );
    assert_eq!(desk.get("/v1/rulebooks/drinks/questions").await.problem(), "not-found");
    assert_eq!(desk.get("/v1/rulebooks/shop/questions?x=1").await.problem(), "invalid-filter");
}
