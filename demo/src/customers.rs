//! The customers of a run: they place the planned orders, several at a time, and say how they saw each end. They kill
//! nobody but where an order's own fault says so.

use crate::deploys;
use crate::faults::By;
use crate::options::DemoOptions;
use crate::progress::Progress;
use crate::shop::{Ending, Shop};
use crate::supervisor::AWAY_FOR;
use crate::workload::PlannedOrder;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Lets all customers order, and counts how they saw it end. `answered` grows with every order that has ended.
///
/// # Errors
/// When the first service doesn't open its door, or a process that a fault took down doesn't come up again.
pub(crate) async fn place_all(
    shop: &Shop,
    orders: &[PlannedOrder],
    options: &DemoOptions,
    progress: &Progress,
    answered: &watch::Sender<u32>,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let next = AtomicUsize::new(0);
    let clients = if options.slow { 1 } else { options.clients };
    let customer = async || {
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        let mut pace = pause(shop, options, orders.len()).map(tokio::time::interval);
        while let Some(order) = orders.get(next.fetch_add(1, Ordering::SeqCst)) {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            progress.before(order);
            let ending = place(shop, order).await?;
            progress.after(&ending);
            answered.send_modify(|count| *count += 1);
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

/// How long a customer waits between two orders; not at all if absent.
fn pause(shop: &Shop, options: &DemoOptions, orders: usize) -> Option<Duration> {
    if options.slow {
        return Some(Duration::from_secs(1));
    }
    let each = u32::try_from(orders).unwrap_or(u32::MAX).div_ceil(options.clients).max(1);
    let services = shop.business().services.len();
    let all = match (options.gateways, options.chaos && options.nodes > 1) {
        (true, _) => deploys::time_of_all(services, Duration::from_secs(options.deploy_seconds)),
        // Each is away twice, and drained.
        (false, true) => 3 * AWAY_FOR * options.nodes,
        (false, false) => return None,
    };
    Some((all / each).max(Duration::from_millis(1)))
}

/// Places one order, with the faults that are done to a service from outside.
async fn place(shop: &Shop, order: &PlannedOrder) -> anyhow::Result<Ending> {
    match order.fault.map(|kind| kind.by) {
        Some(By::Down(name)) => {
            let service = shop.service(name)?;
            service.hold_down().await;
            let ending = shop.place(order).await;
            service.let_up().await?;
            ending
        }
        Some(By::Closed(name)) => {
            let service = shop.service(name)?;
            service.close_door().await?;
            let ending = shop.place(order).await;
            service.open_door().await?;
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
