//! What is on the wire, byte for byte.

use super::*;
use crate::dispatch::route::{Destinations, RouteTable};
use crate::dispatch::sign::Signer;
use amends_protocol::{CallbackProof, Report, ReportData, Verb};
use http_body_util::BodyExt;
use serde_json::json;

const NOW: Timestamp = Timestamp(1_614_265_330_999);
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const BOOK: &str = r#"
rulebook: shop
services:
  pay:
    url: "http://pay.local:8080/base"
    signing_key: payments
    actions:
      charge: { compensation: refund }
  old:
    url: "http://old.local"
    actions:
      book:
        compensation: unbook
        endpoints:
          compensate:
            method: DELETE
            path: "/bookings/{data.booking.id}?why={report.code}"
            headers: { idempotency-key: "{stepId}", x-request: "{requestId}" }
            body: { amount: "{data.amount}", saga: "saga {sagaId}" }
            done: ["2xx"]
rules:
  - { on: "*/*", compensate: recorded }
"#;

fn send(service: &str, action: &str) -> SendStep {
    let rulebook = Rulebook::from_yaml(BOOK).expect("a valid rulebook");
    let saga = SagaId::new("order-1=a").expect("a saga id");
    let name = ActionName::new(service, action);
    let data = json!({"amount": 7, "booking": {"id": "b/1"}});
    let report = Report {
        id: "r-1".to_owned(),
        source: "//shop.example/order".to_owned(),
        saga_id: saga.clone(),
        time: None,
        traceparent: Some(PARENT.to_owned()),
        data: ReportData {
            code: "report-1".to_owned(),
            message: Some("no rider".to_owned()),
            data: data.as_object().expect("an object").clone(),
            ..ReportData::default()
        },
    };
    SendStep {
        step: StepId::derive(CaseId(17), 3, &saga, "compensate", &name),
        proof: CallbackProof::new("p-0"),
        key: None,
        attempt: 2,
        verb: Verb::Compensate,
        action_id: rulebook.action(service, action).expect("an action"),
        action: name,
        rulebook,
        saga,
        request_ids: vec!["q-1".into(), "q-2".into()],
        report: Arc::new(report),
        data: None,
        veil: amends_engine::Veil::default(),
    }
}

fn table() -> RouteTable {
    let mut destinations = Destinations::default();
    destinations.signers.insert("payments".to_owned(), Signer::new(&[KEY]).expect("a key"));
    RouteTable::new(destinations)
}

fn build(send: &SendStep) -> Result<Outgoing, String> {
    of_step(send, &table().of(&send.rulebook), NOW)
}

async fn body_of(request: Outgoing) -> Bytes {
    request.into_body().collect().await.expect("a full body").to_bytes()
}

fn header<'a>(request: &'a Outgoing, name: &str) -> &'a str {
    request
        .headers()
        .get(name)
        .unwrap_or_else(|| panic!("no header {name}"))
        .to_str()
        .expect("text")
}

#[tokio::test]
async fn a_step_of_the_participant_protocol() {
    let send = send("pay", "charge");
    let id = send.step.to_string();
    let request = build(&send).expect("a request");
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "http://pay.local:8080/base/amends/v1/compensate/charge");
    assert_eq!(header(&request, "saga-id"), "order-1=a");
    assert_eq!(header(&request, "baggage"), "saga-id=order-1%3Da");
    assert_eq!(header(&request, "idempotency-key"), format!("\"{id}\""));
    assert_eq!(header(&request, "content-type"), "application/json");
    let trace = header(&request, "traceparent");
    assert!(trace.starts_with(&PARENT[..36]) && trace != PARENT, "{trace}");

    let signature = header(&request, "webhook-signature").to_owned();
    assert_eq!(header(&request, "webhook-id"), id);
    assert_eq!(header(&request, "webhook-timestamp"), "1614265330");
    let body = body_of(request).await;
    assert_eq!(
        signature,
        Signer::new(&[KEY]).expect("a key").sign(&id, 1_614_265_330, &body),
        "over the bytes sent"
    );
    assert_eq!(
        serde_json::from_slice::<amends_protocol::StepRequest>(&body).expect("readable"),
        owned_body(&send)
    );
}

#[tokio::test]
async fn the_borrowed_body_is_the_protocols() {
    let mut send = send("pay", "charge");
    let owned = serde_json::to_vec(&owned_body(&send)).expect("plain");
    assert_eq!(body_of(build(&send).expect("a request")).await, owned);
    send.request_ids.clear();
    send.data = Some(Arc::new(Map::new()));
    let owned = serde_json::to_vec(&owned_body(&send)).expect("plain");
    assert_eq!(body_of(build(&send).expect("a request")).await, owned);
}

#[tokio::test]
async fn a_step_of_a_mapped_endpoint() {
    let send = send("old", "book");
    let request = build(&send).expect("a request");
    assert_eq!(request.method(), Method::DELETE);
    assert_eq!(request.uri(), "http://old.local/bookings/b%2F1?why=report-1");
    assert_eq!(
        header(&request, "idempotency-key"),
        send.step.to_string(),
        "the rulebook's own stands above ours"
    );
    assert_eq!(header(&request, "x-request"), "q-1");
    assert!(request.headers().get("webhook-signature").is_none());
    let body: Value = serde_json::from_slice(&body_of(request).await).expect("JSON");
    assert_eq!(body, json!({"amount": 7, "saga": "saga order-1=a"}));
}

#[test]
fn what_an_operator_edited_takes_the_place_of_the_reports_data() {
    let mut send = send("old", "book");
    let edited = json!({"amount": 8, "booking": {"id": "b-2"}});
    send.data = Some(Arc::new(edited.as_object().expect("an object").clone()));
    assert_eq!(build(&send).expect("a request").uri().path(), "/bookings/b-2");
}

#[test]
fn a_mapped_request_goes_out_under_its_own_key() {
    let mut send = send("old", "book");
    send.key = Some("k-1".into());
    let request = build(&send).expect("a request");
    assert_eq!(header(&request, "idempotency-key"), send.step.to_string(), "as mapped");
    let action = send.rulebook.action("pay", "charge").expect("an action");
    send.action_id = action;
    assert_eq!(header(&build(&send).expect("a request"), "idempotency-key"), "\"k-1\"");
}

#[test]
fn a_missing_field_is_named() {
    let mut send = send("old", "book");
    send.data = Some(Arc::new(Map::new()));
    let error = build(&send).expect_err("nothing to fill in");
    assert!(error.contains("data.booking.id"), "{error}");
    send.data = None;
    send.request_ids.clear();
    assert!(build(&send).expect_err("no request id").contains("requestId"));
}

#[test]
fn the_same_attempt_is_the_same_request() {
    let send = send("pay", "charge");
    let (one, two) = (build(&send).expect("a request"), build(&send).expect("a request"));
    assert_eq!(one.headers(), two.headers());
}

const GO_BETWEEN: &str = r#"
rulebook: shop
services:
  pay:
    url: http://between.local
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate:
            path: "/refunds/{sagaId}"
            headers: { x-proof: "{callback.proof}" }
            body: { tell: "{callback.url}" }
rules:
  - { on: "*/*", compensate: recorded }
"#;

#[tokio::test]
async fn a_step_says_where_its_late_outcome_goes_once_that_is_known() {
    let destinations =
        Destinations { callbacks: Some("http://amends:7100".into()), ..Destinations::default() };
    let mut send = send("pay", "charge");
    send.rulebook = Rulebook::from_yaml(GO_BETWEEN).expect("a valid rulebook");
    send.action_id = send.rulebook.action("pay", "charge").expect("an action");
    let known = RouteTable::new(destinations).of(&send.rulebook);
    let request = of_step(&send, &known, NOW).expect("a request");
    assert_eq!(header(&request, "x-proof"), "p-0");
    let body: Value = serde_json::from_slice(&body_of(request).await).expect("JSON");
    assert_eq!(body, json!({"tell": format!("http://amends:7100/v1/steps/{}/outcome", send.step)}));

    let why = build(&send).expect_err("nobody knows where");
    assert!(why.contains("`dispatch.callback_url`"), "{why}");
    let digest = send.digest();
    send.proof = CallbackProof::hidden();
    assert!(digest.is_some() && digest == send.digest(), "a secret is no part of what is asked");
}
