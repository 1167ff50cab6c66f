//! Shows this process as alive, on a connection of its own: a pool that is used up must not make it look dead.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Workers that have been silent for this long are struck off the list; who isn't on it counts as dead all the same.
const FORGOTTEN_AFTER_MS: i64 = 24 * 60 * 60 * 1_000;

/// The heart; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    task: JoinHandle<()>,
}

impl Heartbeat {
    /// Beats once, then goes on beside.
    pub(super) async fn start(
        options: PgConnectOptions,
        worker: Arc<str>,
        every: Duration,
    ) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        // Processes that start together don't wait for one another's rows.
        sqlx::query(
            "WITH old AS (
                 SELECT worker FROM amends_workers WHERE seen_at < amends_now() - $1 FOR UPDATE SKIP LOCKED)
             DELETE FROM amends_workers AS w USING old WHERE w.worker = old.worker",
        )
        .bind(FORGOTTEN_AFTER_MS)
        .execute(&mut connection)
        .await?;
        beat(&mut connection, &worker).await?;
        let task = tokio::spawn(async move {
            let mut connection = Some(connection);
            loop {
                tokio::time::sleep(every).await;
                if let Err(error) = keep_beating(&options, &mut connection, &worker).await {
                    tracing::error!(%error, "this process cannot be shown as alive; tried again");
                    connection = None;
                }
            }
        });
        Ok(Self { task })
    }
}

async fn keep_beating(
    options: &PgConnectOptions,
    connection: &mut Option<PgConnection>,
    worker: &str,
) -> Result<(), sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(options.connect().await?),
    };
    beat(connection, worker).await
}

async fn beat(connection: &mut PgConnection, worker: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO amends_workers (worker, seen_at) VALUES ($1, amends_now())
         ON CONFLICT (worker) DO UPDATE SET seen_at = excluded.seen_at",
    )
    .bind(worker)
    .execute(connection)
    .await?;
    Ok(())
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
