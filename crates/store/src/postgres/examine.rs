//! A look at the server of a database, for whoever wants to know whether a store does well there. Changes nothing.

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
    /// Its clock less that of this machine, at the middle of a round trip.
    pub clock_ahead_ms: i64,
    /// How long that round trip took.
    pub round_trip: Duration,
}

const LOOK: &str = "
    SELECT current_setting('server_version'), current_setting('server_version_num')::bigint, pg_is_in_recovery(),
      current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
      current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
      current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
      (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
      current_setting('jit') = 'off' AND current_setting('default_transaction_read_only') = 'on',
      current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on'";

/// Looks at the server of a database.
///
/// # Errors
/// [`StoreError::Unusable`] when it can't be reached, else what PostgreSQL says.
pub(super) fn examine(options: &PostgresOptions) -> Result<ServerSeen, StoreError> {
    const DOING: &str = "look at the server";
    let session = session::reach(&options.connect()?, &options.place(), session::READING)?;
    let seen = session
        .run(async |line| {
            let row = sqlx::query(LOOK).fetch_one(line).await?;
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
                clock_ahead_ms: 0,
                round_trip: Duration::ZERO,
            })
        })
        .map_err(database(DOING))?;
    let (clock_ahead_ms, round_trip) = clock(&session).map_err(database(DOING))?;
    session.close();
    Ok(ServerSeen { clock_ahead_ms, round_trip, ..seen })
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
