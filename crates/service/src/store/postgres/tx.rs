//! The kit's statements on PostgreSQL, and how a transaction begins and ends. Each statement is one look or one change;
//! none decides.

use super::{forget, owed, revive};
use crate::config::KitError;
use crate::store::{
    CallRow, Claimed, Fence, HistoryTx, NewRequest, OutgoingReport, OwedRow, ReportRow,
    ReportState, RequestRow, StepRow, StoredAnswer, StoredStanding, Unfinished, corrupt,
    parse_json, state_of,
};
use amends_protocol::{Evidence, HistoryState, Outcome as StepOutcome, SagaId};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Database, PgConnection, Row, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;
use std::fmt;
use std::sync::Arc;

/// `sqlx::Transaction` does the same, but gives a connection whose `BEGIN` failed back to the pool as it is, in a
/// transaction that failed; the manager itself lets us close it.
type Manager = <sqlx::Postgres as Database>::TransactionManager;

/// A connection within a transaction.
pub struct PostgresTx {
    connection: PoolConnection<sqlx::Postgres>,
    /// Whether a transaction is open, or may be.
    is_open: bool,
    worker: Arc<str>,
    dead_after_ms: i64,
}

type Outcome<T> = Result<T, KitError>;

impl PostgresTx {
    pub(super) fn new(
        connection: PoolConnection<sqlx::Postgres>,
        worker: Arc<str>,
        dead_after_ms: i64,
    ) -> Self {
        Self { connection, is_open: false, worker, dead_after_ms }
    }

    /// The connection, for the host's own statements within the transaction.
    #[must_use]
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Begins, with the statements of `begin`, which goes out as it is: numbers of ours and keywords.
    pub(super) async fn begin(&mut self, begin: String) -> Result<(), sqlx::Error> {
        self.is_open = true;
        Manager::begin(&mut self.connection, Some(AssertSqlSafe(begin).into_sql_str())).await
    }

    pub(super) async fn commit(&mut self) -> Outcome<()> {
        match Manager::commit(&mut self.connection).await {
            Ok(()) => {
                self.is_open = false;
                Ok(())
            }
            Err(error) if is_certain_refusal(&error) => Err(KitError::Database(error.to_string())),
            Err(error) => Err(KitError::CommitUnknown(error.to_string())),
        }
    }

    /// What cannot be rolled back is closed, and the server rolls it back.
    pub(super) async fn roll_back(&mut self) {
        if Manager::rollback(&mut self.connection).await.is_ok() {
            self.is_open = false;
        }
    }
}

/// INVARIANT: no connection goes back to the pool with a transaction open, or with one of which nobody knows. This is
/// also what happens to a transaction whose task was dropped in the middle.
impl Drop for PostgresTx {
    fn drop(&mut self) {
        if self.is_open {
            self.connection.close_on_drop();
        }
    }
}

/// Whether the server itself said that it did not commit. The classes: 23 a constraint, 25 the transaction's state, 40 a
/// rollback (serialization, deadlock). After all others, an operator's intervention (57) or a lost connection among them,
/// the commit may have gone through before.
fn is_certain_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|told| told.code());
    code.is_some_and(|code| ["23", "25", "40"].iter().any(|class| code.starts_with(class)))
}

macro_rules! requests {
    ($condition:literal) => {
        concat!(
            "SELECT request_id, saga, action, fingerprint, body, context, state, worker, run, status, answer, report
             FROM amends_requests ",
            $condition
        )
    };
}

fn request(row: &PgRow) -> Outcome<RequestRow> {
    let status: Option<i32> = row.try_get(9)?;
    let answer: Option<String> = row.try_get(10)?;
    let answer = match (status, answer) {
        (Some(status), Some(body)) => Some(StoredAnswer {
            status: u16::try_from(status).map_err(corrupt)?,
            body: parse_json(&body)?,
            report: row.try_get(11)?,
        }),
        _ => None,
    };
    Ok(RequestRow {
        request: NewRequest {
            request_id: row.try_get(0)?,
            saga: saga(row, 1)?,
            action: row.try_get(2)?,
            fingerprint: row.try_get(3)?,
            body: parse_json(row.try_get(4)?)?,
            passed_on: parse_json(row.try_get(5)?)?,
        },
        state: word(row, 6)?,
        worker: row.try_get(7)?,
        run: row.try_get(8)?,
        answer,
    })
}

fn saga(row: &PgRow, column: usize) -> Outcome<SagaId> {
    SagaId::new(row.try_get::<&str, _>(column)?).map_err(corrupt)
}

fn word<T: std::str::FromStr<Err: ToString>>(row: &PgRow, column: usize) -> Outcome<T> {
    row.try_get::<&str, _>(column)?.parse().map_err(corrupt)
}

/// Milliseconds as the database counts them.
fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX / 2).min(i64::MAX / 2)
}

impl HistoryTx for PostgresTx {
    async fn find_request(&mut self, request_id: &str) -> Outcome<Option<RequestRow>> {
        let found = sqlx::query(requests!("WHERE request_id = $1"))
            .bind(request_id)
            .fetch_optional(self.connection())
            .await?;
        found.as_ref().map(request).transpose()
    }

    async fn insert_request(
        &mut self,
        new: &NewRequest,
        answer: Option<&StoredAnswer>,
    ) -> Outcome<bool> {
        let context = serde_json::to_string(&new.passed_on).map_err(corrupt)?;
        let worker = Arc::clone(&self.worker);
        let written = sqlx::query(
            "INSERT INTO amends_requests (request_id, saga, action, fingerprint, body, context, state, worker, run,
                                          started_at, status, answer, report, ended_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, 1, n.now, $9, $10, $11, CASE WHEN $10 IS NULL THEN NULL ELSE n.now END
             FROM (SELECT amends_now() AS now) AS n
             WHERE NOT EXISTS (SELECT 1 FROM amends_fences WHERE saga = $2 AND action = $3)
             ON CONFLICT (request_id) DO NOTHING",
        )
        .bind(&new.request_id)
        .bind(new.saga.as_str())
        .bind(&new.action)
        .bind(&new.fingerprint)
        .bind(new.body.to_string())
        .bind(context)
        .bind(state_of(answer).as_str())
        .bind(&*worker)
        .bind(answer.map(|answer| i32::from(answer.status)))
        .bind(answer.map(|answer| answer.body.to_string()))
        .bind(answer.and_then(|answer| answer.report.clone()))
        .execute(self.connection())
        .await?;
        Ok(written.rows_affected() == 1)
    }

    async fn may_insert(&mut self, new: &NewRequest) -> Outcome<bool> {
        Ok(sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM amends_requests WHERE request_id = $1)
                AND NOT EXISTS (SELECT 1 FROM amends_fences WHERE saga = $2 AND action = $3)",
        )
        .bind(&new.request_id)
        .bind(new.saga.as_str())
        .bind(&new.action)
        .fetch_one(self.connection())
        .await?)
    }

    async fn restart_request(&mut self, request_id: &str) -> Outcome<i64> {
        let worker = Arc::clone(&self.worker);
        Ok(sqlx::query_scalar(
            "UPDATE amends_requests
             SET state = 'started', worker = $2, run = run + 1, started_at = amends_now(), ended_at = NULL
             WHERE request_id = $1 RETURNING run",
        )
        .bind(request_id)
        .bind(&*worker)
        .fetch_one(self.connection())
        .await?)
    }

    async fn end_request(
        &mut self,
        request_id: &str,
        state: HistoryState,
        answer: &StoredAnswer,
    ) -> Outcome<()> {
        sqlx::query(
            "UPDATE amends_requests
             SET state = $2, status = $3, answer = $4, report = $5, ended_at = amends_now() WHERE request_id = $1",
        )
        .bind(request_id)
        .bind(state.as_str())
        .bind(i32::from(answer.status))
        .bind(answer.body.to_string())
        .bind(&answer.report)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn undo_request(&mut self, request_id: &str, state: HistoryState) -> Outcome<()> {
        sqlx::query(
            "UPDATE amends_requests SET state = $2, ended_at = amends_now() WHERE request_id = $1",
        )
        .bind(request_id)
        .bind(state.as_str())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn standing_of(&mut self, request_id: &str) -> Outcome<Option<StoredStanding>> {
        let found = sqlx::query(
            "SELECT state, worker, run,
                    EXISTS (SELECT 1 FROM amends_fences AS f WHERE f.saga = r.saga AND f.action = r.action)
             FROM amends_requests AS r WHERE request_id = $1",
        )
        .bind(request_id)
        .fetch_optional(self.connection())
        .await?;
        let standing = |row: PgRow| {
            Ok(StoredStanding {
                state: word(&row, 0)?,
                worker: row.try_get(1)?,
                run: row.try_get(2)?,
                fence: Fence::when(row.try_get(3)?),
            })
        };
        found.map(standing).transpose()
    }

    async fn requests_of(
        &mut self,
        saga: &SagaId,
        action: Option<&str>,
    ) -> Outcome<Vec<RequestRow>> {
        let found = match action {
            Some(action) => {
                sqlx::query(requests!("WHERE saga = $1 AND action = $2 ORDER BY seq"))
                    .bind(saga.as_str())
                    .bind(action)
                    .fetch_all(self.connection())
                    .await?
            }
            None => {
                sqlx::query(requests!("WHERE saga = $1 ORDER BY seq"))
                    .bind(saga.as_str())
                    .fetch_all(self.connection())
                    .await?
            }
        };
        found.iter().map(request).collect()
    }

    async fn unfinished(
        &mut self,
        age_ms: u64,
        after_seq: i64,
        limit: u32,
    ) -> Outcome<Vec<Unfinished>> {
        let (worker, dead_after_ms) = (Arc::clone(&self.worker), self.dead_after_ms);
        let found = sqlx::query(
            "SELECT seq, request_id, saga, worker, run FROM amends_requests AS r
             WHERE state = 'started' AND seq > $2 AND started_at <= amends_now() - $1
               AND (worker = $3 OR NOT EXISTS (
                   SELECT 1 FROM amends_workers AS w WHERE w.worker = r.worker AND w.seen_at > amends_now() - $4))
             ORDER BY seq LIMIT $5",
        )
        .bind(ms(age_ms))
        .bind(after_seq)
        .bind(&*worker)
        .bind(dead_after_ms)
        .bind(i64::from(limit))
        .fetch_all(self.connection())
        .await?;
        let unfinished = |row: &PgRow| {
            Ok(Unfinished {
                seq: row.try_get(0)?,
                request_id: row.try_get(1)?,
                saga: saga(row, 2)?,
                worker: row.try_get(3)?,
                run: row.try_get(4)?,
            })
        };
        found.iter().map(unfinished).collect()
    }

    async fn is_alive(&mut self, worker: &str) -> Outcome<bool> {
        let dead_after_ms = self.dead_after_ms;
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM amends_workers WHERE worker = $1 AND seen_at > amends_now() - $2)",
        )
        .bind(worker)
        .bind(dead_after_ms)
        .fetch_one(self.connection())
        .await?)
    }

    async fn fence_of(&mut self, saga: &SagaId, action: &str) -> Outcome<Fence> {
        let up = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM amends_fences WHERE saga = $1 AND action = $2)",
        )
        .bind(saga.as_str())
        .bind(action)
        .fetch_one(self.connection())
        .await?;
        Ok(Fence::when(up))
    }

    async fn put_fence(&mut self, saga: &SagaId, action: &str) -> Outcome<()> {
        sqlx::query(
            "INSERT INTO amends_fences (saga, action, put_at) VALUES ($1, $2, amends_now()) ON CONFLICT DO NOTHING",
        )
        .bind(saga.as_str())
        .bind(action)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn count_refused(&mut self, saga: &SagaId, action: &str) -> Outcome<()> {
        sqlx::query(
            "UPDATE amends_fences SET refused = refused + 1 WHERE saga = $1 AND action = $2",
        )
        .bind(saga.as_str())
        .bind(action)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn begin_call(&mut self, call: &CallRow) -> Outcome<()> {
        sqlx::query(
            "INSERT INTO amends_calls AS c (call_id, saga, parent, service, action, state, started_at)
             VALUES ($1, $2, $3, $4, $5, 'started', amends_now())
             ON CONFLICT (call_id) DO UPDATE SET state = 'started', started_at = excluded.started_at, ended_at = NULL
             WHERE c.state <> 'succeeded'",
        )
        .bind(&call.call_id)
        .bind(call.saga.as_str())
        .bind(&call.parent)
        .bind(&call.service)
        .bind(&call.action)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// INVARIANT: a call that succeeded once stays known as such, whatever a repetition is answered.
    async fn end_call(&mut self, call_id: &str, state: HistoryState) -> Outcome<()> {
        sqlx::query(
            "UPDATE amends_calls SET state = $2, ended_at = amends_now() WHERE call_id = $1 AND state <> 'succeeded'",
        )
        .bind(call_id)
        .bind(state.as_str())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn count_calls(&mut self, saga: &SagaId, request_id: &str) -> Outcome<u64> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM amends_calls WHERE saga = $1 AND parent = $2")
                .bind(saga.as_str())
                .bind(request_id)
                .fetch_one(self.connection())
                .await?;
        Ok(count.unsigned_abs())
    }

    async fn calls_of(&mut self, saga: &SagaId) -> Outcome<Vec<Evidence>> {
        let found = sqlx::query(
            "SELECT service, action, call_id, state FROM amends_calls WHERE saga = $1 ORDER BY seq",
        )
        .bind(saga.as_str())
        .fetch_all(self.connection())
        .await?;
        let evidence = |row: &PgRow| {
            let text = |n: usize| row.try_get::<String, _>(n);
            Ok(Evidence::new(text(0)?, text(1)?, text(2)?, word(row, 3)?))
        };
        found.iter().map(evidence).collect()
    }

    async fn find_step(&mut self, step_id: &str) -> Outcome<Option<StepRow>> {
        let found = sqlx::query(
            "SELECT step_id, saga, verb, action, outcome FROM amends_steps WHERE step_id = $1",
        )
        .bind(step_id)
        .fetch_optional(self.connection())
        .await?;
        let step = |row: PgRow| {
            Ok(StepRow {
                step_id: row.try_get(0)?,
                saga: saga(&row, 1)?,
                verb: word(&row, 2)?,
                action: row.try_get(3)?,
                outcome: word(&row, 4)?,
            })
        };
        found.map(step).transpose()
    }

    async fn insert_step(&mut self, step: &StepRow) -> Outcome<()> {
        sqlx::query(
            "INSERT INTO amends_steps (step_id, saga, verb, action, outcome, done_at)
             VALUES ($1, $2, $3, $4, $5, amends_now()) ON CONFLICT DO NOTHING",
        )
        .bind(&step.step_id)
        .bind(step.saga.as_str())
        .bind(step.verb.as_str())
        .bind(&step.action)
        .bind(step.outcome.as_str())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn owe(&mut self, row: &OwedRow) -> Outcome<()> {
        owed::owe(self.connection(), row).await
    }

    async fn find_owed(&mut self, step_id: &str) -> Outcome<Option<OwedRow>> {
        owed::find(self.connection(), step_id).await
    }

    async fn unfinished_steps(&mut self, of: &SagaId, action: &str) -> Outcome<Vec<OwedRow>> {
        owed::unfinished(self.connection(), of, action).await
    }

    async fn end_owed(&mut self, step_id: &str, outcome: StepOutcome) -> Outcome<()> {
        owed::end(self.connection(), step_id, outcome).await
    }

    async fn outcomes_to_tell(&mut self, limit: u32) -> Outcome<Vec<OwedRow>> {
        owed::to_tell(self.connection(), limit).await
    }

    async fn settle_owed(&mut self, row: &OwedRow, error: Option<&str>) -> Outcome<()> {
        owed::settle(self.connection(), row, error).await
    }

    async fn insert_notice(&mut self, saga: &SagaId, notice: &str) -> Outcome<bool> {
        let written = sqlx::query(
            "INSERT INTO amends_notices (saga, notice, sent_at) VALUES ($1, $2, amends_now()) ON CONFLICT DO NOTHING",
        )
        .bind(saga.as_str())
        .bind(notice)
        .execute(self.connection())
        .await?;
        Ok(written.rows_affected() == 1)
    }

    async fn put_report(&mut self, report: &ReportRow) -> Outcome<()> {
        sqlx::query(
            "INSERT INTO amends_outbox (report_id, saga, traceparent, happened_at, data)
             VALUES ($1, $2, $3, amends_now(), $4)",
        )
        .bind(&report.report_id)
        .bind(report.saga.as_str())
        .bind(&report.traceparent)
        .bind(&report.data)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn claim_reports(&mut self, limit: u32, hold_ms: u64) -> Outcome<Claimed> {
        let worker = Arc::clone(&self.worker);
        let mut found = sqlx::query(
            "WITH due AS (
                 SELECT o.seq FROM amends_outbox AS o
                 WHERE o.state = 'pending' AND o.due_at <= amends_now() AND NOT EXISTS (
                     SELECT 1 FROM amends_outbox AS e WHERE e.saga = o.saga AND e.seq < o.seq AND e.state = 'pending')
                 ORDER BY o.due_at, o.seq LIMIT $1 FOR UPDATE OF o SKIP LOCKED)
             UPDATE amends_outbox AS o SET due_at = amends_now() + $2, claimed_by = $3 FROM due WHERE o.seq = due.seq
             RETURNING o.report_id, o.saga, o.traceparent, o.data, o.happened_at, o.tries, o.seq",
        )
        .bind(i64::from(limit))
        .bind(ms(hold_ms))
        .bind(&*worker)
        .fetch_all(self.connection())
        .await?;
        if found.is_empty() {
            let next: Option<i64> = sqlx::query_scalar(
                "SELECT min(due_at) - amends_now() FROM amends_outbox WHERE state = 'pending' AND due_at > amends_now()",
            )
            .fetch_one(self.connection())
            .await?;
            let next_in_ms = next.map(|wait| u64::try_from(wait).unwrap_or(0));
            return Ok(Claimed { reports: Vec::new(), next_in_ms });
        }
        found.sort_by_key(|row| row.try_get::<i64, _>(6).unwrap_or(i64::MAX));
        let outgoing = |row: &PgRow| {
            Ok(OutgoingReport {
                report: ReportRow {
                    report_id: row.try_get(0)?,
                    saga: saga(row, 1)?,
                    traceparent: row.try_get(2)?,
                    data: row.try_get(3)?,
                },
                happened_at_ms: row.try_get(4)?,
                tries: u32::try_from(row.try_get::<i64, _>(5)?).unwrap_or(u32::MAX),
            })
        };
        let reports = found.iter().map(outgoing).collect::<Outcome<_>>()?;
        Ok(Claimed { reports, next_in_ms: None })
    }

    async fn settle_report(
        &mut self,
        report_id: &str,
        state: ReportState,
        error: Option<&str>,
        pause_ms: u64,
    ) -> Outcome<()> {
        // A try that ended late must not take back what another process knows better.
        sqlx::query(
            "UPDATE amends_outbox SET state = $2, last_error = $3, tries = tries + 1, due_at = amends_now() + $4
             WHERE report_id = $1 AND state <> 'sent'",
        )
        .bind(report_id)
        .bind(state.as_str())
        .bind(error)
        .bind(ms(pause_ms))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn revive_reports(&mut self) -> Outcome<u64> {
        let dead_after_ms = self.dead_after_ms;
        revive::reports(self.connection(), dead_after_ms).await
    }

    async fn count_pending(&mut self) -> Outcome<u64> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM amends_outbox WHERE state = 'pending'")
                .fetch_one(self.connection())
                .await?;
        Ok(count.unsigned_abs())
    }

    async fn aged_sagas(
        &mut self,
        age_ms: u64,
        after_seq: i64,
        limit: u32,
    ) -> Outcome<Vec<(i64, SagaId)>> {
        // In the order of arrival, as far as all are old: the first young one ends the look.
        let requests = sqlx::query(
            "SELECT seq, saga, started_at < amends_now() - $1 FROM amends_requests WHERE seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(ms(age_ms))
        .bind(after_seq)
        .bind(i64::from(limit))
        .fetch_all(self.connection())
        .await?;
        let mut aged = Vec::new();
        for row in requests {
            if !row.try_get::<bool, _>(2)? {
                break;
            }
            aged.push((row.try_get(0)?, saga(&row, 1)?));
        }
        let fences = sqlx::query(
            "SELECT saga FROM amends_fences AS f
             WHERE put_at < amends_now() - $1 AND NOT EXISTS (SELECT 1 FROM amends_requests AS r WHERE r.saga = f.saga)
             ORDER BY put_at LIMIT $2",
        )
        .bind(ms(age_ms))
        .bind(i64::from(limit))
        .fetch_all(self.connection())
        .await?;
        for row in fences {
            aged.push((0, saga(&row, 0)?));
        }
        Ok(aged)
    }

    /// INVARIANT: a saga is looked at and removed under its lock; the look is a statement of its own, after the lock's.
    async fn forget(&mut self, sagas: &[SagaId], age_ms: u64) -> Outcome<u64> {
        forget::forget(self.connection(), sagas, ms(age_ms)).await
    }

    async fn savepoint(&mut self) -> Outcome<()> {
        sqlx::raw_sql("SAVEPOINT amends_attempt").execute(self.connection()).await?;
        Ok(())
    }

    async fn roll_back_to_savepoint(&mut self) -> Outcome<()> {
        sqlx::raw_sql("ROLLBACK TO amends_attempt").execute(self.connection()).await?;
        Ok(())
    }

    async fn release_savepoint(&mut self) -> Outcome<()> {
        sqlx::raw_sql("RELEASE amends_attempt").execute(self.connection()).await?;
        Ok(())
    }
}

impl fmt::Debug for PostgresTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTx").field("worker", &self.worker).finish_non_exhaustive()
    }
}
