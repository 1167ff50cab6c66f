//! Business data that goes: asked for over the API and on a page, found nowhere afterwards, confirmed by who has it.

use super::desk::{Desk, binary, send_form};
use super::secrets::addresses;
use amends_engine::StepReading;
use amends_rulebook::Rulebook;
use amends_store::{FILE_NAME, verify_audit};
use axum::http::StatusCode;
use serde_json::{Value, json};

const BOOK: &str = r#"
rulebook: shop
services:
  order:   { url: "http://127.0.0.1:1", actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: "http://127.0.0.1:1", actions: { pay: { compensation: refund } } }
reports:
  order/failed:
    in: place
    data:
      who: { role: customer }
      total: { type: decimal, role: amount, currency: EUR }
      note: text
rules:
  - { on: "*/*", compensate: [payment.pay] }
"#;

const VALUE: &str = "ann-4711@example.org";

fn data(who: &str) -> Value {
    json!({ "who": who, "total": 12, "note": format!("call {who}") })
}

fn reported(who: &str) -> Value {
    json!({ "code": "failed", "action": "place", "message": format!("{who} gave up"), "data": data(who) })
}

/// Three cases: two of one customer, of which one is stuck, and one of another.
async fn desk() -> (Desk, Vec<String>) {
    let desk = Desk::open().await;
    let book = Rulebook::from_yaml(BOOK).expect("a valid rulebook");
    desk.supervisor.activate(book, "test", "fields").await.expect("active");
    let mut cases = Vec::new();
    for (n, who) in [VALUE, "bob", VALUE].into_iter().enumerate() {
        desk.script.say(&format!("refunded to {who}"));
        if n == 2 {
            desk.script.answer("payment.pay", StepReading::Refused);
        }
        let reply = desk.send(binary(&format!("o-{n}"), &format!("r-{n}"), &reported(who))).await;
        let case = reply.body["caseId"].as_str().expect("a case").to_owned();
        let state = if n == 2 { "stuck" } else { "done" };
        let step = desk.payment_step(&case, state).await;
        if n < 2 {
            let act = json!({ "act": "settle", "reason": "nothing is left" });
            let settled = desk.post(&format!("/v1/cases/{case}/acts"), &act).await;
            let done = settled.status == StatusCode::OK || settled.status == StatusCode::CONFLICT;
            assert!(done, "{settled:?} {step}");
        }
        cases.push(case);
    }
    (desk, cases)
}

fn wanted(extra: Value) -> Value {
    let mut all = json!({ "reason": "asked for, ticket 12" });
    all.as_object_mut().expect("an object").extend(extra.as_object().cloned().expect("an object"));
    all
}

/// The addresses of what can be looked at of a case that repeat the value.
async fn showing(desk: &Desk, case: &str, step: &str) -> Vec<String> {
    let mut found = Vec::new();
    let of_case = addresses(case, step).into_iter();
    let of_case = of_case.filter(|path| path.contains(case) || path.contains(step));
    let more = ["/v1/erasures", "/v1/erasures/er-1", "/erasures", "/erasures/er-1", "/audit"];
    for path in of_case.chain(more.map(str::to_owned)) {
        let reply = desk.get(&path).await;
        if reply.body.to_string().contains(VALUE) {
            found.push(path);
        }
    }
    found
}

fn in_files(desk: &Desk) -> Vec<String> {
    let files = std::fs::read_dir(desk.folder.path()).expect("a folder");
    let paths = files.map(|file| file.expect("a file").path()).filter(|path| path.is_file());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).expect("reads");
        bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes())
    };
    paths.filter(holds).map(|path| path.display().to_string()).collect()
}

#[tokio::test]
async fn a_case_is_erased_after_a_dry_run_and_nothing_shows_what_it_held() {
    let (desk, cases) = desk().await;
    let (case, path) = (&cases[0], "/v1/erasures");
    desk.until(&format!("/v1/cases/{case}"), |case| case["state"] == "settled").await;
    let proof = desk.get(&format!("/v1/cases/{case}/proof")).await.body;
    let step = desk.payment_step(case, "done").await["id"].as_str().expect("a step").to_owned();

    let dry = desk.post(path, &wanted(json!({ "sagas": ["o-0"], "dryRun": true }))).await;
    assert_eq!(dry.status, StatusCode::OK, "{dry:?}");
    assert_eq!((&dry.body["sagas"][0]["caseId"], &dry.body["open"]), (&json!(case), &json!(0)));
    assert!(dry.body["fields"].as_u64() > Some(3), "{dry:?}");
    assert!(!showing(&desk, case, &step).await.is_empty(), "nothing has gone yet");

    let made = desk.post(path, &wanted(json!({ "sagas": ["o-0"] }))).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::CREATED, "/v1/erasures/er-1"));
    assert_eq!(made.body["fields"], Value::Null);
    assert_eq!(made.body["erased"][0]["fields"], dry.body["fields"], "{made:?}");
    assert_eq!(showing(&desk, case, &step).await, [""; 0]);
    let after = desk.get(&format!("/v1/cases/{case}")).await.body;
    assert_eq!((&after["erasure"]["id"], &after["customer"]), (&json!("er-1"), &Value::Null));
    assert!(
        after["mayNot"]["replan"].as_str().is_some_and(|why| why.contains("erased")),
        "{after}"
    );
    let page = desk.get(&format!("/cases/{case}")).await.body.to_string();
    assert!(page.contains("Its business data were erased"), "{page}");

    let left = desk.get(&format!("/v1/cases/{case}/proof")).await.body;
    assert_eq!(left["actions"], proof["actions"], "who compensated what, by whose word");
    assert_eq!(left["erasure"]["digests"], made.body["erased"][0]["digests"]);
    let checked = verify_audit(desk.folder.path(), None).expect("reads").expect("there");
    assert_eq!(checked.broken, None);
}

#[tokio::test]
async fn a_customer_is_erased_everywhere_and_what_is_not_settled_waits() {
    let (desk, cases) = desk().await;
    desk.until(&format!("/v1/cases/{}", cases[0]), |case| case["state"] == "settled").await;
    let field = json!({ "field": { "name": "customer", "value": VALUE } });
    let refused = desk.post("/v1/erasures", &wanted(field.clone())).await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::CONFLICT, "conflict"));
    assert!(refused.detail().contains("`o-2`"), "{refused:?}");

    let mut later = wanted(field);
    later["whenSettled"] = json!(true);
    let made = desk.post("/v1/erasures", &later).await;
    assert_eq!((&made.body["sagas"], &made.body["waiting"]), (&json!(2), &json!(1)), "{made:?}");
    assert_eq!(made.body["field"], "customer");
    let desk = desk.restart().await;
    let step =
        desk.payment_step(&cases[2], "stuck").await["id"].as_str().expect("a step").to_owned();
    let waive = json!({ "act": "waive", "reason": "paid back by hand" });
    desk.post(&format!("/v1/steps/{step}/acts"), &waive).await;
    let settle = json!({ "act": "settle", "reason": "all is done" });
    desk.post(&format!("/v1/cases/{}/acts", cases[2]), &settle).await;
    desk.until("/v1/erasures/er-1", |one| one["waiting"] == 0).await;
    assert_eq!(in_files(&desk), [""; 0], "{FILE_NAME} and its log");
    let bob = desk.get(&format!("/v1/cases/{}", cases[1])).await.body;
    assert_eq!(bob["customer"], "bob");
}

#[tokio::test]
async fn what_went_is_confirmed_by_who_has_it() {
    let (desk, cases) = desk().await;
    desk.until(&format!("/v1/cases/{}", cases[0]), |case| case["state"] == "settled").await;
    desk.post("/v1/erasures", &wanted(json!({ "sagas": ["o-0"] }))).await;
    let path = "/v1/erasures/er-1/confirm";
    let same = desk.post(path, &json!({ "report": reported(VALUE) })).await.body;
    assert_eq!(same, json!({ "same": true, "of": ["o-0 report 0"] }));
    for claim in [json!({ "report": reported("bob") }), json!({ "value": VALUE })] {
        let other = desk.post(path, &claim).await.body;
        assert_eq!(other, json!({ "same": false, "of": [] }), "{claim}");
    }
    assert_eq!(desk.post(path, &json!({})).await.problem(), "invalid-request");
    assert_eq!(
        desk.post("/v1/erasures/er-9/confirm", &json!({ "value": "x" })).await.problem(),
        "not-found"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_erases_nothing() {
    let (desk, cases) = desk().await;
    desk.until(&format!("/v1/cases/{}", cases[0]), |case| case["state"] == "settled").await;
    for (body, problem) in [
        (json!({}), "invalid-request"),
        (json!({ "sagas": ["o-0"], "reason": " " }), "invalid-request"),
        (
            json!({ "sagas": ["o-0"], "field": { "name": "customer", "value": "x" } }),
            "invalid-request",
        ),
        (json!({ "sagas": ["nobody"] }), "not-found"),
        (json!({ "sagas": ["nobody"], "dryRun": true }), "not-found"),
        (json!({ "sagas": ["o-0", "o-2"] }), "conflict"),
        (json!({ "field": { "name": "customer", "value": "nobody" } }), "not-found"),
        (json!({ "field": { "name": "undeclared", "value": VALUE } }), "invalid-request"),
        (
            json!({ "field": { "name": "customer", "value": VALUE }, "reason": format!("for {VALUE}") }),
            "invalid-request",
        ),
    ] {
        assert_eq!(
            desk.post("/v1/erasures", &wanted(body.clone())).await.problem(),
            problem,
            "{body}"
        );
    }
    assert_eq!(desk.get("/v1/erasures").await.body["items"], json!([]));
    let case = desk.get(&format!("/v1/cases/{}", cases[0])).await.body;
    assert_eq!(case["customer"], VALUE);
}

#[tokio::test]
async fn on_its_page_a_case_is_erased_by_who_writes_its_number() {
    let (desk, cases) = desk().await;
    let case = &cases[0];
    desk.until(&format!("/v1/cases/{case}"), |case| case["state"] == "settled").await;
    let path = format!("/cases/{case}/erasures");
    let fields = |number: &str| {
        [("reason", "ticket 12"), ("actor", "kim"), ("confirm", number)]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    };
    let refused = send_form(&desk, &path, &fields("c-99")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let done = send_form(&desk, &path, &fields(case)).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/erasures/er-1"));
    let page = desk.get("/erasures/er-1").await.body.to_string();
    assert!(page.contains("o-0") && page.contains("ticket 12"), "{page}");
    assert!(desk.get("/erasures").await.body.to_string().contains("er-1"));
}
