//! The broker of a run with `--broker`: a server of the run's own, to which the services publish their reports instead
//! of posting them. It is started, killed and looked into here; what became of the reports is counted elsewhere.

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
mod process;

use crate::addresses::BrokerAddress;
use amends_service::{KitBuilder, Sqlite};
use anyhow::Context;
use process::{BrokerProcess, Launch};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BrokerKind {
    /// NATS with JetStream.
    Nats,
    /// Apache Kafka.
    Kafka,
}

impl BrokerKind {
    /// Its name, which is also that of the feature with which it is built.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Kafka => "kafka",
        }
    }
}

impl fmt::Display for BrokerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Has the reports of a service published.
///
/// # Errors
/// When this build knows no such broker.
pub(crate) fn publishing(
    to: &BrokerAddress,
    service: &str,
    builder: KitBuilder<Sqlite>,
) -> anyhow::Result<KitBuilder<Sqlite>> {
    match to {
        #[cfg(feature = "nats")]
        BrokerAddress::Nats(url) => {
            use amends_service::{NatsConfig, NatsSink};
            Ok(builder.report_sink(NatsSink::new(NatsConfig::new(service, url))?))
        }
        #[cfg(feature = "kafka")]
        BrokerAddress::Kafka(address) => {
            use amends_service::{KafkaConfig, KafkaSink};
            Ok(builder.report_sink(KafkaSink::new(KafkaConfig::new(service, address))?))
        }
        #[cfg(not(all(feature = "kafka", feature = "nats")))]
        _ => {
            let _ = (service, builder);
            anyhow::bail!("this build knows no broker at {to:?}")
        }
    }
}

/// Who sent a report, and its id.
pub(crate) type ReportKey = (String, String);

/// A running broker.
pub struct Broker {
    kind: BrokerKind,
    process: Arc<BrokerProcess>,
    configuration: PathBuf,
    reader: Reader,
}

impl Broker {
    /// Starts it in a folder, makes there what the reports of these services need, and writes the supervisor's
    /// configuration.
    ///
    /// # Errors
    /// When this build knows no such broker, or its program is not there, with how to get it; when it doesn't come up.
    pub(crate) async fn start(
        kind: BrokerKind,
        exe: &Path,
        folder: &Path,
        services: &[&str],
    ) -> anyhow::Result<Self> {
        let process = BrokerProcess::start(launch(kind)?, folder).await?;
        let address = address(kind, &process);
        let configuration = folder.join("amends.toml");
        std::fs::write(&configuration, text(&address))
            .with_context(|| format!("cannot write `{}`", configuration.display()))?;
        let reader = Reader::open(&address, exe, &configuration, services).await?;
        Ok(Self { kind, process, configuration, reader })
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> BrokerKind {
        self.kind
    }

    /// Where services publish.
    pub(crate) fn address(&self) -> BrokerAddress {
        address(self.kind, &self.process)
    }

    /// The supervisor's configuration, by which it reads there.
    pub(crate) fn configuration(&self) -> &Path {
        &self.configuration
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Arc<BrokerProcess> {
        &self.process
    }

    /// How many messages the supervisor has not taken yet.
    ///
    /// # Errors
    /// When the broker doesn't answer; it may be down just now.
    pub(crate) async fn waiting(&self) -> anyhow::Result<u64> {
        match &self.reader {
            #[cfg(feature = "nats")]
            Reader::Nats(reader) => reader.waiting().await,
            #[cfg(feature = "kafka")]
            Reader::Kafka(reader) => reader.waiting().await,
            Reader::None => Ok(0),
        }
    }

    /// Every message that it holds, by the report in it; a report may be there twice.
    ///
    /// # Errors
    /// When the broker doesn't answer, or holds what is no report.
    pub(crate) async fn messages(&self) -> anyhow::Result<Vec<ReportKey>> {
        match &self.reader {
            #[cfg(feature = "nats")]
            Reader::Nats(reader) => reader.messages().await,
            #[cfg(feature = "kafka")]
            Reader::Kafka(reader) => reader.messages().await,
            Reader::None => Ok(Vec::new()),
        }
    }
}

/// Looks into a broker.
enum Reader {
    #[cfg(feature = "nats")]
    Nats(Box<nats::NatsReader>),
    #[cfg(feature = "kafka")]
    Kafka(kafka::KafkaReader),
    /// Of a kind that this build doesn't know, which is never started.
    #[cfg_attr(all(feature = "kafka", feature = "nats"), expect(dead_code))]
    None,
}

impl Reader {
    async fn open(
        address: &BrokerAddress,
        exe: &Path,
        configuration: &Path,
        services: &[&str],
    ) -> anyhow::Result<Self> {
        let _ = (exe, configuration, services);
        match address {
            #[cfg(feature = "nats")]
            BrokerAddress::Nats(url) => {
                nats::make_stream(exe, configuration).await?;
                Ok(Self::Nats(Box::new(nats::NatsReader::connect(url).await?)))
            }
            #[cfg(feature = "kafka")]
            BrokerAddress::Kafka(address) => {
                Ok(Self::Kafka(kafka::KafkaReader::connect(address, services).await?))
            }
            #[cfg(not(all(feature = "kafka", feature = "nats")))]
            _ => Ok(Self::None),
        }
    }
}

/// How it is started.
///
/// # Errors
/// How to build what knows it, or how to get its program.
fn launch(kind: BrokerKind) -> anyhow::Result<Launch> {
    match kind {
        #[cfg(feature = "nats")]
        BrokerKind::Nats => nats::launch(),
        #[cfg(feature = "kafka")]
        BrokerKind::Kafka => kafka::launch(),
        #[cfg(not(all(feature = "kafka", feature = "nats")))]
        _ => anyhow::bail!(
            "this build knows no `--broker {kind}`; build one that does: `cargo build --release --features {kind}`"
        ),
    }
}

fn address(kind: BrokerKind, process: &BrokerProcess) -> BrokerAddress {
    let there = format!("127.0.0.1:{}", process.port());
    match kind {
        BrokerKind::Nats => BrokerAddress::Nats(format!("nats://{there}")),
        BrokerKind::Kafka => BrokerAddress::Kafka(there),
    }
}

/// The supervisor's configuration. What a killed one had in hand comes again after two seconds.
fn text(address: &BrokerAddress) -> String {
    match address {
        BrokerAddress::Nats(url) => format!("[nats]\nservers = [\"{url}\"]\nack_wait = \"2s\"\n"),
        BrokerAddress::Kafka(address) => {
            format!("[kafka]\nbrokers = [\"{address}\"]\nsession_timeout = \"2s\"\n")
        }
    }
}

/// Where a program is: in the `PATH`, or where Debian puts servers, which the `PATH` of people commonly leaves out.
#[cfg(any(feature = "kafka", feature = "nats"))]
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(servers)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
