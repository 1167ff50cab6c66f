//! What is read of services and actions: policies taken over field by field, mapped requests, corrections.

use amends_protocol::Verb;
use amends_rulebook::{Action, ActionClass, Mapped, RenderedBody, RetryPolicy, Rulebook};
use serde_json::{Value, json};
use std::sync::Arc;

const TEXT: &str = r#"
rulebook: legacy
defaults: { concurrency: 4, retry_policy: { first: 1s, age: none } }
services:
  payment:
    url: "https://pay.example/api/"
    concurrency: 2
    signing_key: pay-key
    retry_policy: { cap: 1m, attempts: 5 }
    actions:
      pay:
        compensation: refund
        retry_policy: { timeout: 3s, attempts: none }
        endpoints:
          compensate:
            method: PUT
            path: "/payments/{data.paymentId}/refund?saga={sagaId}"
            headers: { X-Request: "{stepId}/{attempt}" }
            body: { amount: "{data.amount}", note: "saga {sagaId}: {report.code}", flags: [true, 7, null, "7"] }
            done: [2xx]
            nothing: [404]
            refused: [409]
  sms:
    url: "http://sms"
    actions:
      send:
        on_failure: retry
        correction: unsend
        endpoints: { notify: { path: "/sms" }, retry: { path: "/sms/again" } }
      ring: { correction: hang-up }
      hang-up: { endpoints: { notify: { path: "/hang-up" } } }
      count: { effect: none }
      greet: { effect: notice }
rules:
  - { on: "*/*", compensate: recorded }
"#;

fn book() -> Arc<Rulebook> {
    Rulebook::from_yaml(TEXT).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn action<'b>(book: &'b Rulebook, service: &str, action: &str) -> &'b Action {
    book.get(book.action(service, action).expect(action))
}

#[test]
fn the_most_specific_policy_wins_field_by_field() {
    let book = book();
    let wanted = RetryPolicy {
        first_ms: 1_000,
        cap_ms: 60_000,
        timeout_ms: 3_000,
        max_attempts: None,
        max_age_ms: None,
        ..RetryPolicy::DEFAULT
    };
    assert_eq!(action(&book, "payment", "pay").retry, wanted);
    let plain = RetryPolicy { first_ms: 1_000, max_age_ms: None, ..RetryPolicy::DEFAULT };
    assert_eq!(action(&book, "sms", "send").retry, plain);
}

#[test]
fn a_service_is_known_by_its_facts() {
    let book = book();
    let facts = |name: &str| {
        let service = &book.services()[book.service(name).expect(name).0 as usize];
        (
            service.url.clone(),
            service.concurrency,
            service.signing_key.clone(),
            service.actions.len(),
        )
    };
    assert_eq!(
        facts("payment"),
        (Some("https://pay.example/api".to_owned()), 2, Some("pay-key".to_owned()), 1)
    );
    assert_eq!(facts("sms"), (Some("http://sms".to_owned()), 4, None, 6));
}

#[test]
fn a_mapped_request_is_filled_in_with_its_types() {
    let book = book();
    let endpoints = &action(&book, "payment", "pay").endpoints;
    let endpoint = endpoints.get(Verb::Compensate).expect("mapped");
    let fields = |name: &str| {
        Some(match name {
            "data.paymentId" => json!("p 1"),
            "data.amount" => json!(12.5),
            "sagaId" => json!("o&1"),
            "stepId" => json!("s-1-1-0"),
            "attempt" => json!(3),
            "report.code" => json!("report-1"),
            _ => return None,
        })
    };
    let request = endpoint.render(&fields).expect("every field is there");
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("PUT", "/payments/p%201/refund?saga=o%261")
    );
    assert_eq!(request.headers, [("x-request".to_owned(), "s-1-1-0/3".to_owned())]);
    let body = json!({ "amount": 12.5, "note": "saga o&1: report-1", "flags": [true, 7, Value::Null, "7"] });
    assert_eq!(request.body, Some(RenderedBody::Json(body)));
    let read = [200, 404, 409, 500].map(|status| endpoint.answers.classify(status, None));
    assert_eq!(read, [Some(Mapped::Done), Some(Mapped::Nothing), Some(Mapped::Refused), None]);
    assert!(endpoints.get(Verb::Retry).is_none());
}

#[test]
fn each_action_has_its_class_and_each_correction_its_notice() {
    let book = book();
    let class = |name: &str| action(&book, "sms", name).class;
    assert_eq!(action(&book, "payment", "pay").class, ActionClass::Compensable);
    for notice in ["send", "unsend", "ring", "hang-up", "greet"] {
        assert_eq!(class(notice), ActionClass::Notice, "{notice}");
    }
    assert_eq!(class("count"), ActionClass::Free);
    for (notice, correction) in [("send", "unsend"), ("ring", "hang-up")] {
        assert_eq!(action(&book, "sms", notice).correction, book.action("sms", correction));
        assert_eq!(action(&book, "sms", correction).correction_of, book.action("sms", notice));
    }
    let path = |name: &str| {
        action(&book, "sms", name).endpoints.notify.as_ref().map(|e| e.path.to_string())
    };
    assert_eq!(
        (path("unsend").as_deref(), path("hang-up").as_deref()),
        (Some("/sms"), Some("/hang-up"))
    );
}
