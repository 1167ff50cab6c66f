//! Names that a rulebook does not know, over HTTP: listed, ignored, to be declared, taken back, and declared.

use super::desk::{BOOK, Desk, binary};
use amends_rulebook::Rulebook;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// A desk whose rulebook is held by every stranger.
async fn held() -> Desk {
    let desk = Desk::open().await;
    activate(&desk, &format!("{BOOK}strangers: hold\nsettle: {{ quiet: 100ms }}\n")).await;
    desk
}

async fn activate(desk: &Desk, text: &str) {
    let book = Rulebook::from_yaml(text).expect("a valid rulebook");
    desk.supervisor.activate(book, "ann", "a new version").await.expect("active");
}

/// A case whose report tells of a look into a catalog that nobody declares, once it is stuck.
async fn stuck(desk: &Desk, saga: &str) -> String {
    let looked = json!({
        "service": "catalog", "action": "look", "requestId": "l-1", "state": "succeeded",
    });
    let data = json!({ "code": "failed", "action": "place", "history": [looked] });
    let reply = desk.send(binary(saga, &format!("r-{saga}"), &data)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    let case = reply.body["caseId"].as_str().expect("a case").to_owned();
    desk.until(&format!("/v1/cases/{case}"), |body| body["state"] == "stuck").await;
    case
}

async fn only(desk: &Desk) -> Value {
    let listed = desk.get("/v1/strangers?rulebook=shop").await.body;
    let [one] = listed.as_array().expect("a list").as_slice() else { panic!("one: {listed}") };
    one.clone()
}

const ACTS: &str = "/v1/strangers/shop/catalog.look/acts";

fn says(act: &str) -> Value {
    json!({ "act": act, "reason": "it only reads" })
}

#[tokio::test]
async fn a_stranger_is_listed_ignored_and_taken_back() {
    let desk = held().await;
    assert_eq!(desk.get("/v1/strangers").await.body, json!([]));
    let (first, second) = (stuck(&desk, "o-1").await, stuck(&desk, "o-2").await);
    let one = only(&desk).await;
    assert_eq!(
        (&one["rulebook"], &one["action"], &one["declared"], &one["waiting"], &one["cases"]),
        (&json!("shop"), &json!("catalog.look"), &json!(false), &json!(2), &json!(2)),
        "{one}"
    );
    assert_eq!((&one["may"], &one["decision"]), (&json!(["ignore", "declare"]), &Value::Null));
    let group = one["group"].as_str().expect("a group");
    let members = desk.get(&format!("/v1/cases?group={group}")).await.body;
    assert_eq!(members["items"].as_array().map(Vec::len), Some(2), "{members}");
    assert_eq!(desk.get("/v1/strangers?rulebook=other").await.body, json!([]));
    assert_eq!(desk.get("/v1/strangers?service=x").await.problem(), "invalid-filter");

    let done = desk.post(ACTS, &says("ignore")).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    let decision = &done.body[0]["decision"];
    assert_eq!(
        (&decision["act"], &decision["by"], &decision["reason"]),
        (&json!("ignore"), &json!("ann"), &json!("it only reads"))
    );
    assert_eq!(done.body[0]["may"], json!(["declare", "reconsider"]));
    for case in [&first, &second] {
        let settled = |body: &Value| body["state"] == "settled";
        let case = desk.until(&format!("/v1/cases/{case}"), settled).await;
        assert_eq!(case["closedOn"], "quiet", "what may still stand is named: {case}");
    }

    let desk = desk.restart().await;
    assert_eq!(only(&desk).await["decision"]["act"], "ignore", "a restart forgets nothing");
    let back = desk.post(ACTS, &says("reconsider")).await;
    assert_eq!(back.status, StatusCode::OK, "{back:?}");
    stuck(&desk, "o-3").await;
    let acts = desk.get("/v1/acts?limit=100").await.body;
    let acts = acts["items"].as_array().expect("acts");
    for act in ["ignore", "reconsider"] {
        let told = acts.iter().find(|one| one["act"] == act).expect("in the audit");
        assert_eq!(told["detail"], json!({ "rulebook": "shop", "action": "catalog.look" }));
    }
}

#[tokio::test]
async fn a_stranger_that_will_be_declared_waits_and_is_planned_anew_when_it_is() {
    let desk = held().await;
    let case = stuck(&desk, "o-1").await;
    let question = desk.get(&format!("/v1/questions?case={case}")).await.body["items"][0].clone();
    assert_eq!((&question["kind"], &question["effect"]), (&json!("stranger"), &json!("hold")));
    // Said of the question, it is said of the name.
    let path = format!("/v1/questions/{}/acts", question["id"].as_str().expect("an id"));
    let said = desk.post(&path, &says("declare")).await;
    assert_eq!((said.status, &said.body["open"][0]["id"]), (StatusCode::OK, &question["id"]));
    assert_eq!(only(&desk).await["decision"]["act"], "declare");

    let declares = BOOK.replace(
        "services:\n",
        "services:\n  catalog: { url: \"http://127.0.0.1:1\", actions: { look: { effect: none } } }\n",
    );
    activate(&desk, &format!("{declares}settle: {{ quiet: 100ms }}\n")).await;
    let one = only(&desk).await;
    assert_eq!((&one["declared"], &one["waiting"]), (&json!(true), &json!(1)), "{one}");
    assert_eq!(one["may"], json!([]), "nothing is left to say: {one}");
    let refused = desk.post(ACTS, &says("ignore")).await;
    assert_eq!(refused.problem(), "conflict");
    assert!(refused.detail().contains("is no stranger"), "{refused:?}");

    let wanted =
        json!({ "act": "replan", "reason": "it is declared", "filter": { "group": one["group"] } });
    let job = desk.post("/v1/bulk", &wanted).await;
    assert_eq!((job.status, &job.body["matched"]), (StatusCode::CREATED, &json!(1)), "{job:?}");
    let job = format!("/v1/bulk/{}", job.body["id"].as_str().expect("an id"));
    desk.post(&format!("{job}/start"), &json!({})).await;
    desk.until(&format!("/v1/cases/{case}"), |body| body["state"] == "settled").await;
    assert_eq!(desk.get("/v1/strangers").await.body, json!([]));
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_with_the_reason() {
    let desk = held().await;
    stuck(&desk, "o-1").await;
    for (path, act, problem, says_why) in [
        (
            "/v1/strangers/other/catalog.look/acts",
            says("ignore"),
            "not-found",
            "no rulebook `other`",
        ),
        ("/v1/strangers/shop/catalog/acts", says("ignore"), "not-found", "catalog"),
        ("/v1/strangers/shop/payment.pay/acts", says("ignore"), "conflict", "is no stranger"),
        (ACTS, says("reconsider"), "not-found", "nobody has said anything of catalog.look"),
        (ACTS, says("forget"), "invalid-request", "forget"),
        (ACTS, json!({ "act": "ignore" }), "invalid-request", "reason"),
        (ACTS, json!({ "act": "ignore", "reason": " " }), "invalid-request", "reason"),
    ] {
        let refused = desk.post(path, &act).await;
        assert_eq!(refused.problem(), problem, "{path} {act}: {refused:?}");
        assert!(refused.detail().contains(says_why), "{path} {act}: {refused:?}");
    }
    assert_eq!(only(&desk).await["decision"], Value::Null, "nothing was changed");
}
