//! What a report costs the supervisor in CPU when nobody must be known, with a token, and with TLS besides: over
//! connections that are kept, and over a new one for each. The case that it opens has nothing to undo.

use crate::wire::Connection;
use crate::{cpu, start, store_folder};
use amends_server::Config;
use amends_server::config::Layers;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Senders at the same time.
const SENDERS: usize = 4;
/// Reports of each before anything is measured.
const WARMUP: usize = 100;
/// Of so many reports over kept connections, one over a new one: a handshake costs a multiple.
const FEWER_NEW: usize = 5;
/// The token of the only service.
const TOKEN: &str = "bench-0123456789abcdef0123456789abcdef";

/// What the supervisor asks of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guard {
    /// Nothing.
    Open,
    /// A token.
    Token,
    /// A token, over TLS.
    Tls,
    /// A certificate, over TLS.
    Mutual,
}

impl Guard {
    const fn encrypts(self) -> bool {
        matches!(self, Self::Tls | Self::Mutual)
    }
}

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Kept,
    /// A new one for each report, whose handshake takes up a session of an earlier one if there was any.
    New,
    /// The same with a whole handshake.
    NewWhole,
}

/// What is compared, with its name.
const COMPARED: [(&str, Guard, Use); 9] = [
    ("kept connections, open", Guard::Open, Use::Kept),
    ("kept connections, token", Guard::Token, Use::Kept),
    ("kept connections, token and TLS", Guard::Tls, Use::Kept),
    ("kept connections, certificate", Guard::Mutual, Use::Kept),
    ("a new connection each, open", Guard::Open, Use::New),
    ("a new connection each, token", Guard::Token, Use::New),
    ("a new connection each, token and TLS, session resumed", Guard::Tls, Use::New),
    ("a new connection each, token and TLS", Guard::Tls, Use::NewWhole),
    ("a new connection each, certificate", Guard::Mutual, Use::NewWhole),
];

/// All of them by turns, so many times; the median of each.
pub async fn run(reports: usize, rounds: usize) -> anyhow::Result<Value> {
    let mut costs = vec![Vec::new(); COMPARED.len()];
    for round in 1..=rounds {
        for ((name, guard, connections), costs) in COMPARED.into_iter().zip(&mut costs) {
            eprintln!("round {round}: {name} …");
            costs.push(measure(guard, connections, reports).await?);
        }
    }
    let mut runs = serde_json::Map::new();
    for ((name, ..), mut costs) in COMPARED.into_iter().zip(costs) {
        costs.sort_unstable();
        let (cpu, rate) = costs.get(costs.len() / 2).context("no round")?;
        runs.insert(
            name.to_owned(),
            json!({ "cpuMicrosPerReport": cpu, "reportsPerSecond": rate }),
        );
    }
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    Ok(json!({ "cores": cores, "rounds": rounds, "medians": runs }))
}

/// CPU of the supervisor for each report, in microseconds, and reports a second.
async fn measure(guard: Guard, connections: Use, reports: usize) -> anyhow::Result<(u64, u64)> {
    let data = store_folder()?;
    write_files(data.path())?;
    let name = guard.to_possible_value().context("a word for it")?;
    let (mut child, url) = start(data.path(), &["guarded", "--guard", name.get_name()]).await?;
    let pid = child.id().context("the supervisor has ended")?;
    let (_, host) = url.split_once("://").context("no address")?;
    let sender = Sender {
        host: host.to_owned(),
        tls: match guard.encrypts() {
            true => Some(believer(data.path(), guard, connections)?),
            false => None,
        },
        token: matches!(guard, Guard::Token | Guard::Tls),
        keeps: connections == Use::Kept,
    };
    let each = match connections {
        Use::Kept => reports / SENDERS,
        Use::New | Use::NewWhole => reports / SENDERS / FEWER_NEW,
    };
    send_all(&sender, 0, WARMUP).await?;
    let (before, began) = (cpu::used_us(pid)?, Instant::now());
    send_all(&sender, WARMUP, each).await?;
    let (used, took) = (cpu::used_us(pid)? - before, began.elapsed());
    drop(child.stdin.take());
    child.wait().await?;
    let sent = (each * SENDERS).max(1) as u64;
    let micros = u64::try_from(took.as_micros())?.max(1);
    Ok((used / sent, sent * 1_000_000 / micros))
}

/// So many reports from every sender, side by side; the first has this number.
async fn send_all(sender: &Sender, first: usize, each: usize) -> anyhow::Result<()> {
    let mut senders = JoinSet::new();
    for which in 0..SENDERS {
        let sender = sender.clone();
        senders.spawn(async move { sender.send(which, first..first + each).await });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(())
}

#[derive(Clone)]
struct Sender {
    host: String,
    tls: Option<TlsConnector>,
    token: bool,
    keeps: bool,
}

/// Both ways of a connection.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Sender {
    async fn send(&self, which: usize, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        let mut kept = None;
        for number in numbers {
            let mut connection = match kept.take() {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            connection.send(self.request(which, number).as_bytes()).await?;
            let answer = connection.read().await?.context("the connection was closed")?;
            ensure!(
                answer.first_line.contains(" 202 "),
                "report answered `{}`: {}",
                answer.first_line,
                String::from_utf8_lossy(&answer.body)
            );
            kept = self.keeps.then_some(connection);
        }
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<Connection<Box<dyn Duplex>>> {
        let socket = TcpStream::connect(&self.host).await?;
        socket.set_nodelay(true)?;
        let stream: Box<dyn Duplex> = match &self.tls {
            Some(tls) => Box::new(tls.connect(ServerName::try_from("localhost")?, socket).await?),
            None => Box::new(socket),
        };
        Ok(Connection::over(stream))
    }

    fn request(&self, which: usize, number: usize) -> String {
        let host = &self.host;
        let token = match self.token {
            true => format!("authorization: Bearer {TOKEN}\r\n"),
            false => String::new(),
        };
        let body = format!(r#"{{"code":"failed","data":{{"number":{number}}}}}"#);
        format!(
            "POST /v1/reports HTTP/1.1\r\nhost: {host}\r\n{token}content-type: application/json\r\n\
             ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: {which}-{number}\r\nce-source: order\r\n\
             ce-subject: bench-{which}-{number}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// An authority, a certificate by which `localhost` is reached and the service `order` known, and its token.
fn write_files(folder: &Path) -> anyhow::Result<()> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = ["localhost", "order.bench"].map(str::to_owned);
    let own = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    for (name, text) in [
        ("authority.pem", authority.pem()),
        ("own.pem", own.pem()),
        ("own.key", key.serialize_pem()),
        ("token", TOKEN.to_owned()),
        ("rules.yaml", RULES.to_owned()),
    ] {
        let file = folder.join(name);
        fs::write(&file, text)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

const RULES: &str = "rulebook: bench
services: { order: { url: \"http://127.0.0.1:9\", actions: { place: { compensation: cancel } } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

fn believer(folder: &Path, guard: Guard, connections: Use) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("authority.pem"))?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match guard {
        Guard::Mutual => {
            let own = CertificateDer::from_pem_file(folder.join("own.pem"))?;
            let key = PrivateKeyDer::from_pem_file(folder.join("own.key"))?;
            config.with_client_auth_cert(vec![own], key)?
        }
        _ => config.with_no_client_auth(),
    };
    if connections == Use::NewWhole {
        config.resumption = Resumption::disabled();
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The supervisor, guarded so, until standard input ends. Prints its address as one line.
pub async fn serve(data: &Path, guard: Guard) -> anyhow::Result<()> {
    let path = |name: &str| data.join(name).display().to_string();
    let mut layers = Layers::defaults();
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &path("data"));
    layers.flag("rules", "rules", &path("rules.yaml"));
    let mut text = String::new();
    if guard != Guard::Open {
        layers.flag("required", "access.required", "on");
        text = format!(
            "[tokens]\norder = {{ file = {:?}, grants = [\"report:order\"] }}\n\
             [access.certificates]\n\"dns:order.bench\" = [\"report:order\"]\n",
            path("token")
        );
    }
    if guard.encrypts() {
        layers.flag("certificate", "tls.certificate", &path("own.pem"));
        layers.flag("key", "tls.key", &path("own.key"));
    }
    if guard == Guard::Mutual {
        layers.flag("authorities", "tls.client_authorities", &path("authority.pem"));
    }
    layers.file(Path::new("bench.toml"), &text)?;
    let running = amends_server::start(Config::from_layers(&layers)?).await?;
    let scheme = if guard.encrypts() { "https" } else { "http" };
    println!("{scheme}://{}", running.address);
    let (mut input, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
    tokio::io::copy(&mut input, &mut nowhere).await?;
    Ok(running.stop().await?)
}
