//! A secret field goes to its service byte for byte and is shown nowhere: every address that answers a `GET` is asked,
//! each page of the console, the stream of events and the figures, after a person has acted, too.

use super::desk::{Desk, binary, send_form};
use super::watching::Stream;
use crate::http::openapi_json;
use amends_engine::StepReading;
use amends_protocol::{CaseId, StepId};
use amends_rulebook::Rulebook;
use amends_rulebook::secrets::MASK;
use amends_store::Archive;
use axum::http::StatusCode;
use serde_json::{Value, json};

const CARD: &str = "4111222233334444";

const BOOK: &str = r#"
rulebook: shop
services:
  order:   { url: "http://127.0.0.1:1", actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment:
    url: "http://127.0.0.1:1"
    actions:
      pay:
        compensation: refund
        endpoints:
          compensate: { path: "/refunds", headers: { x-card: "{data.card}" }, body: { card: "{data.card}", amount: "{data.amount}" }, done: [2xx] }
reports:
  order/failed: { in: place, data: { card: { secret: true }, amount: decimal } }
rules:
  - { on: order/failed, when: { data.card: { prefix: "4" }, message: { prefix: card } }, compensate: [payment.pay] }
  - { on: "*/*", compensate: recorded }
"#;

/// A desk on which a case holds the secret in its report, in evidence and in texts, and is stuck at a service that
/// repeats it.
async fn desk_with_a_secret() -> (Desk, String, String) {
    let desk = Desk::open().await;
    let book = Rulebook::from_yaml(BOOK).expect("a valid rulebook");
    desk.supervisor.activate(book, "test", "cards are secret").await.expect("active");
    desk.script.answer("payment.pay", StepReading::Refused);
    desk.script.say(&format!("the card {CARD} is closed"));
    let data = json!({
        "code": "failed", "action": "place", "message": format!("card {CARD} declined"),
        "data": { "card": CARD, "amount": 12.50 },
        "history": [
            { "service": "payment", "action": "pay", "requestId": "q-1", "state": "succeeded",
              "data": { "card": CARD, "amount": 12.50 } },
        ],
    });
    let reply = desk.send(binary("o-1", "r-1", &data)).await;
    let case = reply.body["caseId"].as_str().expect("a case").to_owned();
    let step = desk.payment_step(&case, "stuck").await;
    (desk, case, step["id"].as_str().expect("an id").to_owned())
}

/// Every address of the API that can be read, and every page.
pub(super) fn addresses(case: &str, step: &str) -> Vec<String> {
    let api: Value = serde_json::from_str(&openapi_json()).expect("JSON");
    let paths = api["paths"].as_object().expect("paths");
    let readable = paths.iter().filter(|(_, what)| what.get("get").is_some());
    let named = readable.map(|(path, _)| {
        let id = match path.as_str() {
            path if path.starts_with("/v1/cases") || path.starts_with("/v1/quarantine") => case,
            path if path.starts_with("/v1/steps") => step,
            path if path.starts_with("/v1/sagas") => "o-1",
            _ => "b-1",
        };
        path.replace("{id}", id).replace("{position}", "0").replace("{name}", "shop")
    });
    let more = ["/v1/cases:export?format=csv", "/v1/steps?state=stuck", "/v1/acts?case=c-1"];
    let pages = [
        "/",
        "/cases",
        "/cases?view=causes",
        "/audit",
        "/questions",
        "/rules",
        "/services",
        "/bulk",
    ];
    let of_case = [format!("/cases/{case}"), format!("/cases/{case}/proof")];
    let fixed = more.into_iter().chain(pages).map(str::to_owned);
    // The stream never ends; it is read by itself.
    named.chain(fixed).chain(of_case).filter(|path| path != "/v1/events").collect()
}

async fn is_nowhere(desk: &Desk, case: &str, step: &str) {
    for address in addresses(case, step) {
        let reply = desk.get(&address).await;
        assert_ne!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{address}");
        let shown = format!("{} {:?}", reply.body, reply.headers);
        assert!(!shown.contains(CARD), "{address}: {shown}");
    }
}

#[tokio::test]
async fn a_secret_is_sent_and_shown_nowhere() {
    let (desk, case, step) = desk_with_a_secret().await;
    assert_eq!(desk.script.asked_with(&step)["card"], CARD, "the service gets it");
    is_nowhere(&desk, &case, &step).await;

    let detail = desk.get(&format!("/v1/cases/{case}")).await.body;
    let report = &detail["reports"][0]["data"];
    assert_eq!(report["data"], json!({ "card": MASK, "amount": 12.50 }), "the rest is shown");
    assert_eq!(report["message"], format!("card {MASK} declined"));
    assert_eq!(report["history"][0]["data"]["card"], MASK);
    let shown = desk.get(&format!("/v1/steps/{step}")).await.body;
    assert_eq!(shown["message"], format!("the card {MASK} is closed"));
    let page = desk.get(&format!("/cases/{case}")).await.body;
    let page = page.as_str().expect("a page");
    assert!(page.contains(&format!("x-card: {MASK}")), "the request is shown without it: {page}");
    assert!(page.contains("✓ answers it"), "rules are judged by what the report holds: {page}");
    assert!(page.contains(&format!("(found {MASK}")) || page.contains(MASK), "{page}");
}

/// What a search tells, but for the text itself, which it may repeat.
async fn told(desk: &Desk, search: &str, text: &str) -> String {
    let reply = desk.get(&format!("{search}{text}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{search}: {reply:?}");
    let rows = match reply.body.as_str() {
        Some(text) => {
            ["/cases/c-1", "\nc-1,", "/cases/c-2", "\nc-2,"].map(|row| text.contains(row))
        }
        None => return reply.body.to_string(),
    };
    format!("{rows:?}")
}

#[tokio::test]
async fn nobody_finds_out_a_secret_by_searching_for_it() {
    let (desk, _, _) = desk_with_a_secret().await;
    for search in [
        "/v1/cases?q=",
        "/v1/steps?q=",
        "/v1/cases:export?q=",
        "/v1/cases:export?format=csv&q=",
        "/cases?q=",
    ] {
        let nothing = told(&desk, search, "9999").await;
        for guess in ["4", "4111", "2223333", CARD] {
            assert_eq!(told(&desk, search, guess).await, nothing, "{search}{guess}");
        }
        let word = if search.contains("steps") { "CLOSED" } else { "declined" };
        assert_ne!(told(&desk, search, word).await, nothing, "what is shown is found: {search}");
    }
    // Neither by how many rows there are, nor by whether others follow.
    let data = json!({ "code": "failed", "action": "place", "message": "declined in room 4111" });
    desk.send(binary("o-2", "r-2", &data)).await;
    let page = desk.get("/v1/cases?limit=1&q=4111").await.body;
    assert_eq!(page["items"][0]["sagaId"], "o-2", "{page}");
    assert!(page["next"].is_null(), "nothing follows that may be seen: {page}");
    let page = desk.get("/v1/cases?limit=1&q=declined").await.body;
    let next = page["next"].as_str().expect("both are shown");
    let page = desk.get(&format!("/v1/cases?limit=1&q=declined&cursor={next}")).await.body;
    assert_eq!((&page["items"][0]["sagaId"], &page["next"]), (&json!("o-1"), &Value::Null));
    let page = desk.get("/v1/cases?sort=oldest&limit=1&q=4111").await.body;
    assert_eq!(page["items"][0]["sagaId"], "o-2", "a row that is hidden leaves no gap: {page}");
}

#[tokio::test]
async fn a_bulk_act_neither_finds_a_secret_nor_shows_one() {
    let (desk, _, _) = desk_with_a_secret().await;
    let preview = |text: &str| json!({ "act": "retry", "reason": "again", "filter": { "q": text }, "dryRun": true });
    for guess in ["4111", CARD] {
        let none = desk.post("/v1/bulk", &preview(guess)).await.body;
        assert_eq!(none["matched"], 0, "{guess}: {none}");
    }
    let found = desk.post("/v1/bulk", &preview("closed")).await.body;
    assert_eq!(found["matched"], 1, "{found}");
    assert!(!found.to_string().contains(CARD), "{found}");
    let of_cases = [("act", "retry"), ("of", "cases"), ("q", "4111")];
    let query: Vec<String> =
        of_cases.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let page = desk.get(&format!("/bulk/new?{}", query.join("&"))).await.body;
    assert!(!page.to_string().contains("/cases/c-1"), "{page}");
}

#[tokio::test]
async fn events_tell_no_secret() {
    let (desk, case, _) = desk_with_a_secret().await;
    let mut stream = Stream::open(&desk, "/v1/events", None).await;
    let retried = json!({ "act": "retry", "reason": "once more" });
    let reply = desk.post(&format!("/v1/cases/{case}/acts"), &retried).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let mut data = json!({ "code": "failed", "action": "place", "data": { "card": CARD } });
    data["message"] = format!("again: {CARD}").into();
    desk.send(binary("o-1", "r-2", &data)).await;
    loop {
        let told = stream.next().await.expect("an event");
        assert!(!told.data.to_string().contains(CARD), "{told:?}");
        if told.event == "report" {
            assert_eq!(told.data["message"], format!("again: {MASK}"));
            break;
        }
    }
}

#[tokio::test]
async fn an_edit_may_keep_a_secret_unseen_or_set_a_new_one() {
    let (desk, case, step) = desk_with_a_secret().await;
    let edit = |data: Value| json!({ "act": "edit", "reason": "a typo", "data": data });
    let acts = format!("/v1/steps/{step}/acts");
    let reply = desk.post(&acts, &edit(json!({ "card": MASK, "amount": 13 }))).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    desk.payment_step(&case, "stuck").await;
    assert_eq!(desk.script.asked_with(&step), json!({ "card": CARD, "amount": 13 }));
    is_nowhere(&desk, &case, &step).await;

    let form = [
        ("act", "edit"),
        ("reason", "another card"),
        ("actor", "ann"),
        ("data", r#"{"card": "4999888877776666", "amount": 14}"#),
    ];
    let done = send_form(&desk, &format!("/steps/{step}/acts"), &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done:?}");
    desk.payment_step(&case, "stuck").await;
    assert_eq!(desk.script.asked_with(&step)["card"], "4999888877776666");
    for address in addresses(&case, &step) {
        let reply = desk.get(&address).await;
        assert!(!reply.body.to_string().contains("4999888877776666"), "{address}: {reply:?}");
    }

    let refused = desk.post(&acts, &edit(json!({ "iban": MASK }))).await;
    assert_eq!(refused.problem(), "invalid-request");
    assert!(refused.detail().contains("`iban` is left as"), "{refused:?}");
}

#[tokio::test]
async fn a_case_keeps_the_secrets_of_its_own_version_and_takes_on_those_of_a_newer_one() {
    let (desk, case, step) = desk_with_a_secret().await;
    let open = BOOK.replace("card: { secret: true }", "card: text");
    let book = Rulebook::from_yaml(&open).expect("valid");
    desk.supervisor.activate(book, "test", "cards may be seen").await.expect("active");
    is_nowhere(&desk, &case, &step).await;

    let data =
        json!({ "code": "failed", "action": "place", "data": { "card": "4000", "amount": 1 } });
    let other = desk.send(binary("o-2", "r-9", &data)).await.body["caseId"].clone();
    let path = format!("/v1/cases/{}", other.as_str().expect("a case"));
    let shown = |detail: &Value| detail["reports"][0]["data"]["data"]["card"].clone();
    assert_eq!(shown(&desk.get(&path).await.body), "4000", "its own version says nothing of it");
    let book = Rulebook::from_yaml(BOOK).expect("valid");
    desk.supervisor.activate(book, "test", "they may not").await.expect("active");
    assert_eq!(shown(&desk.get(&path).await.body), MASK);
}

#[tokio::test]
async fn rows_for_support_hold_secrets_only_where_that_is_said_and_repair_puts_them_back() {
    let (desk, case, _) = desk_with_a_secret().await;
    let rows = desk.get(&format!("/v1/quarantine/{case}")).await.body;
    assert!(!rows.to_string().contains(CARD) && rows.to_string().contains(MASK), "{rows}");
    let all = desk.get(&format!("/v1/quarantine/{case}?secrets=shown")).await.body;
    assert!(all.to_string().contains(CARD), "{all}");
    let wrong = desk.get(&format!("/v1/quarantine/{case}?secrets=all")).await;
    assert!(wrong.detail().contains("it can only be `shown`"), "{wrong:?}");

    let conn = rusqlite::Connection::open(desk.folder.path().join(amends_store::FILE_NAME));
    let broken = "UPDATE cases SET state = 77 WHERE id = 1";
    conn.expect("opens").execute_batch(broken).expect("is changed");
    let desk = desk.restart().await;
    let mut rows = desk.get(&format!("/v1/quarantine/{case}")).await.body["rows"].clone();
    for row in rows.as_array_mut().expect("rows") {
        if row["table"] == "cases" {
            row["columns"]["state"] = json!(1);
        }
    }
    let repair = json!({ "act": "repair", "reason": "a typo", "rows": rows });
    let reply = desk.post(&format!("/v1/quarantine/{case}/acts"), &repair).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let id: CaseId = case.parse().expect("an id");
    let stored = desk.supervisor.store().case(id).await.expect("reads").expect("is there").stored;
    assert_eq!(stored.reports[0].report.data.data["card"], CARD);
    assert_eq!(stored.reports[0].report.data.message, Some(format!("card {CARD} declined")));
    let acts = desk.get("/v1/acts").await.body.to_string();
    assert!(acts.contains("repair") && !acts.contains(CARD), "{acts}");
    let step: StepId = stored.steps[0].id;
    is_nowhere(&desk, &case, &step.to_string()).await;
}
