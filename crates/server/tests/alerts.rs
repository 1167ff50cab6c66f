//! Alerts as those who are told receive them: over real sockets, signed, in groups, once per transition.

use amends_server::config::Layers;
use amends_server::{Config, start};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long a story waits for something to become true. Generous: it only matters when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What came to the hooks: path, headers, bytes.
type Heard = Arc<Mutex<Vec<(&'static str, HeaderMap, Bytes)>>>;

/// A service that refuses, and two hooks.
async fn town() -> (SocketAddr, Heard) {
    async fn refuse() -> (StatusCode, [(&'static str, &'static str); 1], Json<Value>) {
        let problem = json!({
            "type": "https://amends.dev/problems/refused", "title": "refused", "status": 422,
            "detail": "the account is closed",
        });
        let kind = [("content-type", "application/problem+json")];
        (StatusCode::UNPROCESSABLE_ENTITY, kind, Json(problem))
    }
    async fn hook(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) {
        heard.lock().expect("not poisoned").push(("/hook", headers, body));
    }
    async fn chat(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) {
        heard.lock().expect("not poisoned").push(("/chat", headers, body));
    }
    let heard = Heard::default();
    let router = Router::new()
        .route("/amends/v1/compensate/pay", post(refuse))
        .route("/hook", post(hook))
        .route("/chat", post(chat))
        .with_state(Arc::clone(&heard));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

fn config(folder: &TempDir, town: SocketAddr, more: &[(&str, &str)]) -> Config {
    let rules = folder.path().join("rules.yaml");
    let text = format!(
        "rulebook: shop\nservices:\n  payment:\n    url: \"http://{town}\"\n    actions: {{ pay: {{ compensation: refund \
         }} }}\nrules:\n  - {{ on: payment/failed, compensate: [payment.pay] }}\n"
    );
    std::fs::write(&rules, text).expect("a file");
    let mut layers = Layers::defaults();
    layers.environment([("AMENDS_SIGNING_KEYS_HOOK".to_owned(), KEY.to_owned())]);
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &folder.path().join("data").display().to_string());
    layers.flag("rules", "rules", &rules.display().to_string());
    layers.flag("hooks", "alerts.webhooks", &format!("http://{town}/hook"));
    layers.flag("slack", "alerts.slack", &format!("http://{town}/chat"));
    layers.flag("key", "alerts.signing_key", "hook");
    layers.flag("url", "alerts.public_url", "https://amends.example/");
    for (key, value) in more {
        layers.flag("more", key, value);
    }
    Config::from_layers(&layers).expect("a valid configuration")
}

async fn report(to: SocketAddr, id: &str, code: &str) {
    let body = format!("{{\"code\": \"{code}\", \"action\": \"pay\", \"message\": \"no rider\"}}");
    let length = body.len();
    let request = format!(
        "POST /v1/reports HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\ncontent-type: \
         application/json\r\nce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-source: payment\r\nce-id: \
         {id}\r\nce-subject: saga-{id}\r\n\r\n{body}"
    );
    let mut socket = TcpStream::connect(to).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

async fn first(heard: &Heard, path: &str, wish: impl Fn(&Value) -> bool) -> (HeaderMap, Bytes) {
    let began = Instant::now();
    loop {
        for (at, headers, body) in heard.lock().expect("not poisoned").iter() {
            let value: Value = serde_json::from_slice(body).expect("JSON");
            if *at == path && wish(&value) {
                return (headers.clone(), body.clone());
            }
        }
        assert!(began.elapsed() < PATIENCE, "nothing of the kind came: {heard:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_cases_are_told_together_signed_and_with_a_way_to_them() {
    let (town, heard) = town().await;
    let folder = tempfile::tempdir().expect("a folder");
    let more = [("alerts.group_wait", "300ms")];
    let running = start(config(&folder, town, &more)).await.expect("started");
    for id in ["1", "2", "3"] {
        report(running.address, id, "failed").await;
    }
    let (headers, body) = first(&heard, "/hook", |m| m["type"] == "amends.case.stuck").await;
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    let data = &message["data"];
    assert_eq!(data["subject"], "compensate payment.pay");
    assert_eq!(data["rootReport"], "payment/failed");
    assert_eq!(data["rootMessage"], "no rider");
    assert!(data["lastError"].as_str().expect("text").contains("the account is closed"), "{data}");
    assert_eq!(data["cases"][0]["link"], "https://amends.example/cases/c-1");

    let id = headers["webhook-id"].to_str().expect("text");
    let seconds = headers["webhook-timestamp"].to_str().expect("text");
    let secret = STANDARD.decode(&KEY["whsec_".len()..]).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key");
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(&body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(headers["webhook-signature"], signature.as_str());

    let (_, chat) = first(&heard, "/chat", |m| m["text"].is_string()).await;
    let text: Value = serde_json::from_slice(&chat).expect("JSON");
    assert!(text["text"].as_str().expect("text").contains("stuck at `compensate payment.pay`"));
    running.stop().await.expect("ended in order");
    let stuck = |(path, _, body): &(&str, HeaderMap, Bytes)| {
        let value: Value = serde_json::from_slice(body).expect("JSON");
        *path == "/hook" && value["type"] == "amends.case.stuck"
    };
    let told = heard.lock().expect("not poisoned").iter().filter(|m| stuck(m)).count();
    assert_eq!(told, 1, "what came meanwhile waits for the next message of the group");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_without_a_rule_and_one_that_is_too_old_are_told() {
    let (town, heard) = town().await;
    let folder = tempfile::tempdir().expect("a folder");
    let more = [("alerts.group_wait", "10ms"), ("alerts.objective", "50ms")];
    let running = start(config(&folder, town, &more)).await.expect("started");
    report(running.address, "9", "something-else").await;
    let (_, body) = first(&heard, "/hook", |m| m["type"] == "amends.case.unmatched").await;
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(message["data"]["link"], "https://amends.example/cases/c-1");
    assert_eq!(message["data"]["sagaId"], "saga-9");
    let (_, body) = first(&heard, "/hook", |m| m["type"] == "amends.case.too_old").await;
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(message["data"]["count"], 1, "{message}");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_past_the_objective_of_its_rule_is_told_once_with_the_rule() {
    let (town, heard) = town().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(&folder, town, &[("alerts.group_wait", "10ms"), ("alerts.every", "10ms")]);
    let rules = folder.path().join("rules.yaml");
    let text = std::fs::read_to_string(&rules).expect("a file");
    let stated = "compensate: [payment.pay], objective: 50ms";
    std::fs::write(&rules, text.replace("compensate: [payment.pay]", stated)).expect("a file");
    let running = start(config).await.expect("started");
    report(running.address, "1", "failed").await;
    let late = |m: &Value| m["type"] == "amends.case.too_old";
    let (_, body) = first(&heard, "/hook", late).await;
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    let summary = message["data"]["summary"].as_str().expect("text");
    let said =
        "1 case open for longer than the objective of rule `payment/failed`: 50ms; opened at ";
    assert!(summary.starts_with(said), "{summary}");
    assert_eq!(message["data"]["link"], "https://amends.example/cases/c-1");
    // The next one is told by itself: the first is looked at again and again, and told once.
    report(running.address, "2", "failed").await;
    let second = |m: &Value| late(m) && m["data"]["cases"][0]["id"] == "c-2";
    let (_, body) = first(&heard, "/hook", second).await;
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(message["data"]["count"], 1, "{message}");
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_that_cannot_be_read_is_told_when_the_supervisor_starts() {
    let (town, heard) = town().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(&folder, town, &[("alerts.group_wait", "10ms")]);
    let running = start(config.clone()).await.expect("started");
    report(running.address, "1", "failed").await;
    first(&heard, "/hook", |m| m["type"] == "amends.case.stuck").await;
    running.stop().await.expect("ended in order");
    let file = folder.path().join("data").join(amends_store::FILE_NAME);
    let broken = "UPDATE cases SET memo = 'x'; UPDATE reports SET body = '{'";
    rusqlite::Connection::open(file).expect("opens").execute_batch(broken).expect("damaged");
    let running = start(config).await.expect("one row stops nothing");
    let (_, body) = first(&heard, "/hook", |m| m["type"] == "amends.case.quarantined").await;
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    let data = &message["data"];
    assert_eq!(data["link"], "https://amends.example/quarantine/c-1");
    let summary = data["summary"].as_str().expect("text");
    assert!(summary.starts_with("1 case quarantined: case `c-1`: "), "{summary}");
    running.stop().await.expect("ended in order");
}

#[test]
fn a_wrong_address_is_said_without_showing_it() {
    let mut layers = Layers::defaults();
    layers.flag("slack", "alerts.slack", "hooks.example/T000/secret");
    layers.flag("key", "alerts.signing_key", "nobody");
    let error = Config::from_layers(&layers).expect_err("wrong").to_string();
    assert!(error.contains("`alerts.slack`") && !error.contains("secret"), "{error}");
    assert!(error.contains("`alerts.signing_key` is \"nobody\""), "{error}");
    let shown = layers.shown();
    let (_, value, _) = shown.iter().find(|(key, ..)| key == "alerts.slack").expect("the key");
    assert_eq!(value, "\"(secret)\"");
}
