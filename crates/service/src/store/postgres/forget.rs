//! Old sagas, on PostgreSQL: which of them are over, and their removal.

use super::lock::{LOCK_CLASS, lock_number};
use crate::config::KitError;
use amends_protocol::SagaId;
use sqlx::PgConnection;

/// Removes those in which nothing goes on, nothing waits to be told, and nothing happened for so long.
pub(super) async fn forget(
    connection: &mut PgConnection,
    sagas: &[SagaId],
    age_ms: i64,
) -> Result<u64, KitError> {
    let (names, numbers): (Vec<&str>, Vec<i32>) =
        sagas.iter().map(|saga| (saga.as_str(), lock_number(saga))).unzip();
    let held: Vec<String> = sqlx::query_scalar(
        "SELECT saga FROM unnest($1::TEXT[], $2::INTEGER[]) AS s (saga, number)
             WHERE pg_try_advisory_xact_lock($3, number)",
    )
    .bind(&names[..])
    .bind(&numbers[..])
    .bind(LOCK_CLASS)
    .fetch_all(&mut *connection)
    .await?;
    let over: Vec<String> = sqlx::query_scalar(
            "SELECT saga FROM unnest($1::TEXT[]) AS s (saga), (SELECT amends_now() - $2 AS at) AS before
             WHERE NOT EXISTS (SELECT 1 FROM amends_requests AS r WHERE r.saga = s.saga
                               AND (r.state = 'started' OR coalesce(r.ended_at, r.started_at) >= before.at))
               AND NOT EXISTS (SELECT 1 FROM amends_calls AS c WHERE c.saga = s.saga
                               AND coalesce(c.ended_at, c.started_at) >= before.at)
               AND NOT EXISTS (SELECT 1 FROM amends_fences AS f WHERE f.saga = s.saga AND f.put_at >= before.at)
               AND NOT EXISTS (SELECT 1 FROM amends_steps AS t WHERE t.saga = s.saga AND t.done_at >= before.at)
               AND NOT EXISTS (SELECT 1 FROM amends_owed AS d WHERE d.saga = s.saga
                               AND (d.state = 'pending' OR d.owed_at >= before.at))
               AND NOT EXISTS (SELECT 1 FROM amends_notices AS n WHERE n.saga = s.saga AND n.sent_at >= before.at)
               AND NOT EXISTS (SELECT 1 FROM amends_outbox AS o WHERE o.saga = s.saga
                               AND (o.state <> 'sent' OR o.happened_at >= before.at))",
        )
        .bind(&held[..])
        .bind(age_ms)
        .fetch_all(&mut *connection)
        .await?;
    for delete in [
        "DELETE FROM amends_requests WHERE saga = ANY ($1)",
        "DELETE FROM amends_calls WHERE saga = ANY ($1)",
        "DELETE FROM amends_fences WHERE saga = ANY ($1)",
        "DELETE FROM amends_steps WHERE saga = ANY ($1)",
        "DELETE FROM amends_owed WHERE saga = ANY ($1)",
        "DELETE FROM amends_notices WHERE saga = ANY ($1)",
        "DELETE FROM amends_outbox WHERE saga = ANY ($1)",
    ] {
        sqlx::query(delete).bind(&over[..]).execute(&mut *connection).await?;
    }
    Ok(over.len() as u64)
}
