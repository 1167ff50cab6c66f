//! The stage of the stories: a payment service whose body says how it behaves, a client, a gate that holds handlers
//! back. Nothing here sleeps to wait for an event; it polls or is told.

use crate::base::Base;
use crate::supervisor::FakeSupervisor;
use amends_service::axum::body::Bytes;
use amends_service::axum::{Router, serve};
use amends_service::{
    ActionContext, Background, Effect, Failure, Kit, KitBuilder, KitConfig, Undo, reqwest,
};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::{Layer as _, ServiceExt as _};

/// Longest wait for anything; reached only when something is broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The payment service's own tables.
pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS ledger (saga TEXT NOT NULL, request TEXT NOT NULL, kind TEXT NOT NULL, amount BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS texts (saga TEXT NOT NULL, text TEXT NOT NULL);
";

/// A payment service that listens.
pub struct Service<B: Base> {
    pub kit: Kit<B>,
    pub url: String,
    pub controls: Arc<Controls>,
    pub place: B::Place,
    background: Option<Background>,
    server: tokio::task::JoinHandle<()>,
}

/// What a story can turn at the service, and see of it.
#[derive(Default)]
pub struct Controls {
    pub gate: Gate,
    pub refuses: AtomicBool,
    pub trips: AtomicBool,
    /// An undo only begins.
    pub later: AtomicBool,
    pub effects: AtomicU32,
    pub runs: Mutex<HashMap<String, u32>>,
    pub charged_outside: Mutex<HashSet<String>>,
}

impl Controls {
    /// What an undo does about requests that may have done something outside of the tables.
    pub fn look_outside(&self, undo: &Undo) {
        if self.later.load(Ordering::SeqCst) {
            undo.answer_later();
        }
        for request in &undo.uncertain {
            if self.charged_outside.lock().expect("whole").remove(&request.id) {
                undo.found_effect();
            }
        }
    }
}

impl<B: Base> Service<B> {
    pub async fn start() -> Self {
        Self::configured("payment", |_| {}).await
    }

    pub async fn reporting_to(supervisor: &FakeSupervisor) -> Self {
        let url = supervisor.url.clone();
        let mut service = Self::configured("payment", |config| config.supervisor = Some(url)).await;
        service.background();
        service
    }

    pub async fn configured(name: &str, change: impl FnOnce(&mut KitConfig)) -> Self {
        Self::at(&B::new_place().await, name, change).await
    }

    /// A new process at an old place.
    pub async fn at(place: &B::Place, name: &str, change: impl FnOnce(&mut KitConfig)) -> Self {
        let mut config = KitConfig::new(name);
        change(&mut config);
        Self::with(place, config, |builder| builder).await
    }

    /// The same, with whatever else the builder takes.
    pub async fn with(
        place: &B::Place,
        config: KitConfig,
        more: impl FnOnce(KitBuilder<B>) -> KitBuilder<B>,
    ) -> Self {
        let controls = Arc::new(Controls::default());
        let kit = more(builder(config, B::open(place).await, &controls)).build();
        let (url, server) = listen(kit.router()).await;
        Self { kit, url, controls, place: place.clone(), background: None, server }
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
        let query = "SELECT coalesce(sum(amount), 0), count(*) FROM ledger WHERE saga = '{saga}'";
        let row = self.ask(&query.replace("{saga}", saga)).await.remove(0);
        (row[0].parse().expect("a number"), row[1].parse().expect("a number"))
    }

    pub async fn texts(&self, saga: &str) -> i64 {
        let rows = self.ask(&format!("SELECT count(*) FROM texts WHERE saga = '{saga}'")).await;
        rows[0][0].parse().expect("a number")
    }

    /// Queries beside the kit, as an operator's shell makes them.
    pub async fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        B::ask(&self.place, sql).await
    }

    pub async fn tell(&self, sql: &str) {
        B::tell(&self.place, sql).await;
    }
}

/// The kit of the payment service.
pub fn build<B: Base>(config: KitConfig, store: B, controls: &Arc<Controls>) -> Kit<B> {
    builder(config, store, controls).build()
}

fn builder<B: Base>(config: KitConfig, store: B, controls: &Arc<Controls>) -> KitBuilder<B> {
    let paying = controls.clone();
    let builder = Kit::builder(config, store)
        .expect("good settings")
        .action("pay", move |context, body| pay(paying.clone(), context, body))
        .action("log", async |context: ActionContext<B>, _| Ok(B::logged(&context)));
    B::undoing(builder, controls)
}

async fn pay<B: Base>(
    controls: Arc<Controls>,
    context: ActionContext<B>,
    body: Value,
) -> Result<Effect<B>, Failure> {
    let run = {
        let mut runs = controls.runs.lock().expect("whole");
        let run = runs.entry(context.request_id().to_owned()).or_default();
        *run += 1;
        *run
    };
    if body["wait"] == true {
        controls.gate.pass().await;
    }
    for call in body["calls"].as_array().into_iter().flatten() {
        let result = make_call(&context, call).await;
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
    Ok(B::charge(&context, controls, body, run))
}

/// One call to another service, through the client that the story asks for.
async fn make_call<B: Base>(context: &ActionContext<B>, call: &Value) -> Result<(), Failure> {
    let text = |key: &str| call[key].as_str().unwrap_or_default();
    let (service, action) = (text("service"), text("action"));
    let (url, sent) = (format!("{}/{action}", text("url")), call["body"].to_string());
    let (status, answer) = match text("via") {
        "message" => {
            let message = context.message(service, action).await?;
            assert_eq!(message.headers()["request-id"], message.request_id());
            assert_eq!(message.headers()["saga-id"], context.saga().as_str());
            return Ok(());
        }
        "tower" => {
            let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
            let client = context.layer(service, action).layer(client);
            let request = Request::post(url).body(Full::new(Bytes::from(sent))).expect("a request");
            let answer = client.oneshot(request).await?;
            let status = answer.status().as_u16();
            (status, answer.into_body().collect().await.expect("whole").to_bytes())
        }
        "reqwest" => {
            let request = reqwest::Client::new().post(url).body(sent);
            let answer = context.send(service, action, request).await?;
            (answer.status().as_u16(), answer.bytes().await.expect("whole"))
        }
        _ => {
            return Ok(context
                .call(text("url"), service, action, &call["body"])
                .await
                .map(drop)?);
        }
    };
    match status {
        200 => Ok(()),
        // In its own words, without a cause.
        _ => {
            let failure = Failure::new(
                "own-words",
                format!("{status}: {}", String::from_utf8_lossy(&answer)),
            );
            Err(if call["uncaused"] == true { failure.uncaused() } else { failure })
        }
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
        "callback": { "proof": format!("p-{number}") },
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
