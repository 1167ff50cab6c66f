//! The stage of the stories: a payment service whose body says how it behaves, a client, a gate that holds handlers
//! back. Nothing here sleeps to wait for an event; it polls or is told.

use crate::supervisor::Supervisor;
use amends_service::axum::body::Bytes;
use amends_service::axum::{Router, serve};
use amends_service::rusqlite::{Connection, Transaction, params};
use amends_service::{
    ActionContext, Background, Effect, Failure, Kit, KitConfig, Notice, Refusal, Undo,
};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Longest wait for anything; reached only when something is broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The payment service's own tables.
pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS ledger (saga TEXT NOT NULL, request TEXT NOT NULL, kind TEXT NOT NULL, amount INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS texts (saga TEXT NOT NULL, text TEXT NOT NULL);
";

/// A payment service that listens.
pub struct Service {
    pub kit: Kit,
    pub url: String,
    pub desk: Arc<Desk>,
    pub database: PathBuf,
    background: Option<Background>,
    server: tokio::task::JoinHandle<()>,
    _folder: Arc<TempDir>,
}

/// What a story can turn at the service, and see of it.
#[derive(Default)]
pub struct Desk {
    pub gate: Gate,
    pub refuses: AtomicBool,
    pub trips: AtomicBool,
    pub effects: AtomicU32,
    pub runs: Mutex<HashMap<String, u32>>,
    pub charged_outside: Mutex<HashSet<String>>,
}

impl Service {
    pub async fn start() -> Self {
        Self::configured("payment", |_| {}).await
    }

    pub async fn reporting_to(supervisor: &Supervisor) -> Self {
        let url = supervisor.url.clone();
        let mut service = Self::configured("payment", |config| config.supervisor = Some(url)).await;
        service.background();
        service
    }

    pub async fn configured(name: &str, change: impl FnOnce(&mut KitConfig)) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        Self::in_folder(name, folder, change).await
    }

    pub async fn in_folder(
        name: &str,
        folder: Arc<TempDir>,
        change: impl FnOnce(&mut KitConfig),
    ) -> Self {
        let database = folder.path().join(format!("{name}.sqlite"));
        let mut config = KitConfig::new(name, &database);
        config.schema = SCHEMA;
        change(&mut config);
        let desk = Arc::new(Desk::default());
        let kit = build(config, &desk);
        let (url, server) = listen(kit.router()).await;
        Self { kit, url, desk, database, background: None, server, _folder: folder }
    }

    pub fn background(&mut self) {
        self.background = Some(self.kit.spawn_background());
    }

    /// Ends the process, as far as one process can.
    pub async fn stop(mut self) {
        self.server.abort();
        if let Some(background) = self.background.take() {
            background.stop().await;
        }
    }

    pub async fn pay(&self, saga: &str, request: &str, body: &Value) -> Answer {
        self.act("pay", saga, request, body).await
    }

    pub async fn act(&self, action: &str, saga: &str, request: &str, body: &Value) -> Answer {
        let named = [("saga-id", saga), ("request-id", request)];
        send(&format!("{}/{action}", self.url), &named, body).await
    }

    pub async fn step(&self, verb: &str, action: &str, saga: &str, number: u32) -> Answer {
        let body = step_body(self.kit.service(), action, saga, number);
        let key = format!("\"{}\"", body["stepId"].as_str().expect("text"));
        let url = format!("{}/amends/v1/{verb}/{action}", self.url);
        send(&url, &[("idempotency-key", &key)], &body).await
    }

    pub async fn history(&self, saga: &str) -> Vec<(String, String)> {
        let url = format!("{}/amends/v1/history/{saga}", self.url);
        let answer = exchange(Request::get(url), String::new()).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let entries = answer.body["entries"].as_array().expect("a list");
        entries
            .iter()
            .map(|entry| {
                let action = entry["action"].as_str().expect("text");
                let name = match entry["service"].as_str() {
                    Some(service) => format!("{service}.{action}"),
                    None => action.to_owned(),
                };
                (name, entry["state"].as_str().expect("text").to_owned())
            })
            .collect()
    }

    /// The sum and number of the ledger's entries about one saga.
    pub async fn ledger(&self, saga: &str) -> (i64, i64) {
        let saga = saga.to_owned();
        let query = "SELECT coalesce(sum(amount), 0), count(*) FROM ledger WHERE saga = ?1";
        self.kit
            .read(move |c| c.query_row(query, [saga], |row| Ok((row.get(0)?, row.get(1)?))))
            .await
            .expect("readable")
    }

    pub async fn texts(&self, saga: &str) -> i64 {
        let saga = saga.to_owned();
        let query = "SELECT count(*) FROM texts WHERE saga = ?1";
        self.kit
            .read(move |c| c.query_row(query, [saga], |row| row.get(0)))
            .await
            .expect("readable")
    }

    /// A connection beside the kit's, as an operator's shell has one.
    pub fn shell(&self) -> Connection {
        Connection::open(&self.database).expect("opens")
    }
}

/// The kit of the payment service.
pub fn build(config: KitConfig, desk: &Arc<Desk>) -> Kit {
    let (paying, undoing, sending) = (desk.clone(), desk.clone(), desk.clone());
    Kit::open(config)
        .expect("opens")
        .action("pay", move |context, body| pay(paying.clone(), context, body))
        .compensation("pay", move |tx, undo| refund(&undoing, tx, undo))
        .action(
            "log",
            async |context: ActionContext, _| Ok(context.effect(|_| Ok(json!("logged")))),
        )
        .notice("send-receipt", move |tx, notice| send_receipt(&sending, tx, notice))
        .build()
}

async fn pay(desk: Arc<Desk>, context: ActionContext, body: Value) -> Result<Effect, Failure> {
    let run = {
        let mut runs = desk.runs.lock().expect("whole");
        let run = runs.entry(context.request_id().to_owned()).or_default();
        *run += 1;
        *run
    };
    if body["wait"] == true {
        desk.gate.pass().await;
    }
    for call in body["calls"].as_array().into_iter().flatten() {
        let text = |key: &str| call[key].as_str().unwrap_or_default();
        let result =
            context.call(text("url"), text("service"), text("action"), &call["body"]).await;
        if call["tolerated"] != true {
            result?;
        }
    }
    assert!(body["panic"] != "handler", "the handler tripped");
    if let Some(code) = body["fail"].as_str()
        && u64::from(run) <= body["fail_runs"].as_u64().unwrap_or(u64::MAX)
    {
        let message = body["message"].as_str().unwrap_or("no money");
        let mut failure =
            Failure::new(code, message).status(402).with("amount", body["amount"].clone());
        let causes = body["causes"].as_array().into_iter().flatten();
        failure.caused_by.extend(causes.filter_map(|id| id.as_str().map(str::to_owned)));
        return Err(match body["unsure"] == true {
            true => failure.effect_unknown(),
            false => failure,
        });
    }
    let (saga, request) = (context.saga().to_string(), context.request_id().to_owned());
    Ok(context.effect(move |tx| {
        desk.effects.fetch_add(1, Ordering::SeqCst);
        let amount = body["amount"].as_i64().unwrap_or(10);
        tx.execute(
            "INSERT INTO ledger VALUES (?1, ?2, 'charge', ?3)",
            params![saga, request, amount],
        )?;
        assert!(body["panic"] != "effect", "the effect tripped");
        match body["fail_in_effect"].as_str() {
            Some(code) => Err(Failure::new(code, "the ledger says no")),
            None => Ok(json!({ "charged": amount, "run": run })),
        }
    }))
}

fn refund(desk: &Desk, tx: &Transaction<'_>, undo: &Undo<'_>) -> Result<(), Refusal> {
    for request in undo.requests {
        let amount = request.answer["charged"].as_i64().unwrap_or(0);
        let row = params![undo.saga.as_str(), request.id, -amount];
        tx.execute("INSERT INTO ledger VALUES (?1, ?2, 'refund', ?3)", row)?;
    }
    for request in undo.uncertain {
        if desk.charged_outside.lock().expect("whole").remove(&request.id) {
            undo.found_effect();
        }
    }
    assert!(!desk.trips.load(Ordering::SeqCst), "the undo tripped");
    match desk.refuses.load(Ordering::SeqCst) {
        true => Err(Refusal::new("the month is closed")),
        false => Ok(()),
    }
}

fn send_receipt(desk: &Desk, tx: &Transaction<'_>, notice: &Notice<'_>) -> Result<(), Refusal> {
    let text = format!("{} requests, {}", notice.requests.len(), notice.report.code);
    tx.execute("INSERT INTO texts VALUES (?1, ?2)", params![notice.saga.as_str(), text])?;
    match desk.refuses.load(Ordering::SeqCst) {
        true => Err(Refusal::try_later("the gateway sleeps")),
        false => Ok(()),
    }
}

/// Holds handlers back until the story lets them go on.
pub struct Gate {
    reached: watch::Sender<u32>,
    permits: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self { reached: watch::channel(0).0, permits: Semaphore::new(0) }
    }
}

impl Gate {
    async fn pass(&self) {
        self.reached.send_modify(|count| *count += 1);
        self.permits.acquire().await.expect("never closed").forget();
    }

    pub async fn reached(&self, count: u32) {
        let mut seen = self.reached.subscribe();
        let wait = seen.wait_for(|reached| *reached >= count);
        tokio::time::timeout(DEADLINE, wait)
            .await
            .expect("a handler comes to the gate")
            .expect("open");
    }

    pub fn open(&self, count: usize) {
        self.permits.add_permits(count);
    }
}

/// Serves on a port that the system picks.
pub async fn listen(router: Router) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = tokio::spawn(async move { serve(listener, router).await.expect("serves") });
    (url, server)
}

/// An HTTP answer, read to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// The last part of the problem's type.
    pub fn problem(&self) -> &str {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        self.body["type"].as_str().and_then(|t| t.rsplit('/').next()).expect("a type")
    }

    pub fn outcome(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        self.body["outcome"].as_str().expect("an outcome")
    }
}

pub async fn send(url: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = headers
        .iter()
        .fold(Request::post(url), |request, (name, value)| request.header(*name, *value));
    exchange(request, body.to_string()).await
}

pub async fn exchange(request: http::request::Builder, body: String) -> Answer {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    let answer = tokio::time::timeout(DEADLINE, client.request(request))
        .await
        .expect("in time")
        .expect("an answer");
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.expect("whole").to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

pub fn step_body(service: &str, action: &str, saga: &str, number: u32) -> Value {
    json!({
        "sagaId": saga,
        "caseId": "c-1",
        "stepId": format!("s-1-{number}-00000000000000aa"),
        "attempt": 1,
        "action": format!("{service}.{action}"),
        "report": { "service": "payment", "code": "report-1", "id": "rep-1" },
    })
}

/// Polls until it holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
