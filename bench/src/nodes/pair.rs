//! Two nodes against one on the same PostgreSQL: what it has to do for a report, half of which come to the node that
//! leaves them to the other as letters. And one of the two killed: how soon all that was acknowledged is done.

use super::blows;
use super::ground::{ENDS_IN, Ground, PATIENCE};
use super::load::{Pace, Sent};
use super::sagas::Mix;
use crate::{cpu, store_folder};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

/// Share of its reports that PostgreSQL may lose to letters, in per cent.
const MOST_LOST: f64 = 15.0;
/// After a kill, within which all has to be done that was acknowledged until the other node held everything.
const DONE_WITHIN: Duration = Duration::from_secs(10);
/// Reports at each node before what counts.
const WARMUP: usize = 500;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Reports of each measurement.
    pub reports: usize,
    /// Measurements of one and of two nodes, by turns.
    pub rounds: usize,
    /// Reports a second at which a node is killed, and for how many seconds they come.
    pub rate: u64,
    pub seconds: u64,
}

/// All of it; the figures, and what is broken.
pub async fn run(options: Options) -> anyhow::Result<Value> {
    let (mut runs, mut per_core) = (serde_json::Map::new(), [Vec::new(), Vec::new()]);
    for round in 1..=options.rounds {
        for nodes in [1, 2] {
            eprintln!("round {round}, {nodes} of 2 nodes …");
            let measured = measure(nodes, options.reports).await?;
            per_core[nodes - 1].push(measured.per_core());
            runs.insert(format!("nodes: {nodes}, round {round}"), measured.shown());
        }
    }
    let [one, two] = per_core.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    });
    let lost = 100.0 * (1.0 - two / one);
    eprintln!("one of two nodes is killed at {} reports/s …", options.rate);
    let (killed, done_ms) = kill(options.rate, options.seconds).await?;
    let within = u64::try_from(DONE_WITHIN.as_millis())?;
    let promises = [
        ("two nodes lose at most 15 % of what one makes of PostgreSQL", lost <= MOST_LOST),
        ("all that was acknowledged meanwhile is done 10 s after a kill", done_ms <= within),
        ("nothing is lost or done twice", killed["lostOrDoubled"] == 0),
    ];
    let broken = promises.iter().filter(|(_, holds)| !holds).map(|(what, _)| *what);
    let broken: Vec<&str> = broken.collect();
    Ok(json!({
        "reportsPerSecondPerCoreOfDatabase": { "one": one.round(), "two": two.round() },
        "lostPercent": (lost * 10.0).round() / 10.0, "runs": runs, "kill": killed, "broken": broken,
    }))
}

/// What one measurement has shown.
struct Measured {
    reports: usize,
    took: Duration,
    database_us: u64,
    nodes_us: u64,
    rows: u64,
    log_bytes: u64,
    sent_again: u64,
}

#[allow(clippy::cast_precision_loss)] // counts and times of a run
impl Measured {
    /// Reports that one core of the database would do in a second.
    fn per_core(&self) -> f64 {
        self.reports as f64 * 1e6 / self.database_us.max(1) as f64
    }

    fn shown(&self) -> Value {
        let each = |of: u64| (of as f64 / self.reports as f64 * 100.0).round() / 100.0;
        json!({
            "reportsPerSecond": (self.reports as f64 / self.took.as_secs_f64()).round(),
            "reportsPerSecondPerCoreOfDatabase": self.per_core().round(),
            "cpuMicrosPerReport": { "database": each(self.database_us).round(), "nodes": each(self.nodes_us).round() },
            "rowsWrittenPerReport": each(self.rows),
            "logBytesPerReport": each(self.log_bytes).round(),
            "sentAgain": self.sent_again,
        })
    }
}

/// As many reports as the nodes take, until all that they ask for is done.
async fn measure(nodes: usize, reports: usize) -> anyhow::Result<Measured> {
    let data = store_folder()?;
    let ground = Ground::lay(data.path(), nodes, Sent::new(WARMUP + reports, Mix::Usual)).await?;
    ground.load(0..WARMUP, Pace::Saturate).await??;
    done(&ground).await?;
    let pid = ground.database.process_id();
    let mut supervisors = Vec::new();
    for node in ground.nodes.iter() {
        supervisors.push(node.process_id().await?);
    }
    let used = || -> anyhow::Result<(u64, u64)> {
        let of_nodes: Result<Vec<u64>, _> =
            supervisors.iter().map(|id| cpu::used_us(*id)).collect();
        Ok((cpu::used_by_family_us(pid)?, of_nodes?.into_iter().sum()))
    };
    let log_before = ground.database.log_bytes_now()?;
    let (before, began) = (used()?, Instant::now());
    ground.load(WARMUP..WARMUP + reports, Pace::Saturate).await??;
    let last = done(&ground).await?;
    let after = used()?;
    let log_bytes = ground.database.log_bytes_now()? - log_before;
    let took = Duration::from_micros(last).saturating_sub(ground.services.since_start(began));
    let sent_again = ground.sent.tries().sent_again;
    ground.clear().await?;
    // Those who have hung up have told what they wrote.
    let rows = block_in_place(|| ground.database.rows_written())?;
    Ok(Measured {
        reports,
        took,
        database_us: after.0 - before.0,
        nodes_us: after.1 - before.1,
        rows: rows * reports as u64 / (WARMUP + reports) as u64,
        log_bytes,
        sent_again,
    })
}

/// Waits until all that was acknowledged is done; when it was, in microseconds since the start.
async fn done(ground: &Ground) -> anyhow::Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(at) = ground.look(|seen| seen.all_done_at(u64::MAX))? {
            return Ok(at);
        }
        ensure!(Instant::now() < deadline, "what was acknowledged is not done");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Kills one of two nodes in the middle of a load: what came of it, and after how many milliseconds all was done that
/// had been acknowledged until the other one held everything.
async fn kill(rate: u64, seconds: u64) -> anyhow::Result<(Value, u64)> {
    let data = store_folder()?;
    let sagas = usize::try_from(rate * seconds)?;
    let ground = Ground::lay(data.path(), 2, Sent::new(sagas, Mix::Usual)).await?;
    let load = ground.load(0..sagas, Pace::PerSecond(rate));
    tokio::time::sleep(Duration::from_secs(seconds / 2)).await;
    let killed_at = ground.services.now_us();
    ground.nodes[1].kill().await?;
    let taken_over = tokio::spawn({
        let address = ground.database.address.clone();
        async move { blows::until_even(&address, 1).await.map(|()| Instant::now()) }
    });
    load.await??;
    let outcome = ground.until_done().await?;
    let taken_over = ground.services.since_start(taken_over.await??);
    let taken_over_us = u64::try_from(taken_over.as_micros())?;
    let [before, meanwhile] =
        ground.look(|seen| [killed_at, taken_over_us].map(|until| seen.all_done_at(until)))?;
    let meanwhile = meanwhile.context("not all is done")?;
    let tries = ground.sent.tries();
    ground.nodes[0].end(ENDS_IN).await?;
    let since = |at: u64| at.saturating_sub(killed_at) / 1_000;
    let shown = json!({
        "reportsPerSecond": rate, "outcome": outcome, "senders": tries,
        "lostOrDoubled": outcome.lost as u64 + outcome.doubled_in_effect,
        "takenOverMs": since(taken_over_us),
        "acknowledgedBeforeDoneMs": before.map(since),
        "acknowledgedMeanwhileDoneMs": since(meanwhile),
    });
    Ok((shown, since(meanwhile)))
}
