//! A look at the server of a database, for whoever wants to know whether a store does well there. Changes nothing.

use super::lingering::OUT_OF_REACH;
use super::options::PostgresOptions;
use super::session::{self, Session, database, get};
use crate::StoreError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What was seen of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSeen {
    /// Its version, as it tells it.
    pub version: String,
    /// The same as a number, e.g. 150018.
    pub version_number: i64,
    /// It is a standby, which takes no writes.
    pub is_standby: bool,
    /// `synchronous_commit` of a new connection.
    pub synchronous_commit: String,
    /// `synchronous_standby_names`; empty: no standby is waited for.
    pub synchronous_standbys: String,
    /// `fsync` and `full_page_writes` are on, so that a crash of its machine loses nothing.
    pub survives_crashes: bool,
    /// Connections that it takes, without those reserved for its administrators.
    pub connections: i64,
    /// Connections that are in use, this look's own included.
    pub connections_in_use: i64,
    /// Connections that a supervisor with these options needs.
    pub connections_needed: i64,
    /// `autovacuum` is on: rows of before are removed, and the tables stay as small as they are.
    pub removes_old_rows: bool,
    /// What a connection is told at its beginning, it still knows later: no pooler in between gives it away between two
    /// statements.
    pub keeps_settings: bool,
    /// Users of other nodes whose connections this one's could not end, should such a node die and its connections
    /// hold on to what it had; separated by commas, empty if there are none.
    pub users_out_of_reach: String,
    /// Its clock less that of this machine, at the middle of a round trip.
    pub clock_ahead_ms: i64,
    /// How long that round trip took.
    pub round_trip: Duration,
    /// Bytes of the whole database, whatever is in it.
    pub bytes: u64,
    /// About so many of them came with the cases that were opened within the last day; none where no store is.
    pub bytes_of_a_day: Option<u64>,
}

const LOOK: &str = "
    SELECT current_setting('server_version'), current_setting('server_version_num')::bigint, pg_is_in_recovery(),
      current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
      current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
      current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
      (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
      current_setting('jit') = 'off' AND current_setting('default_transaction_read_only') = 'on',
      current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on'";

const BYTES: &str = "SELECT pg_database_size(current_database())";
const HAS_CASES: &str = "SELECT to_regclass('amends.cases') IS NOT NULL";
/// What is counted for the growth of a day, at most.
const COUNTED: i64 = 1_000_000;
/// Each case has its part of the store; those of the last day are counted by their index.
const GROWTH: &str = "
    SELECT (s.bytes * d.cases / greatest(c.cases, d.cases, 1))::bigint
    FROM (SELECT sum(pg_total_relation_size(relid)) AS bytes FROM pg_stat_user_tables WHERE schemaname = 'amends') AS s,
      (SELECT coalesce(sum(value), 0) AS cases FROM marks WHERE name = 'cases' OR name LIKE 'cases:%') AS c,
      (SELECT count(*) AS cases FROM (SELECT FROM cases
         WHERE opened_at >= ((extract(epoch FROM clock_timestamp()) - 86400) * 1000)::bigint LIMIT $1) AS r) AS d";

/// Looks at the server of a database.
///
/// # Errors
/// [`StoreError::Unusable`] when it can't be reached, else what PostgreSQL says.
pub(super) fn examine(options: &PostgresOptions) -> Result<ServerSeen, StoreError> {
    const DOING: &str = "look at the server";
    let session = session::reach(&options.connect()?, &options.place(), session::READING)?;
    let seen = session
        .run(async |line| {
            let row = sqlx::query(LOOK).fetch_one(&mut *line).await?;
            Ok(ServerSeen {
                version: get(&row, 0)?,
                version_number: get(&row, 1)?,
                is_standby: get(&row, 2)?,
                synchronous_commit: get(&row, 3)?,
                synchronous_standbys: get(&row, 4)?,
                survives_crashes: get(&row, 5)?,
                connections: get(&row, 6)?,
                connections_in_use: get(&row, 7)?,
                // One for commits, one to show that the node lives.
                connections_needed: options.readers as i64 + 2,
                keeps_settings: get(&row, 8)?,
                removes_old_rows: get(&row, 9)?,
                users_out_of_reach: sqlx::query_scalar(OUT_OF_REACH).fetch_one(line).await?,
                clock_ahead_ms: 0,
                round_trip: Duration::ZERO,
                bytes: 0,
                bytes_of_a_day: None,
            })
        })
        .map_err(database(DOING))?;
    let (clock_ahead_ms, round_trip) = clock(&session).map_err(database(DOING))?;
    let (bytes, bytes_of_a_day) = size(&session).map_err(database(DOING))?;
    session.close();
    Ok(ServerSeen { clock_ahead_ms, round_trip, bytes, bytes_of_a_day, ..seen })
}

/// Of the database, and what came within a day.
fn size(session: &Session) -> sqlx::Result<(u64, Option<u64>)> {
    session.run(async |line| {
        let bytes: i64 = sqlx::query_scalar(BYTES).fetch_one(&mut *line).await?;
        let has_cases: bool = sqlx::query_scalar(HAS_CASES).fetch_one(&mut *line).await?;
        let of_a_day: Option<i64> = match has_cases {
            true => Some(sqlx::query_scalar(GROWTH).bind(COUNTED).fetch_one(line).await?),
            false => None,
        };
        Ok((bytes.cast_unsigned(), of_a_day.map(i64::cast_unsigned)))
    })
}

/// The best of three.
fn clock(session: &Session) -> sqlx::Result<(i64, Duration)> {
    let mut best: Option<(i64, Duration)> = None;
    for _ in 0..3 {
        let began = Instant::now();
        let theirs: i64 = session.run(async |line| {
            sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
                .fetch_one(line)
                .await
        })?;
        let took = began.elapsed();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let middle = i64::try_from((now.saturating_sub(took / 2)).as_millis()).unwrap_or(i64::MAX);
        if best.is_none_or(|(_, least)| took < least) {
            best = Some((theirs - middle, took));
        }
    }
    Ok(best.unwrap_or_default())
}
