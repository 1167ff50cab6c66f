//! The supervisor under test as a process of its own: the production driver, HTTP and dispatch, on the store that the
//! run asks for. The rulebook's one rule asks four services for one compensation each.

use crate::null_store::NullStore;
use amends_rulebook::Rulebook;
use amends_server::books::Rejections;
use amends_server::dispatch::{HttpOptions, HttpOutbound};
use amends_server::{App, Config, Driver, DriverOptions, HttpLimits, SystemClock, router};
use amends_store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store};
use anyhow::anyhow;
use std::path::Path;

/// Services of the rulebook, and so compensations for each report.
pub const SERVICES: [&str; 4] = ["coupon", "delivery", "payment", "rider"];

/// Requests under way to each service at once.
const CONCURRENCY: u32 = 64;

/// The first service has an address of its own, so that it can be away while the others are there.
pub fn rulebook(first: &str, others: &str) -> String {
    rulebook_at(&[first, others, others, others])
}

/// The services at these addresses; the reporting one is where the last is.
pub fn rulebook_at(urls: &[&str]) -> String {
    let others = urls.last().copied().unwrap_or_default();
    let services: String = SERVICES
        .iter()
        .zip(urls)
        .map(|(s, url)| {
            format!(
                "  {s}: {{ url: \"{url}\", concurrency: {CONCURRENCY}, \
                 actions: {{ act: {{ compensation: undo }} }} }}\n"
            )
        })
        .collect();
    let calls = SERVICES.map(|s| format!("{s}.act")).join(", ");
    format!(
        "rulebook: bench\nservices:\n  order: {{ url: \"{others}\", \
         actions: {{ place: {{ compensation: cancel, calls: [{calls}] }} }} }}\n{services}\
         rules:\n  - {{ on: \"*/*\", compensate: [{calls}] }}\n"
    )
}

/// Serves until standard input ends. Prints its address as one line.
pub async fn run(store: &str, data: &Path, first: &str, others: &str) -> anyhow::Result<()> {
    let book = rulebook(first, others);
    match store {
        "sqlite" => serve(SqliteStore::open(data, &SqliteOptions::default())?, &book).await,
        "null" => serve(NullStore, &book).await,
        address if address.starts_with("postgres://") => {
            serve(PostgresStore::open(&PostgresOptions::new(address, "bench"))?, &book).await
        }
        other => Err(anyhow!("unknown store `{other}`; one of: sqlite, null, postgres://…")),
    }
}

/// `amends serve` with its defaults, but for where it listens and what it reads, until standard input ends.
pub async fn run_shipped(data: &Path, services: &[String]) -> anyhow::Result<()> {
    let rules = data.join("rules.yaml");
    let urls: Vec<&str> = services.iter().map(String::as_str).collect();
    std::fs::write(&rules, rulebook_at(&urls))?;
    let mut config = Config::defaults();
    config.listen = "127.0.0.1:0".to_owned();
    config.data = data.join("data");
    config.rules = Some(rules);
    let running = amends_server::start(config).await?;
    println!("http://{}", running.address);
    let (mut input, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
    tokio::io::copy(&mut input, &mut nowhere).await?;
    Ok(running.stop().await?)
}

async fn serve<S: Store>(store: S, rulebook: &str) -> anyhow::Result<()> {
    let outbound = HttpOutbound::new(HttpOptions::default());
    let (supervisor, driver) =
        Driver::start(store, outbound, SystemClock, DriverOptions::default()).await?;
    let book = Rulebook::from_yaml(rulebook).map_err(|d| anyhow!("{d:?}"))?;
    supervisor.activate(book, "bench", "bench").await.map_err(|p| anyhow!("{p:?}"))?;
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let app = App::new(supervisor.clone(), Rejections::default(), HttpLimits::default(), stopping);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let (mut input, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
    tokio::select! {
        served = axum::serve(listener, router(app)) => served?,
        _ = tokio::io::copy(&mut input, &mut nowhere) => {}
    }
    supervisor.stop();
    driver.await?;
    Ok(())
}
