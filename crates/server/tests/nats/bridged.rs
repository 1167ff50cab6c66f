//! Events that a service of Spring publishes in words of its own: each that tells of a failure is compensated once.

use super::broker::{PATIENCE, config_with, rejected};
use amends_api::CaseState;
use amends_private_server::NatsServer;
use amends_server::nats::{check, init, lag};
use amends_server::{NatsOptions, Running, Severity, start};
use amends_store::{Archive as _, CaseFilter, PageRequest};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BRIDGE: &str = r#"
[bridges.payment]
subjects = ["shop.payment.>"]
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

type Heard = Arc<Mutex<Vec<String>>>;

/// A coupon service that knows nothing of us: what it is asked, it does.
async fn coupons() -> (String, Heard) {
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

fn rulebook(address: &str) -> String {
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
fn event(n: usize) -> Value {
    json!({
        "eventId": format!("e-{n}"), "orderId": format!("order-{n}"), "status": "FAILED",
        "amount": { "value": 12.50, "currency": "EUR" }, "coupon": { "id": format!("c-{n}") },
        "error": { "code": "CARD_DECLINED", "message": "the bank says no" }, "occurredAt": "2026-11-29T12:00:00Z",
    })
}

async fn settled(running: &Running) -> usize {
    let filter = CaseFilter { state: vec![CaseState::Settled], ..CaseFilter::default() };
    let found = running.supervisor.store().cases(filter, PageRequest::first(50)).await;
    found.expect("lists").items.len()
}

/// The service's own stream, and ours, which copies from it: no other one can hold its subjects.
async fn streams(server: &NatsServer, options: &NatsOptions) -> Context {
    let client = async_nats::connect(server.url()).await.expect("connected");
    let context = jetstream::new(client);
    let own = jetstream::stream::Config {
        name: "PAYMENTS".to_owned(),
        subjects: vec!["shop.payment.>".to_owned()],
        ..jetstream::stream::Config::default()
    };
    context.create_stream(own).await.expect("made");
    let done = init(options, 1).await.expect("made");
    assert!(done.iter().any(|line| line.contains("from the stream `PAYMENTS`")), "{done:?}");
    let found = check(options, None).await.expect("answers");
    assert!(found.iter().all(|one| one.severity != Severity::Error), "{found:?}");
    context
}

/// Waits until all seven events are read and both cases settled.
async fn all_is_done(running: &Running, options: &NatsOptions) {
    let began = Instant::now();
    loop {
        let left = lag(options).await.expect("answers");
        let is_read = (left.held, left.waiting, left.in_hand) == (7, 0, 0);
        if is_read && settled(running).await == 2 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_a_spring_service_are_compensated_once_and_other_events_are_skipped() {
    let (server, folder) = (NatsServer::start(), tempfile::tempdir().expect("a folder"));
    let (address, heard) = coupons().await;
    fs::write(folder.path().join("rules.yaml"), rulebook(&address)).expect("written");
    let config = config_with(folder.path(), &server.url(), BRIDGE);
    let options = config.nats.clone().expect("configured");
    let context = streams(&server, &options).await;
    let publish = async |kind: &str, event: &Value| {
        let mut headers = HeaderMap::new();
        headers.insert("__TypeId__", format!("com.shop.payment.{kind}"));
        headers.insert("content-type", "application/json");
        let body = event.to_string().into();
        let sent = context.publish_with_headers("shop.payment.events", headers, body).await;
        sent.expect("sent").await.expect("stored");
    };
    let running = start(config).await.expect("started");
    let mut paid = event(3);
    paid["status"] = json!("PAID");
    let (mut unknown, mut nameless) = (event(4), event(5));
    unknown["error"]["code"] = json!("FRAUD");
    nameless["orderId"] = json!(null);
    for (kind, event) in [
        ("PaymentFailedEvent", event(1)),
        ("PaymentFailedEvent", event(1)), // published twice
        ("PaymentFailedEvent", event(2)),
        ("PaymentFailedEvent", paid),
        ("PaymentSucceededEvent", event(6)),
        ("PaymentFailedEvent", unknown),
        ("PaymentFailedEvent", nameless),
    ] {
        publish(kind, &event).await;
    }
    all_is_done(&running, &options).await;
    let mut heard = heard.lock().expect("not poisoned").clone();
    heard.sort();
    assert_eq!(heard, ["/coupons/c-1/release", "/coupons/c-2/release"]);
    let rejected: Vec<String> = rejected(&running).await.into_iter().map(|(_, why)| why).collect();
    assert_eq!(rejected.len(), 2, "{rejected:#?}");
    assert!(rejected[0].contains("is `FRAUD`, for which `values` has no word"), "{rejected:#?}");
    assert!(rejected[1].contains("`saga`: `/orderId` is not there"), "{rejected:#?}");
    running.stop().await.expect("ended in order");
}
