//! A look at a store from outside, beside nodes that may be using it.

use super::{
    nodes, schema,
    session::{Session, database, get},
};
use crate::{ClusterSeen, StoreError, tables::marks};
use amends_protocol::Timestamp;

/// What was seen of a store in PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSeen {
    /// Version of the server, as it tells it.
    pub server: String,
    /// Version of the tables.
    pub schema: i64,
    /// Cases in it.
    pub cases: u64,
    /// Bytes that its tables and their indexes take on the disk.
    pub bytes: u64,
    /// Who holds what, by name.
    pub leases: Vec<LeasesSeen>,
    /// The nodes that have it open, and what waits between them.
    pub cluster: ClusterSeen,
    /// Its tables, the largest first.
    pub tables: Vec<TableSeen>,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasesSeen {
    /// The node's name; none of what nobody holds.
    pub node: Option<String>,
    /// How many of the 65 parts.
    pub parts: u64,
    /// The highest of their epochs: how often they were claimed or raised.
    pub epoch: u64,
    /// When the last of them was claimed or given back; none if they never were.
    pub since: Option<Timestamp>,
    /// The node has shown itself lately.
    pub is_alive: bool,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSeen {
    /// Its name.
    pub name: String,
    /// Rows that live, about: as the server's statistics count them.
    pub rows: u64,
    /// Rows of before that a vacuum has yet to remove, about.
    pub dead_rows: u64,
    /// Bytes with its indexes.
    pub bytes: u64,
}

const LEASES: &str = "
    SELECT l.owner, count(*), max(l.epoch), (extract(epoch FROM max(l.since)) * 1000)::bigint,
      EXISTS (SELECT FROM node n WHERE n.id = l.owner AND n.alive_until > clock_timestamp())
    FROM lease l GROUP BY l.owner ORDER BY l.owner NULLS LAST";
const TABLES: &str = "
    SELECT relname::text, n_live_tup, n_dead_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables
    WHERE schemaname = 'amends' ORDER BY 4 DESC, 1";

pub(super) fn look(session: &Session) -> Result<Option<PostgresSeen>, StoreError> {
    if !schema::refuse_other(session)? {
        return Ok(None);
    }
    let schema = schema::version(session)?.unwrap_or_default();
    let cluster = nodes::cluster(session)?;
    let cases = marks::count_cases(session)?.cast_unsigned();
    let seen = session.run(async |line| {
        let server = sqlx::query_scalar("SHOW server_version").fetch_one(&mut *line).await?;
        let leases = sqlx::query(LEASES).fetch_all(&mut *line).await?;
        let leases = leases.iter().map(|row| {
            Ok(LeasesSeen {
                node: get(row, 0)?,
                parts: get::<i64>(row, 1)?.cast_unsigned(),
                epoch: get::<i64>(row, 2)?.cast_unsigned(),
                since: get::<Option<i64>>(row, 3)?.map(Timestamp),
                is_alive: get(row, 4)?,
            })
        });
        let leases = leases.collect::<sqlx::Result<_>>()?;
        let tables = sqlx::query(TABLES).fetch_all(&mut *line).await?;
        let tables = tables.iter().map(|row| {
            Ok(TableSeen {
                name: get(row, 0)?,
                rows: get::<i64>(row, 1)?.cast_unsigned(),
                dead_rows: get::<i64>(row, 2)?.cast_unsigned(),
                bytes: get::<i64>(row, 3)?.cast_unsigned(),
            })
        });
        let tables = tables.collect::<sqlx::Result<Vec<TableSeen>>>()?;
        let bytes = tables.iter().map(|table| table.bytes).sum();
        Ok(PostgresSeen { server, schema, cases, bytes, leases, cluster, tables })
    });
    seen.map(Some).map_err(database("look at the store"))
}
