//! Messages of a broker that could not be taken: seen, read once more, discarded; and kept from those who may not.

use super::desk::{Desk, send_form};
use crate::Withheld;
use crate::retention::look_at_rejected;
use crate::shell::DriverOptions;
use amends_api::{RejectedId, RejectedWay, StepAct};
use amends_engine::{Input, Letter, LetterId, Partition};
use amends_protocol::{
    CaseId, ProblemCode, REPORT_TYPE, Report, ReportData, SagaId, StepId, Timestamp,
};
use amends_rulebook::Rulebook;
use amends_store::{Rejected, RejectedLimits, RejectedRow};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const CARD: &str = "4111-1111-1111-1111";
const SECRET_BOOK: &str = r#"
rulebook: till
services:
  till: { url: "http://127.0.0.1:1", actions: { sell: { compensation: unsell } } }
reports:
  till/jammed: { data: { card: { type: text, secret: true } } }
rules:
  - { on: till/jammed, compensate: [till.sell] }
"#;

fn event(id: &str, data: &Value) -> String {
    json!({
        "specversion": "1.0", "type": REPORT_TYPE, "source": "order", "id": id, "subject": "order-1", "data": data,
    })
    .to_string()
}

fn row(number: u32, code: ProblemCode, body: &str) -> RejectedRow {
    RejectedRow {
        id: match number % 2 {
            1 => format!("nats/REPORTS/{number}/reports"),
            _ => format!("kafka/reports/0/{number}"),
        },
        way: if number % 2 == 1 { RejectedWay::Nats } else { RejectedWay::Kafka },
        place: format!("message {number} of the stream `REPORTS`"),
        source: Some("order".to_owned()),
        event_id: Some(format!("r-{number}")),
        saga: Some("order-1".to_owned()),
        code,
        detail: "the event has no `data`".to_owned(),
        headers: vec![("Nats-Msg-Id".to_owned(), format!("r-{number}"))],
        body: body.as_bytes().to_vec(),
        cut: false,
        rejected_at: Timestamp(1_000),
        sent_at: Some(Timestamp(500)),
    }
}

async fn reject(desk: &Desk, row: RejectedRow) -> String {
    let id = row.name();
    desk.supervisor.reject(row).await.expect("kept");
    format!("/v1/reports/rejected/{id}")
}

fn good(number: u32) -> RejectedRow {
    let body = event(&format!("r-{number}"), &json!({ "code": "failed", "action": "place" }));
    row(number, ProblemCode::InvalidReport, &body)
}

fn retry() -> Value {
    json!({ "act": "retry", "reason": "it can be read by now" })
}

/// What a node had taken in and another one refused.
fn letter(number: u32, input: &Input) -> RejectedRow {
    let letter = Letter::of(input, LetterId(number.into()), Partition(7)).expect("a letter");
    RejectedRow {
        id: format!("letter/{}", letter.id),
        way: RejectedWay::Node,
        place: format!("letter {} of node `b`: {}", letter.id, letter.about().what),
        headers: vec![("kind".to_owned(), letter.kind.as_str().to_owned())],
        ..row(number, ProblemCode::Conflict, &letter.body)
    }
}

#[tokio::test]
async fn what_a_service_had_brought_to_the_wrong_node_is_handed_in_anew() {
    let desk = Desk::open().await;
    let said = json!({ "code": "failed", "action": "place" });
    let report = Report {
        id: "r-1".to_owned(),
        source: "order".to_owned(),
        saga_id: SagaId::new("order-1").expect("valid"),
        time: None,
        traceparent: None,
        data: serde_json::from_value::<ReportData>(said).expect("data of a report"),
    };
    let (report, ticket) = (Arc::new(report), 1);
    let report = Input::Report { report, known_in: None, ticket };
    let saga = SagaId::new("order-9").expect("valid");
    let ended = Input::SagaEnded { saga, ticket };
    let act = StepAct::Approve { reason: "it is right".to_owned() };
    let step = StepId { case: CaseId(1), ordinal: 1, tag: 7, part: None };
    let approved = Input::StepAct { step, act, actor: "kim".into(), bulk: None, ticket };
    let rows = [letter(1, &report), letter(2, &ended), letter(3, &approved)];
    let named = rows.clone().map(|row| row.id.trim_start_matches("letter/").to_owned());
    let mut paths = Vec::new();
    for row in rows {
        paths.push(reject(&desk, row).await);
    }
    let told = desk.get(&format!("/v1/letters/{}", named[0])).await.body;
    assert_eq!((&told["state"], &told["code"]), (&json!("refused"), &json!("conflict")), "{told}");
    let reply = desk.post(&format!("{}/acts", paths[0]), &retry()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert!(reply.body["caseId"].is_string() && reply.body["left"] == 2, "{reply:?}");
    let told = desk.get(&format!("/v1/letters/{}", named[0])).await.body;
    assert_eq!(told["state"], "gone");

    let reply = desk.post(&format!("{}/acts", paths[1]), &retry()).await;
    assert_eq!(reply.problem(), "conflict", "it never began: {reply:?}");
    let reply = desk.post(&format!("{}/acts", paths[2]), &retry()).await;
    assert!(reply.problem() == "conflict" && reply.detail().contains("does anew"), "{reply:?}");
    let shown = desk.get(&paths[2]).await.body;
    assert_eq!(shown["way"], "node");
    assert!(shown["place"].as_str().is_some_and(|place| place.contains("by kim")), "{shown}");
    let page = desk.get("/rejected?way=node").await;
    assert!(page.body.as_str().expect("a page").contains("`approve` of step"), "{page:?}");
}

#[tokio::test]
async fn of_a_letter_that_is_not_there_nothing_is_kept() {
    let desk = Desk::open().await;
    let told = desk.get("/v1/letters/01234567-89ab-cdef-0123-456789abcdef").await;
    assert_eq!((told.status, &told.body["state"]), (StatusCode::OK, &json!("gone")));
    assert_eq!(desk.get("/v1/letters/17").await.problem(), "not-found");
}

#[tokio::test]
async fn a_message_that_can_be_read_by_now_is_a_report_like_any_other() {
    let desk = Desk::open().await;
    let path = reject(&desk, good(1)).await;
    let reply = desk.post(&format!("{path}/acts"), &retry()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!((&reply.body["duplicate"], &reply.body["left"]), (&json!(false), &json!(0)));
    let case = reply.body["caseId"].as_str().expect("a case").to_owned();
    let shown = desk.until(&format!("/v1/cases/{case}"), |case| case["state"] == "settled").await;
    assert_eq!(shown["sagaId"], "order-1");
    assert_eq!(desk.get(&path).await.problem(), "not-found", "it lies there no more");
    let acts = desk.get("/v1/acts").await.body;
    assert_eq!(acts["items"][0]["act"], "reject_retry", "{acts}");
    let detail = &acts["items"][0]["detail"];
    assert_eq!((&detail["caseId"], &detail["eventId"]), (&json!(case), &json!("r-1")));
    assert_eq!(acts["items"][0]["actor"], "ann");
    // It came once more meanwhile, by whatever way: nothing is doubled.
    let again = reject(&desk, good(1)).await;
    let reply = desk.post(&format!("{again}/acts"), &retry()).await;
    assert_eq!((&reply.body["caseId"], &reply.body["duplicate"]), (&json!(case), &json!(true)));
}

#[tokio::test]
async fn what_is_wrong_still_stays_with_what_is_wrong_now() {
    let desk = Desk::open().await;
    let path = reject(&desk, row(1, ProblemCode::InvalidReport, &event("", &json!({})))).await;
    let reply = desk.post(&format!("{path}/acts"), &retry()).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::CONFLICT, "conflict"));
    assert!(reply.detail().starts_with("it can't be taken still, and stays: "), "{reply:?}");
    let shown = desk.get(&path).await.body;
    assert!(shown["detail"].as_str().is_some_and(|why| why.contains("`code`")), "{shown}");
    assert_eq!(shown["rejectedAt"], "1970-01-01T00:00:01.000Z", "it is as old as before");
    let acts = desk.get("/v1/acts").await.body;
    assert_eq!(acts["items"][0]["detail"]["refused"], "invalid-report", "{acts}");
    assert_eq!(
        desk.get("/v1/reports/rejected").await.body["items"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn whose_word_was_not_believed_is_not_made_a_report_by_asking_again() {
    let desk = Desk::open().await;
    // Nobody may report there, by the configuration of today either.
    let id = "nats/REPORTS/1/elsewhere".to_owned();
    let path = reject(&desk, RejectedRow { id, code: ProblemCode::Forbidden, ..good(1) }).await;
    let reply = desk.post(&format!("{path}/acts"), &retry()).await;
    assert_eq!(reply.problem(), "conflict");
    assert_eq!(desk.get(&path).await.body["code"], "forbidden");
    let half = RejectedRow { cut: true, ..good(2) };
    let half = reject(&desk, half).await;
    assert_eq!(desk.post(&format!("{half}/acts"), &retry()).await.problem(), "conflict");
    assert_eq!(desk.get("/v1/cases").await.body["items"], json!([]), "nothing was taken");
}

#[tokio::test]
async fn the_list_is_newest_first_and_by_way_and_source() {
    let desk = Desk::open().await;
    for number in 1..=3 {
        reject(&desk, good(number)).await;
    }
    let places = async |query: &str| -> Vec<String> {
        let reply = desk.get(&format!("/v1/reports/rejected{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let items = reply.body["items"].as_array().expect("a list").clone();
        items.iter().map(|one| one["eventId"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(places("").await, ["r-3", "r-2", "r-1"]);
    assert_eq!(places("?way=nats").await, ["r-3", "r-1"]);
    assert_eq!(places("?way=kafka&source=order").await, ["r-2"]);
    assert!(places("?source=payment").await.is_empty());
    let first = desk.get("/v1/reports/rejected?limit=2").await.body;
    let next = first["next"].as_str().expect("more");
    assert_eq!(places(&format!("?limit=2&cursor={next}")).await, ["r-1"]);
    for wrong in ["?way=pigeon", "?limit=0", "?cursor=c1", "?ways=nats"] {
        let reply = desk.get(&format!("/v1/reports/rejected{wrong}")).await;
        assert_eq!(reply.problem(), "invalid-filter", "{wrong}");
    }
    let none = desk.get("/v1/reports/rejected/nats%2FREPORTS%2F1").await;
    assert!(none.detail().contains("r-9f86d081884c7d65"), "what an id looks like: {none:?}");
}

#[tokio::test]
async fn a_discarded_one_is_gone_and_the_audit_has_why() {
    let desk = Desk::open().await;
    let path = reject(&desk, good(1)).await;
    let empty = json!({ "act": "discard", "reason": " " });
    assert_eq!(desk.post(&format!("{path}/acts"), &empty).await.problem(), "invalid-request");
    let act = json!({ "act": "discard", "reason": "a test of the other team" });
    let done = desk.post(&format!("{path}/acts"), &act).await.body;
    assert_eq!(done, json!({ "duplicate": false, "left": 0 }));
    assert_eq!(desk.post(&format!("{path}/acts"), &act).await.problem(), "not-found");
    let acts = desk.get("/v1/acts").await.body;
    assert_eq!(acts["items"][0]["act"], "reject_discard");
    assert_eq!(acts["items"][0]["reason"], "a test of the other team");
    assert_eq!(acts["items"][0]["detail"]["place"], "message 1 of the stream `REPORTS`");
}

#[tokio::test]
async fn secret_fields_and_values_of_the_configuration_are_shown_to_nobody() {
    let withheld = Withheld::default();
    withheld.add("sk_live_0123456789").expect("it can be withheld");
    let desk = Desk::open().await.withholding(withheld);
    let book = Rulebook::from_yaml(SECRET_BOOK).expect("a valid rulebook");
    desk.supervisor.activate(book, "test", "it has a secret field").await.expect("active");
    let data = json!({ "code": 7, "message": "sk_live_0123456789", "data": { "card": CARD } });
    let message = RejectedRow {
        detail: format!("`data.code` is 7, near `{CARD}`"),
        headers: vec![("authorization".to_owned(), "Bearer 0123456789abcdef".to_owned())],
        ..row(1, ProblemCode::InvalidReport, &event("r-1", &data))
    };
    let path = reject(&desk, message).await;
    let unreadable =
        row(3, ProblemCode::InvalidReport, &format!("{{\"card\":\"{CARD}\", nonsense"));
    let other = reject(&desk, unreadable).await;
    let page = |path: &str| path.replace("/v1/reports/rejected", "/rejected");
    let id = path.rsplit('/').next().and_then(|id| id.parse::<RejectedId>().ok()).expect("an id");
    let stored = desk.supervisor.store().rejected_one(id).await.expect("reads").expect("there");
    assert!(!stored.detail.contains(CARD), "not even what is stored of why: {}", stored.detail);
    for path in [&path, &other, &page(&path), &page(&other), "/v1/reports/rejected", "/rejected"] {
        let reply = desk.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {reply:?}");
        let text = reply.body.to_string();
        for secret in [CARD, "sk_live_0123456789", "0123456789abcdef"] {
            assert!(!text.contains(secret), "{path} shows {secret}: {text}");
        }
    }
    let withheld = &desk.get(&other).await.body["body"]["withheld"];
    assert!(
        withheld.as_str().is_some_and(|why| why.contains("can't be read as JSON")),
        "{withheld}"
    );
    // A retry tells why, and repeats nothing of it.
    let reply = desk.post(&format!("{path}/acts"), &retry()).await;
    assert!(!reply.body.to_string().contains(CARD) && reply.problem() == "conflict", "{reply:?}");
}

#[tokio::test]
async fn without_read_data_only_the_kind_of_fault_is_told_and_nothing_is_done() {
    let desk = Desk::open().await;
    let path = reject(&desk, good(1)).await;
    let gate = super::access::Gate::before(desk);
    let (read, data) = (gate.token(&["read"]).await, gate.token(&["read:data"]).await);
    let list = gate.get("/v1/reports/rejected", &read).await;
    assert_eq!(list.body["items"][0]["detail"], "The report is malformed", "{list:?}");
    assert_eq!(gate.get(&path, &read).await.problem(), "forbidden");
    assert_eq!(gate.get(&path, &data).await.body["headers"][0]["value"], "r-1");
    for token in [&read, &data] {
        let reply = gate.ask("POST", &format!("{path}/acts"), token, Some(retry())).await;
        assert_eq!(reply.problem(), "forbidden");
    }
    let narrow = gate.token(&["act@shop", "read:data@shop"]).await;
    for (method, path) in
        [("GET", "/v1/reports/rejected"), ("GET", &*path), ("POST", &*format!("{path}/acts"))]
    {
        let reply = gate.ask(method, path, &narrow, Some(retry())).await;
        assert_eq!(reply.problem(), "forbidden", "nobody can say of which rulebook it is: {path}");
    }
    let page = gate.get("/rejected", &read).await;
    let text = page.body.as_str().expect("a page");
    assert!(!text.contains(&path.replace("/v1/reports/rejected", "href=\"/rejected")), "{text}");
}

#[tokio::test]
async fn the_oldest_go_where_there_is_no_room_and_that_is_counted() {
    let limits = RejectedLimits { rows: 2, ..RejectedLimits::default() };
    let options =
        DriverOptions { rejected: limits, trust_after: Duration::ZERO, ..DriverOptions::default() };
    let desk = Desk::driven(crate::http::HttpLimits::default(), options).await;
    for number in 1..=3 {
        reject(&desk, good(number)).await;
    }
    reject(&desk, good(3)).await; // a redelivery is the same one
    let metrics = desk.get("/metrics").await.body;
    let metrics = metrics.as_str().expect("text");
    for line in [
        "amends_rejected_reports 2\n",
        "amends_rejected_reports_dropped_total 1\n",
        "amends_reports_rejected_total{way=\"nats\",code=\"invalid-report\"} 2\n",
        "amends_reports_rejected_total{way=\"kafka\",code=\"invalid-report\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert_eq!(desk.get("/v1/overview").await.body["rejectedReports"], 2);
    let kept = look_at_rejected(&desk.supervisor, Duration::from_secs(1 << 40)).await;
    assert_eq!(kept.expect("looks"), 0);
    let gone = look_at_rejected(&desk.supervisor, Duration::from_secs(60)).await.expect("looks");
    assert_eq!((gone, desk.supervisor.rejected_shown()), (2, 0), "they are of 1970");
}

#[tokio::test]
async fn the_console_names_the_part_only_while_there_are_some_and_acts_on_them() {
    let desk = Desk::open().await;
    let text = async |path: &str| desk.get(path).await.body.as_str().expect("a page").to_owned();
    assert!(!text("/").await.contains("href=\"/rejected\""));
    assert!(text("/rejected").await.contains("Nothing is rejected."));
    let path = reject(&desk, good(1)).await.replace("/v1/reports/rejected", "/rejected");
    let overview = text("/").await;
    assert!(overview.contains("href=\"/rejected\"") && overview.contains("id=\"figure-rejected\""));
    assert!(overview.contains("1 report is rejected"), "the sentence says so");
    assert!(text("/rejected?way=kafka").await.contains("No such message lies here."));
    let list = text("/rejected?way=nats&source=order").await;
    assert!(list.contains(&format!("href=\"{path}\"")) && list.contains("the event has no"));
    let message = text(&path).await;
    assert!(message.contains("Nats-Msg-Id") && message.contains("nobody has proved that"));
    let act = async |act: &str, reason: &str| {
        let fields = [("act", act), ("reason", reason), ("actor", "kim")];
        send_form(&desk, &format!("{path}/acts"), &fields).await
    };
    assert_eq!(act("retry", "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(act("burn", "why").await.status, StatusCode::BAD_REQUEST);
    let done = act("retry", "it can be read by now").await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/cases/c-1"));
    assert_eq!(act("discard", "too late").await.status, StatusCode::NOT_FOUND);
    assert!(!text("/").await.contains("href=\"/rejected\""), "nothing is left");
}

#[tokio::test]
async fn they_are_there_after_a_restart() {
    let desk = Desk::open().await;
    let path = reject(&desk, good(1)).await;
    let desk = desk.restart().await;
    assert_eq!(desk.supervisor.rejected_shown(), 1);
    let reply = desk.post(&format!("{path}/acts"), &retry()).await;
    assert_eq!((reply.status, &reply.body["left"]), (StatusCode::OK, &json!(0)), "{reply:?}");
}
