//! Brings the tables up to date, and refuses a database in which they can't be kept. It reads and writes no rows.

use super::session::{Session, database, has_code};
use crate::StoreError;
use sqlx::Row;

/// One per version of the schema, in order; never changed once released.
const MIGRATIONS: &[&str] = &[include_str!("schema/0001_begin.sql")];
/// The version that this program writes.
pub(crate) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// The oldest server that has what is used here, as it tells its version.
const OLDEST_SERVER: i64 = 14_00_00;
/// Names the lock under which nodes that start together take turns: `AMND`.
const LOCK: i64 = 0x414d_4e44;
/// Longest wait for that lock, and for those of tables that somebody reads.
const WAIT: &str = "SET LOCAL lock_timeout = '5s'";

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

/// Brings the schema up to date. Two nodes that start together take turns.
pub(crate) fn migrate(session: &Session, place: &str) -> Result<(), StoreError> {
    let known = SCHEMA;
    match version(session)? {
        Some(found) if found > known => return Err(StoreError::NewerSchema { found, known }),
        Some(found) if found == known => return Ok(()),
        _ => {}
    }
    session.transact(|| {
        let run = |sql: &str| session.batch(sql).map_err(database(DOING));
        run(WAIT)?;
        run(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
        // Another node may have been first.
        let found = under_lock(session)?.unwrap_or(0);
        if found > known {
            return Err(StoreError::NewerSchema { found, known });
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
        for (migration, version) in MIGRATIONS.iter().zip(1..).skip_while(|(_, v)| *v <= found) {
            run(migration)?;
            run(&format!("UPDATE amends.schema SET version = {version}"))?;
        }
        Ok(())
    })
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
