//! The configuration of a supervisor: flags over environment over file over the documented defaults. Every mistake says
//! where the value came from. Opens nothing that it names, except key files.

mod error;
mod layers;
mod value;

pub use error::ConfigError;
pub use layers::{DEFAULT_CONFIG, Layers, Origin};

use crate::alerts::AlertOptions;
use crate::dispatch::{Destinations, HttpOptions, MOST_KEYS_OF_A_NAME, Secrets, Signer};
use crate::http::HttpLimits;
use crate::shell::DriverOptions;
use http::Uri;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything that a supervisor needs to be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` that the API listens on.
    pub listen: String,
    /// Names by which we are reached, besides those that nobody outside can have.
    pub hosts: Vec<String>,
    /// Folder of the store.
    pub data: PathBuf,
    /// A rulebook file or a folder of them; none means that they come over the API only.
    pub rules: Option<PathBuf>,
    /// How often the rulebook files are looked at; zero never looks.
    pub reload_every: Duration,
    /// The driver's limits.
    pub driver: DriverOptions,
    /// The API's limits.
    pub http: HttpLimits,
    /// How requests are sent, keys and allowed hosts included.
    pub outbound: HttpOptions,
    /// Who is told when something needs a person.
    pub alerts: AlertOptions,
    /// Where spans go: the whole address, `…/v1/traces`; none makes none.
    pub traces: Option<Uri>,
    /// After what time settled cases are removed; none keeps them.
    pub keep_settled: Option<Duration>,
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
        };
        let http = HttpLimits {
            report_bytes: read.number("limits.report_bytes", 1 << 10, 64 << 20),
            batch_bytes: read.number("limits.batch_bytes", 1 << 10, 256 << 20),
            batch_events: read.number("limits.batch_events", 1, 10_000),
            bodies: read.number("limits.bodies", 1 << 20, 64 << 30),
            event_streams: read.number("limits.event_streams", 0, 100_000),
            connections: read.number("limits.connections", 1, 1_000_000),
            header_timeout: read.duration("limits.header_timeout"),
        };
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let outbound = HttpOptions {
            idle_per_host: read.number("dispatch.idle_per_host", 0, 10_000),
            at_once: HttpOptions::default().at_once,
            connect_timeout_ms: ms(read.duration("dispatch.connect_timeout")),
            idle_timeout_ms: ms(read.duration("dispatch.idle_timeout")),
            answer_bytes: read.number("dispatch.answer_bytes", 1 << 10, 64 << 20),
            destinations: Destinations {
                signers: signers(&mut read),
                allow_hosts: read.list("dispatch.allow_hosts"),
                secrets: Arc::new(secrets(&mut read)),
                callbacks: callbacks(&mut read),
            },
        };
        let keep = read.duration("retention.settled");
        let traces = traces(&mut read);
        let rules = read.text("rules");
        let config = Self {
            listen: read.text("listen"),
            hosts: read.list("hosts"),
            data: read.text("data").into(),
            rules: (!rules.is_empty()).then(|| rules.into()),
            reload_every: read.duration("reload.every"),
            driver,
            http,
            alerts: alerts(&mut read, &outbound.destinations.signers),
            outbound,
            traces,
            keep_settled: (!keep.is_zero()).then_some(keep),
            exit_with_parent: false,
        };
        if !config.listen.contains(':') {
            read.mistake("listen", "it must be `host:port`, as in `127.0.0.1:7100`");
        }
        if config.http.header_timeout < Duration::from_secs(1) {
            read.mistake("limits.header_timeout", "it must be 1s or more");
        }
        if config.data.as_os_str().is_empty() {
            read.mistake("data", "it must name a folder");
        }
        read.finish().map(|()| config)
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
        public_url: read.text("alerts.public_url"),
    }
}

/// Where services reach us: as told, else where people do.
fn callbacks(read: &mut value::Reader<'_>) -> Option<Arc<str>> {
    const KEY: &str = "dispatch.callback_url";
    let told = read.text(KEY);
    let url = if told.is_empty() { read.text("alerts.public_url") } else { told.clone() };
    let is_address = |uri: &Uri| {
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        is_http && uri.host().is_some() && uri.query().is_none()
    };
    match url.parse::<Uri>() {
        Ok(uri) if is_address(&uri) => Some(url.trim_end_matches('/').into()),
        _ if told.is_empty() => None,
        _ => {
            read.mistake(KEY, "it must be an address such as `http://amends:7100`");
            None
        }
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

fn secrets(read: &mut value::Reader<'_>) -> Secrets {
    let mut secrets = Secrets::default();
    for (key, given) in read.secrets_of("secrets") {
        let name = key.trim_start_matches("secrets.");
        let taken = given.and_then(|given| match given.stands {
            value::Stands::Here(value) => secrets.add(name, &value, given.hosts),
            value::Stands::InFile(path) => secrets.add_file(name, &path, given.hosts),
        });
        if let Err(why) = taken {
            read.mistake(&key, &why);
        }
    }
    secrets
}

fn signers(read: &mut value::Reader<'_>) -> BTreeMap<String, Signer> {
    let mut signers = BTreeMap::new();
    for (name, given) in read.keys_of("signing_keys") {
        let keys = match given {
            Ok(keys) => keys,
            Err(why) => {
                read.mistake(&name, &why);
                continue;
            }
        };
        match Signer::new(&keys) {
            Ok(signer) => {
                signers.insert(name.trim_start_matches("signing_keys.").to_owned(), signer);
            }
            Err(why) => {
                read.mistake(&name, &format!("{why} (at most {MOST_KEYS_OF_A_NAME} keys per name)"))
            }
        }
    }
    signers
}

#[cfg(test)]
mod tests;
