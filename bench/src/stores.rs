//! The two stores side by side: reports/s, latency at a steady rate, CPU of supervisor and database, rows and bytes of
//! log for each report. SQLite before and after PostgreSQL tells how much the machine has changed its speed meanwhile.

use crate::load::Pace;
use crate::postgres::{self, Database};
use crate::{Cli, Subject, measure};
use anyhow::ensure;
use serde_json::{Value, json};
use std::path::Path;

/// Runs all, in some one and a half minutes by default.
pub async fn run(cli: &Cli, rate: u64) -> anyhow::Result<Value> {
    ensure!(
        postgres::lies_on_a_disk(Path::new("/tmp")),
        "/tmp lies in memory, where a commit of PostgreSQL would cost nothing"
    );
    let mut database = Database::start();
    let mut runs = serde_json::Map::new();
    for pace in [Pace::Saturate, Pace::PerSecond(rate)] {
        let at = match pace {
            Pace::Saturate => "saturated".to_owned(),
            Pace::PerSecond(rate) => format!("at {rate}/s"),
        };
        let sqlite = Subject::On("sqlite");
        runs.insert(format!("sqlite {at}, before"), measure(cli, sqlite, pace, None).await?);
        runs.insert(format!("postgres {at}"), on_postgres(cli, &mut database, pace).await?);
        runs.insert(format!("sqlite {at}, after"), measure(cli, sqlite, pace, None).await?);
    }
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    Ok(json!({ "cores": cores, "postgres": database.version(),
        "compensationsPerReport": crate::supervisor::SERVICES.len(), "runs": runs }))
}

/// A run on an empty database, with what it cost there.
async fn on_postgres(cli: &Cli, database: &mut Database, pace: Pace) -> anyhow::Result<Value> {
    database.anew()?;
    let (rows, bytes) = (database.rows_written()?, database.log_bytes()?);
    let subject = Subject::On(&database.address);
    let mut run = measure(cli, subject, pace, Some(database.process_id())).await?;
    let (rows, bytes) = (database.rows_written()? - rows, database.log_bytes()? - bytes);
    let all = run["allReports"].as_u64().unwrap_or_default().max(1);
    #[allow(clippy::cast_precision_loss)] // rows of a run
    let rows_each = (rows as f64 / all as f64 * 100.0).round() / 100.0;
    run["rowsWrittenPerReport"] = json!(rows_each);
    run["logBytesPerReport"] = json!(bytes / all);
    let micros = run["cpuMicrosPerReport"]["database"].as_u64().unwrap_or_default().max(1);
    run["reportsPerSecondPerCoreOfDatabase"] = json!(1_000_000 / micros);
    Ok(run)
}
