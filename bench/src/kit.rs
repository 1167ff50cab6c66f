//! What History costs: a forward action of the service kit, and the same as a local action, against the same handler bare,
//! on the same database machinery, by turns, at several levels of concurrency. Everything is in this one process, so the
//! load generator's share is in all of them.

use crate::wire::Connection;
use amends_service::axum::routing::post;
use amends_service::axum::{Json, Router};
use amends_service::serde_json::{Value, json};
use amends_service::sqlx::{self, PgPool};
use amends_service::store::{HistoryStore as _, sqlite::SqliteTx};
use amends_service::{Kit, KitConfig, KitError, Postgres, PostgresConfig, Sqlite};
use anyhow::{Context, bail, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Requests under way at once.
const LEVELS: [usize; 4] = [1, 4, 16, 64];

/// Turns of each level; a machine that changes its speed hurts both alike.
const ROUNDS: usize = 2;

/// Time before each measurement that does not count.
const WARMUP: Duration = Duration::from_millis(500);

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT NOT NULL, saga TEXT PRIMARY KEY)";
const REDEEM: &str = "INSERT INTO redeemed (coupon, saga) VALUES ($1, $2)";

/// Measures and gives the figures.
pub async fn run(store: &str, url: Option<&str>, seconds: u64) -> anyhow::Result<Value> {
    let folder = crate::store_folder()?;
    let (kit, bare) = match (store, url) {
        ("sqlite", _) => {
            on_sqlite(&folder.path().join("kit.sqlite"), &folder.path().join("bare.sqlite"))?
        }
        ("postgres", Some(url)) => on_postgres(url).await?,
        ("postgres", None) => {
            bail!("name the database with `--url postgres://…`; its tables stay there")
        }
        _ => bail!("there is no store `{store}`; one of: sqlite, postgres"),
    };
    let (kit, bare) = (serve(kit).await?, serve(bare).await?);
    let saga = Arc::new(AtomicU64::new(0));
    let measured = Duration::from_secs(seconds);
    let mut levels = serde_json::Map::new();
    for level in LEVELS {
        let (mut action, mut local, mut without) = (0, 0, 0);
        for _ in 0..ROUNDS {
            action += load(&kit, "redeem", level, measured, &saga).await?;
            local += load(&kit, "redeem-locally", level, measured, &saga).await?;
            without += load(&bare, "redeem", level, measured, &saga).await?;
        }
        let per_second = |count: u64| count / (seconds.max(1) * ROUNDS as u64);
        let share = |count: u64| (count * 100 / without.max(1)) as f64 / 100.0;
        levels.insert(
            format!("{level} at once"),
            json!({
                "barePerSecond": per_second(without),
                "localActionPerSecond": per_second(local),
                "localActionShare": share(local),
                "actionPerSecond": per_second(action),
                "actionShare": share(action),
            }),
        );
    }
    Ok(json!({ "store": store, "levels": levels }))
}

fn on_sqlite(kit: &std::path::Path, bare: &std::path::Path) -> anyhow::Result<(Router, Router)> {
    let kit = Kit::builder(KitConfig::new("coupon"), Sqlite::open(kit, SCHEMA)?)?
        .action("redeem", async |context, body| {
            let saga = context.saga().to_string();
            Ok(context.effect(move |connection| {
                connection.prepare_cached(REDEEM)?.execute([coupon(&body), &saga])?;
                Ok(json!({ "redeemed": true }))
            }))
        })
        .local_action("redeem-locally", |connection, request| {
            let row = [coupon(&request.body), request.saga.as_str()];
            connection.prepare_cached(REDEEM)?.execute(row)?;
            Ok(json!({ "redeemed": true }))
        })
        .build();
    // The writing thread of the kit with its group commit, without History.
    let store = Arc::new(Sqlite::open(bare, SCHEMA)?);
    let handler = move |headers: http::HeaderMap, Json(body): Json<Value>| async move {
        let saga = saga_of(&headers);
        let written: Result<(), KitError> = store
            .write(None, move |tx: &mut SqliteTx| {
                let insert = tx.connection().prepare_cached(REDEEM);
                let done = insert.and_then(|mut insert| insert.execute([coupon(&body), &saga]));
                Box::pin(std::future::ready(done.map(drop).map_err(KitError::from)))
            })
            .await;
        answer(written.is_ok())
    };
    Ok((kit.router(), Router::new().route("/redeem", post(handler))))
}

async fn on_postgres(url: &str) -> anyhow::Result<(Router, Router)> {
    let mut config = PostgresConfig::new(url);
    SCHEMA.clone_into(&mut config.schema);
    let store = Postgres::open(config).await?;
    let pool: PgPool = store.pool().clone();
    let kit = Kit::builder(KitConfig::new("coupon"), store)?
        .action("redeem", async |context, body: Value| {
            let saga = context.saga().to_string();
            Ok(context.effect(move |connection| {
                Box::pin(async move {
                    sqlx::query(REDEEM).bind(coupon(&body)).bind(saga).execute(connection).await?;
                    Ok(json!({ "redeemed": true }))
                })
            }))
        })
        .local_action("redeem-locally", |connection, request| {
            Box::pin(async move {
                let insert = sqlx::query(REDEEM).bind(coupon(&request.body));
                insert.bind(request.saga.as_str()).execute(connection).await?;
                Ok(json!({ "redeemed": true }))
            })
        })
        .build();
    let handler = move |headers: http::HeaderMap, Json(body): Json<Value>| async move {
        let written = async {
            let mut tx = pool.begin().await?;
            let insert = sqlx::query(REDEEM).bind(coupon(&body)).bind(saga_of(&headers));
            insert.execute(&mut *tx).await?;
            tx.commit().await
        };
        answer(written.await.is_ok())
    };
    Ok((kit.router(), Router::new().route("/redeem", post(handler))))
}

fn coupon(body: &Value) -> &str {
    body["coupon"].as_str().unwrap_or_default()
}

fn saga_of(headers: &http::HeaderMap) -> String {
    let saga = headers.get("saga-id").and_then(|saga| saga.to_str().ok());
    saga.unwrap_or_default().to_owned()
}

fn answer(is_written: bool) -> (http::StatusCode, Json<Value>) {
    match is_written {
        true => (http::StatusCode::OK, Json(json!({ "redeemed": true }))),
        false => (http::StatusCode::INTERNAL_SERVER_ERROR, Json(Value::Null)),
    }
}

async fn serve(router: Router) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { amends_service::axum::serve(listener, router).await });
    Ok(address)
}

/// Requests of an action that were answered 200 in the measured time.
async fn load(
    address: &str,
    action: &'static str,
    level: usize,
    measured: Duration,
    saga: &Arc<AtomicU64>,
) -> anyhow::Result<u64> {
    let (counts, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let done = Arc::new(AtomicU64::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..level {
        let address = address.to_owned();
        let (saga, counts, ends, done) =
            (Arc::clone(saga), Arc::clone(&counts), Arc::clone(&ends), Arc::clone(&done));
        callers.spawn(async move {
            let mut connection = Connection::new(TcpStream::connect(&address).await?)?;
            while !ends.load(Ordering::Relaxed) {
                let number = saga.fetch_add(1, Ordering::Relaxed);
                connection.send(request(&address, action, number).as_bytes()).await?;
                let answer = connection.read().await?.context("the service hung up")?;
                ensure!(answer.first_line.contains(" 200 "), "answered `{}`", answer.first_line);
                if counts.load(Ordering::Relaxed) {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(())
        });
    }
    tokio::time::sleep(WARMUP).await;
    counts.store(true, Ordering::Relaxed);
    tokio::time::sleep(measured).await;
    counts.store(false, Ordering::Relaxed);
    ends.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(done.load(Ordering::Relaxed))
}

fn request(host: &str, action: &str, number: u64) -> String {
    let body = format!(r#"{{"coupon":"SPRING-{number}"}}"#);
    // The process's start, so that a second run on one database begins new sagas.
    let run = std::process::id();
    format!(
        "POST /{action} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nsaga-id: s-{run}-{number}\r\n\
         request-id: r-{run}-{number}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
