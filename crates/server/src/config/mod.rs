//! The configuration of a supervisor: flags over environment over file over the documented defaults. Every mistake says
//! where the value came from. Opens nothing that it names, except files
//! of keys, secrets and certificates.

mod access;
mod channels;
mod cluster;
mod error;
mod identity;
mod kafka;
mod layers;
mod nats;
mod outbound;
mod shown;
mod tls;
mod value;
mod withheld;

pub use error::ConfigError;
pub use layers::{DEFAULT_CONFIG, Layers, Origin};

use crate::access::AccessOptions;
use crate::alerts::AlertOptions;
#[cfg(feature = "postgres")]
use crate::cluster::ClusterOptions;
use crate::dispatch::{HttpOptions, Signer};
use crate::http::HttpLimits;
use crate::identity::IdentityOptions;
use crate::ingest::{Channels, KafkaOptions, NatsOptions};
use crate::retention::KeepSettled;
use crate::shell::DriverOptions;
use crate::tls::TlsOptions;
use crate::withheld::Withheld;
use amends_api::ReportWay;
use amends_store::RejectedLimits;
use http::Uri;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a supervisor needs to be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` that the API listens on.
    pub listen: String,
    /// `host:port` where services have an address of their own; then `listen` is for people alone.
    pub listen_services: Option<String>,
    /// How our addresses are encrypted; none: not at all.
    pub tls: Option<TlsOptions>,
    /// Names by which we are reached, besides those that nobody outside can have.
    pub hosts: Vec<String>,
    /// Folder of the store, and of backups.
    pub data: PathBuf,
    /// The database that cases are kept in; none: a file in `data`.
    #[cfg(feature = "postgres")]
    pub cluster: Option<ClusterOptions>,
    /// A rulebook file or a folder of them; none means that they come over the API only.
    pub rules: Option<PathBuf>,
    /// How often the rulebook files are looked at; zero never looks.
    pub reload_every: Duration,
    /// The driver's limits.
    pub driver: DriverOptions,
    /// The API's limits.
    pub http: HttpLimits,
    /// How requests are sent: keys, allowed hosts, proxies and certificates included.
    pub outbound: HttpOptions,
    /// Who is let in.
    pub access: AccessOptions,
    /// Who is believed about who somebody is.
    pub identity: IdentityOptions,
    /// Who is told when something needs a person.
    pub alerts: AlertOptions,
    /// Who may report on which subject or topic of a broker, whether one is configured or not.
    pub channels: Channels,
    /// Where reports come from besides HTTP.
    pub kafka: Option<KafkaOptions>,
    /// As well.
    pub nats: Option<NatsOptions>,
    /// Where spans go: the whole address, `…/v1/traces`; none makes none.
    pub traces: Option<Uri>,
    /// After what time settled cases are removed.
    pub keep_settled: KeepSettled,
    /// After what time entries of the audit are removed; none keeps them.
    pub keep_audit: Option<Duration>,
    /// After what time messages of brokers are removed that could not be taken; none keeps them.
    pub keep_rejected: Option<Duration>,
    /// What of all this is never shown, by its value.
    pub withheld: Withheld,
    /// What is to be told of files with secrets that others than their owner may use.
    pub loose_files: Vec<String>,
    /// Shut down when the standard input ends: for a supervisor that is a child of something that may be killed.
    pub exit_with_parent: bool,
}

impl Config {
    /// Puts the layers together and checks every value.
    ///
    /// # Errors
    /// All mistakes at once, each with its key, its value and where it came from.
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        let mut read = value::Reader::new(layers);
        let driver = DriverOptions {
            queue: read.number("limits.report_queue", 1, 10_000_000),
            // A batch is one transaction: past this, its first report waits for a second and more.
            batch: read.number("limits.batch_inputs", 1, 100_000),
            grace: read.duration("shutdown.grace"),
            objective: objective(&mut read),
            memory: Some(read.number("limits.memory", 0, 1 << 50)).filter(|bytes| *bytes > 0),
            resident_bytes: None,
            trust_after: read.duration("clock.trust_after"),
            rejected: rejected(&mut read),
            ..DriverOptions::default()
        };
        let http = http_limits(&mut read);
        let outbound = outbound::read(&mut read);
        // The secrets' own: one that is read anew is withheld from then on.
        let withheld = outbound.destinations.secrets.withheld().clone();
        withheld::withhold_all(&withheld, layers, &mut read);
        let identity = identity::read(&mut read);
        let keep_settled = keep_settled(&mut read);
        let audit = read.duration("retention.audit");
        let rejected_reports = read.duration("retention.rejected_reports");
        let channels = channels::read(&mut read);
        let traces = traces(&mut read);
        let rules = read.text("rules");
        let of_services = read.text("listen_services");
        #[cfg(not(feature = "postgres"))]
        cluster::read(&mut read);
        let config = Self {
            listen: read.text("listen"),
            listen_services: (!of_services.is_empty()).then_some(of_services),
            tls: tls::read(&mut read),
            hosts: read.list("hosts"),
            data: read.text("data").into(),
            #[cfg(feature = "postgres")]
            cluster: cluster::read(&mut read),
            rules: (!rules.is_empty()).then(|| rules.into()),
            reload_every: read.duration("reload.every"),
            driver,
            http,
            access: access::read(&mut read),
            alerts: alerts(&mut read, &outbound.destinations.signers),
            outbound,
            identity,
            kafka: kafka::read(&mut read, channels.read_on(ReportWay::Kafka)),
            nats: nats::read(&mut read, channels.read_on(ReportWay::Nats)),
            channels,
            traces,
            keep_settled,
            keep_audit: (!audit.is_zero()).then_some(audit),
            keep_rejected: (!rejected_reports.is_zero()).then_some(rejected_reports),
            withheld,
            loose_files: read.loose(),
            exit_with_parent: false,
        };
        if !config.listen.contains(':') {
            read.mistake("listen", "it must be `host:port`, as in `127.0.0.1:7100`");
        }
        if config.listen_services.as_ref().is_some_and(|address| !address.contains(':')) {
            read.mistake("listen_services", "it must be `host:port`, as in `127.0.0.1:7101`");
        }
        if config.http.header_timeout < Duration::from_secs(1) {
            read.mistake("limits.header_timeout", "it must be 1s or more");
        }
        if config.data.as_os_str().is_empty() {
            read.mistake("data", "it must name a folder");
        }
        read.finish(&config.withheld).map(|()| config)
    }

    /// What to say if whoever reaches the API may have requests sent to any host: one who may put a rulebook chooses
    /// where its services are.
    #[must_use]
    pub fn open_to_all(&self, listening: SocketAddr) -> Option<String> {
        let open = self.outbound.destinations.allow_hosts.is_open();
        (open && !listening.ip().is_loopback()).then(|| {
            format!(
                "it listens on {listening}, and `dispatch.allow_hosts` names no hosts: whoever reaches it can put a rulebook, and by that send requests to every host that this machine reaches; name the hosts of your services there"
            )
        })
    }

    /// The defaults, for tests and hosts that set the rest themselves.
    ///
    /// # Panics
    /// Never: a test reads the same defaults.
    #[must_use]
    pub fn defaults() -> Self {
        Self::from_layers(&Layers::defaults()).expect("the embedded defaults are valid")
    }
}

fn keep_settled(read: &mut value::Reader<'_>) -> KeepSettled {
    let of = read.names_in(layers::OF_RULEBOOKS);
    let mut after = |key: &str| Some(read.duration(key)).filter(|keep| !keep.is_zero());
    let all = after("retention.settled");
    let named = of.into_iter().map(|key| {
        let name = key[layers::OF_RULEBOOKS.len() + 1..].to_owned();
        (name, after(&key))
    });
    KeepSettled { all, of_rulebooks: named.collect() }
}

fn alerts(read: &mut value::Reader<'_>, signers: &BTreeMap<String, Signer>) -> AlertOptions {
    let mut hooks = |key: &str| {
        let given = read.list(key);
        let mut found = Vec::with_capacity(given.len());
        for address in given {
            match address.parse::<Uri>() {
                Ok(uri) if uri.scheme().is_some() && uri.host().is_some() => found.push(uri),
                // Not the address itself: it may be a secret.
                _ => read.mistake_of_secret(
                    key,
                    "every entry must be an `http://` or `https://` address",
                ),
            }
        }
        found
    };
    let (webhooks, slack) = (hooks("alerts.webhooks"), hooks("alerts.slack"));
    let name = read.text("alerts.signing_key");
    let signer = signers.get(&name).cloned();
    if !name.is_empty() && signer.is_none() {
        read.mistake("alerts.signing_key", "there is no such key in [signing_keys]");
    }
    AlertOptions {
        webhooks,
        slack,
        signer,
        group_wait: read.duration("alerts.group_wait"),
        every: read.duration("alerts.every"),
        objective: objective(read),
        withheld: Withheld::default(),
        public_url: read.text("alerts.public_url"),
    }
}

/// A message of a megabyte must always fit.
fn rejected(read: &mut value::Reader<'_>) -> RejectedLimits {
    RejectedLimits {
        rows: read.number("limits.rejected_reports", 1, 1_000_000) as u64,
        bytes: read.number("limits.rejected_bytes", 4 << 20, 1 << 40) as u64,
    }
}

fn objective(read: &mut value::Reader<'_>) -> Option<Duration> {
    let objective = read.duration("alerts.objective");
    (!objective.is_zero()).then_some(objective)
}

fn traces(read: &mut value::Reader<'_>) -> Option<Uri> {
    let endpoint = read.text("traces.endpoint");
    if endpoint.is_empty() {
        return None;
    }
    let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    match address.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() && uri.host().is_some() => Some(uri),
        _ => {
            read.mistake(
                "traces.endpoint",
                "it must be an address such as `http://collector:4318`",
            );
            None
        }
    }
}

/// The API's limits.
fn http_limits(read: &mut value::Reader<'_>) -> HttpLimits {
    HttpLimits {
        report_bytes: read.number("limits.report_bytes", 1 << 10, 64 << 20),
        batch_bytes: read.number("limits.batch_bytes", 1 << 10, 256 << 20),
        batch_events: read.number("limits.batch_events", 1, 10_000),
        bodies: read.number("limits.bodies", 1 << 20, 64 << 30),
        event_streams: read.number("limits.event_streams", 0, 100_000),
        connections: read.number("limits.connections", 1, 1_000_000),
        connections_per_peer: read.number("limits.connections_per_peer", 0, 1_000_000),
        requests: u32::try_from(read.number("limits.requests", 0, 1_000_000)).unwrap_or(u32::MAX),
        header_timeout: read.duration("limits.header_timeout"),
    }
}

#[cfg(test)]
mod tests;
