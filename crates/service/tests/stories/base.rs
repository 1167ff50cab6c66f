//! The databases that the stories run on: the same payment service, written for each of them as a host would write it.

use crate::cluster;
use crate::rig::{Controls, DEADLINE, SCHEMA};
use amends_service::rusqlite::types::ValueRef;
use amends_service::rusqlite::{Connection, params};
use amends_service::sqlx::postgres::PgConnectOptions;
use amends_service::sqlx::{self, AssertSqlSafe, ConnectOptions, PgConnection, Row};
use amends_service::store::HistoryStore;
use amends_service::{
    ActionContext, Effect, Failure, KitBuilder, KitError, Postgres, PostgresConfig, Refusal, Sqlite,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Makes a test of each named story on each database.
#[macro_export]
macro_rules! on_each_database {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story::<amends_service::Sqlite>().await })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story::<amends_service::Postgres>().await })+
        }
    };
}

/// The same for stories with several lives, each a runtime of its own.
#[macro_export]
macro_rules! lives_on_each_database {
    ($($story:ident),+ $(,)?) => {
        mod sqlite_lives { $(#[test] fn $story() { super::$story::<amends_service::Sqlite>() })+ }
        mod postgres_lives { $(#[test] fn $story() { super::$story::<amends_service::Postgres>() })+ }
    };
}

/// A database, and the payment service on it.
pub trait Base: HistoryStore + Sized {
    /// What outlives a process: a folder, a schema.
    type Place: Clone + Send + Sync + 'static;

    async fn new_place() -> Self::Place;

    /// Opens the database as a new process does.
    async fn open(place: &Self::Place) -> Self;

    /// Whoever worked here before counts as dead from now on.
    async fn bury(place: &Self::Place);

    /// Lets time pass, for the store's clock.
    async fn pass_days(place: &Self::Place, days: i64);

    /// A query of an operator's shell; every value as text.
    async fn ask(place: &Self::Place, sql: &str) -> Vec<Vec<String>>;

    /// Statements of an operator's shell.
    async fn tell(place: &Self::Place, sql: &str);

    /// The effect of `pay`: one row, a pause if the body asks for one, then what the body says.
    fn charge(
        context: &ActionContext<Self>,
        controls: Arc<Controls>,
        body: Value,
        run: u32,
    ) -> Effect<Self>;

    /// An effect that does nothing.
    fn logged(context: &ActionContext<Self>) -> Effect<Self>;

    /// The local action `charge` with its compensation, the compensation of `pay`, and the notice.
    fn undoing(builder: KitBuilder<Self>, controls: &Arc<Controls>) -> KitBuilder<Self>;
}

const CHARGE: &str = "INSERT INTO ledger VALUES ($1, $2, 'charge', $3)";
const REFUND: &str = "INSERT INTO ledger VALUES ($1, $2, 'refund', $3)";
const UNCHARGE: &str = "DELETE FROM ledger WHERE saga = $1";
const TEXT: &str = "INSERT INTO texts VALUES ($1, $2)";

/// What the effect comes to after its row is written.
fn charged(controls: &Controls, body: &Value, run: u32) -> Result<Value, Failure> {
    controls.effects.fetch_add(1, Ordering::SeqCst);
    assert!(body["panic"] != "effect", "the effect tripped");
    match body["fail_in_effect"].as_str() {
        Some(code) => Err(Failure::new(code, "the ledger says no")),
        None => Ok(json!({ "charged": amount(body), "run": run })),
    }
}

fn amount(body: &Value) -> i64 {
    body["amount"].as_i64().unwrap_or(10)
}

/// What the undo comes to after its rows are written.
fn refunded(controls: &Controls) -> Result<(), Refusal> {
    assert!(!controls.trips.load(Ordering::SeqCst), "the undo tripped");
    match controls.refuses.load(Ordering::SeqCst) {
        true => Err(Refusal::new("the month is closed")),
        false => Ok(()),
    }
}

fn texted(controls: &Controls) -> Result<(), Refusal> {
    match controls.refuses.load(Ordering::SeqCst) {
        true => Err(Refusal::try_later("the gateway sleeps")),
        false => Ok(()),
    }
}

/// Where a SQLite file lies, and how far its clock is ahead.
pub struct Folder {
    folder: TempDir,
    ahead_ms: AtomicI64,
}

impl Folder {
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("service.sqlite")
    }
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn now_ms() -> i64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(passed.as_millis()).expect("not that late")
}

impl Base for Sqlite {
    type Place = Arc<Folder>;

    async fn new_place() -> Self::Place {
        Arc::new(Folder {
            folder: tempfile::tempdir().expect("a folder"),
            ahead_ms: AtomicI64::new(0),
        })
    }

    async fn open(place: &Self::Place) -> Self {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let here = Arc::clone(place);
            let clock = move || now_ms() + here.ahead_ms.load(Ordering::SeqCst);
            match Sqlite::open_with_clock(place.database(), SCHEMA, clock) {
                Ok(store) => return store,
                // The threads of the life before are still closing the file.
                Err(KitError::Locked { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn bury(_place: &Self::Place) {}

    async fn pass_days(place: &Self::Place, days: i64) {
        place.ahead_ms.fetch_add(days * DAY_MS, Ordering::SeqCst);
    }

    async fn ask(place: &Self::Place, sql: &str) -> Vec<Vec<String>> {
        let connection = Connection::open(place.database()).expect("opens");
        let mut statement = connection.prepare(sql).expect("a query");
        let columns = statement.column_count();
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("no text: {other:?}"),
        };
        let read = |row: &amends_service::rusqlite::Row<'_>| {
            (0..columns).map(|column| row.get_ref(column).map(text)).collect()
        };
        statement.query_map([], read).expect("runs").collect::<Result<_, _>>().expect("rows")
    }

    async fn tell(place: &Self::Place, sql: &str) {
        let connection = Connection::open(place.database()).expect("opens");
        connection.busy_timeout(DEADLINE).expect("set");
        connection.execute_batch(sql).expect("runs");
    }

    fn charge(
        context: &ActionContext<Self>,
        controls: Arc<Controls>,
        body: Value,
        run: u32,
    ) -> Effect<Self> {
        let (saga, request) = (context.saga().to_string(), context.request_id().to_owned());
        context.effect(move |connection| {
            connection.execute(CHARGE, params![saga, request, amount(&body)])?;
            charged(&controls, &body, run)
        })
    }

    fn logged(context: &ActionContext<Self>) -> Effect<Self> {
        context.effect(|_| Ok(json!("logged")))
    }

    fn undoing(builder: KitBuilder<Self>, controls: &Arc<Controls>) -> KitBuilder<Self> {
        let (charging, undoing, sending) = (controls.clone(), controls.clone(), controls.clone());
        builder
            .local_action("charge", move |connection, request| {
                let row = params![request.saga.as_str(), request.id, amount(&request.body)];
                connection.execute(CHARGE, row)?;
                charged(&charging, &request.body, 1)
            })
            .compensation("charge", |connection, undo| {
                connection.execute(UNCHARGE, [undo.saga.as_str()])?;
                Ok(())
            })
            .compensation("pay", move |connection, undo| {
                for request in &undo.requests {
                    let amount = request.answer["charged"].as_i64().unwrap_or(0);
                    connection.execute(REFUND, params![undo.saga.as_str(), request.id, -amount])?;
                }
                undoing.look_outside(undo);
                refunded(&undoing)
            })
            .notice("send-receipt", move |connection, notice| {
                let text = format!("{} requests, {}", notice.requests.len(), notice.report.code);
                connection.execute(TEXT, params![notice.saga.as_str(), text])?;
                texted(&sending)
            })
    }
}

impl Base for Postgres {
    /// The address.
    type Place = String;

    async fn new_place() -> Self::Place {
        let address = cluster::new_database();
        let schema = cluster::schema_of(&address);
        Self::tell(&address, &format!("CREATE SCHEMA {schema}")).await;
        address
    }

    async fn open(place: &Self::Place) -> Self {
        let mut config = PostgresConfig::new(place);
        SCHEMA.clone_into(&mut config.schema);
        // Many tests share one server.
        config.connections = 6;
        Postgres::open(config).await.expect("opens")
    }

    async fn bury(place: &Self::Place) {
        // The server may yet do what it was asked before: a last beat must not come after this.
        let schema = cluster::schema_of(place);
        let sessions = format!(
            "SELECT pg_terminate_backend(pid, {limit}) FROM pg_stat_activity
             WHERE application_name = '{schema}' AND pid <> pg_backend_pid()",
            limit = DEADLINE.as_millis(),
        );
        Self::tell(place, &sessions).await;
        Self::tell(place, "UPDATE amends_workers SET seen_at = 0").await;
    }

    async fn pass_days(place: &Self::Place, days: i64) {
        let ahead = days * DAY_MS;
        let sql = format!(
            "CREATE OR REPLACE FUNCTION amends_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS
             'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + {ahead}'"
        );
        Self::tell(place, &sql).await;
    }

    async fn ask(place: &Self::Place, sql: &str) -> Vec<Vec<String>> {
        let mut connection = shell(place).await;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await
            .expect("runs");
        // The simple protocol gives everything as text.
        let text = |row: &sqlx::postgres::PgRow, column| {
            row.try_get_unchecked::<Option<String>, _>(column).expect("text").unwrap_or_default()
        };
        rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
    }

    async fn tell(place: &Self::Place, sql: &str) {
        let mut connection = shell(place).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("runs");
    }

    fn charge(
        context: &ActionContext<Self>,
        controls: Arc<Controls>,
        body: Value,
        run: u32,
    ) -> Effect<Self> {
        let (saga, request) = (context.saga().to_string(), context.request_id().to_owned());
        context.effect(move |connection| {
            Box::pin(async move {
                sqlx::query(CHARGE)
                    .bind(saga)
                    .bind(request)
                    .bind(amount(&body))
                    .execute(connection)
                    .await?;
                charged(&controls, &body, run)
            })
        })
    }

    fn logged(context: &ActionContext<Self>) -> Effect<Self> {
        context.effect(|_| Box::pin(async { Ok(json!("logged")) }))
    }

    fn undoing(builder: KitBuilder<Self>, controls: &Arc<Controls>) -> KitBuilder<Self> {
        let (charging, undoing, sending) = (controls.clone(), controls.clone(), controls.clone());
        builder
            .local_action("charge", move |connection, request| {
                let controls = charging.clone();
                Box::pin(async move {
                    sqlx::query(CHARGE)
                        .bind(request.saga.as_str())
                        .bind(&request.id)
                        .bind(amount(&request.body))
                        .execute(connection)
                        .await?;
                    charged(&controls, &request.body, 1)
                })
            })
            .compensation("charge", |connection, undo| {
                Box::pin(async move {
                    sqlx::query(UNCHARGE).bind(undo.saga.as_str()).execute(connection).await?;
                    Ok(())
                })
            })
            .compensation("pay", move |connection, undo| {
                let controls = undoing.clone();
                Box::pin(async move {
                    for request in &undo.requests {
                        let amount = request.answer["charged"].as_i64().unwrap_or(0);
                        sqlx::query(REFUND)
                            .bind(undo.saga.as_str())
                            .bind(&request.id)
                            .bind(-amount)
                            .execute(&mut *connection)
                            .await?;
                    }
                    controls.look_outside(undo);
                    refunded(&controls)
                })
            })
            .notice("send-receipt", move |connection, notice| {
                let controls = sending.clone();
                Box::pin(async move {
                    let text =
                        format!("{} requests, {}", notice.requests.len(), notice.report.code);
                    sqlx::query(TEXT)
                        .bind(notice.saga.as_str())
                        .bind(text)
                        .execute(connection)
                        .await?;
                    texted(&controls)
                })
            })
    }
}

async fn shell(address: &str) -> PgConnection {
    PgConnectOptions::from_str(address).expect("an address").connect().await.expect("connects")
}
