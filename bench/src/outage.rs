//! One of four services is away while thousands of cases pile up for it; then it returns. Says how fast the backlog
//! drains, and what the other services' cases feel of it meanwhile.

use crate::load::{self, Pace};
use crate::supervisor::SERVICES;
use crate::tally::Tally;
use crate::{participant, start_supervisor, store_folder};
use anyhow::ensure;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Steady load, in reports a second, at which the other services are watched before and during the drain.
const WATCHED_RATE: u64 = 500;

/// Nothing may take longer than this.
const LIMIT: Duration = Duration::from_secs(180);

/// `cases` pile up at once; then the service stays away for `away` more, under a steady load.
pub async fn run(cases: usize, away_for: Duration) -> anyhow::Result<Value> {
    let data = store_folder()?;
    let away = TcpListener::bind("127.0.0.1:0").await?.local_addr()?; // free again at once
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (first, others) = (format!("http://{away}"), format!("http://{}", listener.local_addr()?));
    let (child, address) = start_supervisor("sqlite", data.path(), &first, &others).await?;
    let most = cases + 1_000_000;
    let rest = Arc::new(Tally::new(most, cases + 1, u8::try_from(SERVICES.len() - 1)?));
    tokio::spawn(participant::serve(listener, Arc::clone(&rest)));

    eprintln!("{cases} cases while {} is away …", SERVICES[0]);
    let forever = rest.now_us() + u64::try_from(LIMIT.as_micros())?;
    let next = load::run(&address, &rest, Pace::Saturate, 0..cases, forever).await?;
    until(&rest, next).await?;
    let others_done_us = rest.now_us();

    eprintln!("the others are done; {WATCHED_RATE} reports/s, {} still away …", SERVICES[0]);
    let from = rest.now_us();
    let to = from + u64::try_from(away_for.as_micros())?;
    let next = load::run(&address, &rest, Pace::PerSecond(WATCHED_RATE), next..most, to).await?;
    let before = rest.percentiles(from, to);

    eprintln!("{} returns …", SERVICES[0]);
    let returned = Arc::new(Tally::new(most, 0, 1));
    tokio::spawn(participant::serve(TcpListener::bind(away).await?, Arc::clone(&returned)));
    let watching = tokio::spawn({
        let (address, rest) = (address.clone(), Arc::clone(&rest));
        async move {
            let from = rest.now_us();
            let to = from + 3_000_000;
            load::run(&address, &rest, Pace::PerSecond(WATCHED_RATE), next..most, to).await?;
            anyhow::Ok(rest.percentiles(from, to))
        }
    });
    let backlog = next;
    until(&returned, 1).await?;
    let first_us = returned.now_us();
    until(&returned, backlog).await?;
    let drained_us = returned.now_us();
    let during = watching.await??;
    drop(child);
    #[allow(clippy::cast_precision_loss)] // counts and times of a run
    let per_second = backlog as f64 * 1e6 / drained_us.saturating_sub(first_us).max(1) as f64;
    Ok(json!({
        "casesWaiting": backlog,
        "othersDoneAfterMs": others_done_us / 1_000,
        "firstStepAfterReturnMs": first_us / 1_000,
        "backlogDrainedAfterReturnMs": drained_us / 1_000,
        "drainedCasesPerSecond": per_second.round(),
        "othersLatencyMs": { "whileAway": before, "whileDraining": during },
        "watchedAtReportsPerSecond": WATCHED_RATE,
    }))
}

async fn until(tally: &Tally, count: usize) -> anyhow::Result<()> {
    let waited = tokio::time::timeout(LIMIT, async {
        while tally.finished() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    ensure!(waited.await.is_ok(), "only {} of {count} came within {LIMIT:?}", tally.finished());
    Ok(())
}
