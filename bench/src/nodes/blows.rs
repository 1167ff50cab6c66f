//! What is done to the nodes and their database while reports come in.

use super::node::Node;
use crate::postgres::Database;
use amends_store::{PostgresOptions, PostgresStore};
use anyhow::{Context, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, block_in_place};

/// How long a killed node stays away, a stopped one stopped, a drained one drained, and the database away.
const KILLED_FOR: Duration = Duration::from_secs(2);
const STOPPED_FOR: Duration = Duration::from_secs(20);
const DRAINED_FOR: Duration = Duration::from_secs(2);
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
const DATABASE_AWAY: Duration = Duration::from_secs(10);
/// After the database is back, all that would move has moved by then: others count as dead after 5 s, and have to have
/// lived for 5 s.
const SETTLES_IN: Duration = Duration::from_secs(15);
/// Longest wait until all partitions are shared out evenly.
const EVEN_IN: Duration = Duration::from_secs(60);
/// Between two looks at who holds what.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blows {
    pub killed: u32,
    pub stopped: u32,
    pub drained: u32,
    pub database_killed: u32,
    /// Partitions that were elsewhere after the database had been away.
    pub partitions_moved_by_the_database: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill,
    Stop,
    Drain,
}

/// Who is struck how, by chance; the same each time for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        // The constants of Knuth's MMIX.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % most.max(1)
    }
}

/// For so many seconds, a blow every so many, beside those that are not over yet; one node is always left alone. The
/// database is killed after a third and two thirds of the time, when nobody is struck and all is shared out.
pub async fn disturb(
    nodes: &Arc<[Node]>,
    database: &Arc<Database>,
    (seconds, every): (u64, u64),
    seed: u64,
) -> anyhow::Result<Blows> {
    let (mut blows, mut chance, mut under_way) = (Blows::default(), Chance(seed), JoinSet::new());
    let (began, whole) = (Instant::now(), Duration::from_secs(seconds));
    let every = Duration::from_secs(every);
    while began.elapsed() + every < whole {
        tokio::time::sleep(every).await;
        while let Some(ended) = under_way.try_join_next() {
            ended??;
        }
        if began.elapsed() >= whole * (blows.database_killed + 1) / 3 && blows.database_killed < 2 {
            while let Some(ended) = under_way.join_next().await {
                ended??;
            }
            until_even(&database.address, nodes.len()).await?;
            eprintln!("{:>4} s: the database is killed", began.elapsed().as_secs());
            blows.partitions_moved_by_the_database += without_database(database).await?;
            blows.database_killed += 1;
            continue;
        }
        let well: Vec<usize> =
            (0..nodes.len()).filter(|n| !nodes[*n].is_struck.load(Ordering::Relaxed)).collect();
        if well.len() < 2 {
            continue;
        }
        let n = well[chance.below(well.len())];
        let blow = [Blow::Kill, Blow::Stop, Blow::Drain][chance.below(3)];
        let count = match blow {
            Blow::Kill => &mut blows.killed,
            Blow::Stop => &mut blows.stopped,
            Blow::Drain => &mut blows.drained,
        };
        *count += 1;
        eprintln!("{:>4} s: {} {blow:?}", began.elapsed().as_secs(), nodes[n].name);
        nodes[n].is_struck.store(true, Ordering::Relaxed);
        let (nodes, database) = (Arc::clone(nodes), Arc::clone(database));
        under_way.spawn(async move {
            let done = strike(&nodes[n], &database, blow).await;
            nodes[n].is_struck.store(false, Ordering::Relaxed);
            done
        });
    }
    while let Some(ended) = under_way.join_next().await {
        ended??;
    }
    tokio::time::sleep(whole.saturating_sub(began.elapsed())).await;
    Ok(blows)
}

async fn strike(node: &Node, database: &Database, blow: Blow) -> anyhow::Result<()> {
    match blow {
        Blow::Kill => {
            node.kill().await?;
            tokio::time::sleep(KILLED_FOR).await;
            node.revive().await
        }
        Blow::Stop => {
            node.signal("STOP").await?;
            tokio::time::sleep(STOPPED_FOR).await;
            node.signal("CONT").await
        }
        Blow::Drain => {
            drain(node, &database.address).await?;
            tokio::time::sleep(DRAINED_FOR).await;
            tell_leaving(node, &database.address, false)
        }
    }
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

/// Has a node give back all that it holds, and waits until it has.
pub async fn drain(node: &Node, address: &str) -> anyhow::Result<()> {
    tell_leaving(node, address, true)?;
    let deadline = Instant::now() + DRAIN_LIMIT;
    while owners(address).is_none_or(|owners| owners.values().any(|one| *one == node.name)) {
        ensure!(Instant::now() < deadline, "`{}` can't be drained", node.name);
        tokio::time::sleep(LOOK_EVERY / 2).await;
    }
    Ok(())
}

fn tell_leaving(node: &Node, address: &str, leaving: bool) -> anyhow::Result<()> {
    let options = PostgresOptions::new(address, "looks");
    let told = block_in_place(|| PostgresStore::set_leaving(&options, &node.name, leaving))?;
    ensure!(told, "`{}` does not live", node.name);
    Ok(())
}

/// Who holds which partition, as the database tells; none while it is away.
pub fn owners(address: &str) -> Option<BTreeMap<u16, String>> {
    let options = PostgresOptions::new(address, "looks");
    let seen = block_in_place(|| PostgresStore::status(&options)).ok().flatten()?;
    let living = seen.cluster.nodes.into_iter().filter(|node| node.is_alive);
    let owners = living.flat_map(|node| {
        let name = node.name;
        node.parts.into_iter().map(move |part| (part.0, name.clone()))
    });
    Some(owners.collect())
}

/// Waits until so many nodes hold everything in even shares.
pub async fn until_even(address: &str, nodes: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + EVEN_IN;
    loop {
        let mut shares: BTreeMap<String, usize> = BTreeMap::new();
        for owner in owners(address).unwrap_or_default().into_values() {
            *shares.entry(owner).or_default() += 1;
        }
        let all = 65;
        let is_even = |held: &usize| (all / nodes..=all.div_ceil(nodes)).contains(held);
        if shares.len() == nodes
            && shares.values().all(is_even)
            && shares.values().sum::<usize>() == all
        {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "all is not shared out: {shares:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Counts partitions that are seen at another node than before.
pub async fn watch(address: String, moved: Arc<AtomicU64>) {
    let mut before = BTreeMap::new();
    loop {
        for (part, owner) in owners(&address).unwrap_or_default() {
            let last = before.insert(part, owner.clone());
            moved.fetch_add(u64::from(last.is_some_and(|last| last != owner)), Ordering::Relaxed);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
