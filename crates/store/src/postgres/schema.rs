//! Brings the tables up to date, and refuses a database in which they can't be kept. It reads and writes no rows.

use super::session::{Session, database, has_code, tells};
use crate::StoreError;
use sqlx::Row;
use std::{
    thread,
    time::{Duration, Instant},
};

/// One per version of the schema, in order; never changed once released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_begin.sql"),
    include_str!("schema/0002_nodes.sql"),
    include_str!("schema/0003_parts.sql"),
    include_str!("schema/0004_clocks.sql"),
];
/// The version that this program writes.
pub(crate) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// The oldest server that has what is used here, as it tells its version.
const OLDEST_SERVER: i64 = 14_00_00;
/// Names the lock under which nodes that start together take turns: `AMND`.
const LOCK: i64 = 0x414d_4e44;
/// Longest wait for that lock.
const WAIT: &str = "SET LOCAL lock_timeout = '5s'";
/// Longest wait for a table that nodes work on: they wait behind us meanwhile. Then all is tried again.
const WAIT_FOR_TABLES: &str = "SET LOCAL lock_timeout = '200ms'";
/// How long that goes on, and the pause in between.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

const DOING: &str = "bring the schema up to date";

/// What a new connection is told first.
pub(crate) fn greet(session: &Session, place: &str) -> Result<(), StoreError> {
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

/// Brings the schema up to date, beside nodes of before that work on it. Two nodes that start together take turns. A
/// newer one is fine if it says so.
pub(crate) fn migrate(session: &Session, place: &str) -> Result<(), StoreError> {
    match version(session)? {
        Some(found) if found >= SCHEMA => return refuse_newer(session, found),
        _ => {}
    }
    let began = Instant::now();
    loop {
        match migrate_once(session, place) {
            Err(error) if tells(&error, &["55P03"]) && began.elapsed() < PATIENCE => {
                thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

fn migrate_once(session: &Session, place: &str) -> Result<(), StoreError> {
    session.transact(|| {
        let run = |sql: &str| session.batch(sql).map_err(database(DOING));
        run(WAIT)?;
        run(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
        // Another node may have been first.
        let found = under_lock(session)?.unwrap_or(0);
        if found >= SCHEMA {
            return refuse_newer(session, found);
        }
        if found == 0 {
            let begun = "CREATE SCHEMA IF NOT EXISTS amends; CREATE TABLE amends.schema (version int NOT NULL); \
                         INSERT INTO amends.schema (version) VALUES (0)";
            session.batch(begun).map_err(|error| match has_code(&error, &["42501", "42P07"]) {
                true => StoreError::Unusable {
                    database: place.to_owned(),
                    why: format!("{error}; the store needs a schema `amends` of its own, which its user owns"),
                },
                false => database(DOING)(error),
            })?;
        }
        run(WAIT_FOR_TABLES)?;
        for (migration, version) in MIGRATIONS.iter().zip(1..).skip_while(|(_, v)| *v <= found) {
            run(migration)?;
            run(&format!("UPDATE amends.schema SET version = {version}"))?;
        }
        Ok(())
    })
}

/// Tables of a newer version say which is the oldest that can work on them; nodes are renewed one after the other.
fn refuse_newer(session: &Session, found: i64) -> Result<(), StoreError> {
    let known = SCHEMA;
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

/// As [`version`], within a transaction, which a failed look would spoil.
fn under_lock(session: &Session) -> Result<Option<i64>, StoreError> {
    let there = session.text("SELECT coalesce(to_regclass('amends.schema')::text, '')");
    match there.map_err(database(DOING))?.is_empty() {
        true => Ok(None),
        false => version(session),
    }
}

/// Refuses tables of another version, for whoever may not bring them up to date.
pub(crate) fn refuse_other(session: &Session) -> Result<bool, StoreError> {
    let known = SCHEMA;
    match version(session)? {
        None => Ok(false),
        Some(found) if found == known => Ok(true),
        Some(found) if found > known => Err(StoreError::NewerSchema { found, known }),
        Some(found) => Err(StoreError::OlderSchema { found, known }),
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
