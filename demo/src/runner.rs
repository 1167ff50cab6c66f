//! One run of the demo: plans, places the orders with their faults, waits for rest, judges, and shows the result.

use crate::cases::{ReportCount, ServiceCount};
use crate::faults::Fault;
use crate::invariants::{Invariant, OrderCount};
use crate::options::DemoOptions;
use crate::progress::Progress;
use crate::shop::{Ending, RULEBOOK, Shop};
use crate::tables;
use crate::workload::{Dice, PlanOptions, PlannedOrder, plan};
use amends_protocol::CaseState;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Longest pause between two kills of the supervisor, so that a run of a few seconds meets many of them.
const KILL_PAUSE_MS: u64 = 600;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every invariant held and everything came to rest.
    Good,
    /// Something did not.
    Bad,
    /// Ctrl-C came.
    Interrupted,
}

/// The result of a run; `--json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// What the plan was made from.
    pub seed: u64,
    /// How the orders ended.
    pub orders: OrderCount,
    /// Planned faults by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Reports by `service/code`, with the steps that they led to.
    pub reports: BTreeMap<String, ReportCount>,
    /// How far each service has compensated.
    pub services: BTreeMap<String, ServiceCount>,
    /// Whether the business held.
    pub invariants: Vec<Invariant>,
    /// Cases by state.
    pub cases: BTreeMap<CaseState, u64>,
    /// How the customers saw it: answers by kind.
    pub customers: BTreeMap<String, u64>,
    /// How often the supervisor was killed.
    pub kills: u32,
    /// What went wrong that nobody planned, and what was left when patience ran out. Empty in a good run.
    pub mishaps: Vec<String>,
    /// From the first process to the last table, in milliseconds.
    pub elapsed_ms: u64,
}

impl Summary {
    /// Whether every invariant holds, nothing is left to do, and nothing happened that nobody planned.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.mishaps.is_empty() && self.invariants.iter().all(|invariant| invariant.held)
    }
}

/// Runs the demo; `exe` is the `amends` binary, of which every process is made.
///
/// # Errors
/// When the run can't be carried out: a process doesn't come up, a folder can't be written.
pub async fn run(options: DemoOptions, exe: &Path) -> anyhow::Result<Verdict> {
    let mut folder = Folder::choose(&options)?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let progress = Progress::new(options.orders, options.slow);
    progress.say(&format!(
        "seed {seed}, {} orders, data in {}",
        options.orders,
        folder.path().display()
    ));
    let summary = carry_out(&options, seed, exe, folder.path(), &progress).await;
    progress.end();
    if let Ok(None) = summary {
        eprintln!("interrupted");
        return Ok(Verdict::Interrupted);
    }
    let summary = summary.and_then(|summary| summary.context("interrupted"));
    if !summary.as_ref().is_ok_and(Summary::is_good) {
        folder.keep();
        eprintln!("the databases and logs are kept in {}", folder.path().display());
    }
    let summary = summary?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", tables::render(&summary));
        println!("{}", in_short(&summary));
    }
    for mishap in &summary.mishaps {
        eprintln!("not planned: {mishap}");
    }
    Ok(if summary.is_good() { Verdict::Good } else { Verdict::Bad })
}

/// The whole run between the folder and the tables; `None` after Ctrl-C. Whatever happens, no process is left.
async fn carry_out(
    options: &DemoOptions,
    seed: u64,
    exe: &Path,
    folder: &Path,
    progress: &Progress,
) -> anyhow::Result<Option<Summary>> {
    let began = Instant::now();
    let orders = plan(&PlanOptions {
        seed,
        orders: options.orders,
        fault_rate: options.fault_rate,
        only: options.faults.clone(),
    });
    let rulebook = match &options.rules {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?,
        None => RULEBOOK.to_owned(),
    };
    let shop = Shop::open(exe, folder, &rulebook, &orders).await?;
    let result = tokio::select! {
        result = do_business(&shop, &orders, options, seed, progress) => result.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    };
    shop.close().await;
    let mut summary = result?;
    if let Some(summary) = &mut summary {
        summary.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    }
    Ok(summary)
}

async fn do_business(
    shop: &Shop,
    orders: &[PlannedOrder],
    options: &DemoOptions,
    seed: u64,
    progress: &Progress,
) -> anyhow::Result<Summary> {
    let mut mishaps = Vec::new();
    let placing = place_all(shop, orders, options, progress);
    let killing = kill_supervisor(shop, seed, options.kill_supervisor);
    let placing = async { tokio::try_join!(placing, killing) };
    let customers = tokio::select! {
        done = placing => done?.0,
        never = progress.count(shop) => match never {},
    };
    let rest = tokio::select! {
        rest = shop.rest(Duration::from_secs(options.patience)) => rest?,
        never = progress.count(shop) => match never {},
    };
    if let Err(unrest) = rest {
        mishaps.push(format!("no rest within {} s: {unrest}", options.patience));
    }
    let cases = shop.cases().await?;
    let findings = shop.judge(orders)?;
    mishaps.extend(shop.mishaps().await);
    mishaps.extend(findings.half_done.iter().map(|order| format!("order `{order}` is half done")));
    let mut faults = BTreeMap::new();
    for fault in orders.iter().filter_map(|order| order.fault) {
        *faults.entry(fault).or_default() += 1;
    }
    Ok(Summary {
        seed,
        orders: findings.orders,
        faults,
        reports: cases.by_report(),
        services: cases.by_service(),
        invariants: findings.invariants,
        cases: cases.by_state(),
        customers,
        kills: options.kill_supervisor,
        mishaps,
        elapsed_ms: 0,
    })
}

/// Lets all customers order, and counts how they saw it end.
async fn place_all(
    shop: &Shop,
    orders: &[PlannedOrder],
    options: &DemoOptions,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let next = AtomicUsize::new(0);
    let clients = if options.slow { 1 } else { options.clients };
    let customer = async || {
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        let mut pace = tokio::time::interval(Duration::from_secs(1));
        while let Some(order) = orders.get(next.fetch_add(1, Ordering::SeqCst)) {
            if options.slow {
                pace.tick().await;
            }
            progress.before(order);
            let ending = place(shop, order).await?;
            progress.after(&ending);
            *seen.entry(word(&ending).to_owned()).or_default() += 1;
            if options.slow {
                // Half of the second for the supervisor to work, so that there is something to tell.
                tokio::time::sleep(Duration::from_millis(500)).await;
                progress.explain(shop, order).await;
            }
        }
        Ok::<_, anyhow::Error>(seen)
    };
    let mut total: BTreeMap<String, u64> = BTreeMap::new();
    for seen in all((0..clients).map(|_| customer()).collect()).await? {
        for (ending, count) in seen {
            *total.entry(ending).or_default() += count;
        }
    }
    Ok(total)
}

/// Places one order, with the faults that are done to a service from outside.
async fn place(shop: &Shop, order: &PlannedOrder) -> anyhow::Result<Ending> {
    match order.fault {
        Some(Fault::RiderDown) => {
            let rider = shop.service("rider")?;
            rider.hold_down().await;
            let ending = shop.place(order).await;
            rider.let_up().await?;
            ending
        }
        Some(Fault::SmsDown) => {
            let sms = shop.service("sms")?;
            sms.close_door().await?;
            let ending = shop.place(order).await;
            sms.open_door().await?;
            ending
        }
        _ => shop.place(order).await,
    }
}

const fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Placed => "placed",
        Ending::Refused(_) => "refused",
        Ending::NoAnswer => "no-answer",
    }
}

/// Runs futures side by side in one task: they borrow, so they can't be spawned.
async fn all<T, F: Future<Output = anyhow::Result<T>>>(futures: Vec<F>) -> anyhow::Result<Vec<T>> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, result) in &mut waiting {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(Ok(value)) => *result = Some(value),
                    std::task::Poll::Ready(Err(error)) => {
                        return std::task::Poll::Ready(Err(error));
                    }
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Ok(waiting
            .iter_mut()
            .filter_map(|(_, result)| result.take())
            .collect()))
    })
    .await
}

/// Kills the supervisor at points in time that the seed picks.
async fn kill_supervisor(shop: &Shop, seed: u64, times: u32) -> anyhow::Result<()> {
    let mut dice = Dice(seed ^ 0x6b69_6c6c);
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(20 + dice.below(KILL_PAUSE_MS))).await;
        shop.supervisor().crash().await?;
    }
    Ok(())
}

fn in_short(summary: &Summary) -> String {
    format!(
        "{} orders: {} complete, {} cancelled ({} never begun); {} with a planned fault; seed {}; {:.1} s",
        summary.orders.total,
        summary.orders.completed,
        summary.orders.cancelled,
        summary.orders.never_begun,
        summary.faults.values().sum::<u64>(),
        summary.seed,
        summary.elapsed_ms as f64 / 1000.0
    )
}

/// Any number will do, as long as the next run has another one.
fn seed_from_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Below 2^32, so that it is easy to read and to type.
    Dice(since.as_nanos() as u64).next_u64() >> 32
}

/// Where the databases and logs of a run are.
enum Folder {
    Given(PathBuf),
    Temporary(Option<TempDir>, PathBuf),
}

impl Folder {
    fn choose(options: &DemoOptions) -> anyhow::Result<Self> {
        let Some(path) = &options.data else {
            let folder = tempfile::Builder::new()
                .prefix("amends-demo-")
                .tempdir()
                .context("no temporary folder")?;
            let path = folder.path().to_owned();
            let mut folder = Self::Temporary(Some(folder), path);
            if options.keep {
                folder.keep();
            }
            return Ok(folder);
        };
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create the folder `{}`", path.display()))?;
        if std::fs::read_dir(path)?.next().is_some() {
            bail!(
                "the folder `{}` is not empty; each run needs a folder of its own",
                path.display()
            );
        }
        Ok(Self::Given(path.canonicalize()?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Temporary(_, path) => path,
        }
    }

    fn keep(&mut self) {
        if let Self::Temporary(folder, _) = self
            && let Some(folder) = folder.take()
        {
            let _ = folder.keep();
        }
    }
}
