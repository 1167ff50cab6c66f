//! Reports that wait again when a process starts, on PostgreSQL: dead ones, and those whose process died in a try.

use crate::config::KitError;
use sqlx::PgConnection;

/// Makes them due. Several processes may start at once: rows that another has locked are its own to revive, or are
/// being tried. Gives how many were dead.
pub(super) async fn reports(
    connection: &mut PgConnection,
    dead_after_ms: i64,
) -> Result<u64, KitError> {
    let dead = sqlx::query(
        "WITH dead AS (
             SELECT seq FROM amends_outbox WHERE state = 'dead' ORDER BY seq FOR UPDATE SKIP LOCKED)
         UPDATE amends_outbox AS o SET state = 'pending', due_at = 0 FROM dead WHERE o.seq = dead.seq",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "WITH left_behind AS (
             SELECT o.seq FROM amends_outbox AS o
             WHERE o.state = 'pending' AND o.due_at > 0 AND NOT EXISTS (
                 SELECT 1 FROM amends_workers AS w WHERE w.worker = o.claimed_by AND w.seen_at > amends_now() - $1)
             ORDER BY o.seq FOR UPDATE OF o SKIP LOCKED)
         UPDATE amends_outbox AS o SET due_at = 0 FROM left_behind AS l WHERE o.seq = l.seq",
    )
    .bind(dead_after_ms)
    .execute(&mut *connection)
    .await?;
    Ok(dead.rows_affected())
}
