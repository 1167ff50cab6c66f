//! A shop whose payment service publishes its failures in words of its own, as services of Spring commonly do, and
//! whose coupon service knows nothing of us.

#![allow(dead_code)] // each test file uses its own part

use amends_api::CaseState;
use amends_server::Running;
use amends_store::{Archive as _, CaseFilter, PageRequest, Rejected as _, RejectedFilter};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The header that names the class of an event.
pub const TYPE: &str = "__TypeId__";
const BRIDGE: &str = r#"
[bridges.payment]
CHANNELS
when = { "header:__TypeId__" = "com.shop.payment.PaymentFailedEvent", "/status" = ["FAILED", "REJECTED"] }
saga = "/orderId"
source = "payment"
id = "/eventId"
code = { at = "/error/code", values = { CARD_DECLINED = "card-declined" } }
action = "charge"
time = "/occurredAt"
message = "/error/message"
[bridges.payment.data]
couponId = "/coupon/id"
"#;

/// The bridge, with where it reads: `topics = [...]`.
pub fn bridge(channels: &str) -> String {
    BRIDGE.replace("CHANNELS", channels)
}

pub type Heard = Arc<Mutex<Vec<String>>>;

/// A coupon service that knows nothing of us: what it is asked, it does.
pub async fn coupons() -> (String, Heard) {
    let heard = Heard::default();
    let answer = |State(heard): State<Heard>, uri: Uri| async move {
        heard.lock().expect("not poisoned").push(uri.path().to_owned());
        StatusCode::NO_CONTENT
    };
    let app = Router::new().fallback(answer).with_state(Arc::clone(&heard));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, heard)
}

pub fn rulebook(address: &str) -> String {
    format!(
        "rulebook: shop
settle: {{ quiet: 200ms }}
services:
  payment:
    actions:
      charge: {{ effect: none, calls: [coupon.redeem] }}
  coupon:
    url: \"http://{address}\"
    actions:
      redeem:
        compensation: release
        endpoints:
          compensate: {{ method: POST, path: \"/coupons/{{data.couponId}}/release\", done: [200, 204], nothing: [404] }}
rules:
  - {{ on: payment/card-declined, compensate: [coupon.redeem] }}
"
    )
}

/// As `KafkaTemplate` and `JsonSerializer` of Spring publish it, and as bridges between brokers pass it on.
pub fn event(n: usize) -> Value {
    json!({
        "eventId": format!("e-{n}"), "orderId": format!("order-{n}"), "status": "FAILED",
        "amount": { "value": 12.50, "currency": "EUR" }, "coupon": { "id": format!("c-{n}") },
        "error": { "code": "CARD_DECLINED", "message": "the bank says no" }, "occurredAt": "2026-11-29T12:00:00Z",
    })
}

pub async fn settled(running: &Running) -> usize {
    let filter = CaseFilter { state: vec![CaseState::Settled], ..CaseFilter::default() };
    let found = running.supervisor.store().cases(filter, PageRequest::first(500)).await;
    found.expect("lists").items.len()
}

/// Events as they come on one channel, each with the last word of its class: two failures, one of them published twice,
/// two events that tell of none, and two of which no report can be made.
pub fn events() -> [(&'static str, Value); 7] {
    let mut paid = event(3);
    paid["status"] = json!("PAID");
    let (mut unknown, mut nameless) = (event(4), event(5));
    unknown["error"]["code"] = json!("FRAUD");
    nameless["orderId"] = json!(null);
    [
        ("PaymentFailedEvent", event(1)),
        ("PaymentFailedEvent", event(1)),
        ("PaymentFailedEvent", event(2)),
        ("PaymentFailedEvent", paid),
        ("PaymentSucceededEvent", event(6)),
        ("PaymentFailedEvent", unknown),
        ("PaymentFailedEvent", nameless),
    ]
}

/// The whole name of a class.
pub fn class(name: &str) -> String {
    format!("com.shop.payment.{name}")
}

/// Once all is read and done: what was asked for, and what was put aside, is what it should be.
pub async fn is_compensated_once(running: &Running, heard: &Heard) {
    let mut heard = heard.lock().expect("not poisoned").clone();
    heard.sort();
    assert_eq!(heard, ["/coupons/c-1/release", "/coupons/c-2/release"]);
    let store = running.supervisor.store();
    let page = store.rejected(RejectedFilter::default(), PageRequest::first(50)).await;
    let rows = page.expect("lists").items.into_iter();
    let mut rejected: Vec<String> = rows.map(|listed| listed.row.detail).collect();
    rejected.sort();
    assert_eq!(rejected.len(), 2, "{rejected:#?}");
    assert!(rejected[0].contains("is `FRAUD`, for which `values` has no word"), "{rejected:#?}");
    assert!(rejected[1].contains("`saga`: `/orderId` is not there"), "{rejected:#?}");
}
