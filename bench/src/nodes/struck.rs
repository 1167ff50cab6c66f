//! Nodes that share one database, under a steady load, while every some seconds one of them is killed, stopped or
//! drained and the database is killed twice. What must hold is judged by what the services have in their own files.

use super::blows;
use super::ground::Ground;
use super::load::{Pace, Sent};
use super::outcome::Promises;
use super::sagas::Mix;
use crate::store_folder;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

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
