//! Measures the supervisor on this machine: reports/s, latency, CPU per report, and the share of the same server with
//! a store that forgets. Prints one JSON object. Everything goes over HTTP on loopback between two processes: this one
//! (load generator and participant) and the supervisor.

mod access;
mod cpu;
mod engine;
mod kit;
mod load;
mod memory;
mod migration;
mod nodes;
mod null_store;
mod outage;
mod participant;
mod postgres;
mod queries;
mod rules;
mod store_fill;
mod stores;
mod supervisor;
mod tally;
mod ways;
mod wire;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use load::Pace;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use store_fill::Past;
use tally::Tally;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

// As in the binary `amends`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sagas that a saturating run keeps under way.
const WINDOW: usize = 256;

/// Most sagas of one run: bounds memory.
const MOST_SAGAS: usize = 2_000_000;

/// How long stragglers may take after the load has ended.
const STRAGGLERS: Duration = Duration::from_secs(30);

#[derive(Parser)]
#[command(about = "Measures the supervisor on this machine and prints one JSON object")]
struct Cli {
    /// Seconds of each measured run.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Seconds before each measured run that do not count.
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// Steady rates at which latency is measured, in reports per second.
    #[arg(long, value_delimiter = ',', default_value = "1000,4000")]
    rates: Vec<u64>,
    #[command(subcommand)]
    command: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// One service is away while cases pile up for it, then returns: how fast does the backlog drain, and who notices?
    Outage {
        /// Cases that wait for it.
        #[arg(long, default_value_t = 10_000)]
        cases: usize,
        /// Seconds that it stays away after the others are done.
        #[arg(long, default_value_t = 5)]
        away: u64,
    },
    /// The supervisor as `amends serve` is by default: four services behind one address against one address for each.
    Addresses {
        /// Pairs of runs.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// What a report costs in CPU without access control, with a token, and with TLS besides.
    Access {
        /// Reports of each measurement over kept connections; over new ones it is a fifth.
        #[arg(long, default_value_t = 6_000)]
        reports: usize,
        /// Measurements of each kind, by turns.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// What a report costs in CPU over HTTP, by NATS and by Kafka, and how many a second come in (features `nats`,
    /// `kafka`).
    Ways {
        /// Reports of each measurement.
        #[arg(long, default_value_t = 20_000)]
        reports: usize,
        /// Measurements of each way, by turns.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// `amends serve` that reads at a broker (started by the benchmark itself).
    #[command(hide = true)]
    Reading {
        #[arg(long)]
        data: PathBuf,
    },
    /// `amends serve` that wants to know who comes (started by the benchmark itself).
    #[command(hide = true)]
    Guarded {
        #[arg(long)]
        data: PathBuf,
        #[arg(long)]
        guard: access::Guard,
    },
    /// `amends serve` with its defaults (started by the benchmark itself).
    #[command(hide = true)]
    Shipped {
        #[arg(long)]
        data: PathBuf,
        /// Addresses of the services, in their order.
        #[arg(long, value_delimiter = ',')]
        services: Vec<String>,
    },
    /// The engine alone, without HTTP and store.
    Engine,
    /// A forward action of the service kit against the same handler without History.
    Kit {
        /// Where History lies: sqlite or postgres.
        #[arg(long, default_value = "sqlite")]
        store: String,
        /// The PostgreSQL database to measure, e.g. `postgres://user@host/database`.
        #[arg(long)]
        url: Option<String>,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 4)]
        seconds: u64,
    },
    /// A rulebook with 100,000 rules: loading, checking, matching.
    Rules,
    /// SQLite and PostgreSQL (a server of the run's own, which waits for the disk) side by side: reports/s, latency at
    /// a steady rate, CPU of supervisor and database, rows and bytes of log for each report.
    Stores {
        /// Reports a second of the steady runs.
        #[arg(long, default_value_t = 500)]
        rate: u64,
    },
    /// A store in which work is under way is moved from its folder into PostgreSQL: how long it takes, and whether all
    /// goes on there as if nothing had been.
    Migration {
        /// Settled cases.
        #[arg(long, default_value_t = 100_000)]
        settled: u64,
        /// Cases that wait for a service that is away.
        #[arg(long, default_value_t = 10_000)]
        open: u64,
        /// Steps that are asked for and not answered when the supervisor is killed.
        #[arg(long, default_value_t = 50)]
        in_flight: u64,
        /// Steps that were taken with 202 and whose outcome is told after the move.
        #[arg(long, default_value_t = 50)]
        accepted: u64,
    },
    /// Nodes that share a PostgreSQL, under load, while one after another is killed, stopped or drained and the
    /// database is killed twice: what was acknowledged and lost, what took effect twice, which limits were passed, how
    /// long anything waited. Fails if a promise is broken.
    Nodes {
        /// How many.
        #[arg(long, default_value_t = 3)]
        nodes: usize,
        /// Reports a second.
        #[arg(long, default_value_t = 500)]
        rate: u64,
        /// How long, in seconds.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// Seconds between two blows.
        #[arg(long, default_value_t = 15)]
        every: u64,
        /// Says who is struck how.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Seconds that a report may wait until all that it asks for has been asked for.
        #[arg(long, default_value_t = 45)]
        longest: u64,
        /// In place of blows, one node after another is stopped and comes back as a newer version, whose first start
        /// changes the tables.
        #[arg(long)]
        upgrade: bool,
    },
    /// Two nodes against one: how many reports a second a core of PostgreSQL does, where half of them are left as
    /// letters for the other node; and one of two killed, after how long all that was acknowledged is done. Fails if
    /// two lose more than 15 %, or if that takes longer than 10 s.
    Pair {
        /// Reports of each measurement.
        #[arg(long, default_value_t = 20_000)]
        reports: usize,
        /// Measurements of each, by turns.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Reports a second at which one is killed.
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
        /// Seconds of that load; the kill is in its middle.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Fills the store of a folder with settled and open cases.
    StoreFill {
        /// The folder; its store must not be in use.
        #[arg(long)]
        to: PathBuf,
        /// Settled cases.
        #[arg(long, default_value_t = 1_000_000)]
        settled: u64,
        /// Cases that still wait.
        #[arg(long, default_value_t = 10_000)]
        open: u64,
    },
    /// How long an operator's questions take with a large store, while reports come in.
    Queries {
        /// Settled cases.
        #[arg(long, default_value_t = 1_000_000)]
        settled: u64,
        /// Cases that still wait.
        #[arg(long, default_value_t = 10_000)]
        open: u64,
        /// Reports a second.
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
        /// A folder that `store-fill` has filled with these numbers; filled anew if not given.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Where the cases lie: the same ones by turns, moved as `amends migrate` does.
        #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
        stores: Vec<queries::Kind>,
    },
    /// What open cases cost in memory, and how soon after a start the first of them is worked on.
    Memory {
        /// Cases that wait.
        #[arg(long, default_value_t = 1_000_000)]
        cases: u64,
    },
    /// The supervisor under test (started by the benchmark itself).
    #[command(hide = true)]
    Supervisor {
        #[arg(long)]
        store: String,
        #[arg(long)]
        data: PathBuf,
        /// Address of the first service.
        #[arg(long)]
        first: String,
        /// Address of the others.
        #[arg(long)]
        others: String,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let result = match &cli.command {
        None => return throughput(&cli).await,
        Some(Role::Supervisor { store, data, first, others }) => {
            return supervisor::run(store, data, first, others).await;
        }
        Some(Role::Shipped { data, services }) => {
            return supervisor::run_shipped(data, services).await;
        }
        Some(Role::Addresses { rounds }) => return addresses(&cli, *rounds).await,
        Some(Role::Guarded { data, guard }) => return access::serve(data, *guard).await,
        Some(Role::Reading { data }) => return ways::serve(data).await,
        Some(Role::Ways { reports, rounds }) => ways::run(*reports, *rounds).await?,
        Some(Role::Access { reports, rounds }) => access::run(*reports, *rounds).await?,
        Some(Role::Outage { cases, away }) => {
            outage::run(*cases, Duration::from_secs(*away)).await?
        }
        Some(Role::Engine) => engine::run()?,
        Some(Role::StoreFill { to, settled, open }) => {
            return store_fill::run(to, Past::of(*settled, *open, store_fill::NOBODY)).await;
        }
        Some(Role::Stores { rate }) => stores::run(&cli, *rate).await?,
        Some(Role::Nodes { nodes, rate, seconds, every, seed, longest, upgrade }) => {
            let (nodes, rate, seconds, every) = (*nodes, *rate, *seconds, *every);
            let (seed, longest) = (*seed, *longest);
            let options = nodes::Options { nodes, rate, seconds, every, seed, longest };
            if *upgrade { nodes::upgrade(options).await? } else { nodes::run(options).await? }
        }
        Some(Role::Pair { reports, rounds, rate, seconds }) => {
            let (reports, rounds, rate, seconds) = (*reports, *rounds, *rate, *seconds);
            nodes::run_pair(nodes::PairOptions { reports, rounds, rate, seconds }).await?
        }
        Some(Role::Migration { settled, open, in_flight, accepted }) => {
            let (settled, open, in_flight, accepted) = (*settled, *open, *in_flight, *accepted);
            let options = migration::Options { settled, open, in_flight, accepted };
            migration::run(options).await?
        }
        Some(Role::Queries { settled, open, rate, data, stores }) => {
            let (settled, open, rate) = (*settled, *open, *rate);
            let (data, stores) = (data.clone(), stores.clone());
            queries::run(queries::Options { settled, open, rate, data, stores }).await?
        }
        Some(Role::Kit { store, url, seconds }) => {
            kit::run(store, url.as_deref(), *seconds).await?
        }
        Some(Role::Memory { cases }) => memory::run(*cases).await?,
        Some(Role::Rules) => rules::run()?,
    };
    println!("{}", serde_json::to_string_pretty(&result)?);
    let broken = result["broken"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(broken.is_empty(), "broken: {}", json!(broken));
    Ok(())
}

/// Connections kept per address must follow what is in use, or services that share one are slow.
async fn addresses(cli: &Cli, rounds: u32) -> anyhow::Result<()> {
    let (mut runs, mut ratios) = (serde_json::Map::new(), Vec::new());
    for round in 1..=rounds {
        // By turns, so that a machine that changes its speed hurts both alike.
        let shared = measure(cli, Subject::Shipped { addresses: 1 }, Pace::Saturate, None).await?;
        let own = measure(cli, Subject::Shipped { addresses: 4 }, Pace::Saturate, None).await?;
        if let (Some(a), Some(b)) =
            (shared["reportsPerSecond"].as_f64(), own["reportsPerSecond"].as_f64())
        {
            ratios.push(a / b);
        }
        runs.insert(format!("one address for all, round {round}"), shared);
        runs.insert(format!("an address for each, round {round}"), own);
    }
    let result = json!({ "sharedToOwn": ratios, "runs": runs });
    println!("{}", serde_json::to_string_pretty(&result)?);
    Ok(())
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    /// Driver, API and dispatch on this store: `sqlite`, `null`, or the address of a database.
    On(&'a str),
    /// All of `amends serve` with its defaults, its services at so many addresses.
    Shipped { addresses: usize },
}

impl Subject<'_> {
    /// The supervisor, its address, and where its services are to listen.
    async fn start(
        self,
        data: &std::path::Path,
    ) -> anyhow::Result<(Child, String, Vec<tokio::net::TcpListener>)> {
        let addresses = match self {
            Self::On(_) => 1,
            Self::Shipped { addresses } => addresses,
        };
        let (mut listeners, mut urls) = (Vec::new(), Vec::new());
        for _ in 0..addresses {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            urls.push(format!("http://{}", listener.local_addr()?));
            listeners.push(listener);
        }
        let (child, address) = match self {
            Self::On(store) => start_supervisor(store, data, &urls[0], &urls[0]).await?,
            Self::Shipped { .. } => {
                let services: Vec<_> =
                    urls.iter().cycle().take(supervisor::SERVICES.len()).cloned().collect();
                start(data, &["shipped", "--services", &services.join(",")]).await?
            }
        };
        Ok((child, address, listeners))
    }
}

async fn throughput(cli: &Cli) -> anyhow::Result<()> {
    let mut runs = serde_json::Map::new();
    // The two stores take turns, so that a machine that changes its speed hurts both alike.
    let mut ratios = Vec::new();
    for round in 1..=2 {
        let sqlite = measure(cli, Subject::On("sqlite"), Pace::Saturate, None).await?;
        let null = measure(cli, Subject::On("null"), Pace::Saturate, None).await?;
        if let (Some(a), Some(b)) =
            (sqlite["reportsPerSecond"].as_f64(), null["reportsPerSecond"].as_f64())
        {
            ratios.push(a / b);
        }
        runs.insert(format!("sqlite saturated, round {round}"), sqlite);
        runs.insert(format!("null store saturated, round {round}"), null);
    }
    for rate in &cli.rates {
        let run = measure(cli, Subject::On("sqlite"), Pace::PerSecond(*rate), None).await?;
        runs.insert(format!("sqlite at {rate}/s"), run);
    }
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let result = json!({ "cores": cores, "compensationsPerReport": supervisor::SERVICES.len(),
        "shareOfNullStore": ratios, "runs": runs });
    println!("{}", serde_json::to_string_pretty(&result)?);
    Ok(())
}

/// One run. `database` is the first process of a database whose CPU is told as well.
async fn measure(
    cli: &Cli,
    subject: Subject<'_>,
    pace: Pace,
    database: Option<u32>,
) -> anyhow::Result<Value> {
    eprintln!("{subject:?}, {pace:?} …");
    let data = store_folder()?;
    let until_us = (cli.warmup + cli.seconds) * 1_000_000;
    let (mut child, address, listeners) = subject.start(data.path()).await?;
    let pid = child.id().context("the supervisor has ended")?;
    let parts = u8::try_from(supervisor::SERVICES.len())?;
    let tally = Arc::new(Tally::new(MOST_SAGAS, WINDOW, parts)); // its clock begins now
    let mut served = tokio::task::JoinSet::new();
    for listener in listeners {
        served.spawn(participant::serve(listener, Arc::clone(&tally)));
    }

    let (from_us, to_us) = (cli.warmup * 1_000_000, until_us);
    let marks = Arc::clone(&tally);
    let warmup = Duration::from_secs(cli.warmup);
    let cpu = tokio::spawn(async move {
        tokio::time::sleep(warmup).await;
        let used = || {
            let database = database.map_or(Ok(0), cpu::used_by_family_us)?;
            anyhow::Ok([cpu::used_us(pid)?, cpu::used_us(std::process::id())?, database])
        };
        let before = used()?;
        tokio::time::sleep(Duration::from_micros(to_us.saturating_sub(marks.now_us()))).await;
        let after = used()?;
        anyhow::Ok([0, 1, 2].map(|of: usize| after[of] - before[of]))
    });
    let sent = load::run(&address, &tally, pace, 0..MOST_SAGAS, until_us).await?;
    let [supervisor_us, load_us, database_us] = cpu.await??;
    let waited = tokio::time::timeout(STRAGGLERS, async {
        while tally.finished() < sent {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ensure!(
        waited.await.is_ok(),
        "{} of {sent} sagas were never compensated",
        sent - tally.finished()
    );
    served.abort_all();
    drop(child.stdin.take());
    child.wait().await?;

    let finished = tally.finished_between(from_us, to_us).max(1) as u64;
    let per_second = finished / cli.seconds.max(1);
    let mut run = json!({
        "reportsPerSecond": per_second,
        "reports": finished,
        "allReports": sent,
        "latencyMs": tally.percentiles(from_us, to_us),
        "cpuMicrosPerReport": { "supervisor": supervisor_us / finished, "loadAndParticipant": load_us / finished },
    });
    if database.is_some() {
        run["cpuMicrosPerReport"]["database"] = json!(database_us / finished);
    }
    Ok(run)
}

async fn start_supervisor(
    store: &str,
    data: &std::path::Path,
    first: &str,
    others: &str,
) -> anyhow::Result<(Child, String)> {
    start(data, &["supervisor", "--store", store, "--first", first, "--others", others]).await
}

/// This program once more, in a role that prints its address.
async fn start(data: &std::path::Path, arguments: &[&str]) -> anyhow::Result<(Child, String)> {
    start_in(data, arguments, &[]).await
}

/// The same, with these variables in its environment.
async fn start_in(
    data: &std::path::Path,
    arguments: &[&str],
    environment: &[(&str, &std::path::Path)],
) -> anyhow::Result<(Child, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .envs(environment.iter().copied())
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the supervisor")?;
    let output = child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await?;
    ensure!(line.starts_with("http"), "the supervisor did not start");
    Ok((child, line.trim().to_owned()))
}

/// On the disk of the build, not in a memory file system: a commit must cost what it costs.
fn store_folder() -> anyhow::Result<tempfile::TempDir> {
    tempfile::tempdir_in(std::env::current_dir()?.join("target"))
        .or_else(|_| tempfile::tempdir())
        .context("a folder for the store")
}
