//! One run of the demo: plans, places the orders with their faults, waits for rest, judges, and shows the result.

use crate::attacks::{self, Attack};
use crate::cases::Cases;
use crate::chaos;
use crate::customers::place_all;
use crate::database::StoreKind;
use crate::deploys::{self, GatewayCount};
use crate::folder::Folder;
use crate::kills::{self, Killed, Victim};
use crate::options::DemoOptions;
use crate::progress::Progress;
use crate::published::{self, PublishedCount};
use crate::shop::{Extras, Shop};
use crate::stay::stay;
use crate::summary::Summary;
use crate::tables;
use crate::workload::{PlanOptions, PlannedOrder, SeededRng};
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// How long the supervisor may take to tell all its cases in the end: ten thousand take seconds.
const TELL_LIMIT: Duration = Duration::from_secs(60);
/// The same after a run that was given up, perhaps because the supervisor is gone.
const TELL_LIMIT_GIVEN_UP: Duration = Duration::from_secs(10);

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

/// Runs the demo; `exe` is the `amends` binary, of which every process is made.
///
/// # Errors
/// When the run can't be carried out: a process doesn't come up, a folder can't be written.
pub async fn run(options: DemoOptions, exe: &Path) -> anyhow::Result<Verdict> {
    let faults = options.faults.iter().map(|word| options.business.fault(word));
    let faults: Vec<_> = faults.collect::<Result<_, _>>().map_err(|why| anyhow!(why))?;
    let mut folder = Folder::choose(&options)?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let progress = Progress::new(options.orders, options.slow);
    progress.say(&format!(
        "{}: seed {seed}, {} orders, data in {}",
        options.business.name,
        options.orders,
        folder.path().display()
    ));
    let plan = PlanOptions {
        seed,
        orders: options.orders,
        fault_rate: options.fault_rate,
        only: faults,
        extra: false,
    };
    let summary = carry_out(&options, &plan, exe, folder.path(), &progress).await;
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
    if !options.stay {
        show(&summary, options.json)?;
    }
    Ok(if summary.is_good() { Verdict::Good } else { Verdict::Bad })
}

fn show(summary: &Summary, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(summary)?);
    } else {
        print!("{}", tables::render(summary));
        println!("{}", summary.in_short());
    }
    for mishap in &summary.mishaps {
        eprintln!("not planned: {mishap}");
    }
    Ok(())
}

/// The whole run between the folder and the tables; `None` after Ctrl-C. Whatever happens, no process is left.
async fn carry_out(
    options: &DemoOptions,
    plan: &PlanOptions,
    exe: &Path,
    folder: &Path,
    progress: &Progress,
) -> anyhow::Result<Option<Summary>> {
    let began = Instant::now();
    let (business, seed) = (options.business, plan.seed);
    let orders = (business.plan)(plan);
    let rulebook = match &options.rules {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?,
        None => business.rulebook.to_owned(),
    };
    let ruled = (business, rulebook.as_str());
    let extras = Extras {
        gateways: options.gateways,
        secure: options.secure,
        broker: options.broker,
        store: options.store(),
        nodes: options.nodes,
    };
    let shop = Shop::open_with(exe, folder, ruled, &orders, extras).await?;
    progress.say(&format!("console: {}", shop.console()?));
    if let Some(broker) = shop.broker() {
        let (kind, file) = (broker.kind(), broker.configuration().display());
        progress.say(&format!(
            "reports go by {kind}: `amends {kind} lag --config {file}` tells what waits"
        ));
    }
    let mut result = tokio::select! {
        result = do_business(&shop, &orders, options, seed, progress) => result.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    };
    if let Ok(Some(summary)) = &mut result {
        summary.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        progress.end();
        if options.stay {
            show(summary, options.json)?;
            tokio::select! {
                () = stay(&shop, options, seed) => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
    }
    shop.close().await;
    result
}

async fn do_business(
    shop: &Shop,
    orders: &[PlannedOrder],
    options: &DemoOptions,
    seed: u64,
    progress: &Progress,
) -> anyhow::Result<Summary> {
    let mut mishaps = Vec::new();
    let mut killed = Killed::default();
    let mut gateways = GatewayCount::default();
    let business = async {
        let customers =
            place_and_disturb(shop, orders, options, seed, progress, (&mut killed, &mut gateways))
                .await?;
        if let Err(unrest) = shop.rest(Duration::from_secs(options.patience)).await? {
            mishaps.push(format!("no rest within {} s: {unrest}", options.patience));
        }
        Ok::<_, anyhow::Error>(customers)
    };
    let customers = tokio::select! {
        done = business => done,
        never = progress.count(shop) => match never {},
        never = shop.watch_nodes() => match never {},
    };
    let (customers, tell_limit) = match customers {
        Ok(customers) => (customers, TELL_LIMIT),
        Err(why) => {
            mishaps.push(format!("the run was given up: {why:#}"));
            (BTreeMap::new(), TELL_LIMIT_GIVEN_UP)
        }
    };
    let at_rest = mishaps.is_empty();
    let cases = told_cases(shop, tell_limit, &mut mishaps).await;
    mishaps.extend(cases.unsettled());
    mishaps.extend(cases.doubts());
    let findings = shop.judge(orders)?;
    if at_rest {
        // Before, a report may still be on its way.
        mishaps.extend(chaos::unreported(shop.folder(), shop.business().names(), &cases)?);
    }
    let attacks = attack(shop, &cases, &mut mishaps).await;
    mishaps.extend(shop.mishaps().await);
    mishaps.extend(findings.half_done.iter().map(|order| format!("order `{order}` is half done")));
    let published = count_published(shop, &cases, &killed, &mut mishaps).await?;
    let services = shop.business().names();
    let chaos = chaos::count(shop.folder(), services, &cases, killed.by_process)?;
    Ok(Summary {
        business: shop.business().name.to_owned(),
        seed,
        orders: findings.orders,
        faults: by_fault(orders),
        reports: cases.by_report(),
        services: cases.by_service(),
        invariants: findings.invariants,
        cases: cases.by_state(),
        closed_on: cases.by_closing_word(),
        questions: cases.questions(),
        undone: cases.undone(),
        customers,
        kills: u32::try_from(killed.open_cases.len()).unwrap_or(u32::MAX),
        open_at_kills: killed.open_cases,
        chaos: options.chaos.then_some(chaos),
        published,
        nodes: shop.supervisors().count(),
        gateways: options.gateways.then_some(gateways),
        attacks,
        mishaps,
        elapsed_ms: 0,
    })
}

/// Who is struck besides services.
fn besides(options: &DemoOptions) -> Vec<Victim> {
    let broker = options.broker.map(|kind| Victim::Broker(kind.name()));
    let database: &[Victim] = match options.store() {
        StoreKind::Sqlite => &[],
        StoreKind::Postgres => &[Victim::Database, Victim::Connections],
    };
    let supervisors = match options.nodes {
        0 | 1 => vec![Victim::Supervisor],
        nodes => (0..nodes as usize)
            .flat_map(|n| [Victim::Node(n), Victim::Frozen(n), Victim::Drained(n)])
            .collect(),
    };
    supervisors.into_iter().chain(broker).chain(database.iter().copied()).collect()
}

/// Every case, as far as the supervisor tells them.
async fn told_cases(shop: &Shop, limit: Duration, mishaps: &mut Vec<String>) -> Cases {
    let cases = tokio::time::timeout(limit, shop.cases()).await;
    let cases = cases.unwrap_or_else(|_| Err(anyhow!("nothing within {} s", limit.as_secs())));
    cases.unwrap_or_else(|why| {
        mishaps.push(format!("the supervisor doesn't tell its cases: {why:#}"));
        Cases::default()
    })
}

/// What became of the reports that went by a broker, in a run that has one.
async fn count_published(
    shop: &Shop,
    cases: &Cases,
    killed: &Killed,
    mishaps: &mut Vec<String>,
) -> anyhow::Result<Option<PublishedCount>> {
    let Some(broker) = shop.broker() else { return Ok(None) };
    let name = broker.kind().name();
    let messages = tokio::time::timeout(TELL_LIMIT, broker.messages()).await;
    let messages = messages.unwrap_or_else(|_| Err(anyhow!("nothing in time")));
    let messages = messages.with_context(|| format!("{name} doesn't tell what it holds"))?;
    let services = shop.business().names();
    let count = PublishedCount {
        broker: name.to_owned(),
        kills: killed.by_process.get(name).copied().unwrap_or(0),
        ..published::count(shop.folder(), services, &messages, cases)?
    };
    mishaps.extend(count.mishaps());
    Ok(Some(count))
}

/// Tries what must be refused, in a secured run.
async fn attack(shop: &Shop, cases: &Cases, mishaps: &mut Vec<String>) -> Vec<Attack> {
    let attacks = attacks::try_all(shop, cases).await.unwrap_or_else(|why| {
        mishaps.push(format!("nothing was attacked: {why:#}"));
        Vec::new()
    });
    mishaps.extend(attacks.iter().filter_map(Attack::told_if_it_got_through));
    attacks
}

/// Planned faults by kind.
fn by_fault(orders: &[PlannedOrder]) -> BTreeMap<String, u64> {
    let mut faults = BTreeMap::new();
    for fault in orders.iter().filter_map(|order| order.fault) {
        *faults.entry(fault.word.to_owned()).or_default() += 1;
    }
    faults
}

/// Lets the customers order while processes are killed and services deployed as planned, and gives how they saw their
/// orders end.
async fn place_and_disturb(
    shop: &Shop,
    orders: &[PlannedOrder],
    options: &DemoOptions,
    seed: u64,
    progress: &Progress,
    (killed, gateways): (&mut Killed, &mut GatewayCount),
) -> anyhow::Result<BTreeMap<String, u64>> {
    let plan = match options.chaos {
        true => {
            let services: Vec<_> = shop.business().names().collect();
            let besides = besides(options);
            kills::of_anybody(&services, &besides, seed, options.orders, options.kills)
        }
        false => kills::of_supervisor(seed, options.orders, options.kill_supervisor),
    };
    let (answered, count) = watch::channel(0);
    let placing = place_all(shop, orders, options, progress, &answered);
    let killing = kills::carry_out(shop, &plan, count, progress, killed);
    let deploying = async {
        if options.gateways {
            let one = Duration::from_secs(options.deploy_seconds);
            *gateways = deploys::carry_out(shop.gateways(), seed, one, progress).await;
        }
        Ok(())
    };
    let (customers, (), ()) = tokio::try_join!(placing, killing, deploying)?;
    Ok(customers)
}

/// Any number will do, as long as the next run has another one.
fn seed_from_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Below 2^32, so that it is easy to read and to type.
    SeededRng(since.as_nanos() as u64).next_u64() >> 32
}
