//! What a report costs the supervisor by each way that it may take: over HTTP, by NATS, by Kafka. The same reports, as
//! many under way at once, each a case with nothing to undo; brokers of the run's own, on the same machine.

use crate::wire::Connection;
use crate::{cpu, start, store_folder};
use amends_server::Config;
use amends_server::config::Layers;
#[cfg(any(feature = "kafka", feature = "nats"))]
use amends_service::{
    Delivery, ReportSink, SagaId,
    store::{OutgoingReport, ReportRow},
};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Reports under way at once.
const UNDER_WAY: usize = 64;
/// Reports before anything is measured.
const WARMUP: usize = 1_000;
/// How often the supervisor is asked how many it has: rarely enough that asking costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it may take to have all.
const PATIENCE: Duration = Duration::from_secs(120);

const RULES: &str = "rulebook: bench
services: { order: { url: \"http://127.0.0.1:9\", actions: { place: { compensation: cancel } } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

/// A way, and what is started for it.
enum Way {
    Http,
    #[cfg(feature = "nats")]
    Nats(amends_private_server::NatsServer),
    #[cfg(feature = "kafka")]
    Kafka(amends_private_server::KafkaServer),
}

impl Way {
    /// Those that this build knows, each with a broker of its own.
    fn all() -> Vec<Self> {
        vec![
            Self::Http,
            #[cfg(feature = "nats")]
            Self::Nats(amends_private_server::NatsServer::start()),
            #[cfg(feature = "kafka")]
            Self::Kafka(amends_private_server::KafkaServer::start()),
        ]
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Http => "http",
            #[cfg(feature = "nats")]
            Self::Nats(_) => "nats",
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => "kafka",
        }
    }

    /// The supervisor's configuration. Each round has a stream or a topic of its own.
    fn configuration(&self, round: usize) -> String {
        let _ = round; // of brokers alone
        match self {
            Self::Http => String::new(),
            #[cfg(feature = "nats")]
            Self::Nats(server) => {
                format!(
                    "[nats]\nservers = [\"{}\"]\nstream = \"BENCH{round}\"\n[nats.subjects]\n\"bench{round}.*\" = []\n",
                    server.url()
                )
            }
            #[cfg(feature = "kafka")]
            Self::Kafka(server) => {
                format!(
                    "[kafka]\nbrokers = [\"{}\"]\ngroup = \"bench{round}\"\n[kafka.topics]\n\"bench{round}.*\" = []\n",
                    server.address()
                )
            }
        }
    }

    /// Makes what a round needs at the broker.
    async fn prepare(&self, round: usize, config: &Config) -> anyhow::Result<()> {
        let _ = (round, config); // of brokers alone
        match self {
            Self::Http => {}
            #[cfg(feature = "nats")]
            Self::Nats(_) => {
                let options = config.nats.as_ref().context("it is configured")?;
                amends_server::nats::init(options, 1).await?;
            }
            #[cfg(feature = "kafka")]
            Self::Kafka(server) => server.make_topic(&format!("bench{round}.order"), 6),
        }
        Ok(())
    }

    /// Who sends, in a round.
    fn sender(&self, round: usize, host: &str) -> anyhow::Result<Sender> {
        let _ = round; // of brokers alone
        match self {
            Self::Http => Ok(Sender::Http(host.to_owned())),
            #[cfg(feature = "nats")]
            Self::Nats(server) => {
                use amends_service::{NatsConfig, NatsSink};
                let mut own = NatsConfig::new("order", &server.url());
                own.subject = format!("bench{round}.order");
                Ok(Sender::Sink(Arc::new(NatsSink::new(own)?)))
            }
            #[cfg(feature = "kafka")]
            Self::Kafka(server) => {
                use amends_service::{KafkaConfig, KafkaSink};
                let mut own = KafkaConfig::new("order", &server.address());
                own.topic = format!("bench{round}.order");
                Ok(Sender::Sink(Arc::new(KafkaSink::new(own)?)))
            }
        }
    }
}

/// All of them by turns, so many times; the median of each.
pub async fn run(reports: usize, rounds: usize) -> anyhow::Result<Value> {
    let ways = Way::all();
    let mut costs = vec![Vec::new(); ways.len()];
    for round in 1..=rounds {
        for (way, costs) in ways.iter().zip(&mut costs) {
            eprintln!("round {round}: {} …", way.name());
            costs.push(measure(way, round, reports).await?);
        }
    }
    let mut runs = serde_json::Map::new();
    for (way, mut costs) in ways.iter().zip(costs) {
        costs.sort_unstable();
        let (cpu, rate) = costs.get(costs.len() / 2).context("no round")?;
        runs.insert(
            way.name().to_owned(),
            json!({ "cpuMicrosPerReport": cpu, "reportsPerSecond": rate }),
        );
    }
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    Ok(json!({ "cores": cores, "rounds": rounds, "underWay": UNDER_WAY, "medians": runs }))
}

/// CPU of the supervisor for each report, in microseconds, and reports a second until it has them all.
async fn measure(way: &Way, round: usize, reports: usize) -> anyhow::Result<(u64, u64)> {
    let data = store_folder()?;
    std::fs::write(data.path().join("rules.yaml"), RULES)?;
    std::fs::write(data.path().join("amends.toml"), way.configuration(round))?;
    way.prepare(round, &configured(data.path())?).await?;
    let (mut child, url) = start(data.path(), &["reading"]).await?;
    let pid = child.id().context("the supervisor has ended")?;
    let (_, host) = url.split_once("://").context("no address")?;
    let sender = way.sender(round, host)?;
    send_all(&sender, round, 0..WARMUP).await?;
    has(host, WARMUP).await?;
    let (used, began) = (cpu::used_us(pid)?, Instant::now());
    send_all(&sender, round, WARMUP..WARMUP + reports).await?;
    has(host, WARMUP + reports).await?;
    let (used, took) = (cpu::used_us(pid)? - used, began.elapsed());
    drop(child.stdin.take());
    child.wait().await?;
    let (sent, micros) = (reports.max(1) as u64, u64::try_from(took.as_micros())?.max(1));
    Ok((used / sent, sent * 1_000_000 / micros))
}

/// Waits until the supervisor has so many reports.
async fn has(host: &str, reports: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = taken(host).await?;
        if found >= reports {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the supervisor has {found} of {reports} reports");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How many cases the supervisor has: each report is one.
async fn taken(host: &str) -> anyhow::Result<usize> {
    let mut connection = Connection::new(tokio::net::TcpStream::connect(host).await?)?;
    let ask = format!("GET /v1/overview HTTP/1.1\r\nhost: {host}\r\n\r\n");
    connection.send(ask.as_bytes()).await?;
    let answer = connection.read().await?.context("the connection was closed")?;
    let overview: Value = serde_json::from_slice(&answer.body)?;
    let states = overview["cases"].as_object().context("an overview has cases")?;
    Ok(states.values().filter_map(Value::as_u64).sum::<u64>().try_into()?)
}

#[derive(Clone)]
enum Sender {
    /// Over kept connections, to this host.
    Http(String),
    /// By the sink of the service kit.
    #[cfg(any(feature = "kafka", feature = "nats"))]
    Sink(Arc<dyn ReportSink>),
}

/// Sends the reports of these numbers, [`UNDER_WAY`] at once; returns when all are taken at the other end.
async fn send_all(
    sender: &Sender,
    round: usize,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let mut senders = JoinSet::new();
    for _ in 0..UNDER_WAY {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        senders.spawn(async move {
            let mut kept = None;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return anyhow::Ok(());
                }
                sender.send(&mut kept, &format!("bench-{round}-{number}")).await?;
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(())
}

impl Sender {
    /// One report, of the saga and under the id that it is given.
    async fn send(&self, kept: &mut Option<Connection>, id: &str) -> anyhow::Result<()> {
        let data = r#"{"code":"failed","data":{"amount":1200,"currency":"KRW"}}"#;
        match self {
            Self::Http(host) => {
                let mut connection = match kept.take() {
                    Some(kept) => kept,
                    None => Connection::new(tokio::net::TcpStream::connect(host).await?)?,
                };
                let request = format!(
                    "POST /v1/reports HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
                     ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: {id}\r\nce-source: order\r\n\
                     ce-subject: {id}\r\ncontent-length: {}\r\n\r\n{data}",
                    data.len()
                );
                connection.send(request.as_bytes()).await?;
                let answer = connection.read().await?.context("the connection was closed")?;
                if !answer.first_line.contains(" 202 ") {
                    bail!("a report is answered `{}`", answer.first_line);
                }
                *kept = Some(connection);
                Ok(())
            }
            #[cfg(any(feature = "kafka", feature = "nats"))]
            Self::Sink(sink) => {
                let report = ReportRow {
                    report_id: id.to_owned(),
                    saga: SagaId::new(id)?,
                    traceparent: None,
                    data: data.to_owned(),
                };
                let sent = OutgoingReport { report, happened_at_ms: 1_700_000_000_000, tries: 0 };
                match sink.deliver(&sent).await {
                    Delivery::Taken => Ok(()),
                    other => bail!("a report is not taken: {other:?}"),
                }
            }
        }
    }
}

fn configured(data: &Path) -> anyhow::Result<Config> {
    let path = |name: &str| data.join(name).display().to_string();
    let mut layers = Layers::defaults();
    layers.file(Path::new("amends.toml"), &std::fs::read_to_string(data.join("amends.toml"))?)?;
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &path("data"));
    layers.flag("rules", "rules", &path("rules.yaml"));
    Ok(Config::from_layers(&layers)?)
}

/// The supervisor by its configuration, until standard input ends. Prints its address as one line.
pub async fn serve(data: &Path) -> anyhow::Result<()> {
    let running = amends_server::start(configured(data)?).await?;
    println!("http://{}", running.address);
    let (mut input, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
    tokio::io::copy(&mut input, &mut nowhere).await?;
    Ok(running.stop().await?)
}
