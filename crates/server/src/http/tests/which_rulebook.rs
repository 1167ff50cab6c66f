//! Two things that only a person can say, over the API and in the console: with which of two rulebooks that share a
//! service a case is planned, and what becomes of what came before a pivot.

use super::desk::{Desk, send_form};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

const MAIL: &str = "service: mail
shared: true
url: http://127.0.0.1:1
actions: { send: { compensation: recall } }
";

/// Shop and kiosk both send their mails by the same service; the cause of a report is not waited for.
fn sharing(name: &str, service: &str) -> Value {
    let book = format!(
        "rulebook: {name}
import: [mail.yaml]
cause_wait: 10ms
services:
  {service}: {{ url: \"http://127.0.0.1:1\", actions: {{ sell: {{ compensation: undo, calls: [mail.send] }} }} }}
rules:
  - {{ on: mail/*, compensate: [{service}.sell] }}
  - {{ on: \"*/*\", compensate: recorded }}
"
    );
    json!({"sources": [{"path": "book.yaml", "text": book}, {"path": "mail.yaml", "text": MAIL}]})
}

/// Charges a card, then transfers money that nobody gives back.
const BANK: &str = "rulebook: bank
services:
  buy: { url: \"http://127.0.0.1:1\", actions: { place: { compensation: cancel, calls: [card.charge, bank.transfer, parcel.send] } } }
  card: { url: \"http://127.0.0.1:1\", actions: { charge: { compensation: refund } } }
  bank: { url: \"http://127.0.0.1:1\", actions: { transfer: { effect: pivot } } }
  parcel: { url: \"http://127.0.0.1:1\", actions: { send: { compensation: call-back } } }
rules:
  - { on: \"*/*\", compensate: recorded }
";

async fn put(desk: &Desk, name: &str, kind: &str, body: String) {
    let request = Request::put(format!("/v1/rulebooks/{name}"))
        .header("content-type", kind)
        .header("amends-actor", "ann");
    let put = desk.send(request.body(Body::from(body)).expect("a request")).await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
}

async fn report(desk: &Desk, service: &str, data: &Value) -> String {
    let request = Request::post("/v1/reports")
        .header("content-type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-type", "dev.amends.report.v1")
        .header("ce-source", service)
        .header("ce-id", "r-1")
        .header("ce-subject", "s-1");
    let taken = desk.send(request.body(Body::from(data.to_string())).expect("a request")).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{taken:?}");
    taken.body["caseId"].as_str().expect("a case").to_owned()
}

#[tokio::test]
async fn a_case_of_a_shared_service_asks_which_rulebook_and_is_planned_with_that() {
    let desk = Desk::open().await;
    for (name, service) in [("kiosk", "hatch"), ("store", "till")] {
        put(&desk, name, "application/json", sharing(name, service).to_string()).await;
    }
    let data = json!({"code": "odd", "action": "send"});
    let case = report(&desk, "mail", &data).await;
    let path = format!("/v1/cases/{case}");
    let asked = desk.until(&path, |case| case["state"] == "unmatched").await;
    assert_eq!(asked["whichRulebook"], json!(["kiosk", "store"]), "{asked}");
    assert!(asked["may"].as_array().is_some_and(|may| may.contains(&json!("replan"))), "{asked}");
    let page = desk.get(&format!("/cases/{case}")).await.body;
    let page = page.as_str().expect("a page");
    assert!(page.contains("Which rulebook?") && page.contains("<option>kiosk</option>"), "{page}");

    let acts = format!("{path}/acts");
    let unsaid = desk.post(&acts, &json!({"act": "replan", "reason": "x"})).await;
    assert!(
        unsaid.problem() == "conflict" && unsaid.detail().contains("kiosk, store"),
        "{unsaid:?}"
    );
    let wrong = json!({"act": "replan", "rulebook": "shop", "reason": "x"});
    let wrong = desk.post(&acts, &wrong).await;
    assert!(
        wrong.problem() == "conflict" && wrong.detail().contains("doesn't declare `mail`"),
        "{wrong:?}"
    );
    let fields = [
        ("act", "replan"),
        ("rulebook", "kiosk"),
        ("reason", "sold at the hatch"),
        ("actor", "ann"),
    ];
    send_form(&desk, &format!("/cases/{case}/acts"), &fields).await;
    let planned = desk.until(&path, |case| case["state"] != "unmatched").await;
    assert_eq!(
        (&planned["rulebook"], &planned["whichRulebook"]),
        (&json!("kiosk"), &Value::Null),
        "{planned}"
    );
    assert!(planned["plan"].to_string().contains("hatch.sell"), "{planned}");
}

#[tokio::test]
async fn past_the_pivot_a_person_says_what_becomes_of_what_came_before_it() {
    for (act, kept) in [
        (json!({"act": "accept", "reason": "the money is gone"}), true),
        (json!({"act": "record", "outcome": "compensated", "reason": "given back by hand"}), false),
    ] {
        let desk = Desk::open().await;
        put(&desk, "bank", "application/yaml", BANK.to_owned()).await;
        let entry = |service: &str, action: &str, state: &str| json!({"service": service, "action": action, "requestId": format!("{action}-1"), "state": state});
        let history = json!([
            entry("parcel", "send", "failed"),
            entry("card", "charge", "succeeded"),
            entry("bank", "transfer", "succeeded"),
        ]);
        let case =
            report(&desk, "parcel", &json!({"code": "odd", "action": "send", "history": history}))
                .await;
        let asked = desk
            .until("/v1/questions?kind=past_the_pivot", |page| !page["items"][0].is_null())
            .await;
        let question = &asked["items"][0];
        assert_eq!(
            (&question["caseId"], &question["action"]),
            (&json!(case), &json!("bank.transfer")),
            "{question}"
        );
        let sentence = question["sentence"].as_str().expect("a text");
        assert!(
            sentence.contains("is what came before it to be undone all the same?"),
            "{sentence}"
        );
        let path = format!("/v1/cases/{case}");
        let charge = |body: &Value| {
            let plan = body["plan"].as_array().expect("a plan").iter();
            plan.clone().find(|step| step["action"] == "card.charge").cloned().unwrap_or_default()
        };
        let waiting = desk.get(&path).await.body;
        let step = charge(&waiting);
        assert_eq!(
            (&step["state"], &step["cause"], &step["attempts"]),
            (&json!("waiting"), &json!("question"), &json!(0)),
            "{waiting}"
        );
        let page = desk.get("/questions").await.body;
        assert!(page.as_str().is_some_and(|page| page.contains("past the pivot")), "{page}");

        let id = question["id"].as_str().expect("an id");
        let done = desk.post(&format!("/v1/questions/{id}/acts"), &act).await;
        assert_eq!(done.status, StatusCode::OK, "{done:?}");
        let ended = desk.until(&path, |body| charge(body)["state"] == "done").await;
        let outcome = if kept { "waived" } else { "compensated" };
        assert_eq!(charge(&ended)["outcome"], outcome, "{ended}");
    }
}
