//! A whole supervisor in one process: store, rulebooks, driver, API, upkeep; started and ended in order.

use crate::access::{Access, AccessError, FixedToken, Keyring, read_tokens};
use crate::alerts::AlertOptions;
use crate::alerts::{watch as watch_alerts, watch_nodes};
use crate::books::{Books, BooksError, Rejections};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::dispatch::{HttpOutbound, WebClient};
use crate::http::App;
use crate::identity::Believed;
use crate::ingest::listeners;
#[cfg(any(feature = "kafka", feature = "nats"))]
use crate::ingest::{Ages, Binding, Intake};
use crate::leases;
use crate::listening::{ListenError, Listening, scheme};
use crate::nodes::Nodes;
use crate::open_files::raise_open_files;
use crate::retention;
use crate::routes::router;
use crate::shell::{Driver, StartError};
use crate::signals::{Signal, Signals, notify};
use crate::supervisor::Supervisor;
use crate::telemetry::{LogWriter, export};
use crate::tls::watch as watch_certificate;
use crate::withheld::Withheld;
use amends_api::ReportWay;
use amends_store::{AnyStore, Nodes as _, SqliteOptions, SqliteStore, StoreError};
use futures_util::future::join_all;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How long requests that are being answered may take once the process is told to stop. What they wait for is a
/// commit, which takes milliseconds.
const DRAIN: Duration = Duration::from_secs(5);

/// The supervisor could not be started, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be opened.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The driver cannot start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The rules cannot be read.
    #[error("{0}")]
    Books(#[from] BooksError),
    /// The rulebooks have errors, and none is active from before.
    #[error("the rulebooks cannot be used, and none is active from before:\n{0}")]
    Rules(String),
    /// Nobody can be let in.
    #[error("{0}")]
    Access(#[from] AccessError),
    /// The addresses cannot be had.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// Signals cannot be heard.
    #[error("cannot hear signals: {0}")]
    Signals(io::Error),
    /// The driver's task ended by a fault.
    #[error("the supervisor's loop ended by a fault; what was acknowledged is in the store")]
    Fault,
}

/// A supervisor that is running. Dropping it without [`Running::stop`] leaves it running as long as the runtime does.
#[derive(Debug)]
pub struct Running {
    /// Where the API is; the port is the real one.
    pub address: SocketAddr,
    /// Where services have an address of their own.
    pub services_address: Option<SocketAddr>,
    /// Whether they speak `https`.
    pub secure: bool,
    /// The handle for programs that host it.
    pub supervisor: Supervisor<AnyStore>,
    grace: Duration,
    stopping: watch::Sender<bool>,
    looks: Vec<mpsc::Sender<()>>,
    servers: Vec<JoinHandle<()>>,
    driver: JoinHandle<()>,
    upkeep: Vec<JoinHandle<()>>,
    /// What brokers bring.
    hearing: Vec<JoinHandle<()>>,
    exporter: Option<Exporter>,
}

/// What ends it, and the task.
type Exporter = (oneshot::Sender<()>, JoinHandle<()>);

/// Starts a supervisor; it is ready when this returns.
///
/// # Errors
/// When anything that it needs cannot be had. Nothing is left running then, except what a dropped runtime ends.
pub async fn start(config: Config) -> Result<Running, ServeError> {
    LogWriter::withhold(&config.withheld);
    // Before the store: a second supervisor by mistake should fail for the simplest reason.
    let listening = Listening::bind(&config).await?;
    let address = listening.address();
    let insecure = warn(&config, &listening)?;
    let store = open_store(&config).await?;
    let nodes = nodes(&config, &store);
    leases::until_ours(&store, nodes.me().unwrap_or_default()).await?;
    let (outbound, callbacks) = outbound(&config);
    let mut access = Access::open(&store, &config.access, &listening.all())
        .await?
        .believing(Believed::new(&config.identity, &config.outbound));
    access.insecure = insecure.map(Into::into);
    let (supervisor, driver) = Driver::start(store, outbound, SystemClock, config.driver).await?;
    supervisor.withhold(&config.withheld);
    until_ready(&supervisor, &driver).await;
    let rejections = Rejections::default();
    let books = match &config.rules {
        None => None,
        Some(path) => match books(path, &config, &supervisor, &rejections).await {
            Ok(books) => Some(books),
            Err(rejected) => {
                supervisor.stop();
                let _ = driver.await; // nothing was under way
                until_closed(supervisor).await;
                return Err(ServeError::Rules(rejected));
            }
        },
    };
    let (stopping, stops) = watch::channel(false);
    let exporter = export_spans(&config, &supervisor);
    let (mut looks, mut upkeep) = watch_files(&config, &supervisor, &listening, books, &stops);
    upkeep.extend(remove_old(&config, &supervisor, &stops));
    let (look, asked) = mpsc::channel(1);
    looks.push(look);
    let keeper = Keeper::of(&access, &config);
    upkeep.push(tokio::spawn(keeper.keep(supervisor.clone(), asked, stops.clone())));
    upkeep.extend(tell_alerts(&config, address, (&supervisor, &nodes), &stops));
    let hearing = subscribe(&config, &supervisor, &stops);
    upkeep.extend(watch_bridges(&config, &supervisor, &stops));
    // Absolute, so that the path in an answer means the same to whoever reads it.
    let data = std::path::absolute(&config.data).unwrap_or(config.data);
    let app = App::new(supervisor.clone(), rejections, config.http, stops.clone())
        .reached_at(&config.alerts.public_url, &config.hosts)
        .called_back_at(callbacks)
        .reaching(config.outbound.destinations.allow_hosts)
        .guarded_by(access)
        .hearing(config.channels)
        .among(nodes)
        .withholding(config.withheld)
        .with_backups(data.join("backups"));
    app.bulks.resume(&supervisor).await;
    let (services_address, secure) = (listening.services_address(), listening.is_secure());
    let servers = listening.open(&router(app), supervisor.metrics(), &stops);
    Ok(Running {
        address,
        services_address,
        secure,
        supervisor,
        grace: config.driver.grace,
        stopping,
        looks,
        servers,
        driver,
        upkeep,
        hearing,
        exporter,
    })
}

/// Of a store that nodes share, what this one holds of it has yet to be read: whoever comes first would be told that.
async fn until_ready(supervisor: &Supervisor<AnyStore>, driver: &JoinHandle<()>) {
    while supervisor.store().is_shared() && !supervisor.is_ready() && !driver.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Gives the store up, and waits until everybody else has: tasks that were told to end hold it a moment longer, and
/// whoever starts anew must find it free.
async fn until_closed(supervisor: Supervisor<AnyStore>) {
    let closed = supervisor.store().closed();
    drop(supervisor);
    if tokio::time::timeout(DRAIN, closed).await.is_err() {
        tracing::warn!(
            "something still uses the store; it is closed when that ends, or with the process"
        );
    }
}

/// Opens the store that the configuration names.
async fn open_store(config: &Config) -> Result<AnyStore, StoreError> {
    #[cfg(feature = "postgres")]
    if let Some(cluster) = config.cluster.clone() {
        // It waits for a network.
        let opened = tokio::task::spawn_blocking(move || cluster.open()).await;
        return Ok(opened.unwrap_or(Err(StoreError::Closed))?.into());
    }
    Ok(SqliteStore::open(&config.data, &SqliteOptions::default())?.into())
}

/// Who shares the store with us.
fn nodes(config: &Config, store: &AnyStore) -> Nodes {
    #[cfg(feature = "postgres")]
    if let Some(cluster) = &config.cluster {
        return Nodes::of(store.clone(), &cluster.database.node, store.is_shared());
    }
    let _ = (config, store);
    Nodes::default()
}

/// Removes what is kept long enough.
fn remove_old(
    config: &Config,
    supervisor: &Supervisor<AnyStore>,
    stops: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let mut upkeep = Vec::new();
    if config.keep_settled.removes() {
        let keep = config.keep_settled.clone();
        upkeep.push(tokio::spawn(retention::watch(supervisor.clone(), keep, stops.clone())));
    }
    if let Some(keep) = config.keep_audit {
        let audit = retention::watch_audit(supervisor.clone(), keep, stops.clone());
        upkeep.push(tokio::spawn(audit));
    }
    if let Some(keep) = config.keep_rejected {
        let rejected = retention::watch_rejected(supervisor.clone(), keep, stops.clone());
        upkeep.push(tokio::spawn(rejected));
    }
    upkeep
}

/// Who is known, and what the configuration says of it.
struct Keeper {
    keys: Keyring,
    tokens: Vec<FixedToken>,
    withheld: Withheld,
}

impl Keeper {
    /// Once a minute, and when it is asked to: reads the tokens that stand in files, and writes down which were used.
    async fn keep(
        self,
        supervisor: Supervisor<AnyStore>,
        mut asked: mpsc::Receiver<()>,
        mut stops: watch::Receiver<bool>,
    ) {
        loop {
            let told = tokio::select! {
                _ = stops.wait_for(|stop| *stop) => true,
                Some(()) = asked.recv() => false,
                () = tokio::time::sleep(KEYS_EVERY) => false,
            };
            self.read_files();
            if let Err(error) = self.keys.tidy(supervisor.store(), SystemClock.now()).await {
                tracing::warn!(%error, "which tokens were used can't be written down");
            }
            if told {
                return;
            }
        }
    }
}

impl Keeper {
    fn of(access: &Access, config: &Config) -> Self {
        Self {
            keys: access.keys.clone(),
            tokens: config.access.tokens.clone(),
            withheld: config.withheld.clone(),
        }
    }

    /// Takes tokens as their files hold them now. What can't be kept out of answers and logs is not taken.
    fn read_files(&self) {
        if let Err((file, why)) = self.withheld.read_anew() {
            let file = file.display();
            tracing::error!(%file, %why, "a changed file with a secret can't be used; the tokens before stay in force");
        } else if let Err(error) = read_tokens(&self.keys, &self.tokens) {
            tracing::error!(%error, "a changed token can't be used; those before stay in force");
        }
    }
}

/// Says what is not as safe as it could be, and gives what every page says of it.
fn warn(config: &Config, listening: &Listening) -> Result<Option<String>, ListenError> {
    config.loose_files.iter().for_each(|why| tracing::warn!("{why}"));
    let insecure = listening.judge(&config.access)?;
    if let Some(why) = &insecure {
        tracing::warn!("INSECURE: {why}");
    }
    if let Some(why) = config.open_to_all(listening.address()) {
        tracing::warn!("{why}");
    }
    Ok(insecure)
}

/// Looks at the files of rulebooks and of our certificate every now and then; what is given first asks for a look.
fn watch_files(
    config: &Config,
    supervisor: &Supervisor<AnyStore>,
    listening: &Listening,
    books: Option<Books>,
    stops: &watch::Receiver<bool>,
) -> (Vec<mpsc::Sender<()>>, Vec<JoinHandle<()>>) {
    let (mut looks, mut watching) = (Vec::new(), Vec::new());
    let every = if config.reload_every.is_zero() { NEVER } else { config.reload_every };
    if let Some(books) = books {
        let (look, asked) = mpsc::channel(1);
        looks.push(look);
        watching.push(tokio::spawn(books.watch(supervisor.clone(), every, asked, stops.clone())));
    }
    if let Some(tls) = listening.tls() {
        let (look, asked) = mpsc::channel(1);
        looks.push(look);
        let metrics = supervisor.metrics().clone();
        watching.push(tokio::spawn(watch_certificate(tls, metrics, every, asked)));
    }
    (looks, watching)
}

/// The rulebook files, read once; an error has what is wrong with them, if nothing is active from before.
async fn books(
    path: &Path,
    config: &Config,
    supervisor: &Supervisor<AnyStore>,
    rejections: &Rejections,
) -> Result<Books, String> {
    let mut books = Books::new(path.to_owned(), rejections.clone())
        .reaching(config.outbound.destinations.allow_hosts.clone());
    let found = books.reload(supervisor, true).await;
    match !found.rejected.is_empty() && supervisor.active_books().is_empty() {
        true => Err(found.rejected),
        false => Ok(books),
    }
}

/// What sends requests, and where services reach us.
fn outbound(config: &Config) -> (HttpOutbound, Option<Arc<str>>) {
    let callbacks = config.outbound.destinations.callbacks.clone();
    (HttpOutbound::new(config.outbound.clone()), callbacks)
}

/// Sends spans, if there is somebody who gathers them.
fn export_spans(config: &Config, supervisor: &Supervisor<AnyStore>) -> Option<Exporter> {
    let endpoint = config.traces.clone()?;
    let metrics = supervisor.metrics().clone();
    let spans = supervisor.traces().open(metrics.clone())?;
    let client = WebClient::new(&config.outbound, std::slice::from_ref(&endpoint));
    let (end, ends) = oneshot::channel();
    Some((
        end,
        tokio::spawn(export(endpoint, client, config.withheld.clone(), metrics, spans, ends)),
    ))
}

/// Says of bridges which nobody reads, and watches who listens to the reports of the others.
fn watch_bridges(
    config: &Config,
    supervisor: &Supervisor<AnyStore>,
    stops: &watch::Receiver<bool>,
) -> Option<JoinHandle<()>> {
    let bridges = config.channels.bridges.clone();
    let brokers =
        [(ReportWay::Kafka, config.kafka.is_some()), (ReportWay::Nats, config.nats.is_some())];
    for bridge in &bridges {
        for (way, is_named) in brokers {
            if !is_named && !bridge.channels(way).is_empty() {
                let name = &bridge.name;
                tracing::warn!(
                    "the bridge `{name}` reads {}, and the configuration names none",
                    way.title()
                );
            }
        }
    }
    let watched = || listeners::watch(bridges.clone(), supervisor.clone(), stops.clone());
    (!bridges.is_empty()).then(|| tokio::spawn(watched()))
}

/// Takes reports from brokers, if any are named.
fn subscribe(
    config: &Config,
    supervisor: &Supervisor<AnyStore>,
    stops: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    #[cfg(any(feature = "kafka", feature = "nats"))]
    let channels = Arc::new(config.channels.clone());
    #[cfg(any(feature = "kafka", feature = "nats"))]
    let ages = Arc::new(Ages::new(config.keep_settled.shortest(), config.driver.trust_after));
    #[cfg(any(feature = "kafka", feature = "nats"))]
    let intake = |binding: Binding| {
        supervisor.metrics().ways().know(binding.way());
        Intake {
            supervisor: supervisor.clone(),
            binding,
            channels: Arc::clone(&channels),
            ages: Arc::clone(&ages),
        }
    };
    let mut hearing = Vec::new();
    #[cfg(feature = "kafka")]
    if let Some(options) = config.kafka.clone() {
        let intake = intake(Binding::Kafka);
        hearing.push(tokio::spawn(crate::ingest::kafka::watch(intake, options, stops.clone())));
    }
    #[cfg(feature = "nats")]
    if let Some(options) = config.nats.clone() {
        let intake = intake(Binding::Nats);
        hearing.push(tokio::spawn(crate::ingest::nats::watch(intake, options, stops.clone())));
    }
    // A build without brokers speaks to none, and its configuration names none.
    #[cfg(not(any(feature = "kafka", feature = "nats")))]
    let _ = (&mut hearing, config, supervisor, stops);
    hearing
}

/// Tells of alerts, if anybody is to be told.
fn tell_alerts(
    config: &Config,
    address: SocketAddr,
    (supervisor, nodes): (&Supervisor<AnyStore>, &Nodes),
    stops: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let mut options = AlertOptions { withheld: config.withheld.clone(), ..config.alerts.clone() };
    if !options.tells_anybody() {
        return Vec::new();
    }
    let Some(alert) = supervisor.alerts().open() else { return Vec::new() };
    let hooks = [&options.webhooks[..], &options.slack].concat();
    let client = WebClient::new(&config.outbound, &hooks);
    if options.public_url.is_empty() {
        options.public_url = format!("{}://{address}", scheme(config.tls.is_some()));
    }
    let telling = watch_alerts(supervisor.clone(), client, options, alert, stops.clone());
    let mut tasks = vec![tokio::spawn(telling)];
    if nodes.can_be_several() {
        let alerts = supervisor.alerts().clone();
        tasks.push(tokio::spawn(watch_nodes(nodes.clone(), alerts, stops.clone())));
    }
    tasks
}

/// How often tokens in files are read, and uses of tokens written down: they are told to the minute.
const KEYS_EVERY: Duration = Duration::from_secs(60);

/// A year: longer than a process lives without being looked at.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

impl Running {
    /// Looks at the files of rulebooks, tokens and our certificate now, and reads rulebooks that look unchanged too.
    pub fn look_at_files(&self) {
        for look in &self.looks {
            let _ = look.try_send(()); // a look is due already
        }
    }

    /// Ends in order: not ready any more, answers what is being asked, makes durable what was taken, waits for services
    /// up to the grace, and closes the store.
    ///
    /// # Errors
    /// [`ServeError::Fault`] when the loop had ended by a fault.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.stopping.send_replace(true);
        let mut servers = self.servers;
        if tokio::time::timeout(DRAIN, join_all(servers.iter_mut())).await.is_err() {
            servers.iter().for_each(JoinHandle::abort);
            // Aborted, or ended already: their connections are closed.
            for server in servers.iter_mut().filter(|server| !server.is_finished()) {
                let _ = server.await;
            }
        }
        // They have been told to end; what is in their hands is taken, or comes again.
        let mut hearing = self.hearing;
        if tokio::time::timeout(DRAIN, join_all(hearing.iter_mut())).await.is_err() {
            hearing.iter().for_each(JoinHandle::abort);
        }
        self.supervisor.stop();
        let mut driver = self.driver;
        // The driver keeps to the grace itself; a little more is for its last commit.
        let ended = tokio::time::timeout(self.grace + DRAIN, &mut driver).await;
        for task in self.upkeep {
            task.abort();
            let _ = task.await; // aborted between two writes
        }
        if let Some((end, mut exporter)) = self.exporter {
            let _ = end.send(()); // an exporter that has ended has nothing to flush
            if tokio::time::timeout(DRAIN, &mut exporter).await.is_err() {
                exporter.abort();
            }
        }
        let faultless = match ended {
            Ok(ended) => ended.is_ok(),
            Err(_) => {
                driver.abort();
                true
            }
        };
        until_closed(self.supervisor).await;
        if faultless { Ok(()) } else { Err(ServeError::Fault) }
    }

    /// Whether the loop still runs.
    fn is_alive(&self) -> bool {
        !self.driver.is_finished()
    }
}

/// Runs a supervisor until SIGTERM, SIGINT, or (if so configured) the end of the standard input.
///
/// # Errors
/// When it cannot start, or ended by a fault.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let mut signals = Signals::new(config.exit_with_parent).map_err(ServeError::Signals)?;
    raise_open_files();
    let mut starting = std::pin::pin!(start(config));
    // It may wait for another supervisor to end.
    let running = loop {
        tokio::select! {
            started = &mut starting => break started?,
            signal = signals.next() => if let Signal::Stop(why) = signal {
                tracing::info!("stopping before it has started: {why}");
                return Ok(());
            },
        }
    };
    // By the way of the log: a reader of standard error that has stopped must not stop this.
    let scheme = scheme(running.secure);
    let mut told = format!("listening on {scheme}://{}", running.address);
    if let Some(address) = running.services_address {
        told = format!("{told}, for services on {scheme}://{address}");
    }
    let _ = writeln!(LogWriter::of_stderr(), "{told}");
    notify("READY=1");
    loop {
        match tokio::time::timeout(Duration::from_secs(1), signals.next()).await {
            Ok(Signal::Look) => running.look_at_files(),
            Ok(Signal::Stop(why)) => {
                tracing::info!("stopping: {why}");
                break;
            }
            Err(_) if running.is_alive() => {}
            Err(_) => break,
        }
    }
    notify("STOPPING=1");
    running.stop().await
}
