//! Strangers hold the API to its document: Schemathesis makes requests of every kind from it, and a client generated
//! from it plays the exchanges of the pages. Both are tools in Python, which `cargo xtask test` puts into
//! `crates/server/tests/document/.venv`; without them these tests fail and say so.

#[allow(dead_code, unused_imports)] // what compares the page with what happened is for its own test
mod wire;

use amends_server::config::Layers;
use amends_server::{Config, Running, openapi_json, start};
use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::{Happened, read_page, replay};

const API_PAGE: &str = include_str!("../../../docs/reference/api.md");
const PROTOCOL_PAGE: &str = include_str!("../../../docs/reference/protocol.md");

/// Requests to an operation in the phase of random ones; those that cover each rule of a schema come besides.
const EXAMPLES: &str = "8";
/// The same requests in every run, as long as the document is the same.
const SEED: &str = "20261129";
/// Random requests are made until so many seconds are over.
const BUDGET_S: &str = "60";
/// Of somebody who may do everything.
const ALL: &str = "3d1f5a7c9b8e6d4c2a0f1e3d5c7b9a8f-may-do-everything";
/// Of a service that has nothing to do with any of it.
const NEARLY_NOTHING: &str = "3d1f5a7c9b8e6d4c2a0f1e3d5c7b9a8f-reports-as-nobody";
/// What Schemathesis looks at.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,ignored_auth";

/// By somebody who may do everything: and nothing that wants a token is answered without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_the_answers_are_those_of_the_document() {
    let stage = Stage::guarded().await;
    stage.fill().await;
    stage.tried(&["--phases", "examples,coverage,fuzzing", "--checks", CHECKS], Some(ALL)).await;
    stage.running.stop().await.expect("it ends in order");
}

/// Whoever is not known gets 401 for whatever they send, and whoever holds too little 403.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_gets_nothing_but_401_and_403() {
    let stage = Stage::guarded().await;
    stage.fill().await;
    let revoked = stage.revoked_token().await;
    let tried = ["--phases", "examples,coverage", "--checks", "not_a_server_error"];
    for (who, token, own) in [
        ("nobody", None, 401),
        ("a stranger", Some("amends_9f86d0818840_not-one-of-yours"), 401),
        ("whose token was revoked", Some(revoked.as_str()), 401),
        ("another service", Some(NEARLY_NOTHING), 403),
    ] {
        let answers = stage.tried(&tried, token).await;
        let (mut judged, mut wrong) = (0, Vec::new());
        for Answer { method, path, status } in answers {
            let needed = needed(&method, &path);
            // Any service may report something, and is told what is wrong with it.
            let may_try =
                |scope: &String| own == 403 && (scope.is_empty() || scope.starts_with("report:"));
            if needed.is_none() || needed.as_ref().is_some_and(may_try) {
                continue;
            }
            judged += 1;
            // Among what is tried are other tokens and none.
            if status != own && status != 401 {
                wrong.push(format!("{method} {path}: {status}"));
            }
        }
        println!("{who}: {judged} requests that need something");
        assert!(judged > 500, "{who}: only {judged} requests");
        assert!(wrong.is_empty(), "{who}: {wrong:#?}");
    }
    let cases = stage.ask("GET /v1/cases", "").await;
    assert_eq!(cases.matches("\"sagaId\"").count(), 4, "a case has come of it: {cases}");
    stage.running.stop().await.expect("it ends in order");
}

/// What came back.
struct Answer {
    method: String,
    path: String,
    status: u16,
}

/// The scope that a request needs, by the document: an empty one for whoever is known; none for what is open to all,
/// and for what is not there.
fn needed(method: &str, path: &str) -> Option<String> {
    let document: &Value = {
        static DOCUMENT: OnceLock<Value> = OnceLock::new();
        DOCUMENT.get_or_init(|| serde_json::from_str(&openapi_json()).expect("JSON"))
    };
    let fits = |template: &str| {
        let (wanted, given): (Vec<_>, Vec<_>) =
            (template.split('/').collect(), path.split('/').collect());
        let same = |(w, g): (&&str, &&str)| w == g || (w.starts_with('{') && !g.is_empty());
        wanted.len() == given.len() && wanted.iter().zip(&given).all(same)
    };
    let paths = document["paths"].as_object().expect("paths");
    let exact = paths
        .get(path)
        .or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item));
    let security = &exact?.get(method.to_lowercase())?["security"];
    let scopes = security.get(0)?["token"].as_array()?;
    Some(scopes.first().and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_client_speaks_as_the_protocol_page_does() {
    let client = Client::generated().await;
    let happened = replay(read_page(PROTOCOL_PAGE)).await;
    let with_us = happened.iter().filter(|one| one.exchange.to == "supervisor");
    let exchanges: Vec<Value> = with_us.map(exchange_of).collect();
    assert!(exchanges.len() > 8, "the page has lost its exchanges with the supervisor");
    client.plays(&exchanges, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_client_does_what_the_api_page_shows() {
    let (client, stage) = (Client::generated().await, Stage::set().await);
    let exchanges = requests_of(API_PAGE);
    assert!(exchanges.len() > 40, "the page has lost its requests");
    client.plays(&exchanges, Some(&stage.url())).await;
    stage.running.stop().await.expect("it ends in order");
}

/// A supervisor whose services are never well, so that there is always something to look at.
struct Stage {
    running: Running,
    folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        Self::with("").await
    }

    /// Where whoever comes must be known.
    async fn guarded() -> Self {
        Self::with("[access]\nrequired = \"on\"\n").await
    }

    async fn with(access: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let services = listener.local_addr().expect("bound");
        let router = Router::new().fallback(|uri: Uri| async move {
            // One refuses for good, the other is never well.
            let refuses = uri.path().ends_with("/redeem");
            if refuses { StatusCode::CONFLICT } else { StatusCode::SERVICE_UNAVAILABLE }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().expect("a folder");
        let rules = format!(
            "rulebook: food-order
services:
  order: {{ actions: {{ place: {{ effect: none, calls: [payment.pay, coupon.redeem] }} }} }}
  payment:
    url: \"http://{services}\"
    actions: {{ pay: {{ compensation: refund }} }}
  coupon:
    url: \"http://{services}\"
    actions:
      redeem:
        compensation: restore
        endpoints: {{ compensate: {{ method: POST, path: /redeem, refused: [409] }} }}
rules:
  - {{ on: \"*/*\", compensate: recorded }}
"
        );
        std::fs::write(folder.path().join("rules.yaml"), rules).expect("a file");
        let running = start(config(folder.path(), access)).await.expect("it starts");
        Self { running, folder }
    }

    /// Something of everything.
    async fn fill(&self) {
        for (n, saga) in ["order-1", "order-2", "order-3", "order-4"].into_iter().enumerate() {
            self.report(saga, n).await;
        }
    }

    /// Lets Schemathesis try everything with this token; gives what came back.
    async fn tried(&self, how: &[&str], token: Option<&str>) -> Vec<Answer> {
        let kept = self.folder.path().join("answers.har");
        std::fs::write(self.folder.path().join("openapi.json"), openapi_json()).expect("a file");
        let mut command = tool("schemathesis");
        command
            // Whoever shows a token that is none is told nothing, not even this.
            .args(["run", "openapi.json", "--url", &self.url(), "--no-color"])
            .args(["--seed", SEED, "--max-examples", EXAMPLES, "--max-time", BUDGET_S])
            .args(how)
            .args(["--continue-on-failure", "--warnings", "off"])
            .arg("--report-har-path")
            .arg(&kept)
            .current_dir(self.folder.path());
        if let Some(token) = token {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let (output, told) = run(command).await;
        let figures: Vec<&str> = told.lines().filter(|line| line.contains("generated")).collect();
        println!("schemathesis: {}", figures.join("; "));
        assert!(output.status.success(), "{told}");
        assert!(!figures.is_empty(), "nothing was generated:\n{told}");
        let kept = std::fs::read(&kept).expect("a file of what came back");
        let kept: Value = serde_json::from_slice(&kept).expect("JSON");
        let entries = kept["log"]["entries"].as_array().expect("entries");
        entries.iter().filter_map(|entry| self.answer(entry)).collect()
    }

    fn answer(&self, entry: &Value) -> Option<Answer> {
        let url = entry["request"]["url"].as_str()?;
        let path = url.strip_prefix(&self.url())?.split(['?', '#']).next()?;
        Some(Answer {
            method: entry["request"]["method"].as_str()?.to_owned(),
            path: path.to_owned(),
            status: entry["response"]["status"].to_string().parse().ok()?,
        })
    }

    /// A token that worked.
    async fn revoked_token(&self) -> String {
        let body = json!({ "name": "gone", "grants": ["admin"] }).to_string();
        let made = self.ask("POST /v1/tokens", &body).await;
        let made: Value =
            serde_json::from_str(made.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
        let id = made["id"].as_str().expect("an id");
        self.ask(&format!("DELETE /v1/tokens/{id}"), "").await;
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Asked by who may do everything.
    async fn ask(&self, line: &str, body: &str) -> String {
        let request = format!(
            "{line} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer {ALL}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.running.address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        answer
    }

    fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// A report of two requests that took effect.
    async fn report(&self, saga: &str, number: usize) {
        let body = json!({
            "code": "no-rider", "action": "place", "message": "no rider",
            "data": { "amount": 12.50 },
            "history": [
                { "service": "coupon", "action": "redeem", "requestId": "q-1", "state": "succeeded" },
                { "service": "payment", "action": "pay", "requestId": "q-2", "state": "succeeded" },
            ],
        });
        let body = body.to_string();
        let request = format!(
            "POST /v1/reports HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
             ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-source: order\r\nce-id: r-{number}\r\n\
             ce-subject: {saga}\r\nauthorization: Bearer {ALL}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.running.address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    }
}

fn config(folder: &Path, access: &str) -> Config {
    let mut layers = Layers::defaults();
    let path = |name: &str| folder.join(name).display().to_string();
    let token = |name: &str, grants: &str, token: &str| {
        std::fs::write(folder.join(name), token).expect("a file");
        for_its_owner(&folder.join(name));
        format!("{name} = {{ file = \"{}\", grants = {grants} }}\n", path(name))
    };
    let tokens = [
        token("all", "[\"admin\", \"report:*\"]", ALL),
        token("nearly-nothing", "[\"report:nobody\"]", NEARLY_NOTHING),
    ];
    // No stream of events has an end, so none is begun; what is wrong with a request for one is told. How often
    // somebody may ask is tried elsewhere.
    let text =
        format!("{access}[limits]\nevent_streams = 0\nrequests = 0\n[tokens]\n{}", tokens.concat());
    layers.file(Path::new("amends.toml"), &text).expect("a valid file");
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &path("data"));
    layers.flag("rules", "rules", &path("rules.yaml"));
    layers.flag("grace", "shutdown.grace", "2s");
    Config::from_layers(&layers).expect("a valid configuration")
}

#[cfg(unix)]
fn for_its_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

#[cfg(not(unix))]
fn for_its_owner(_: &Path) {}

/// A client that was generated from the document just now.
struct Client {
    folder: TempDir,
}

impl Client {
    async fn generated() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("openapi.json"), openapi_json()).expect("a file");
        let mut command = tool("openapi-python-client");
        command
            .args(["generate", "--meta", "none", "--path"])
            .arg(at("openapi.json"))
            .arg("--config")
            .arg(here("client.yaml"))
            .arg("--output-path")
            .arg(at("amends_client"));
        let (output, told) = run(command).await;
        assert!(output.status.success(), "{told}");
        assert!(!told.contains("Unable to"), "the generator leaves something out:\n{told}");
        assert!(!told.contains("Warning(s)"), "the generator leaves something out:\n{told}");
        for operation in ["reports/report", "rulebooks/check_rulebook", "rulebooks/put_rulebook"] {
            mend(&at("amends_client/api").join(operation).with_extension("py"));
        }
        Self { folder }
    }

    /// Fails unless its types hold every request and every answer.
    async fn plays(&self, exchanges: &[Value], url: Option<&str>) {
        let at = |name: &str| self.folder.path().join(name);
        std::fs::write(at("exchanges.json"), json!(exchanges).to_string()).expect("a file");
        let mut command = tool("python");
        command
            .arg("-B")
            .arg(here("play.py"))
            .arg(self.folder.path())
            .arg(at("openapi.json"))
            .arg(at("exchanges.json"))
            .args(url);
        let (output, told) = run(command).await;
        println!("generated client: {}", told.lines().last().unwrap_or_default());
        assert!(output.status.success(), "{told}");
    }
}

/// The generator asks `isinstance(body, list[X])` and `isinstance(body, Any)`, which Python refuses: a list, and bytes
/// of any kind, are meant.
fn mend(operation: &Path) {
    let text = std::fs::read_to_string(operation).expect("an operation of ours");
    let mended = text
        .replace("isinstance(body, list[ReportEvent])", "isinstance(body, list)")
        .replace("isinstance(body, Any)", "isinstance(body, bytes)");
    std::fs::write(operation, mended).expect("a file of ours");
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/document").join(name)
}

/// A program of the environment that the test command makes.
fn tool(name: &str) -> Command {
    let path = here(".venv/bin").join(name);
    assert!(
        path.exists(),
        "there is no {}: run `cargo xtask test`, which installs it",
        path.display()
    );
    Command::new(path)
}

async fn run(mut command: Command) -> (Output, String) {
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = ended.await.expect("no panic").expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    (output, told)
}

/// An exchange that took place, for the client.
fn exchange_of(one: &Happened) -> Value {
    let shown = &one.exchange.request;
    let (start, body, headers) = match &one.request {
        Some(sent) => (&sent.start, text_of(&sent.body), &sent.headers),
        None => (&shown.start, shown.text.clone(), &shown.headers),
    };
    let (method, target) = start.split_once(' ').expect("method and path");
    json!({
        "line": one.exchange.line, "method": method, "target": target, "headers": texts(headers), "body": body,
        "answer": {
            "status": one.answer.start.parse::<u16>().expect("a status"),
            "headers": texts(&one.answer.headers),
            "body": one.answer.body,
        },
    })
}

fn text_of(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

fn texts(headers: &http::HeaderMap) -> Value {
    let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
    let member = |(name, value): (&http::HeaderName, _)| {
        (name.as_str().to_owned(), Value::String(text(value)))
    };
    headers.iter().map(member).collect()
}

/// The requests that a page makes with curl. Two are made otherwise: a rulebook goes as JSON, since a generated client
/// has no YAML, and what comes from another program is an example of it.
fn requests_of(page: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let (mut line, mut inside) = (0, None);
    let mut command = String::new();
    for text in page.lines() {
        line += 1;
        match (text.strip_prefix("```"), inside) {
            (Some("sh"), None) => inside = Some(line),
            (Some(_), Some(_)) => {
                inside = None;
                all.extend(request_of(&std::mem::take(&mut command), line));
            }
            (None, Some(_)) => {
                if text.starts_with("curl ") || text.starts_with("amends ") {
                    all.extend(request_of(&std::mem::take(&mut command), line));
                }
                command.push_str(text.strip_suffix('\\').unwrap_or(text));
                command.push('\n');
            }
            _ => {}
        }
    }
    // It never ends.
    all.retain(|one| {
        !one["target"].as_str().is_some_and(|target| target.starts_with("/v1/events"))
    });
    all
}

fn request_of(command: &str, line: usize) -> Option<Value> {
    let words = words(command);
    let mut words = words.iter().map(String::as_str).skip_while(|word| *word != "curl").skip(1);
    let (mut method, mut target, mut body) = (None, None, String::new());
    let mut headers = serde_json::Map::new();
    while let Some(word) = words.next() {
        match word {
            "-H" => {
                let (name, value) = words.next()?.split_once(':').expect("a header");
                headers.insert(name.to_owned(), value.trim().into());
            }
            "-X" => method = words.next(),
            "-d" | "--data-binary" => body = words.next()?.to_owned(),
            word if word.starts_with("http://") => {
                target = Some(word.strip_prefix("http://127.0.0.1:7100")?.to_owned());
            }
            ">" | "|" => break,
            _ => {}
        }
    }
    match body.as_str() {
        "@food-order.yaml" => {
            let text = "rulebook: food-order\nrules: []\n";
            body = json!({ "sources": [{ "path": "food-order.yaml", "text": text }] }).to_string();
            headers.insert("content-type".to_owned(), "application/json".into());
        }
        "@-" => body = json!({ "act": "repair", "reason": "mended", "rows": [] }).to_string(),
        _ => {}
    }
    let method = method.unwrap_or(if body.is_empty() { "GET" } else { "POST" });
    Some(
        json!({ "line": line, "method": method, "target": target?, "headers": headers, "body": body }),
    )
}

/// The words of a command as a shell reads them; only what the page uses.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words
}
