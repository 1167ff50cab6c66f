//! What the supervisor tells of itself, met as a monitoring system meets it: spans at a collector, numbers at
//! `/metrics`.

use amends_server::config::Layers;
use amends_server::{Config, start};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long a story waits for something to become true. Generous: it only matters when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The span of the order service, in which the failing call was made.
const ORDER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Clone, Default)]
struct Heard {
    spans: Arc<Mutex<Vec<Value>>>,
    traceparents: Arc<Mutex<Vec<String>>>,
}

impl Heard {
    fn span(&self, name: &str) -> Option<Value> {
        let spans = self.spans.lock().expect("not poisoned");
        spans.iter().find(|span| span["name"] == name).cloned()
    }

    async fn wait_for(&self, name: &str) -> Value {
        let began = Instant::now();
        loop {
            if let Some(span) = self.span(name) {
                return span;
            }
            assert!(began.elapsed() < PATIENCE, "no span `{name}` came; {:?}", self.spans);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A collector and a service in one.
async fn collector_and_service() -> (SocketAddr, Heard) {
    async fn collect(State(heard): State<Heard>, Json(request): Json<Value>) -> Json<Value> {
        let found = request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned();
        heard.spans.lock().expect("not poisoned").extend(found.expect("spans"));
        Json(json!({}))
    }
    async fn refund(State(heard): State<Heard>, headers: HeaderMap) -> Json<Value> {
        let traceparent = headers["traceparent"].to_str().expect("text").to_owned();
        heard.traceparents.lock().expect("not poisoned").push(traceparent);
        Json(json!({ "outcome": "compensated" }))
    }
    let heard = Heard::default();
    let router = Router::new()
        .route("/v1/traces", post(collect))
        .route("/amends/v1/compensate/pay", post(refund))
        .with_state(heard.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

fn config(folder: &TempDir, service: SocketAddr) -> Config {
    let rules = folder.path().join("rules.yaml");
    let text = format!(
        "rulebook: shop\nservices:\n  payment:\n    url: \"http://{service}\"\n    actions: {{ pay: {{ compensation: \
         refund }} }}\nrules:\n  - {{ on: \"*/*\", compensate: [payment.pay] }}\n"
    );
    std::fs::write(&rules, text).expect("a file");
    let mut layers = Layers::defaults();
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &folder.path().join("data").display().to_string());
    layers.flag("rules", "rules", &rules.display().to_string());
    layers.flag("grace", "shutdown.grace", "2s");
    layers.flag("traces", "traces.endpoint", &format!("http://{service}"));
    Config::from_layers(&layers).expect("a valid configuration")
}

async fn call(to: SocketAddr, head: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(to).await.expect("a connection");
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\ncontent-type: \
         application/json\r\nce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-source: payment\r\nce-id: \
         r-1\r\nce-subject: o-1\r\nce-traceparent: {ORDER}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}

fn text<'a>(span: &'a Value, key: &str) -> &'a str {
    span[key].as_str().expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_leads_from_the_failed_call_to_the_compensation() {
    let (address, heard) = collector_and_service().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(&folder, address)).await.expect("started");
    let answer = call(
        running.address,
        "POST /v1/reports",
        r#"{"code": "failed", "action": "pay", "message": "no rider"}"#,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let attempt = heard.wait_for("compensate payment.pay").await;
    let report = heard.wait_for("report payment/failed").await;
    let plan = heard.wait_for("plan").await;

    for span in [&report, &plan, &attempt] {
        assert_eq!(text(span, "traceId"), &ORDER[3..35], "{span}");
    }
    assert_eq!(text(&report, "parentSpanId"), &ORDER[36..52]);
    assert_eq!(report["status"], json!({ "code": 2, "message": "no rider" }));
    assert_eq!(plan["parentSpanId"], report["spanId"]);
    assert_eq!(attempt["parentSpanId"], report["spanId"]);
    let sent = heard.traceparents.lock().expect("not poisoned")[0].clone();
    assert_eq!(&sent[36..52], text(&attempt, "spanId"), "the service works within this very span");
    let attributes = attempt["attributes"].as_array().expect("attributes");
    let status = json!({ "key": "http.response.status_code", "value": { "intValue": "200" } });
    assert!(attributes.contains(&status), "{attempt}");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_wait_are_sent_before_the_end() {
    let (address, heard) = collector_and_service().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(&folder, address)).await.expect("started");
    call(running.address, "POST /v1/reports", r#"{"code": "failed", "action": "pay"}"#).await;
    running.stop().await.expect("ended in order");
    assert!(heard.span("report payment/failed").is_some(), "{:?}", heard.spans);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_of_a_case_from_its_report_to_its_end() {
    let (address, _) = collector_and_service().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(&folder, address)).await.expect("started");
    call(running.address, "POST /v1/reports", "{").await;
    call(running.address, "POST /v1/reports", r#"{"code": "failed", "action": "pay"}"#).await;
    call(running.address, "POST /v1/reports", r#"{"code": "failed", "action": "pay"}"#).await;
    let done = r#"amends_steps_total{service="payment",action="pay",verb="compensate",outcome="compensated"} 1"#;
    let began = Instant::now();
    let page = loop {
        let page = call(running.address, "GET /metrics", "").await;
        if page.contains(done) {
            break page;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain; last: {page}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for line in [
        r#"amends_reports_total{service="payment",result="accepted"} 1"#,
        r#"amends_reports_total{service="payment",result="duplicate"} 1"#,
        r#"amends_reports_total{service="other",result="rejected"} 1"#,
        r#"amends_attempts_total{service="payment",result="done"} 1"#,
        r#"amends_breaker_state{service="payment",state="closed"} 1"#,
    ] {
        assert!(page.contains(line), "`{line}` is not in:\n{page}");
    }
    assert!(page.contains("content-type: application/openmetrics-text"));
    running.stop().await.expect("ended in order");
}
