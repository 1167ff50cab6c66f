//! Outcomes that are owed, on PostgreSQL: the statements of one table.

use crate::config::KitError;
use crate::store::{OwedRow, corrupt};
use amends_protocol::{Outcome as StepOutcome, SagaId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

type Outcome<T> = Result<T, KitError>;

macro_rules! owed_columns {
    () => {
        "SELECT step_id, saga, action, proof, url, found, outcome FROM amends_owed"
    };
}

fn owed(row: &PgRow) -> Outcome<OwedRow> {
    let outcome: Option<&str> = row.try_get(6)?;
    Ok(OwedRow {
        step_id: row.try_get(0)?,
        saga: SagaId::new(row.try_get::<&str, _>(1)?).map_err(corrupt)?,
        action: row.try_get(2)?,
        proof: row.try_get(3)?,
        url: row.try_get(4)?,
        found: row.try_get::<i64, _>(5)? != 0,
        outcome: outcome.map(|word| word.parse().map_err(corrupt)).transpose()?,
    })
}

pub(super) async fn owe(connection: &mut PgConnection, owed: &OwedRow) -> Outcome<()> {
    sqlx::query(
            "INSERT INTO amends_owed AS o (step_id, saga, action, proof, url, found, owed_at)
             VALUES ($1, $2, $3, $4, $5, $6, amends_now())
             ON CONFLICT (step_id) DO UPDATE SET outcome = NULL, state = 'pending', found = excluded.found,
                 owed_at = excluded.owed_at, last_error = NULL WHERE o.outcome = 'refused'",
        )
        .bind(&owed.step_id)
        .bind(owed.saga.as_str())
        .bind(&owed.action)
        .bind(&owed.proof)
        .bind(&owed.url)
        .bind(i64::from(owed.found))
        .execute(&mut *connection)
        .await?;
    Ok(())
}

pub(super) async fn find(connection: &mut PgConnection, step_id: &str) -> Outcome<Option<OwedRow>> {
    let sql = concat!(owed_columns!(), " WHERE step_id = $1");
    let found = sqlx::query(sql).bind(step_id).fetch_optional(&mut *connection).await?;
    found.as_ref().map(owed).transpose()
}

pub(super) async fn unfinished(
    connection: &mut PgConnection,
    of: &SagaId,
    action: &str,
) -> Outcome<Vec<OwedRow>> {
    let sql = concat!(
        owed_columns!(),
        " WHERE saga = $1 AND action = $2 AND outcome IS NULL ORDER BY owed_at, step_id"
    );
    let found = sqlx::query(sql).bind(of.as_str()).bind(action).fetch_all(&mut *connection).await?;
    found.iter().map(owed).collect()
}

pub(super) async fn end(
    connection: &mut PgConnection,
    step_id: &str,
    outcome: StepOutcome,
) -> Outcome<()> {
    sqlx::query("UPDATE amends_owed SET outcome = $2 WHERE step_id = $1 AND outcome IS NULL")
        .bind(step_id)
        .bind(outcome.as_str())
        .execute(&mut *connection)
        .await?;
    Ok(())
}

pub(super) async fn to_tell(connection: &mut PgConnection, limit: u32) -> Outcome<Vec<OwedRow>> {
    let sql = concat!(
        owed_columns!(),
        " WHERE state = 'pending' AND outcome IS NOT NULL ORDER BY owed_at, step_id LIMIT $1"
    );
    let found = sqlx::query(sql).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    found.iter().map(owed).collect()
}

pub(super) async fn settle(
    connection: &mut PgConnection,
    owed: &OwedRow,
    error: Option<&str>,
) -> Outcome<()> {
    sqlx::query(
        "UPDATE amends_owed SET state = $3, last_error = $4 WHERE step_id = $1 AND outcome = $2",
    )
    .bind(&owed.step_id)
    .bind(owed.outcome.map(StepOutcome::as_str))
    .bind(if error.is_some() { "dead" } else { "told" })
    .bind(error)
    .execute(&mut *connection)
    .await?;
    Ok(())
}
