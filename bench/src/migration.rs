//! A store in which work is under way is moved from its folder into PostgreSQL, and goes on there: a real supervisor
//! before and after, killed in between; real, small services, which remember under which keys they were asked.

use crate::postgres::Database;
use crate::store_fill::{self, Past};
use crate::wire::Connection;
use crate::{start, store_folder};
use amends_store::{PostgresOptions, StoreMoved, move_store};
use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// Nothing may take longer than this.
const LIMIT: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is moved.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub settled: u64,
    pub open: u64,
    pub in_flight: u64,
    pub accepted: u64,
}

/// The bank is away until the store has moved, the vault takes requests and does not answer, the clerk takes its time.
/// Cases of the past were answered by the first rule.
fn rules(address: &str, at_once: u64) -> String {
    let service = |name: &str, action: &str| {
        format!(
            "  {name}: {{ url: \"{address}\", concurrency: {at_once}, actions: {{ {action}: {{ compensation: undo, \
             retry_policy: {{ timeout: 10m }} }} }} }}\n"
        )
    };
    let services = [
        service("bank", "pay"),
        service("depot", "reserve"),
        service("post", "send"),
        service("stamp", "give"),
        service("vault", "lock"),
        service("clerk", "file"),
    ];
    format!(
        "rulebook: past\nsettle: {{ quiet: 1s }}\nservices:\n  shop:\n    actions:\n      sell: {{ effect: none, calls: \
         [\"bank.pay?\", \"depot.reserve?\", \"post.send?\", \"stamp.give?\", \"vault.lock?\", \"clerk.file?\"] }}\n{}\
         rules:\n  - {{ on: \"shop/*\", compensate: [bank.pay, depot.reserve, post.send, stamp.give] }}\n  \
         - {{ on: shop/held, compensate: [vault.lock] }}\n  - {{ on: shop/late, compensate: [clerk.file] }}\n",
        services.concat()
    )
}

/// A request for a step, as often as it came.
#[derive(Clone, Debug, Default)]
struct Asked {
    action: String,
    keys: BTreeSet<String>,
    times: u64,
    proof: String,
}

/// All services, at one address.
#[derive(Debug, Default)]
struct Services {
    /// The store has moved.
    is_back: AtomicBool,
    by_step: Mutex<BTreeMap<String, Asked>>,
}

impl Services {
    fn of(&self, action: &str) -> BTreeMap<String, Asked> {
        let all = self.by_step.lock().unwrap_or_else(PoisonError::into_inner);
        let of_action = all.iter().filter(|(_, asked)| asked.action == action);
        of_action.map(|(step, asked)| (step.clone(), asked.clone())).collect()
    }
}

async fn take(
    State(services): State<Arc<Services>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // They have never kept a History.
    if method == Method::GET {
        return StatusCode::NOT_FOUND.into_response();
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let action = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    {
        let mut all = services.by_step.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = all.entry(text(&body["stepId"])).or_default();
        asked.keys.insert(key.to_owned());
        asked.times += 1;
        asked.proof = text(&body["callback"]["proof"]);
        asked.action.clone_from(&action);
    }
    match (action.as_str(), services.is_back.load(Ordering::SeqCst)) {
        ("pay", false) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        ("lock", false) => std::future::pending().await,
        ("file", _) => StatusCode::ACCEPTED.into_response(),
        _ => {
            let answer = json!({ "outcome": "compensated", "history": [] }).to_string();
            ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
        }
    }
}

/// Does all of it, and fails where anything is not as it must be.
pub async fn run(options: Options) -> anyhow::Result<Value> {
    let Options { settled, open, in_flight, accepted } = options;
    let folder = store_folder()?;
    let (data, database) = (folder.path().join("data"), Database::start());
    let services = Arc::new(Services::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let app = Router::new().fallback(take).with_state(Arc::clone(&services));
    let served = tokio::spawn(async move { axum::serve(listener, app).await });

    let rules = rules(&address, 64.max(in_flight + 1));
    store_fill::run(&data, Past { settled, open, refused: None, rules: rules.clone() }).await?;
    std::fs::write(folder.path().join("rules.yaml"), rules)?;
    under_way(folder.path(), &services, options).await?;
    eprintln!("killed; moving …");
    let (moved, took) = moved(&data, &database).await?;
    eprintln!("moved; going on there …");
    services.is_back.store(true, Ordering::SeqCst);
    std::fs::write(folder.path().join("amends.toml"), database.configuration())?;
    let after = goes_on(folder.path(), &services, options).await?;
    served.abort();

    let rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
    let table = |table: &amends_store::TableMoved| json!({ "name": table.name, "rows": table.rows, "digest": table.digest });
    #[allow(clippy::cast_precision_loss)] // rows of a store
    let per_second = (rows as f64 / took.as_secs_f64()).round();
    Ok(json!({
        "settled": settled, "open": open, "inFlight": in_flight, "accepted": accepted,
        "postgres": database.version(),
        "move": { "seconds": took.as_secs_f64(), "rows": rows, "rowsPerSecond": per_second,
            "tables": moved.tables.iter().map(table).collect::<Vec<_>>() },
        "after": after,
    }))
}

/// Moves the store, with each table compared on both sides.
async fn moved(data: &Path, database: &Database) -> anyhow::Result<(StoreMoved, Duration)> {
    let (from, to) = (data.to_owned(), PostgresOptions::new(&database.address, "mover"));
    let began = Instant::now();
    let moved = tokio::task::spawn_blocking(move || move_store(&from, &to, |_| {})).await??;
    Ok((moved, began.elapsed()))
}

/// Has a supervisor ask for what is to be under way, and kills it then.
async fn under_way(folder: &Path, services: &Services, options: Options) -> anyhow::Result<()> {
    std::fs::write(folder.join("amends.toml"), "")?;
    let (mut child, url) = start(folder, &["reading"]).await?;
    let mut api = Api::of(&url).await?;
    for n in 1..=options.accepted {
        api.report(&format!("late-{n}"), "late").await?;
    }
    until("all are taken with 202", async || {
        let list = api.get("/v1/steps?state=accepted&limit=500").await?;
        let taken = list["items"].as_array().context("a list")?.len();
        Ok(taken as u64 >= options.accepted.min(500))
    })
    .await?;
    for n in 1..=options.in_flight {
        api.report(&format!("held-{n}"), "held").await?;
    }
    until("all are in flight", async || Ok(services.of("lock").len() as u64 >= options.in_flight))
        .await?;
    until("the bank was asked", async || Ok(options.open == 0 || !services.of("pay").is_empty()))
        .await?;
    child.kill().await?; // without a last word
    Ok(())
}

/// A supervisor on the database: everything that was under way comes to its end there.
async fn goes_on(folder: &Path, services: &Services, options: Options) -> anyhow::Result<Value> {
    let before = services.of("lock");
    let began = Instant::now();
    let (mut child, url) = start(folder, &["reading"]).await?;
    let mut api = Api::of(&url).await?;
    let start_seconds = began.elapsed().as_secs_f64();
    let late = services.of("file");
    for (step, asked) in &late {
        let outcome = json!({ "outcome": "compensated", "proof": asked.proof });
        let path = format!("/v1/steps/{step}/outcome");
        let answer = api.post(&path, &outcome.to_string(), "").await?;
        ensure!(answer.contains(" 204 "), "a callback from before is answered `{answer}`");
    }
    let all = options.settled + options.open + options.in_flight + options.accepted;
    until("all cases are settled", async || {
        // Open cases and settled ones are counted one after the other: the sum is true once nothing is open.
        let cases = api.get("/v1/overview").await?["cases"].clone();
        let states = cases.as_object().context("an overview has cases")?;
        let sum: u64 = states.values().filter_map(Value::as_u64).sum();
        Ok(cases["settled"] == all && sum == all)
    })
    .await?;
    let settled_seconds = began.elapsed().as_secs_f64();
    let held = services.of("lock");
    ensure!(
        held.keys().eq(before.keys()),
        "asked for before and after are not the same steps: {before:?}, {held:?}"
    );
    for (step, asked) in &held {
        ensure!(asked.times > before[step].times, "`{step}` was in flight and is not asked again");
    }
    ensure!(services.of("file").values().all(|asked| asked.times == 1), "a 202 was not waited for");
    let by_step = services.by_step.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let changed = by_step.values().filter(|asked| asked.keys.len() != 1).count();
    ensure!(changed == 0, "{changed} steps were asked for under two keys");
    drop(child.stdin.take());
    child.wait().await?;
    Ok(json!({
        "startSeconds": start_seconds, "allSettledSeconds": settled_seconds, "cases": all,
        "callbacksTaken": late.len(), "askedAgainUnderTheSameKey": held.len(), "stepsAsked": by_step.len(),
    }))
}

/// Asks again until it is so.
async fn until(
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !is_so().await? {
        ensure!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// A supervisor's API.
struct Api {
    connection: Connection,
    host: String,
}

impl Api {
    async fn of(url: &str) -> anyhow::Result<Self> {
        let host = url.trim_start_matches("http://").to_owned();
        let connection = Connection::new(TcpStream::connect(&host).await?)?;
        Ok(Self { connection, host })
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.connection.send(request.as_bytes()).await?;
        let answer = self.connection.read().await?.context("the connection was closed")?;
        ensure!(answer.first_line.contains(" 200 "), "`{path}` answers `{}`", answer.first_line);
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// The first line of the answer.
    async fn post(&mut self, path: &str, body: &str, headers: &str) -> anyhow::Result<String> {
        let Self { host, .. } = self;
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.connection.send(request.as_bytes()).await?;
        Ok(self.connection.read().await?.context("the connection was closed")?.first_line)
    }

    async fn report(&mut self, saga: &str, code: &str) -> anyhow::Result<()> {
        let headers = format!(
            "ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: {saga}\r\nce-source: shop\r\nce-subject: {saga}\r\n"
        );
        let body = json!({ "code": code, "action": "sell" }).to_string();
        let answer = self.post("/v1/reports", &body, &headers).await?;
        ensure!(answer.contains(" 202 "), "a report is answered `{answer}`");
        Ok(())
    }
}
