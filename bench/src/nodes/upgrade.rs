//! A rolling upgrade under load: one node after another gives back what it holds, is stopped, and comes back as a newer
//! version, whose first start changes tables that the older ones work on.

use super::blows;
use super::ground::{ENDS_IN, Ground};
use super::load::{Pace, Sent};
use super::outcome::Promises;
use super::sagas::Mix;
use super::struck::Options;
use crate::store_folder;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

/// What a next version may ask for beside those of before: a column with a default, a table, and rows.
const MIGRATION: &str = "
    ALTER TABLE cases ADD COLUMN rehearsed bigint NOT NULL DEFAULT 0;
    ALTER TABLE inbox ADD COLUMN rehearsed text;
    ALTER TABLE lease ADD COLUMN rehearsed boolean NOT NULL DEFAULT false;
    CREATE TABLE rehearsed (n int PRIMARY KEY);
    INSERT INTO rehearsed SELECT generate_series(1, 1000)";
/// An older node that is killed beside newer ones stays away for so long.
const KILLED_FOR: Duration = Duration::from_secs(2);

/// All of it; the figures, what holds, and what is broken.
pub async fn run(options: Options) -> anyhow::Result<Value> {
    let data = store_folder()?;
    let migration = data.path().join("next.sql");
    std::fs::write(&migration, MIGRATION)?;
    let sagas = usize::try_from(options.rate * options.seconds)?;
    let ground = Ground::lay(data.path(), options.nodes, Sent::new(sagas, Mix::All)).await?;
    let before = block_in_place(|| ground.database.versions());
    eprintln!("{} nodes, {} reports/s, an upgrade …", options.nodes, options.rate);
    let load = ground.load(0..sagas, Pace::PerSecond(options.rate));
    tokio::time::sleep(Duration::from_secs(options.every.min(options.seconds))).await;
    let (began, mut versions) = (Instant::now(), Vec::new());
    for (n, node) in ground.nodes.iter().enumerate() {
        blows::drain(node, &ground.database.address).await?;
        node.end(ENDS_IN).await?;
        node.is_newer_by(&migration);
        node.revive().await?;
        blows::until_even(&ground.database.address, options.nodes).await?;
        let now = block_in_place(|| ground.database.versions());
        eprintln!("{} is renewed; tables {}, nodes {}", node.name, now.0, now.1);
        versions.push(json!({ "tables": now.0, "nodes": now.1 }));
        // One of before has to find its way back beside newer tables.
        if n == 0
            && let Some(older) = ground.nodes.last().filter(|_| options.nodes > 1)
        {
            older.kill().await?;
            tokio::time::sleep(KILLED_FOR).await;
            older.revive().await?;
            blows::until_even(&ground.database.address, options.nodes).await?;
        }
    }
    let took = began.elapsed();
    ensure!(!load.is_finished(), "the load has ended before the upgrade; give more `--seconds`");
    load.await??;
    let outcome = ground.until_done().await?;
    let after = block_in_place(|| ground.database.versions());
    let tries = ground.sent.tries();
    let promised = Promises { moved: None, longest_ms: options.longest * 1_000, tries };
    let (promises, mut broken) = promised.judged(&outcome);
    let number = |of: &str| of.parse::<i64>().context("a version");
    if number(&after.0)? != number(&before.0)? + 1 || after.0 != after.1 {
        broken.push("all nodes are of the next version, and so are the tables");
    }
    ground.clear().await?;
    Ok(json!({
        "nodes": options.nodes, "reportsPerSecond": options.rate, "seconds": options.seconds,
        "upgradeMs": u64::try_from(took.as_millis())?, "before": { "tables": before.0, "nodes": before.1 },
        "afterEach": versions, "outcome": outcome, "senders": tries,
        "promises": promises, "broken": broken,
    }))
}
