//! Reports by NATS JetStream, on a real server: each is compensated once, whatever is repeated, broken or away.
#![cfg(feature = "nats")]

use amends_private_server::NatsServer;
use amends_server::config::Layers;
use amends_server::nats::{check, init, lag};
use amends_server::{Config, NatsOptions, Running, Severity, start};
use amends_store::{Archive as _, CaseFilter, PageRequest, Rejected as _, RejectedFilter};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a story waits. Generous: it only matters when a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of a supervisor that reads there.
fn config(folder: &Path, url: &str) -> Config {
    let mut layers = Layers::defaults();
    let file = format!(
        "[nats]\nservers = [\"{url}\"]\nack_wait = \"1s\"\n[nats.subjects]\n\"amends.reports.*\" = []\nbridge = [\"*\"]\n"
    );
    layers.file(Path::new("a.toml"), &file).expect("a file");
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &folder.join("data").display().to_string());
    Config::from_layers(&layers).expect("a valid configuration")
}

/// A NATS with our stream, and what publishes there.
struct Broker {
    server: NatsServer,
    folder: TempDir,
    options: NatsOptions,
    context: Context,
}

impl Broker {
    async fn open() -> Self {
        let server = NatsServer::start();
        let folder = tempfile::tempdir().expect("a folder");
        let options = config(folder.path(), &server.url()).nats.expect("configured");
        init(&options, 1).await.expect("made");
        let client = async_nats::connect(server.url()).await.expect("connected");
        Self { server, folder, options, context: jetstream::new(client) }
    }

    async fn supervisor(&self) -> Running {
        start(config(self.folder.path(), &self.server.url())).await.expect("started")
    }

    /// Publishes, and returns once the stream has it.
    async fn publish(&self, subject: &str, body: impl Into<Vec<u8>>) {
        self.publish_with(subject, HeaderMap::new(), body).await;
    }

    async fn publish_with(&self, subject: &str, headers: HeaderMap, body: impl Into<Vec<u8>>) {
        let body: Vec<u8> = body.into();
        let sent =
            self.context.publish_with_headers(subject.to_owned(), headers, body.into()).await;
        sent.expect("sent").await.expect("stored");
    }

    async fn report(&self, n: usize) {
        self.publish("amends.reports.payment", event("payment", n).to_string()).await;
    }

    /// Waits until nothing is left at the broker.
    async fn is_read(&self) {
        let began = Instant::now();
        loop {
            let lag = lag(&self.options).await.expect("answers");
            if (lag.waiting, lag.in_hand) == (0, 0) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{lag:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn event(source: &str, n: usize) -> Value {
    json!({
        "specversion": "1.0", "type": "dev.amends.report.v1", "source": source, "id": format!("r-{n}"),
        "subject": format!("o-{n}"), "data": { "code": "failed" },
    })
}

/// The sagas that have a case, in their order.
async fn sagas(running: &Running) -> Vec<String> {
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

fn named(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("o-{n}")).collect()
}

/// One report over HTTP: whether it was known.
async fn over_http(running: &Running, n: usize) -> bool {
    let report = event("payment", n);
    let data = serde_json::from_value(report["data"].clone()).expect("data");
    let saga = amends_protocol::SagaId::new(&format!("o-{n}")).expect("a saga");
    let report = amends_protocol::Report {
        id: format!("r-{n}"),
        source: "payment".to_owned(),
        saga_id: saga,
        time: None,
        traceparent: None,
        data,
    };
    running.supervisor.report(report).await.expect("taken").duplicate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_report_is_taken_once_however_often_and_on_which_way_it_comes() {
    let broker = Broker::open().await;
    broker.report(1).await; // before there is anybody to take it
    let running = broker.supervisor().await;
    assert!(broker.folder.path().exists());
    for n in [2, 2, 3, 2] {
        broker.report(n).await;
    }
    // The form of HTTP's binary mode, which the binding does not have, and a service that speaks through a bridge.
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.amends.report.v1"),
        ("ce-source", "payment"),
        ("ce-id", "r-4"),
        ("ce-subject", "o-4"),
    ] {
        headers.insert(name, value);
    }
    broker.publish_with("bridge", headers, r#"{"code":"failed"}"#).await;
    broker.publish("bridge", event("mail", 5).to_string()).await;
    broker.is_read().await;
    assert!(over_http(&running, 3).await, "the same event by HTTP is known");
    assert!(!over_http(&running, 6).await);
    broker.report(6).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=6));
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_report_is_put_aside_and_holds_up_nobody() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    let long = json!({ "specversion": "1.0", "data": "x".repeat(950 << 10) }).to_string();
    for (subject, body) in [
        ("amends.reports.payment", "hello".to_owned()),
        ("amends.reports.payment", event("order", 1).to_string()), // forged
        ("amends.reports.payment", json!([event("payment", 2)]).to_string()),
        ("amends.reports.payment", String::new()),
        ("amends.reports.payment", long),
    ] {
        broker.publish(subject, body).await;
    }
    broker.report(7).await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named([7]));
    let store = running.supervisor.store();
    let page =
        store.rejected(RejectedFilter::default(), PageRequest::first(10)).await.expect("lists");
    let mut found: Vec<_> = page
        .items
        .iter()
        .map(|listed| (listed.row.id.clone(), listed.row.detail.clone()))
        .collect();
    found.sort();
    let says =
        ["not a JSON object", "may not report", "not a JSON object", "is empty", "at most 921600"];
    assert_eq!(found.len(), says.len(), "{found:#?}");
    for (n, ((place, detail), says)) in found.iter().zip(says).enumerate() {
        assert_eq!(*place, format!("nats/AMENDS/{}/amends.reports.payment", n + 1));
        assert!(detail.contains(says), "{place}: {detail}");
    }
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_a_supervisor_that_is_away_lose_nothing() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    for n in 1..=30 {
        broker.report(n).await;
        if n == 15 {
            // What it has acknowledged is on its disk; who publishes tries again until it is acknowledged.
            broker.server.kill();
            broker.server.start_again();
        }
    }
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=30));
    running.stop().await.expect("ended in order");
    for n in 31..=40 {
        broker.report(n).await;
    }
    let running = broker.supervisor().await;
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=40));
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_consumer_reads_all_again_and_nothing_is_doubled() {
    let broker = Broker::open().await;
    let running = broker.supervisor().await;
    for n in 1..=20 {
        broker.report(n).await;
    }
    broker.is_read().await;
    running.stop().await.expect("ended in order");
    let deleted = broker
        .context
        .delete_consumer_from_stream(&broker.options.durable, &broker.options.stream)
        .await;
    assert!(deleted.expect("deleted").success);
    let running = broker.supervisor().await;
    broker.report(21).await;
    let began = Instant::now();
    // Until the supervisor has made it anew there is none.
    while lag(&broker.options).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "it is made anew");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    broker.is_read().await;
    assert_eq!(sagas(&running).await, named(1..=21));
    running.stop().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_it_should_be_is_told_with_what_helps() {
    let server = NatsServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), &server.url());
    let options = config.nats.clone().expect("configured");
    let told = async || check(&options, Some(Duration::from_secs(86_400))).await.expect("answers");
    let missing = told().await;
    assert!(
        missing[0].severity == Severity::Error && missing[0].text.contains("amends nats init"),
        "{missing:?}"
    );
    // A supervisor is ready without it, takes reports by HTTP, and begins as soon as it is there.
    let running = start(config).await.expect("started");
    assert!(!over_http(&running, 1).await);
    let client = async_nats::connect(server.url()).await.expect("connected");
    let context = jetstream::new(client);
    let made = jetstream::stream::Config {
        name: options.stream.clone(),
        subjects: vec!["amends.reports.order".to_owned()],
        retention: jetstream::stream::RetentionPolicy::WorkQueue,
        storage: jetstream::stream::StorageType::Memory,
        ..jetstream::stream::Config::default()
    };
    context.create_stream(made).await.expect("made");
    let odd = told().await;
    for says in [
        "deletes what was acknowledged",
        "in memory",
        "does not hold `bridge`",
        "`retention.settled`",
    ] {
        assert!(odd.iter().any(|finding| finding.text.contains(says)), "{says}: {odd:#?}");
    }
    let sent = context.publish("amends.reports.order", event("order", 2).to_string().into()).await;
    sent.expect("sent").await.expect("stored");
    let began = Instant::now();
    while sagas(&running).await != named([1, 2]) {
        assert!(began.elapsed() < PATIENCE, "it begins by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await.expect("ended in order");
}
