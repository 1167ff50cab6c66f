//! The nodes that share a store, as their rows tell.

use super::{
    letters,
    parts::IS_SHARED,
    session::{Session, database, get},
};
use crate::{ClusterSeen, NodeSeen, Partition, StoreError};
use amends_protocol::Timestamp;
use sqlx::postgres::PgRow;

const DOING: &str = "look at the nodes of the store";
const NODES: &str = "
    SELECT n.id, (extract(epoch FROM n.since) * 1000)::bigint,
      (extract(epoch FROM clock_timestamp() - n.beaten_at) * 1000)::bigint,
      n.alive_until > clock_timestamp(), n.leaving, n.version, n.offset_ms,
      ARRAY(SELECT l.partition::smallint FROM lease l WHERE l.owner = n.id ORDER BY 1), n.settings_seen
    FROM node n ORDER BY n.id";
const HIGHEST: &str = "SELECT coalesce(max(id), 0) / 64 FROM cases";
const LEAVE: &str =
    "UPDATE node SET leaving = $2 WHERE id = $1 AND alive_until > clock_timestamp()";

/// All that are known, by name.
pub(super) fn all(session: &Session) -> Result<Vec<NodeSeen>, StoreError> {
    let rows = session.run(async |line| sqlx::query(NODES).fetch_all(line).await);
    let nodes: sqlx::Result<_> = rows.map_err(database(DOING))?.iter().map(node).collect();
    nodes.map_err(database(DOING))
}

fn node(row: &PgRow) -> sqlx::Result<NodeSeen> {
    let parts: Vec<i16> = get(row, 7)?;
    Ok(NodeSeen {
        name: get(row, 0)?,
        since: Timestamp(get(row, 1)?),
        silent_ms: u64::try_from(get::<i64>(row, 2)?).unwrap_or(0),
        is_alive: get(row, 3)?,
        leaving: get(row, 4)?,
        version: get::<i32>(row, 5)?.cast_unsigned(),
        offset_ms: get(row, 6)?,
        settings: get::<i64>(row, 8)?.cast_unsigned(),
        parts: parts.into_iter().map(|part| Partition(part.cast_unsigned())).collect(),
    })
}

/// The nodes, and what waits between them.
pub(super) fn cluster(session: &Session) -> Result<ClusterSeen, StoreError> {
    let nodes = all(session)?;
    let is_shared = session.text(IS_SHARED).map_err(database(DOING))? == "true";
    let letters: u64 = letters::waiting(session)?.iter().map(|(_, count)| count).sum();
    let oldest_letter_ms = if letters == 0 { None } else { letters::oldest_ms(session)? };
    Ok(ClusterSeen { nodes, is_shared, letters, oldest_letter_ms })
}

/// The highest sequence of all case numbers.
pub(super) fn highest_sequence(session: &Session) -> Result<u64, StoreError> {
    let highest =
        session.run(async |line| sqlx::query_scalar::<_, i64>(HIGHEST).fetch_one(line).await);
    highest.map(i64::cast_unsigned).map_err(database("read how far case numbers go"))
}

/// Tells a node to give back what it holds and to take nothing more, or to go on. False if no such node lives.
pub(super) fn set_leaving(
    session: &Session,
    node: &str,
    leaving: bool,
) -> Result<bool, StoreError> {
    let told =
        session.run(async |line| sqlx::query(LEAVE).bind(node).bind(leaving).execute(line).await);
    told.map(|done| done.rows_affected() > 0).map_err(database("tell a node to leave"))
}
