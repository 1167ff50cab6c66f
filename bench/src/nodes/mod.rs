//! Nodes that share one database, under a steady load, while every some seconds one of them is killed, stopped or
//! drained and the database is killed twice. What must hold is judged by what the services have in their own files.

mod blows;
mod load;
mod node;
mod outcome;
mod pair;
mod sagas;
mod services;
mod upgrade;

use crate::postgres::Database;
use crate::store_folder;
use load::{Pace, Sent};
use node::Node;
use outcome::{Outcome, Promises, Seen};
use sagas::{Kind, Mix};
use serde_json::{Value, json};
use services::Services;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet, block_in_place};

/// How long all that is left may take in the end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what is left.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for a node that ends in order.
const ENDS_IN: Duration = Duration::from_secs(30);

pub use pair::{Options as PairOptions, run as run_pair};
pub use upgrade::run as upgrade;

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
    /// Longest that a report may wait until all that it asks for has been, in seconds.
    pub longest: u64,
}

/// All of it; the figures, what holds, and what is broken.
pub async fn run(options: Options) -> anyhow::Result<Value> {
    let data = store_folder()?;
    let sagas = usize::try_from(options.rate * options.seconds)?;
    let ground = Ground::lay(data.path(), options.nodes, Sent::new(sagas, Mix::All)).await?;
    eprintln!("{} nodes, {} reports/s for {} s …", options.nodes, options.rate, options.seconds);
    let (moved, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    tasks.spawn(blows::watch(ground.database.address.clone(), Arc::clone(&moved)));
    let load = ground.load(0..sagas, Pace::PerSecond(options.rate));
    let times = (options.seconds, options.every);
    let blows = blows::disturb(&ground.nodes, &ground.database, times, options.seed).await?;
    load.await??;
    let outcome = ground.until_done().await?;
    let tries = ground.sent.tries();
    let (promises, broken) = Promises {
        moved: Some(blows.partitions_moved_by_the_database),
        longest_ms: options.longest * 1_000,
        tries,
    }
    .judged(&outcome);
    let result = json!({
        "nodes": options.nodes, "reportsPerSecond": options.rate, "seconds": options.seconds,
        "outcome": outcome, "senders": tries, "blows": blows,
        "partitionsMoved": moved.load(Ordering::Relaxed),
        "promises": promises, "broken": broken,
    });
    ground.clear().await?;
    Ok(result)
}

/// A database, the nodes that share it, the services that they ask, and what the senders know.
struct Ground {
    database: Arc<Database>,
    services: Arc<Services>,
    nodes: Arc<[Node]>,
    sent: Arc<Sent>,
}

impl Ground {
    /// Starts all of it, with an empty database; returns when the nodes hold even shares.
    async fn lay(folder: &Path, count: usize, sent: Sent) -> anyhow::Result<Self> {
        let database = block_in_place(|| {
            let mut database = Database::start();
            database.anew().map(|()| database)
        })?;
        let services = Services::start(folder, Instant::now()).await?;
        let rules = sagas::rulebook(&services.urls);
        let mut nodes = Vec::new();
        for n in 1..=count {
            nodes.push(Node::start(folder.join(format!("node-{n}")), n, &rules, &database).await?);
        }
        blows::until_even(&database.address, count).await?;
        Ok(Self {
            database: Arc::new(database),
            services: Arc::new(services),
            nodes: nodes.into(),
            sent: Arc::new(sent),
        })
    }

    /// Sends the reports of these sagas.
    fn load(&self, sagas: Range<usize>, pace: Pace) -> JoinHandle<anyhow::Result<()>> {
        let (nodes, services) = (Arc::clone(&self.nodes), Arc::clone(&self.services));
        tokio::spawn(Arc::clone(&self.sent).send(nodes, services, sagas, pace))
    }

    /// What there is to see now, for whoever looks.
    fn look<T>(&self, look: impl FnOnce(Seen<'_>) -> T) -> anyhow::Result<T> {
        let acknowledged = self.sent.acknowledged();
        block_in_place(|| {
            let services = self.services.done(acknowledged.len())?;
            let report = format!("order/{}", Kind::Limited.code());
            let mix = self.sent.mix;
            let limited = match mix {
                Mix::All => self.database.cases_of(&report)?,
                Mix::Usual => Vec::new(),
            };
            let (services, limited) = (&services[..], &limited[..]);
            Ok(look(Seen { mix, acknowledged: &acknowledged, services, limited }))
        })
    }

    /// Waits until nothing is left to do, or for as long as that may take.
    async fn until_done(&self) -> anyhow::Result<Outcome> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcome = self.look(|seen| seen.outcome())?;
            if outcome.lost == 0 || Instant::now() > deadline {
                return Ok(outcome);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends the nodes in order.
    async fn clear(&self) -> anyhow::Result<()> {
        for node in self.nodes.iter() {
            node.end(ENDS_IN).await?;
        }
        Ok(())
    }
}
