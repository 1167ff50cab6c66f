//! One service as a process: announces its port, learns where the others are, serves until its standard input ends.
//!
//! The talk with the runner, one JSON object per line:
//! - it says `{"listening": "127.0.0.1:4711"}` once its port is bound, before it serves;
//! - it hears [`Addresses`] as the first line, then serves;
//! - it hears `{"closed": true}` or `{"closed": false}` to turn everybody away with 503, or to let them in again;
//! - it says `{"ready": true}` when it serves, and `{"kill": "<saga>"}` where the plan wants it to die;
//! - when its standard input ends, because the runner said so or is gone, it shuts down.

use crate::addresses::Addresses;
use crate::broker;
use crate::client::Client;
use crate::door::Door;
use crate::errands;
use crate::faults::Strikes;
use crate::line::say;
use crate::options::ServiceArgs;
use crate::secured::Secured;
use crate::setting::Setting;
use crate::tls::acceptor;
use amends_service::{Kit, KitConfig, Sqlite};
use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long a restarted service tries to get its old port back. A connection that the dead process left behind holds
/// it for a moment at most.
const BIND_PATIENCE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
struct Command {
    closed: bool,
}

/// Runs one service until its standard input ends.
///
/// # Errors
/// When the service is unknown, its port or database can't be had, or the first line isn't [`Addresses`].
pub async fn run_service(args: ServiceArgs) -> anyhow::Result<()> {
    let service = args.business.service(&args.service).with_context(|| {
        let known: Vec<_> = args.business.names().collect();
        format!("there is no service `{}`; one of: {}", args.service, known.join(", "))
    })?;
    log_to_stderr();
    let listener = bind(args.port).await?;
    say(&json!({"listening": listener.local_addr()?.to_string()}));
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let Some(line) = commands.next_line().await? else { return Ok(()) };
    let addresses: Addresses =
        serde_json::from_str(&line).context("the first line must be the addresses")?;

    std::fs::create_dir_all(&args.data)
        .with_context(|| format!("cannot create the folder `{}`", args.data.display()))?;
    let database = args.data.join(format!("{}.sqlite", args.service));
    let strikes = Strikes::open(&args.data.join(format!("{}.strikes", args.service)))?;
    let mut config = KitConfig::new(&args.service);
    config.supervisor = Some(addresses.supervisor.clone());
    config.call_timeout_ms = service.call_timeout_ms;
    // Only a process that died leaves rows unfinished; the runner restarts it at once, so there is nothing to wait for.
    config.unfinished_after_ms = 1_000;
    config.sweep_every_ms = 500;
    let (mut client, mut tls) = (Client::default(), None);
    if args.secure {
        let secured = Secured::of(&args.data);
        config.certificates = secured.certificates(service.name);
        config.supervisor_token = Some(secured.token_file(service.name));
        client = Client::with_certificates(&config.certificates)?;
        tls = Some(acceptor(&secured, service.name)?);
    }
    let to_broker = addresses.broker.clone();
    let setting = Arc::new(Setting::new(addresses, strikes, database.clone(), client));
    let store = Sqlite::open(&database, &service.schema())?;
    let mut builder = Kit::builder(config, store)?;
    if let Some(to) = &to_broker {
        builder = broker::publishing(to, service.name, builder)?;
    }
    let kit = (service.fit_out)(builder, Arc::clone(&setting)).build();
    if let Some(supply) = &service.supply {
        (supply.put_in)(&database, args.supply)?;
    }

    let (stop, stopped) = watch::channel(false);
    let background = kit.spawn_background();
    let running = service
        .runs_errands
        .then(|| tokio::spawn(errands::run(Arc::clone(&setting), stopped.clone())));
    let door = Door::new(service.name, &(args.business.faults)());
    let serving = tokio::spawn(Arc::clone(&door).serve(listener, tls, kit.router(), stopped));
    say(&json!({"ready": true}));

    obey(&mut commands, &door).await;
    stop.send_replace(true);
    let _ = serving.await;
    if let Some(errands) = running {
        let _ = errands.await;
    }
    background.stop().await;
    Ok(())
}

/// Does what the lines say until there are no more.
async fn obey(commands: &mut Lines<BufReader<Stdin>>, door: &Door) {
    while let Ok(Some(line)) = commands.next_line().await {
        match serde_json::from_str::<Command>(&line) {
            Ok(command) => {
                door.set_closed(command.closed);
                say(&json!({"closed": command.closed}));
            }
            Err(error) => tracing::warn!(%line, %error, "a command that nobody understands"),
        }
    }
}

async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    let deadline = tokio::time::Instant::now() + BIND_PATIENCE;
    loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return Ok(listener),
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse
                    && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot listen on 127.0.0.1:{port}"));
            }
        }
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    // A second subscriber in one process (a test that runs a service within itself) is no harm.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
}
