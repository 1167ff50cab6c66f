//! Brings the tables up to date, and refuses a database in which they can't be kept. It reads and writes no rows.

use super::{
    rehearsal,
    session::{self, Session, database, has_code, tells},
};
use crate::StoreError;
use sqlx::{Row, postgres::PgConnectOptions};
use std::{
    thread,
    time::{Duration, Instant},
};

/// What leads to a version of the schema.
enum Migration {
    /// Tables, columns and rows: within a transaction, which waits for no table for long.
    Tables(&'static str),
    /// Indexes, of tables that may be large: made while nodes of before go on.
    Indexes(&'static [Index]),
}

/// An index that is made, and the one that it stands in for.
struct Index {
    name: &'static str,
    /// Its table and columns, as they stand behind `ON`.
    on: &'static str,
    instead_of: Option<&'static str>,
}

/// A part is adopted by itself: its open cases and its announced sagas are found without looking at those of others.
const OF_PARTS: &[Index] = &[
    Index {
        name: "cases_open_of_part",
        on: "cases (partition, state, opened_at, id) WHERE state <> 3",
        instead_of: None,
    },
    Index {
        name: "sagas_begun_of_part",
        on: "sagas (partition, deadline) WHERE state = 0",
        instead_of: Some("sagas_begun"),
    },
];

/// One per version of the schema, in order; never changed once released.
const MIGRATIONS: &[Migration] = &[
    Migration::Tables(include_str!("schema/0001_begin.sql")),
    Migration::Tables(include_str!("schema/0002_nodes.sql")),
    Migration::Indexes(OF_PARTS),
    Migration::Tables(include_str!("schema/0004_clocks.sql")),
    Migration::Tables(include_str!("schema/0005_settings.sql")),
    Migration::Tables(include_str!("schema/0006_limits.sql")),
    Migration::Tables(include_str!("schema/0007_senders.sql")),
    Migration::Tables(include_str!("schema/0008_rule_minutes.sql")),
];
/// The version that this program writes.
pub(crate) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// The version that this process writes: the next one where the upgrade to that is rehearsed.
pub(crate) fn known() -> i64 {
    SCHEMA + i64::from(rehearsal::next().is_some())
}

/// The oldest server that has what is used here, as it tells its version.
const OLDEST_SERVER: i64 = 14_00_00;
/// Names the lock under which nodes that start together take turns: `AMND`.
const LOCK: i64 = 0x414d_4e44;
/// Longest wait for a table that nodes work on: they wait behind us meanwhile. Then all is tried again.
const WAIT_FOR_TABLES: &str = "SET LOCAL lock_timeout = '200ms'";
/// How long that goes on, and the pause in between.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

const DOING: &str = "bring the schema up to date";

/// What a new connection is told first.
fn greet(session: &Session, place: &str) -> Result<(), StoreError> {
    let unusable = |why: String| StoreError::Unusable { database: place.to_owned(), why };
    let shown = |sql| session.text(sql).map_err(database("read the server's settings"));
    let version: i64 = shown("SHOW server_version_num")?.parse().unwrap_or(0);
    if version < OLDEST_SERVER {
        let told = shown("SHOW server_version")?;
        return Err(unusable(format!("it is of PostgreSQL {told}, and 14 or newer is needed")));
    }
    let encoding = shown("SHOW server_encoding")?;
    if encoding != "UTF8" {
        return Err(unusable(format!(
            "its encoding is {encoding}; make one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
        )));
    }
    if shown("SELECT pg_is_in_recovery()::text")? == "true" {
        return Err(unusable(
            "it is a standby that takes no writes; give the address of the primary".to_owned(),
        ));
    }
    if shown("SHOW synchronous_commit")? == "off" {
        return Err(unusable(
            "`synchronous_commit` is off, so a crash of it would lose what was acknowledged; switch it on".to_owned(),
        ));
    }
    Ok(())
}

/// The version of the tables; none if there are none.
pub(crate) fn version(session: &Session) -> Result<Option<i64>, StoreError> {
    let found = session.run(async |line| {
        sqlx::query("SELECT version::bigint FROM amends.schema").fetch_one(line).await
    });
    match found {
        Ok(row) => row.try_get(0).map(Some).map_err(database(DOING)),
        // Neither the schema nor the table, or nothing in it.
        Err(error) if has_code(&error, &["3F000", "42P01"]) => Ok(None),
        Err(error) => Err(database("read the schema's version")(error)),
    }
}

/// Brings the schema up to date, beside nodes of before that work on it: on a connection for that alone, since an index
/// takes as long as there is much. Two nodes that start together take turns. A newer one is fine if it says so.
pub(crate) fn migrate(options: &PgConnectOptions, place: &str) -> Result<(), StoreError> {
    let session = session::reach(options, place, session::MIGRATING)?;
    greet(&session, place)?;
    match version(&session)? {
        Some(found) if found >= known() => refuse_newer(&session, found)?,
        _ => {
            wait_for_turn(&session)?;
            migrate_in_turn(&session, place)?;
        }
    }
    // Gives the lock back.
    session.close();
    Ok(())
}

/// Never within a statement that waits: an index is ready only once all statements of before it have ended.
fn wait_for_turn(session: &Session) -> Result<(), StoreError> {
    let mut is_told = false;
    loop {
        let turn = session.run(async |line| {
            sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(line).await
        });
        if turn.map_err(database(DOING))? {
            return Ok(());
        }
        if !is_told {
            tracing::info!("another node brings the schema up to date; waiting for it");
            is_told = true;
        }
        thread::sleep(PAUSE);
    }
}

fn migrate_in_turn(session: &Session, place: &str) -> Result<(), StoreError> {
    let found = match version(session)? {
        Some(found) => found,
        None => {
            begin(session, place, MIGRATIONS)?;
            SCHEMA
        }
    };
    // Another node may have been first.
    if found >= known() {
        return refuse_newer(session, found);
    }
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip_while(|(_, v)| *v <= found) {
        match migration {
            Migration::Tables(sql) => change_tables(session, sql, version)?,
            Migration::Indexes(indexes) => {
                indexes.iter().try_for_each(|index| index.make(session))?;
                session.batch(&reached(version)).map_err(database(DOING))?;
            }
        }
    }
    rehearsal::next().map_or(Ok(()), |sql| change_tables(session, sql, known()))
}

/// Between what nodes do that work on them.
fn change_tables(session: &Session, sql: &str, version: i64) -> Result<(), StoreError> {
    patiently(|| {
        session.transact(|| {
            let run = |sql: &str| session.batch(sql).map_err(database(DOING));
            run(WAIT_FOR_TABLES)?;
            run(sql)?;
            run(&reached(version))
        })
    })
}

fn reached(version: i64) -> String {
    format!("UPDATE amends.schema SET version = {version}")
}

/// Again and again, while a table can't be had.
fn patiently(work: impl Fn() -> Result<(), StoreError>) -> Result<(), StoreError> {
    let began = Instant::now();
    loop {
        match work() {
            Err(error) if tells(&error, &["55P03"]) && began.elapsed() < PATIENCE => {
                thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// All of it in an empty database, at once or not at all.
fn begin(session: &Session, place: &str, migrations: &[Migration]) -> Result<(), StoreError> {
    session.transact(|| {
        let begun = "CREATE SCHEMA IF NOT EXISTS amends; CREATE TABLE amends.schema (version int NOT NULL); \
                     INSERT INTO amends.schema (version) VALUES (0)";
        session.batch(begun).map_err(|error| match has_code(&error, &["42501", "42P07"]) {
            true => StoreError::Unusable {
                database: place.to_owned(),
                why: format!("{error}; the store needs a schema `amends` of its own, which its user owns"),
            },
            false => database(DOING)(error),
        })?;
        let run = |sql: &str| session.batch(sql).map_err(database(DOING));
        for migration in migrations {
            match migration {
                Migration::Tables(sql) => run(sql)?,
                Migration::Indexes(indexes) => {
                    indexes.iter().try_for_each(|index| run(&index.of_empty_tables()))?;
                }
            }
        }
        run(&reached(migrations.len() as i64))
    })
}

/// The tables of an older version, for tests.
#[cfg(test)]
pub(super) fn begin_with(session: &Session, migrations: usize) {
    begin(session, "of a test", &MIGRATIONS[..migrations]).expect("an empty database");
}

impl Index {
    fn of_empty_tables(&self) -> String {
        let Self { name, on, instead_of } = self;
        let drop = instead_of.map(|old| format!("; DROP INDEX {old}")).unwrap_or_default();
        format!("CREATE INDEX {name} ON {on}{drop}")
    }

    /// Beside nodes that work on its table. What an attempt that was cut off has left is of no use, and is made anew.
    fn make(&self, session: &Session) -> Result<(), StoreError> {
        let run = |sql: &str| session.batch(sql).map_err(database(DOING));
        let Self { name, on, instead_of } = self;
        let is_left = session.run(async |line| {
            let sql = "SELECT FROM pg_index WHERE indexrelid = to_regclass('amends.' || $1) AND NOT indisvalid";
            Ok(sqlx::query(sql).bind(name).fetch_optional(line).await?.is_some())
        });
        if is_left.map_err(database(DOING))? {
            run(&format!("DROP INDEX CONCURRENTLY {name}"))?;
        }
        run(&format!("CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {on}"))?;
        instead_of.map_or(Ok(()), |old| run(&format!("DROP INDEX CONCURRENTLY IF EXISTS {old}")))
    }
}

/// Tables of a newer version say which is the oldest that can work on them; nodes are renewed one after the other.
fn refuse_newer(session: &Session, found: i64) -> Result<(), StoreError> {
    let known = known();
    if found == known {
        return Ok(());
    }
    let oldest = session.text("SELECT oldest::text FROM amends.schema");
    let oldest = oldest.map_err(database("read the schema's version"))?;
    match oldest.parse::<i64>().is_ok_and(|oldest| oldest <= known) {
        true => Ok(()),
        false => Err(StoreError::NewerSchema { found, known }),
    }
}

/// Refuses tables that this version can't work on, for whoever may not bring them up to date. False if there are none.
pub(crate) fn refuse_other(session: &Session) -> Result<bool, StoreError> {
    let known = known();
    match version(session)? {
        None => Ok(false),
        Some(found) if found < known => Err(StoreError::OlderSchema { found, known }),
        Some(found) => refuse_newer(session, found).map(|()| true),
    }
}

/// Refuses a database into which a store is being moved.
pub(crate) fn refuse_moving(session: &Session, place: &str) -> Result<(), StoreError> {
    let moving = session.run(async |line| {
        sqlx::query("SELECT FROM marks WHERE name = 'moving'").fetch_optional(line).await
    });
    match moving.map_err(database("look whether the store is whole"))? {
        None => Ok(()),
        Some(_) => Err(StoreError::Unusable {
            database: place.to_owned(),
            why: "a store is being moved into it and is not whole yet; have `amends migrate` go on"
                .to_owned(),
        }),
    }
}
