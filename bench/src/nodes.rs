//! Nodes that share one database, under a steady load, while every some seconds one of them is killed, stopped or
//! drained and the database is killed twice: what was acknowledged and lost, what took effect twice, how long anything
//! waited, and whether the database's restarts moved partitions.

use crate::nodes_books::{Books, serve};
use crate::postgres::Database;
use crate::supervisor::{SERVICES, rulebook_at};
use crate::wire::Connection;
use crate::{start, store_folder};
use amends_store::{PostgresOptions, PostgresStore};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, block_in_place};

/// Reports that wait for an answer at once; past it the load falls behind its rate, and that is seen in the figures.
const UNDER_WAY: usize = 4_000;
/// How long a sender waits for an answer before it asks another node: longer than a node waits for another's word.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a node that gave no answer is passed over, as a balancer does.
const PASSED_OVER: Duration = Duration::from_secs(1);
/// How long a killed node stays away, a stopped one stopped, a drained one drained, and the database away.
const KILLED_FOR: Duration = Duration::from_secs(2);
const STOPPED_FOR: Duration = Duration::from_secs(8);
const DRAINED_FOR: Duration = Duration::from_secs(2);
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
const DATABASE_AWAY: Duration = Duration::from_secs(10);
/// After the database is back, all that would move has moved by then: others count as dead after 5 s, and have to have
/// lived for 5 s.
const SETTLES_IN: Duration = Duration::from_secs(15);
/// How long all that is left may take in the end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub nodes: usize,
    /// Reports a second.
    pub rate: u64,
    pub seconds: u64,
    /// Seconds between two blows.
    pub every: u64,
    pub seed: u64,
}

/// All of it; the figures.
pub async fn run(options: Options) -> anyhow::Result<Value> {
    let data = store_folder()?;
    let mut database = Database::start();
    database.anew()?;
    let sagas = usize::try_from(options.rate * options.seconds)?;
    let books = Arc::new(Books::new(sagas));
    let mut urls = Vec::new();
    for (n, _) in SERVICES.iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        urls.push(format!("http://{}", listener.local_addr()?));
        tokio::spawn(serve(listener, n, Arc::clone(&books)));
    }
    let rules = rulebook_at(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    let mut nodes = Vec::new();
    for n in 1..=options.nodes {
        let folder = data.path().join(format!("node-{n}"));
        nodes.push(Node::start(folder, n, &rules, &database).await?);
    }
    let nodes: Arc<[Node]> = nodes.into();
    eprintln!("{} nodes, {} reports/s for {} s …", options.nodes, options.rate, options.seconds);
    let mut tasks = JoinSet::new();
    let moved = Arc::new(AtomicU64::new(0));
    tasks.spawn(watch(database.address.clone(), Arc::clone(&moved)));
    let load = tokio::spawn(send_all(Arc::clone(&nodes), Arc::clone(&books), options));
    let blows = disturb(&nodes, &database, options).await?;
    let again = load.await??;
    let deadline = Instant::now() + PATIENCE;
    while books.unfinished() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let figures = books.figures();
    let result = json!({
        "nodes": options.nodes, "reportsPerSecond": options.rate, "seconds": options.seconds,
        "acknowledged": figures.acknowledged, "sentAgain": again, "lost": figures.lost,
        "doubledInEffect": figures.doubled, "askedAgain": figures.again,
        "untilAskedMs": figures.until_asked, "killed": blows.killed, "stopped": blows.stopped,
        "drained": blows.drained, "databaseKilled": blows.database,
        "partitionsMoved": moved.load(Ordering::Relaxed), "partitionsMovedByTheDatabase": blows.moved,
    });
    for node in nodes.iter() {
        node.end().await;
    }
    Ok(result)
}

/// One of the supervisors.
struct Node {
    name: String,
    folder: PathBuf,
    /// `127.0.0.1:4711`; another one after each start.
    address: Mutex<String>,
    child: tokio::sync::Mutex<Option<Child>>,
    kept: Mutex<Vec<Connection>>,
    passed_over_until: Mutex<Instant>,
}

impl Node {
    async fn start(
        folder: PathBuf,
        n: usize,
        rules: &str,
        database: &Database,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("rules.yaml"), rules)?;
        let configuration = database.configuration_of(&format!("node-{n}"));
        std::fs::write(folder.join("amends.toml"), configuration)?;
        let node = Self {
            name: format!("node-{n}"),
            folder,
            address: Mutex::default(),
            child: tokio::sync::Mutex::default(),
            kept: Mutex::default(),
            passed_over_until: Mutex::new(Instant::now()),
        };
        node.revive().await?;
        Ok(node)
    }

    async fn revive(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        let (started, url) = start(&self.folder, &["reading"]).await?;
        let (_, address) = url.split_once("://").context("no address")?;
        *held(&self.address) = address.to_owned();
        *child = Some(started);
        Ok(())
    }

    async fn kill(&self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.lock().await.take() {
            child.kill().await?;
        }
        Ok(())
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let child = self.child.lock().await;
        let pid = child.as_ref().and_then(Child::id).context("the node has ended")?;
        let mut kill = Command::new("kill");
        kill.args([format!("-{signal}"), pid.to_string()]).stdin(Stdio::null());
        ensure!(kill.status().await?.success(), "`{}` can't be sent SIG{signal}", self.name);
        Ok(())
    }

    async fn end(&self) {
        if let Some(mut child) = self.child.lock().await.take() {
            drop(child.stdin.take());
            let _ = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
        }
    }

    fn is_passed_over(&self) -> bool {
        *held(&self.passed_over_until) > Instant::now()
    }

    /// Sends one report; whether it was acknowledged.
    async fn report(&self, saga: usize) -> bool {
        let sent = tokio::time::timeout(ANSWER_LIMIT, self.send(saga)).await;
        let is_taken = matches!(sent, Ok(Ok(true)));
        if !is_taken {
            // What was kept is as dead as this one.
            held(&self.kept).clear();
            *held(&self.passed_over_until) = Instant::now() + PASSED_OVER;
        }
        is_taken
    }

    async fn send(&self, saga: usize) -> anyhow::Result<bool> {
        let host = held(&self.address).clone();
        let kept = held(&self.kept).pop();
        let mut connection = match kept {
            Some(kept) => kept,
            None => Connection::new(TcpStream::connect(&host).await?)?,
        };
        connection.send(crate::load::request(&host, saga).as_bytes()).await?;
        let answer = connection.read().await?.context("the connection was closed")?;
        let is_taken = answer.first_line.contains(" 202 ") || answer.first_line.contains(" 200 ");
        held(&self.kept).push(connection);
        Ok(is_taken)
    }
}

fn held<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends each report at its time, again and again until a node has acknowledged it, as an outbox does. Says how often
/// one was sent again.
async fn send_all(nodes: Arc<[Node]>, books: Arc<Books>, options: Options) -> anyhow::Result<u64> {
    let (again, room) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(UNDER_WAY)));
    let began = tokio::time::Instant::now();
    let mut sending = JoinSet::new();
    for saga in 0..books.sagas() {
        let at = Duration::from_micros(saga as u64 * 1_000_000 / options.rate);
        tokio::time::sleep_until(began + at).await;
        let turn = Arc::clone(&room).acquire_owned().await?;
        let (nodes, books, again) = (Arc::clone(&nodes), Arc::clone(&books), Arc::clone(&again));
        sending.spawn(async move {
            let _turn = turn;
            for n in saga.. {
                let node = &nodes[n % nodes.len()];
                if !node.is_passed_over() && node.report(saga).await {
                    return books.acknowledged(saga);
                }
                if n > saga {
                    again.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        while sending.try_join_next().is_some() {}
    }
    while sending.join_next().await.is_some() {}
    Ok(again.load(Ordering::Relaxed))
}

/// Who holds which partition, as the database tells; none while it is away.
fn owners(address: &str) -> Option<BTreeMap<u16, String>> {
    let options = PostgresOptions::new(address, "looks");
    let seen = block_in_place(|| PostgresStore::status(&options)).ok().flatten()?;
    let living = seen.cluster.nodes.into_iter().filter(|node| node.is_alive);
    let owners = living.flat_map(|node| {
        let name = node.name;
        node.parts.into_iter().map(move |part| (part.0, name.clone()))
    });
    Some(owners.collect())
}

/// Counts partitions that are seen at another node than before.
async fn watch(address: String, moved: Arc<AtomicU64>) {
    let mut before = BTreeMap::new();
    loop {
        for (part, owner) in owners(&address).unwrap_or_default() {
            let last = before.insert(part, owner.clone());
            moved.fetch_add(u64::from(last.is_some_and(|last| last != owner)), Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What was done.
#[derive(Debug, Default)]
struct Blows {
    killed: u32,
    stopped: u32,
    drained: u32,
    database: u32,
    /// Partitions that were elsewhere after the database had been away.
    moved: usize,
}

/// Until the load ends: a blow at a time, and the database after a third and two thirds of it.
async fn disturb(nodes: &[Node], database: &Database, options: Options) -> anyhow::Result<Blows> {
    let (mut blows, mut rng) = (Blows::default(), options.seed);
    let began = Instant::now();
    let whole = Duration::from_secs(options.seconds);
    loop {
        let next = began.elapsed() + Duration::from_secs(options.every);
        if next >= whole {
            break;
        }
        tokio::time::sleep(Duration::from_secs(options.every)).await;
        if began.elapsed() >= whole * (blows.database + 1) / 3 && blows.database < 2 {
            eprintln!("{:>4} s: the database is killed", began.elapsed().as_secs());
            blows.moved += without_database(database).await?;
            blows.database += 1;
            continue;
        }
        // The constants of Knuth's MMIX.
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let node = &nodes[(rng >> 33) as usize % nodes.len()];
        let second = began.elapsed().as_secs();
        match (rng >> 48) % 3 {
            0 => {
                eprintln!("{second:>4} s: {} is killed", node.name);
                node.kill().await?;
                tokio::time::sleep(KILLED_FOR).await;
                node.revive().await?;
                blows.killed += 1;
            }
            1 => {
                eprintln!("{second:>4} s: {} is stopped", node.name);
                node.signal("STOP").await?;
                tokio::time::sleep(STOPPED_FOR).await;
                node.signal("CONT").await?;
                blows.stopped += 1;
            }
            _ => {
                eprintln!("{second:>4} s: {} is drained", node.name);
                drain(node, database).await?;
                blows.drained += 1;
            }
        }
    }
    tokio::time::sleep(whole.saturating_sub(began.elapsed())).await;
    Ok(blows)
}

/// Kills the database and starts it again; how many partitions are elsewhere afterwards.
async fn without_database(database: &Database) -> anyhow::Result<usize> {
    let before = owners(&database.address).context("the database is there")?;
    block_in_place(|| database.kill());
    tokio::time::sleep(DATABASE_AWAY).await;
    block_in_place(|| database.start_again());
    tokio::time::sleep(SETTLES_IN).await;
    let after = owners(&database.address).context("the database is back")?;
    Ok(after.iter().filter(|(part, owner)| before.get(part) != Some(owner)).count())
}

async fn drain(node: &Node, database: &Database) -> anyhow::Result<()> {
    let options = PostgresOptions::new(&database.address, "looks");
    let tell =
        |leaving| block_in_place(|| PostgresStore::set_leaving(&options, &node.name, leaving));
    ensure!(tell(true)?, "`{}` does not live", node.name);
    let deadline = Instant::now() + DRAIN_LIMIT;
    while owners(&database.address)
        .is_none_or(|owners| owners.values().any(|one| *one == node.name))
    {
        ensure!(Instant::now() < deadline, "`{}` can't be drained", node.name);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(DRAINED_FOR).await;
    ensure!(tell(false)?, "`{}` does not live", node.name);
    Ok(())
}
