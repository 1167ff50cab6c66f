//! A NATS of a test's own with our stream, what publishes there, and a supervisor that reads it.

use amends_private_server::NatsServer;
use amends_server::config::Layers;
use amends_server::nats::{init, lag};
use amends_server::{Config, NatsOptions, Running, start};
use amends_store::{Archive as _, CaseFilter, PageRequest, Rejected as _, RejectedFilter};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a story waits. Generous: it only matters when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of a supervisor that reads there.
pub fn config(folder: &Path, url: &str) -> Config {
    config_with(folder, url, "")
}

/// The same, with more lines, and with the rulebook of the folder if there is one.
pub fn config_with(folder: &Path, url: &str, more: &str) -> Config {
    let mut layers = Layers::defaults();
    let file = format!(
        "[nats]\nservers = [\"{url}\"]\nack_wait = \"1s\"\n[nats.subjects]\n\"amends.reports.*\" = []\nbridge = [\"*\"]\n{more}"
    );
    layers.file(Path::new("a.toml"), &file).expect("a file");
    let rules = folder.join("rules.yaml");
    if rules.exists() {
        layers.flag("rules", "rules", &rules.display().to_string());
    }
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &folder.join("data").display().to_string());
    Config::from_layers(&layers).expect("a valid configuration")
}

/// A NATS with our stream, and what publishes there.
pub struct Broker {
    pub server: NatsServer,
    pub folder: TempDir,
    pub options: NatsOptions,
    pub context: Context,
}

impl Broker {
    pub async fn open() -> Self {
        let server = NatsServer::start();
        let folder = tempfile::tempdir().expect("a folder");
        let options = config(folder.path(), &server.url()).nats.expect("configured");
        init(&options, 1).await.expect("made");
        let client = async_nats::connect(server.url()).await.expect("connected");
        Self { server, folder, options, context: jetstream::new(client) }
    }

    pub async fn supervisor(&self) -> Running {
        start(config(self.folder.path(), &self.server.url())).await.expect("started")
    }

    /// Publishes, and returns once the stream has it.
    pub async fn publish(&self, subject: &str, body: impl Into<Vec<u8>>) {
        self.publish_with(subject, HeaderMap::new(), body).await;
    }

    pub async fn publish_with(&self, subject: &str, headers: HeaderMap, body: impl Into<Vec<u8>>) {
        let body: Vec<u8> = body.into();
        let sent =
            self.context.publish_with_headers(subject.to_owned(), headers, body.into()).await;
        sent.expect("sent").await.expect("stored");
    }

    pub async fn report(&self, n: usize) {
        self.publish("amends.reports.payment", event("payment", n).to_string()).await;
    }

    /// Waits until nothing is left at the broker.
    pub async fn is_read(&self) {
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

pub fn event(source: &str, n: usize) -> Value {
    json!({
        "specversion": "1.0", "type": "dev.amends.report.v1", "source": source, "id": format!("r-{n}"),
        "subject": format!("o-{n}"), "data": { "code": "failed" },
    })
}

/// The sagas that have a case, in their order.
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

/// One report over HTTP: whether it was known.
pub async fn over_http(running: &Running, n: usize) -> bool {
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

/// Rejected messages in the order of their places: place, and what is wrong.
pub async fn rejected(running: &Running) -> Vec<(String, String)> {
    let store = running.supervisor.store();
    let page = store.rejected(RejectedFilter::default(), PageRequest::first(50)).await;
    let rows = page.expect("lists").items.into_iter().map(|listed| listed.row);
    let mut found: Vec<_> = rows.map(|row| (row.id, row.detail)).collect();
    // By the number in the stream, which stands before the time.
    found.sort_by_key(|(place, _)| {
        place.split(['/', '@']).nth(2).and_then(|number| number.parse::<u64>().ok())
    });
    found
}
