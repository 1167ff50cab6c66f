//! What an operator asks, timed at the server while reports come in: overview, groups, lists by every filter, one case.
//! The store holds a past of many settled cases and some that wait.

use crate::load::{self, Pace};
use crate::postgres::Database;
use crate::store_fill::{self, Past};
use crate::tally::Tally;
use crate::wire::Connection;
use crate::{participant, start_supervisor, store_folder, supervisor};
use amends_store::{PostgresOptions, move_store};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How often each question is asked.
const TIMES: usize = 20;
/// Seconds of load before the first question.
const WARMUP: u64 = 3;
/// Longest that the questions may take, in seconds: the load ends then.
const LIMIT: u64 = 600;
/// What the median of any question may take, in milliseconds.
const SLOW_MS: f64 = 100.0;
/// Most sagas of the load.
const MOST_SAGAS: usize = 2_000_000;

/// Where cases lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    pub settled: u64,
    pub open: u64,
    pub rate: u64,
    pub data: Option<PathBuf>,
    pub stores: Vec<Kind>,
}

/// Fills a store (or takes one), and asks it, in its folder and in a database.
pub async fn run(options: Options) -> anyhow::Result<Value> {
    let scratch = store_folder()?;
    let folder = options.data.clone().unwrap_or_else(|| scratch.path().to_owned());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let participant = format!("http://{}", listener.local_addr()?);
    if options.data.is_none() {
        let past = Past::of(options.settled, options.open, store_fill::NOBODY);
        store_fill::run(&folder, past).await?;
    }
    let mut result = json!({
        "settled": options.settled, "open": options.open, "reportsPerSecond": options.rate,
    });
    // Before anybody works on it: both begin with the same rows.
    let database = match options.stores.contains(&Kind::Postgres) {
        true => Some(moved(&folder, &mut result).await?),
        false => None,
    };
    let tally = Arc::new(Tally::new(MOST_SAGAS, 256, u8::try_from(supervisor::SERVICES.len())?));
    let served = tokio::spawn(participant::serve(listener, Arc::clone(&tally)));
    let mut next = 0;
    for kind in &options.stores {
        let store = match (kind, &database) {
            (Kind::Postgres, Some(database)) => &database.address,
            _ => "sqlite",
        };
        let asked = Asked { store, folder: &folder, participant: &participant };
        let (answers, after) = ask_one(asked, &options, &tally, next).await?;
        result[kind.name()] = answers;
        next = after;
    }
    served.abort();
    show(&result, &options.stores);
    Ok(result)
}

/// Moves the store of a folder as `amends migrate` does, and leaves the folder as it was.
async fn moved(folder: &Path, result: &mut Value) -> anyhow::Result<Database> {
    eprintln!("moving it into PostgreSQL …");
    let (database, from) = (Database::start(), folder.to_owned());
    let (to, began) = (PostgresOptions::new(&database.address, "mover"), Instant::now());
    let moved = tokio::task::spawn_blocking(move || move_store(&from, &to, |_| {})).await??;
    std::fs::remove_file(folder.join("MOVED-TO-POSTGRESQL"))?;
    let rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
    result["move"] = json!({ "rows": rows, "seconds": began.elapsed().as_secs_f64().round() });
    Ok(database)
}

/// Whom to ask.
struct Asked<'a> {
    store: &'a str,
    folder: &'a Path,
    /// Where the services are.
    participant: &'a str,
}

/// Starts a supervisor, and asks it while reports come in, from this saga on. Says which would have been next.
async fn ask_one(
    Asked { store, folder, participant }: Asked<'_>,
    options: &Options,
    tally: &Arc<Tally>,
    first: usize,
) -> anyhow::Result<(Value, usize)> {
    eprintln!("asking `{store}` …");
    let began = Instant::now();
    let (mut child, address) = start_supervisor(store, folder, participant, participant).await?;
    let start_seconds = began.elapsed().as_secs_f64();
    let loaded_from_us = tally.now_us();
    let load = {
        let (address, tally) = (address.clone(), Arc::clone(tally));
        let (pace, until_us) = (Pace::PerSecond(options.rate), loaded_from_us + LIMIT * 1_000_000);
        tokio::spawn(
            async move { load::run(&address, &tally, pace, first..MOST_SAGAS, until_us).await },
        )
    };
    tokio::time::sleep(Duration::from_secs(WARMUP)).await;
    let answers = ask_all(&address, options.settled).await?;
    let (from_us, to_us) = (loaded_from_us + WARMUP * 1_000_000, tally.now_us());
    let latency = tally.percentiles(from_us, to_us);
    load.abort();
    let _ = load.await; // it was cut off
    drop(child.stdin.take());
    child.wait().await?;
    // Some may not have been sent, or not been answered.
    let lasted = usize::try_from((to_us - loaded_from_us) / 1_000_000)?;
    let next = first + (lasted + 2) * usize::try_from(options.rate)?;
    let answers = json!({
        "startSeconds": start_seconds, "reportLatencyMs": latency, "milliseconds": answers,
    });
    Ok((answers, next))
}

/// Each question with its medians, for people; what takes longer than it may is marked.
fn show(result: &Value, stores: &[Kind]) {
    let names = stores.iter().map(|kind| format!("{:>18}", kind.name())).collect::<String>();
    eprintln!("{:<36}{names}   median, slowest ms; ! over {SLOW_MS}", "");
    let of = |kind: &Kind| result[kind.name()]["milliseconds"].as_object();
    for question in stores.first().and_then(of).into_iter().flat_map(serde_json::Map::keys) {
        let cells = stores.iter().map(|kind| {
            let took = &result[kind.name()]["milliseconds"][question];
            let (median, slowest) =
                (took["p50"].as_f64().unwrap_or(0.0), took["max"].as_f64().unwrap_or(0.0));
            let mark = if median > SLOW_MS { '!' } else { ' ' };
            format!("{median:>8.1}, {slowest:>6.1} {mark}")
        });
        eprintln!("{question:<36}{}", cells.collect::<String>());
    }
}

async fn ask_all(address: &str, settled: u64) -> anyhow::Result<Value> {
    let host = address.trim_start_matches("http://");
    let mut connection = Connection::new(TcpStream::connect(host).await?)?;
    let groups = get(&mut connection, host, "/v1/groups").await?;
    let groups: Value = serde_json::from_slice(&groups)?;
    let group = groups[0]["id"].as_str().context("a group")?.to_owned();
    let old = settled / 3;
    let questions = [
        ("overview", "/v1/overview".to_owned()),
        ("groups", "/v1/groups".to_owned()),
        ("services", "/v1/services".to_owned()),
        ("cases", "/v1/cases".to_owned()),
        ("cases, oldest first", "/v1/cases?sort=oldest".to_owned()),
        ("cases: settled", "/v1/cases?state=settled".to_owned()),
        ("cases: stuck", "/v1/cases?state=stuck".to_owned()),
        ("cases: open, of a service", "/v1/cases?state=open,stuck&service=bank".to_owned()),
        ("cases: open, of no service", "/v1/cases?state=open,stuck&service=none".to_owned()),
        ("cases: open, text nowhere", "/v1/cases?state=open,stuck&q=nowhere".to_owned()),
        ("cases: report", "/v1/cases?report=shop/report-3".to_owned()),
        ("cases: report prefix", "/v1/cases?report=shop/*".to_owned()),
        ("cases: report nowhere", "/v1/cases?report=shop/none".to_owned()),
        ("cases: service", "/v1/cases?service=stamp".to_owned()),
        ("cases: service nowhere", "/v1/cases?service=none".to_owned()),
        ("cases: action", "/v1/cases?action=post.send".to_owned()),
        ("cases: rulebook", "/v1/cases?rulebook=past".to_owned()),
        ("cases: old", "/v1/cases?older_than=12h".to_owned()),
        ("cases: text nowhere", "/v1/cases?q=nowhere".to_owned()),
        ("cases: saga id", format!("/v1/cases?q=past-{old}")),
        ("cases: group", format!("/v1/cases?group={group}")),
        ("cases: late", "/v1/cases?group=g-late".to_owned()),
        ("steps: stuck", "/v1/steps?state=stuck".to_owned()),
        ("case", format!("/v1/cases/c-{old}")),
        ("page: overview", "/".to_owned()),
        ("page: cases", "/cases".to_owned()),
        ("page: cases, open, of a service", "/cases?state=open,stuck&service=bank".to_owned()),
        ("page: cases, stuck, oldest first", "/cases?state=stuck&sort=oldest".to_owned()),
        ("page: cases, report prefix", "/cases?report=shop/*".to_owned()),
        ("page: cases, text nowhere", "/cases?q=nowhere".to_owned()),
        ("page: cases, saga id", format!("/cases?q=past-{old}")),
        ("page: causes", "/cases?view=causes".to_owned()),
        ("page: group", format!("/cases?group={group}")),
        ("page: case", format!("/cases/c-{old}")),
        ("page: services", "/services".to_owned()),
        ("page: rules", "/rules".to_owned()),
        ("page: audit", "/audit".to_owned()),
    ];
    let mut answers = serde_json::Map::new();
    for (name, path) in questions {
        let mut took = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let began = Instant::now();
            get(&mut connection, host, &path).await.with_context(|| name.to_owned())?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let ms = |took: Duration| (took.as_secs_f64() * 10_000.0).round() / 10.0;
        answers.insert(
            name.to_owned(),
            json!({ "p50": ms(took[TIMES / 2]), "max": ms(took[TIMES - 1]) }),
        );
    }
    Ok(answers.into())
}

async fn get(connection: &mut Connection, host: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    connection.send(request.as_bytes()).await?;
    let answer = connection.read().await?.context("the supervisor closed the connection")?;
    ensure!(
        answer.first_line.contains(" 200 "),
        "`{path}` answered `{}`: {}",
        answer.first_line,
        String::from_utf8_lossy(&answer.body)
    );
    Ok(answer.body)
}
