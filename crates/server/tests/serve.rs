//! A whole supervisor in this process, met over real sockets: reports in, requests to a service that knows nothing of
//! Amends, and an orderly end and restart.

use amends_server::access::Required;
use amends_server::config::Layers;
use amends_server::{Config, Running, ServeError, start};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

type Refunds = Arc<Mutex<Vec<String>>>;

/// A service with an endpoint of its own kind.
async fn legacy() -> (SocketAddr, Refunds) {
    async fn refund(State(refunds): State<Refunds>, Path(payment): Path<String>) -> StatusCode {
        refunds.lock().expect("not poisoned").push(payment);
        StatusCode::NO_CONTENT
    }
    let refunds = Refunds::default();
    let router =
        Router::new().route("/payments/{id}/refund", post(refund)).with_state(Arc::clone(&refunds));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, refunds)
}

fn book(address: SocketAddr) -> String {
    format!(
        "rulebook: shop
settle: {{ quiet: 1s }}
services:
  payment:
    url: \"http://{address}\"
    actions:
      pay:
        compensation: refund
        endpoints: {{ compensate: {{ method: POST, path: \"/payments/{{data.payment}}/refund\", done: [204] }} }}
rules:
  - {{ on: \"*/*\", compensate: [payment.pay] }}
"
    )
}

fn config(folder: &TempDir) -> Config {
    let mut layers = Layers::defaults();
    let path = |name: &str| folder.path().join(name).display().to_string();
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &path("data"));
    layers.flag("rules", "rules", &path("rules.yaml"));
    layers.flag("grace", "shutdown.grace", "2s");
    Config::from_layers(&layers).expect("a valid configuration")
}

async fn call(to: SocketAddr, head: &str, body: &str) -> (u16, Value) {
    let mut socket = TcpStream::connect(to).await.expect("a connection");
    let length = body.len();
    let request =
        format!("{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n");
    let json = "content-type: application/json\r\nce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\n\
                ce-source: payment\r\nce-id: r-1\r\nce-subject: o-1\r\n\r\n";
    socket.write_all(format!("{request}{json}{body}").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

async fn until(running: &Running, path: &str, wish: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let (_, body) = call(running.address, &format!("GET {path}"), "").await;
        if wish(&body) {
            return body;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain; last: {body}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_service_is_asked_and_a_restart_forgets_nothing() {
    let (service, refunds) = legacy().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), book(service)).expect("a file");
    let running = start(config(&folder)).await.expect("started");
    let report = "{\"code\": \"failed\", \"action\": \"pay\", \"data\": {\"payment\": \"p-7\"}}";
    let (status, receipt) = call(running.address, "POST /v1/reports", report).await;
    assert_eq!((status, &receipt["caseId"]), (202, &Value::from("c-1")));
    let case = until(&running, "/v1/cases/c-1", |c| c["plan"][0]["state"] == "done").await;
    assert_eq!(case["plan"][0]["outcome"], "compensated");
    assert_eq!(*refunds.lock().expect("not poisoned"), ["p-7"]);
    running.stop().await.expect("ended in order");

    let running = start(config(&folder)).await.expect("the folder is free again");
    let (status, receipt) = call(running.address, "POST /v1/reports", report).await;
    assert_eq!((status, &receipt["duplicate"]), (200, &Value::from(true)));
    until(&running, "/v1/cases/c-1", |c| c["state"] == "settled").await;
    assert_eq!(refunds.lock().expect("not poisoned").len(), 1, "asked for once");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_has_ended_when_the_last_task_has_given_the_store_up() {
    let (service, _) = legacy().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), book(service)).expect("a file");
    let running = start(config(&folder)).await.expect("started");
    let kept = running.supervisor.clone();
    // Like a task of the runtime that has been told to end and comes to it late.
    let lingering = tokio::spawn(async move {
        while kept.is_ready() {
            tokio::task::yield_now().await;
        }
        for _ in 0..100_000 {
            tokio::task::yield_now().await;
        }
    });
    running.stop().await.expect("ended in order");
    lingering.await.expect("ended");
    start(config(&folder)).await.expect("free again").stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_noticed_while_running() {
    let (service, _) = legacy().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, book(service)).expect("a file");
    let running = start(config(&folder)).await.expect("started");
    std::fs::write(&file, book(service).replace("rules:", "rulez:")).expect("a file");
    running.look_at_files();
    let shown = until(&running, "/v1/rulebooks/shop", |b| b["rejected"].is_array()).await;
    assert_eq!(shown["active"], true, "the good version stays: {shown}");
    std::fs::write(&file, book(service).replace("quiet: 1s", "quiet: 33s")).expect("a file");
    running.look_at_files();
    until(&running, "/v1/rulebooks/shop", |b| {
        b["rejected"].is_null() && b["hash"] != shown["hash"]
    })
    .await;
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_start_says_why_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), "rulebook: 7\nruls: []\n").expect("a file");
    let error = start(config(&folder)).await.expect_err("a bad rulebook");
    assert!(matches!(&error, ServeError::Rules(text) if text.contains("ruls")), "{error}");

    std::fs::remove_file(folder.path().join("rules.yaml")).expect("removed");
    let error = start(config(&folder)).await.expect_err("no rulebook").to_string();
    assert!(error.contains("rules.yaml"), "{error}");

    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut clash = config(&folder);
    clash.rules = None;
    clash.listen = taken.local_addr().expect("an address").to_string();
    let error = start(clash.clone()).await.expect_err("the port is taken").to_string();
    assert!(error.contains("cannot listen") && error.contains(&clash.listen), "{error}");

    clash.listen = "127.0.0.1:0".to_owned();
    let running = start(clash.clone()).await.expect("nothing held the folder");
    let error = start(clash).await.expect_err("the folder is in use").to_string();
    assert!(error.contains("in use"), "{error}");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_this_machine_it_starts_only_where_it_is_safe_or_somebody_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut open = config(&folder);
    open.rules = None;
    open.listen = "0.0.0.0:0".to_owned();
    let error = start(open.clone()).await.expect_err("no TLS").to_string();
    assert!(error.contains("tls.certificate") && error.contains("--behind-proxy"), "{error}");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
    open.access.behind_proxy = true;
    open.access.required = Required::Off;
    let error = start(open.clone()).await.expect_err("nobody is known").to_string();
    assert!(error.contains("access.required") && error.contains("--insecure"), "{error}");
    open.access.required = Required::Auto;
    let running =
        start(open.clone()).await.expect("a proxy speaks TLS, and whoever comes is known");
    assert_eq!(call(at_home(&running), "GET /v1/cases", "").await.0, 401);
    running.stop().await.expect("ended in order");
    (open.access.behind_proxy, open.access.required) = (false, Required::Off);
    open.access.insecure = true;
    let running = start(open).await.expect("somebody says so");
    let page = page(at_home(&running)).await;
    assert!(page.contains("Not secure") && page.contains("read on the way"), "{page}");
    running.stop().await.expect("ended in order");
    let running = start(config_without_rules(&folder)).await.expect("this machine alone");
    assert!(!self::page(running.address).await.contains("Not secure"));
    running.stop().await.expect("ended in order");
}

fn config_without_rules(folder: &TempDir) -> Config {
    Config { rules: None, ..config(folder) }
}

fn at_home(running: &Running) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], running.address.port()))
}

async fn page(at: SocketAddr) -> String {
    let mut socket = TcpStream::connect(at).await.expect("a connection");
    let ask = "GET / HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n";
    socket.write_all(ask.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_people_have_an_address_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let both =
        Config { listen_services: Some("127.0.0.1:0".to_owned()), ..config_without_rules(&folder) };
    let running = start(both).await.expect("started");
    let (people, services) = (running.address, running.services_address.expect("one of their own"));
    let report = "{\"code\": \"failed\"}";
    assert_eq!(call(services, "POST /v1/reports", report).await.0, 202);
    let (status, problem) = call(people, "POST /v1/reports", report).await;
    assert_eq!(status, 404);
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("listen_services")));
    assert_eq!(call(people, "GET /v1/cases/c-1", "").await.0, 200);
    for place in ["/v1/cases", "/v1/cases/c-1", "/v1/events", "/openapi.json", "/", "/v1/nothing"] {
        assert_eq!(call(services, &format!("GET {place}"), "").await.0, 404, "{place}");
    }
    for act in ["/v1/cases/c-1/acts", "/v1/tokens", "/v1/backups", "/v1/services/payment/pause"] {
        assert_eq!(call(services, &format!("POST {act}"), "{}").await.0, 404, "{act}");
    }
    for address in [people, services] {
        for probe in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(call(address, &format!("GET {probe}"), "").await.0, 200, "{probe}");
        }
    }
    running.stop().await.expect("ended in order");
}

/// A client that sends all of its body before it reads hears why it is not wanted.
#[tokio::test]
async fn a_body_that_is_not_wanted_is_answered_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (service, _) = legacy().await;
    std::fs::write(folder.path().join("rules.yaml"), book(service)).expect("written");
    let running = start(config(&folder)).await.expect("it starts");
    let body = " ".repeat(12 << 20);
    for (path, kind, status) in [
        ("/v1/rulebooks:check", "text/plain", 415),
        ("/v1/reports", "application/json", 413),
        ("/nothing", "application/json", 404),
    ] {
        let mut socket = TcpStream::connect(running.address).await.expect("a connection");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.expect("sent");
        socket.write_all(body.as_bytes()).await.expect("sent whole");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    running.stop().await.expect("it ends in order");
}
