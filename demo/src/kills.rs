//! Who is killed when: a plan made from the seed, and its execution while the customers order. "When" is how many
//! orders have been answered, not a point in time, so that a slow machine meets the same plan. It judges nothing.

use crate::process::START_LIMIT;
use crate::progress::Progress;
use crate::shop::Shop;
use crate::supervisor::SupervisorProcess;
use crate::workload::SeededRng;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Pause before a process is looked at again that is down already when its kill is due.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process that can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    Service(&'static str),
    Supervisor,
    Broker(&'static str),
    /// The database that the supervisor keeps its cases in.
    Database,
    /// The supervisor's connections to it.
    Connections,
    /// One of several supervisors, by its place among them.
    Node(usize),
    /// One of them, which is not killed but stopped, until others have taken its place.
    Frozen(usize),
    /// One of them, which is not killed but drained and resumed.
    Drained(usize),
}

impl Victim {
    /// All of them.
    fn all(services: &[&'static str], besides: &[Self]) -> Vec<Self> {
        let services = services.iter().copied().map(Self::Service);
        services.chain(besides.iter().copied()).collect()
    }

    /// Whether it is a process that SIGKILL ends.
    const fn is_killed(self) -> bool {
        !matches!(self, Self::Frozen(_) | Self::Drained(_))
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) | Self::Broker(name) => f.write_str(name),
            Self::Supervisor => f.write_str("supervisor"),
            Self::Database => f.write_str("database"),
            Self::Connections => f.write_str("connections"),
            Self::Node(n) => write!(f, "node-{}", n + 1),
            Self::Frozen(n) => write!(f, "node-{}, stopped", n + 1),
            Self::Drained(n) => write!(f, "node-{}, drained", n + 1),
        }
    }
}

/// One planned kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) victim: Victim,
    /// How many orders have been answered by then.
    pub(crate) after_orders: u32,
}

/// Kills of random processes: services, and others besides. Each is drawn once before any is drawn again.
#[must_use]
pub(crate) fn of_anybody(
    services: &[&'static str],
    besides: &[Victim],
    seed: u64,
    orders: u32,
    times: u32,
) -> Vec<Kill> {
    let mut rng = SeededRng(seed ^ 0x6368_616f_7321);
    let mut bag = Vec::new();
    let victims = (0..times).map(|_| {
        if bag.is_empty() {
            bag = Victim::all(services, besides);
        }
        bag.swap_remove(rng.below(bag.len() as u64) as usize)
    });
    let victims = victims.collect();
    spread(&mut rng, orders, victims)
}

/// Kills of the supervisor alone.
#[must_use]
pub(crate) fn of_supervisor(seed: u64, orders: u32, times: u32) -> Vec<Kill> {
    let victims = vec![Victim::Supervisor; times as usize];
    spread(&mut SeededRng(seed ^ 0x6b69_6c6c), orders, victims)
}

/// One kill somewhere in each of as many equal parts of the run; the last one when every order has been answered, so
/// that it meets what is still to be undone.
fn spread(rng: &mut SeededRng, orders: u32, victims: Vec<Victim>) -> Vec<Kill> {
    let parts = victims.len() as u64;
    let begin = |part: u64| part * u64::from(orders) / parts;
    let kill = |(part, victim)| {
        let from = begin(part);
        let point = match part + 1 == parts {
            true => u64::from(orders),
            false => from + rng.below(begin(part + 1) - from + 1),
        };
        Kill { victim, after_orders: u32::try_from(point).unwrap_or(orders) }
    };
    (0..).zip(victims).map(kill).collect()
}

/// What became of a plan so far.
#[derive(Debug, Default)]
pub(crate) struct Killed {
    /// Kills by process.
    pub(crate) by_process: BTreeMap<String, u32>,
    /// How many cases the supervisor had open each time, just before it was killed itself.
    pub(crate) open_cases: Vec<u64>,
}

/// Kills as planned, each process when so many orders are `answered`, and starts it again at once while the plan goes
/// on. Returns when all are back.
///
/// # Errors
/// When a process doesn't come back, or is down all the time when it should be killed.
pub(crate) async fn carry_out(
    shop: &Shop,
    plan: &[Kill],
    mut answered: watch::Receiver<u32>,
    progress: &Progress,
    killed: &mut Killed,
) -> anyhow::Result<()> {
    let mut returning = JoinSet::new();
    for kill in plan {
        loop {
            tokio::select! {
                due = answered.wait_for(|count| *count >= kill.after_orders) => {
                    due.context("nobody orders any more")?;
                    break;
                }
                Some(back) = returning.join_next() => back??,
            }
        }
        if matches!(kill.victim, Victim::Supervisor | Victim::Node(_)) {
            killed.open_cases.push(shop.open_cases().await?);
        }
        strike(shop, kill.victim, &mut returning).await?;
        match kill.victim.is_killed() {
            true => {
                *killed.by_process.entry(kill.victim.to_string()).or_default() += 1;
                progress.killed(&kill.victim);
            }
            false => progress.disturbed(&kill.victim),
        }
    }
    while let Some(back) = returning.join_next().await {
        back??;
    }
    Ok(())
}

/// Kills a process that is there, and has it come back.
async fn strike(
    shop: &Shop,
    victim: Victim,
    returning: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        // A fault may hold a service down already, and it may be on its way back from the last kill.
        let met = match victim {
            Victim::Service(name) => {
                let service = Arc::clone(shop.service(name)?);
                let met = service.hold_down().await;
                returning.spawn(async move { service.let_up().await });
                met
            }
            Victim::Supervisor => {
                let supervisor = node(shop, 0)?;
                let met = supervisor.kill().await;
                returning.spawn(async move { supervisor.revive().await });
                met
            }
            Victim::Node(n) | Victim::Frozen(n) | Victim::Drained(n) => {
                strike_node(shop, (victim, n), returning).await?
            }
            Victim::Database => {
                let database = Arc::clone(shop.database().context("there is no database")?);
                let met = database.kill().await;
                returning.spawn(async move { database.revive().await });
                met
            }
            Victim::Connections => shop.database().context("there is no database")?.sever().await?,
            Victim::Broker(name) => {
                let broker = shop.broker().with_context(|| format!("there is no {name}"))?;
                let broker = Arc::clone(broker.process());
                let met = broker.kill().await;
                returning.spawn(async move { broker.revive().await });
                met
            }
        };
        if met {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("`{victim}` is down all the time, so that it cannot be killed");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn node(shop: &Shop, n: usize) -> anyhow::Result<Arc<SupervisorProcess>> {
    shop.supervisors().nodes().get(n).cloned().context("there are fewer nodes")
}

/// Strikes one of several supervisors, which is away for so long that others take its place. One at a time: else nobody
/// would be there to do so.
async fn strike_node(
    shop: &Shop,
    (blow, n): (Victim, usize),
    returning: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<bool> {
    let node = node(shop, n)?;
    let turn = shop.supervisors().turn().await?;
    let met = match blow {
        Victim::Node(_) => node.kill().await,
        Victim::Frozen(_) => node.freeze().await,
        _ => true,
    };
    returning.spawn(async move {
        let back = match blow {
            Victim::Node(_) => node.revive_later().await,
            Victim::Frozen(_) => {
                node.thaw_later().await;
                Ok(())
            }
            _ => node.drain().await,
        };
        drop(turn);
        back
    });
    Ok(met)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ALONE: &[Victim] = &[Victim::Supervisor];
    const SERVICES: [&str; 6] = ["order", "payment", "coupon", "delivery", "rider", "sms"];

    #[test]
    fn the_same_seed_kills_the_same_processes_at_the_same_points() {
        assert_eq!(
            of_anybody(&SERVICES, ALONE, 7, 300, 24),
            of_anybody(&SERVICES, ALONE, 7, 300, 24)
        );
        assert_ne!(
            of_anybody(&SERVICES, ALONE, 7, 300, 24),
            of_anybody(&SERVICES, ALONE, 8, 300, 24)
        );
    }

    #[test]
    fn everybody_is_killed_and_the_kills_are_spread_over_the_run() {
        for (seed, orders, times) in (0..50).flat_map(|seed| [(seed, 300, 24), (seed, 3, 7)]) {
            let plan = of_anybody(&SERVICES, ALONE, seed, orders, times);
            assert_eq!(plan.len(), times as usize);
            let met: BTreeSet<_> = plan.iter().take(7).map(|kill| kill.victim).collect();
            assert_eq!(met.len(), 7, "seed {seed}: {plan:?}");
            assert!(plan.is_sorted_by_key(|kill| kill.after_orders), "seed {seed}: {plan:?}");
            assert_eq!(plan.last().map(|kill| kill.after_orders), Some(orders));
            let longest_calm = plan
                .windows(2)
                .map(|pair| pair[1].after_orders - pair[0].after_orders)
                .max()
                .expect("several kills");
            assert!(longest_calm <= 2 * orders.div_ceil(times), "seed {seed}: {plan:?}");
        }
    }

    #[test]
    fn a_broker_is_killed_like_anybody_else() {
        let plan = of_anybody(&SERVICES, &[Victim::Supervisor, Victim::Broker("nats")], 7, 300, 24);
        let met: BTreeSet<_> = plan.iter().take(8).map(|kill| kill.victim).collect();
        assert!(met.len() == 8 && met.contains(&Victim::Broker("nats")), "{plan:?}");
    }

    #[test]
    fn a_plan_without_kills_is_empty_and_the_supervisor_can_be_the_only_victim() {
        assert!(of_supervisor(1, 10, 0).is_empty());
        let plan = of_supervisor(1, 40, 10);
        assert_eq!(plan.len(), 10);
        assert!(plan.iter().all(|kill| kill.victim == Victim::Supervisor), "{plan:?}");
    }
}
