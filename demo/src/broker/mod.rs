//! The broker of a run with `--broker`: a server of the run's own, to which the services publish their reports instead
//! of posting them. It is started, killed and looked into here; what became of the reports is counted elsewhere.

#[cfg(feature = "nats")]
mod nats;
mod process;

use crate::addresses::BrokerAddress;
use amends_service::{KitBuilder, Sqlite};
use anyhow::{Context, bail};
use process::{BrokerProcess, Launch};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::process::Command;

/// What kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BrokerKind {
    /// NATS with JetStream.
    Nats,
}

impl BrokerKind {
    /// Its name, which is also that of the feature with which it is built.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
        }
    }

    /// That this build knows it.
    ///
    /// # Errors
    /// How to build one that does.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        let is_built = match self {
            Self::Nats => cfg!(feature = "nats"),
        };
        if is_built {
            return Ok(());
        }
        let name = self.name();
        bail!(
            "this build knows no `--broker {name}`; build one that does: `cargo build --release --features {name}`"
        )
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
        #[cfg(not(feature = "nats"))]
        BrokerAddress::Nats(_) => {
            let _ = (service, builder);
            bail!(NOT_BUILT)
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

/// Looks into a broker.
enum Reader {
    #[cfg(feature = "nats")]
    Nats(nats::NatsReader),
}

impl Broker {
    /// Starts it in a folder, has `amends` make there what reports need, and writes the supervisor's configuration.
    ///
    /// # Errors
    /// When its program is not there, with how to get it; when it doesn't come up.
    pub(crate) async fn start(kind: BrokerKind, exe: &Path, folder: &Path) -> anyhow::Result<Self> {
        let launch = launch(kind)?;
        let process = BrokerProcess::start(launch, folder).await?;
        let configuration = folder.join("amends.toml");
        let text = match kind {
            BrokerKind::Nats => {
                format!("[nats]\nservers = [\"{}\"]\n{ACK_WAIT}", url(kind, &process))
            }
        };
        std::fs::write(&configuration, text)
            .with_context(|| format!("cannot write `{}`", configuration.display()))?;
        initialise(kind, exe, &configuration).await?;
        let reader = Reader::connect(kind, &url(kind, &process)).await?;
        Ok(Self { kind, process, configuration, reader })
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> BrokerKind {
        self.kind
    }

    /// Where services publish.
    pub(crate) fn address(&self) -> BrokerAddress {
        match self.kind {
            BrokerKind::Nats => BrokerAddress::Nats(url(self.kind, &self.process)),
        }
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
            #[cfg(not(feature = "nats"))]
            _ => bail!(NOT_BUILT),
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
            #[cfg(not(feature = "nats"))]
            _ => bail!(NOT_BUILT),
        }
    }
}

/// How it is started.
fn launch(kind: BrokerKind) -> anyhow::Result<Launch> {
    kind.check()?;
    match kind {
        #[cfg(feature = "nats")]
        BrokerKind::Nats => nats::launch(),
        #[cfg(not(feature = "nats"))]
        BrokerKind::Nats => bail!(NOT_BUILT),
    }
}

/// What nobody sees: the kind is checked first.
#[cfg(not(feature = "nats"))]
const NOT_BUILT: &str = "it is not built in";

impl Reader {
    async fn connect(kind: BrokerKind, url: &str) -> anyhow::Result<Self> {
        match kind {
            #[cfg(feature = "nats")]
            BrokerKind::Nats => Ok(Self::Nats(nats::NatsReader::connect(url).await?)),
            #[cfg(not(feature = "nats"))]
            BrokerKind::Nats => bail!("{NOT_BUILT}: {url}"),
        }
    }
}

/// A message that a killed supervisor had in hand comes again after so long.
const ACK_WAIT: &str = "ack_wait = \"2s\"\n";

fn url(kind: BrokerKind, process: &BrokerProcess) -> String {
    match kind {
        BrokerKind::Nats => format!("nats://127.0.0.1:{}", process.port()),
    }
}

/// Makes the stream (or topic) that reports go by, as people do it.
async fn initialise(kind: BrokerKind, exe: &Path, configuration: &Path) -> anyhow::Result<()> {
    let name = kind.name();
    let made = Command::new(exe)
        .args([name, "init", "--config"])
        .arg(configuration)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start `{}`", exe.display()))?;
    if !made.status.success() {
        bail!("`amends {name} init` failed: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(())
}

/// Where a program is: in the `PATH`, or where Debian puts servers, which the `PATH` of people commonly leaves out.
#[cfg(feature = "nats")]
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(servers)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
