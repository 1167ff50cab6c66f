//! What the stories of reports by brokers share: a supervisor's configuration, events, and what has become of them.

#![allow(dead_code)] // each test file uses its own part

pub mod away;

use amends_protocol::{Problem, Report, SagaId};
use amends_server::config::Layers;
use amends_server::{Config, Running};
use amends_store::{Archive as _, CaseFilter, PageRequest, Rejected as _, RejectedFilter};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a story waits. Generous: it only matters when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The configuration of a supervisor, whose store is a folder of this name, with the rulebook of the folder if there is
/// one.
pub fn configured(folder: &Path, name: &str, text: &str) -> Config {
    let mut layers = Layers::defaults();
    layers.file(Path::new("a.toml"), text).expect("a file");
    let rules = folder.join("rules.yaml");
    if rules.exists() {
        layers.flag("rules", "rules", &rules.display().to_string());
    }
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &folder.join(name).display().to_string());
    Config::from_layers(&layers).expect("a valid configuration")
}

/// Somebody else writes into a supervisor's store, as a backup tool of the wrong kind would: no commit of ours goes
/// through until it is dropped.
pub fn take_away(folder: &Path, name: &str) -> Connection {
    let other = Connection::open(folder.join(name).join("amends.sqlite")).expect("opened");
    other.busy_timeout(PATIENCE).expect("set");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is ours alone");
    other
}

pub fn event(source: &str, n: usize) -> Value {
    json!({
        "specversion": "1.0", "type": "dev.amends.report.v1", "source": source, "id": format!("r-{n}"),
        "subject": format!("o-{n}"), "data": { "code": "failed" },
    })
}

/// The sagas that have a case, in their order; one that has two is there twice.
pub async fn sagas(running: &Running) -> Vec<String> {
    let (mut all, mut page) = (Vec::new(), Some(PageRequest::first(500)));
    while let Some(request) = page {
        let found =
            running.supervisor.store().cases(CaseFilter::default(), request).await.expect("lists");
        all.extend(found.items.iter().map(|listed| listed.case.saga.as_str().to_owned()));
        page = found
            .next
            .map(|cursor| PageRequest { cursor: Some(cursor), ..PageRequest::first(500) });
    }
    all.sort_by_key(|saga| saga[2..].parse::<usize>().unwrap_or(usize::MAX));
    all
}

pub fn named(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("o-{n}")).collect()
}

/// Rejected messages in the order of their places: place, and what is wrong.
pub async fn rejected(running: &Running) -> Vec<(String, String)> {
    let store = running.supervisor.store();
    let page = store.rejected(RejectedFilter::default(), PageRequest::first(50)).await;
    let rows = page.expect("lists").items.into_iter().map(|listed| listed.row);
    let mut found: Vec<_> = rows.map(|row| (row.id, row.detail)).collect();
    // By the number in its stream or partition, which stands before the time.
    found.sort_by_key(|(place, _)| {
        let (lies, _) = place.split_once('@').unwrap_or_default();
        lies.rsplit('/').next().and_then(|number| number.parse::<u64>().ok())
    });
    found
}

/// One report over HTTP: whether it was known.
pub async fn over_http(running: &Running, n: usize) -> bool {
    try_over_http(running, n).await.expect("taken")
}

/// The same, where it may be refused.
pub async fn try_over_http(running: &Running, n: usize) -> Result<bool, Problem> {
    let report = Report {
        id: format!("r-{n}"),
        source: "payment".to_owned(),
        saga_id: SagaId::new(&format!("o-{n}")).expect("a saga"),
        time: None,
        traceparent: None,
        data: serde_json::from_value(event("payment", n)["data"].clone()).expect("data"),
    };
    running.supervisor.report(report).await.map(|receipt| receipt.duplicate)
}

/// What a page answers, with its head.
pub async fn answer(running: &Running, path: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

/// A metric's value, as Prometheus would read it; it is there from the beginning.
pub async fn metric(running: &Running, name: &str) -> u64 {
    let answer = answer(running, "/metrics").await;
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("`{name}` is there: {answer}"));
    line.trim().parse().expect("a number")
}

/// Waits until a metric has a value.
pub async fn is_metric(running: &Running, name: &str, value: u64) {
    until(&format!("{name} is {value}"), async || metric(running, name).await == value).await;
}

/// Waits until a supervisor says of its broker that reports come, or that they don't.
pub async fn connected(running: &Running, way: &str, is_so: bool) {
    let name = format!("amends_broker_connected{{way=\"{way}\"}}");
    is_metric(running, &name, u64::from(is_so)).await;
}
