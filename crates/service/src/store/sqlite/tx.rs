//! The kit's statements on SQLite. Each is one look or one change; none waits, none decides.

use crate::config::KitError;
use crate::store::{
    CallRow, Claimed, Fence, HistoryTx, NewRequest, OutgoingReport, OwedRow, ReportRow,
    ReportState, RequestRow, StepRow, StoredAnswer, StoredStanding, Unfinished, corrupt,
    parse_json, state_of,
};
use amends_protocol::{Evidence, HistoryState, Outcome as StepOutcome, SagaId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use std::fmt;
use std::sync::Arc;

/// UTC milliseconds.
pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A connection within a transaction.
pub struct SqliteTx {
    connection: Connection,
    clock: Clock,
    worker: Arc<str>,
}

type Outcome<T> = Result<T, KitError>;

impl SqliteTx {
    pub(super) fn new(connection: Connection, clock: Clock, worker: &str) -> Self {
        Self { connection, clock, worker: worker.into() }
    }

    /// The connection, for the host's own statements within the transaction.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn now(&self) -> i64 {
        (self.clock)()
    }

    /// What happened before this is at least `age_ms` old.
    fn before(&self, age_ms: u64) -> i64 {
        self.now().saturating_sub_unsigned(age_ms)
    }

    fn execute(&self, sql: &str, values: impl Params) -> Outcome<usize> {
        Ok(self.connection.prepare_cached(sql)?.execute(values)?)
    }

    fn select<T>(
        &self,
        sql: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Outcome<T>,
    ) -> Outcome<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = statement.query(values)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(read(row)?);
        }
        Ok(rows)
    }
}

const OWED: &str = "SELECT step_id, saga, action, proof, url, found, outcome FROM amends_owed";

fn owed(row: &Row<'_>) -> Outcome<OwedRow> {
    let outcome: Option<String> = row.get(6)?;
    Ok(OwedRow {
        step_id: row.get(0)?,
        saga: saga(row, 1)?,
        action: row.get(2)?,
        proof: row.get(3)?,
        url: row.get(4)?,
        found: row.get(5)?,
        outcome: outcome.map(|word| word.parse().map_err(corrupt)).transpose()?,
    })
}

const REQUEST: &str = "SELECT request_id, saga, action, fingerprint, body, context, state, worker, run, status, answer, report
     FROM amends_requests";

fn request(row: &Row<'_>) -> Outcome<RequestRow> {
    let status: Option<u16> = row.get(9)?;
    let answer: Option<String> = row.get(10)?;
    let answer = match (status, answer) {
        (Some(status), Some(body)) => {
            Some(StoredAnswer { status, body: parse_json(&body)?, report: row.get(11)? })
        }
        _ => None,
    };
    Ok(RequestRow {
        request: NewRequest {
            request_id: row.get(0)?,
            saga: saga(row, 1)?,
            action: row.get(2)?,
            fingerprint: row.get(3)?,
            body: parse_json(&row.get::<_, String>(4)?)?,
            passed_on: parse_json(&row.get::<_, String>(5)?)?,
        },
        state: word(row, 6)?,
        worker: row.get(7)?,
        run: row.get(8)?,
        answer,
    })
}

fn saga(row: &Row<'_>, column: usize) -> Outcome<SagaId> {
    SagaId::new(&row.get::<_, String>(column)?).map_err(corrupt)
}

fn word<T: std::str::FromStr<Err: ToString>>(row: &Row<'_>, column: usize) -> Outcome<T> {
    row.get::<_, String>(column)?.parse().map_err(corrupt)
}

impl HistoryTx for SqliteTx {
    async fn find_request(&mut self, request_id: &str) -> Outcome<Option<RequestRow>> {
        Ok(self.select(&format!("{REQUEST} WHERE request_id = ?1"), [request_id], request)?.pop())
    }

    async fn insert_request(
        &mut self,
        new: &NewRequest,
        answer: Option<&StoredAnswer>,
    ) -> Outcome<bool> {
        let (now, state) = (self.now(), state_of(answer));
        let written = self.execute(
            "INSERT INTO amends_requests (request_id, saga, action, fingerprint, body, context, state, worker, run,
                                          started_at, status, answer, report, ended_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, ?12, ?13
             WHERE NOT EXISTS (SELECT 1 FROM amends_fences WHERE saga = ?2 AND action = ?3)
             ON CONFLICT (request_id) DO NOTHING",
            params![
                new.request_id,
                new.saga.as_str(),
                new.action,
                new.fingerprint,
                new.body.to_string(),
                serde_json::to_string(&new.passed_on).map_err(corrupt)?,
                state.as_str(),
                &*self.worker,
                now,
                answer.map(|answer| answer.status),
                answer.map(|answer| answer.body.to_string()),
                answer.and_then(|answer| answer.report.as_deref()),
                answer.map(|_| now),
            ],
        )?;
        Ok(written == 1)
    }

    async fn may_insert(&mut self, new: &NewRequest) -> Outcome<bool> {
        let mut statement = self.connection.prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM amends_requests WHERE request_id = ?1)
                AND NOT EXISTS (SELECT 1 FROM amends_fences WHERE saga = ?2 AND action = ?3)",
        )?;
        let named = params![new.request_id, new.saga.as_str(), new.action];
        Ok(statement.query_row(named, |row| row.get(0))?)
    }

    async fn restart_request(&mut self, request_id: &str) -> Outcome<i64> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE amends_requests
             SET state = 'started', worker = ?2, run = run + 1, started_at = ?3, ended_at = NULL
             WHERE request_id = ?1 RETURNING run",
        )?;
        Ok(statement.query_row(params![request_id, &*self.worker, self.now()], |row| row.get(0))?)
    }

    async fn end_request(
        &mut self,
        request_id: &str,
        state: HistoryState,
        answer: &StoredAnswer,
    ) -> Outcome<()> {
        self.execute(
            "UPDATE amends_requests SET state = ?2, status = ?3, answer = ?4, report = ?5, ended_at = ?6
             WHERE request_id = ?1",
            params![
                request_id,
                state.as_str(),
                answer.status,
                answer.body.to_string(),
                answer.report,
                self.now()
            ],
        )?;
        Ok(())
    }

    async fn undo_request(&mut self, request_id: &str, state: HistoryState) -> Outcome<()> {
        self.execute(
            "UPDATE amends_requests SET state = ?2, ended_at = ?3 WHERE request_id = ?1",
            params![request_id, state.as_str(), self.now()],
        )?;
        Ok(())
    }

    async fn standing_of(&mut self, request_id: &str) -> Outcome<Option<StoredStanding>> {
        let found = self.select(
            "SELECT state, worker, run,
                    EXISTS (SELECT 1 FROM amends_fences AS f WHERE f.saga = r.saga AND f.action = r.action)
             FROM amends_requests AS r WHERE request_id = ?1",
            [request_id],
            |row| {
                Ok(StoredStanding {
                    state: word(row, 0)?,
                    worker: row.get(1)?,
                    run: row.get(2)?,
                    fence: Fence::when(row.get(3)?),
                })
            },
        )?;
        Ok(found.into_iter().next())
    }

    async fn requests_of(
        &mut self,
        saga: &SagaId,
        action: Option<&str>,
    ) -> Outcome<Vec<RequestRow>> {
        match action {
            Some(action) => self.select(
                &format!("{REQUEST} WHERE saga = ?1 AND action = ?2 ORDER BY seq"),
                params![saga.as_str(), action],
                request,
            ),
            None => self.select(
                &format!("{REQUEST} WHERE saga = ?1 ORDER BY seq"),
                [saga.as_str()],
                request,
            ),
        }
    }

    async fn unfinished(
        &mut self,
        age_ms: u64,
        after_seq: i64,
        limit: u32,
    ) -> Outcome<Vec<Unfinished>> {
        // No other process is alive, so all of them count.
        self.select(
            "SELECT seq, request_id, saga, worker, run FROM amends_requests
             WHERE state = 'started' AND seq > ?2 AND started_at <= ?1 ORDER BY seq LIMIT ?3",
            params![self.before(age_ms), after_seq, limit],
            |row| {
                Ok(Unfinished {
                    seq: row.get(0)?,
                    request_id: row.get(1)?,
                    saga: saga(row, 2)?,
                    worker: row.get(3)?,
                    run: row.get(4)?,
                })
            },
        )
    }

    /// INVARIANT: the lock on the file keeps all others out.
    async fn is_alive(&mut self, worker: &str) -> Outcome<bool> {
        Ok(worker == &*self.worker)
    }

    async fn fence_of(&mut self, saga: &SagaId, action: &str) -> Outcome<Fence> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM amends_fences WHERE saga = ?1 AND action = ?2")?;
        Ok(Fence::when(statement.exists([saga.as_str(), action])?))
    }

    async fn put_fence(&mut self, saga: &SagaId, action: &str) -> Outcome<()> {
        self.execute(
            "INSERT INTO amends_fences (saga, action, put_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![saga.as_str(), action, self.now()],
        )?;
        Ok(())
    }

    async fn count_refused(&mut self, saga: &SagaId, action: &str) -> Outcome<()> {
        self.execute(
            "UPDATE amends_fences SET refused = refused + 1 WHERE saga = ?1 AND action = ?2",
            [saga.as_str(), action],
        )?;
        Ok(())
    }

    async fn begin_call(&mut self, call: &CallRow) -> Outcome<()> {
        self.execute(
            "INSERT INTO amends_calls (call_id, saga, parent, service, action, state, started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'started', ?6)
             ON CONFLICT (call_id) DO UPDATE SET state = 'started', started_at = ?6, ended_at = NULL
             WHERE state <> 'succeeded'",
            params![
                call.call_id,
                call.saga.as_str(),
                call.parent,
                call.service,
                call.action,
                self.now()
            ],
        )?;
        Ok(())
    }

    /// INVARIANT: a call that succeeded once stays known as such, whatever a repetition is answered.
    async fn end_call(&mut self, call_id: &str, state: HistoryState) -> Outcome<()> {
        self.execute(
            "UPDATE amends_calls SET state = ?2, ended_at = ?3 WHERE call_id = ?1 AND state <> 'succeeded'",
            params![call_id, state.as_str(), self.now()],
        )?;
        Ok(())
    }

    async fn count_calls(&mut self, saga: &SagaId, request_id: &str) -> Outcome<u64> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT count(*) FROM amends_calls WHERE saga = ?1 AND parent = ?2")?;
        Ok(statement
            .query_row([saga.as_str(), request_id], |row| row.get::<_, i64>(0))?
            .unsigned_abs())
    }

    async fn calls_of(&mut self, saga: &SagaId) -> Outcome<Vec<Evidence>> {
        self.select(
            "SELECT service, action, call_id, state FROM amends_calls WHERE saga = ?1 ORDER BY seq",
            [saga.as_str()],
            |row| {
                let text = |n: usize| row.get::<_, String>(n);
                Ok(Evidence::new(text(0)?, text(1)?, text(2)?, word(row, 3)?))
            },
        )
    }

    async fn find_step(&mut self, step_id: &str) -> Outcome<Option<StepRow>> {
        let found = self.select(
            "SELECT step_id, saga, verb, action, outcome FROM amends_steps WHERE step_id = ?1",
            [step_id],
            |row| {
                Ok(StepRow {
                    step_id: row.get(0)?,
                    saga: saga(row, 1)?,
                    verb: word(row, 2)?,
                    action: row.get(3)?,
                    outcome: word(row, 4)?,
                })
            },
        )?;
        Ok(found.into_iter().next())
    }

    async fn insert_step(&mut self, step: &StepRow) -> Outcome<()> {
        self.execute(
            "INSERT INTO amends_steps (step_id, saga, verb, action, outcome, done_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            params![
                step.step_id,
                step.saga.as_str(),
                step.verb.as_str(),
                step.action,
                step.outcome.as_str(),
                self.now()
            ],
        )?;
        Ok(())
    }

    async fn owe(&mut self, owed: &OwedRow) -> Outcome<()> {
        self.execute(
            "INSERT INTO amends_owed (step_id, saga, action, proof, url, found, owed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (step_id) DO UPDATE SET outcome = NULL, state = 'pending', found = excluded.found,
                 owed_at = excluded.owed_at, last_error = NULL WHERE outcome = 'refused'",
            params![
                owed.step_id,
                owed.saga.as_str(),
                owed.action,
                owed.proof,
                owed.url,
                owed.found,
                self.now()
            ],
        )?;
        Ok(())
    }

    async fn find_owed(&mut self, step_id: &str) -> Outcome<Option<OwedRow>> {
        let sql = format!("{OWED} WHERE step_id = ?1");
        Ok(self.select(&sql, [step_id], owed)?.into_iter().next())
    }

    async fn unfinished_steps(&mut self, of: &SagaId, action: &str) -> Outcome<Vec<OwedRow>> {
        let sql = format!(
            "{OWED} WHERE saga = ?1 AND action = ?2 AND outcome IS NULL ORDER BY owed_at, step_id"
        );
        self.select(&sql, params![of.as_str(), action], owed)
    }

    async fn end_owed(&mut self, step_id: &str, outcome: StepOutcome) -> Outcome<()> {
        let sql = "UPDATE amends_owed SET outcome = ?2 WHERE step_id = ?1 AND outcome IS NULL";
        self.execute(sql, params![step_id, outcome.as_str()])?;
        Ok(())
    }

    async fn outcomes_to_tell(&mut self, limit: u32) -> Outcome<Vec<OwedRow>> {
        let sql = format!(
            "{OWED} WHERE state = 'pending' AND outcome IS NOT NULL ORDER BY owed_at, step_id LIMIT ?1"
        );
        self.select(&sql, [limit], owed)
    }

    async fn settle_owed(&mut self, owed: &OwedRow, error: Option<&str>) -> Outcome<()> {
        let state = if error.is_some() { "dead" } else { "told" };
        let outcome = owed.outcome.map(StepOutcome::as_str);
        self.execute(
            "UPDATE amends_owed SET state = ?3, last_error = ?4 WHERE step_id = ?1 AND outcome = ?2",
            params![owed.step_id, outcome, state, error],
        )?;
        Ok(())
    }

    async fn insert_notice(&mut self, saga: &SagaId, notice: &str) -> Outcome<bool> {
        let written = self.execute(
            "INSERT INTO amends_notices (saga, notice, sent_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![saga.as_str(), notice, self.now()],
        )?;
        Ok(written == 1)
    }

    async fn put_report(&mut self, report: &ReportRow) -> Outcome<()> {
        self.execute(
            "INSERT INTO amends_outbox (report_id, saga, traceparent, happened_at, data) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                report.report_id,
                report.saga.as_str(),
                report.traceparent,
                self.now(),
                report.data
            ],
        )?;
        Ok(())
    }

    async fn claim_reports(&mut self, limit: u32, hold_ms: u64) -> Outcome<Claimed> {
        let now = self.now();
        let reports = self.select(
            "SELECT report_id, saga, traceparent, data, happened_at, tries FROM amends_outbox AS o
             WHERE state = 'pending' AND due_at <= ?1 AND NOT EXISTS (
                 SELECT 1 FROM amends_outbox AS e WHERE e.saga = o.saga AND e.seq < o.seq AND e.state = 'pending')
             ORDER BY due_at, seq LIMIT ?2",
            params![now, limit],
            |row| {
                Ok(OutgoingReport {
                    report: ReportRow {
                        report_id: row.get(0)?,
                        saga: saga(row, 1)?,
                        traceparent: row.get(2)?,
                        data: row.get(3)?,
                    },
                    happened_at_ms: row.get(4)?,
                    tries: row.get(5)?,
                })
            },
        )?;
        for claimed in &reports {
            self.execute(
                "UPDATE amends_outbox SET due_at = ?2 WHERE report_id = ?1",
                params![claimed.report.report_id, now.saturating_add_unsigned(hold_ms)],
            )?;
        }
        if !reports.is_empty() {
            return Ok(Claimed { reports, next_in_ms: None });
        }
        let next: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT min(due_at) FROM amends_outbox WHERE state = 'pending' AND due_at > ?1",
            )?
            .query_row([now], |row| row.get(0))
            .optional()?
            .flatten();
        let next_in_ms = next.map(|due| u64::try_from(due - now).unwrap_or(0));
        Ok(Claimed { reports, next_in_ms })
    }

    async fn settle_report(
        &mut self,
        report_id: &str,
        state: ReportState,
        error: Option<&str>,
        pause_ms: u64,
    ) -> Outcome<()> {
        self.execute(
            "UPDATE amends_outbox SET state = ?2, last_error = ?3, tries = tries + 1, due_at = ?4
             WHERE report_id = ?1",
            params![report_id, state.as_str(), error, self.now().saturating_add_unsigned(pause_ms)],
        )?;
        Ok(())
    }

    async fn revive_reports(&mut self) -> Outcome<u64> {
        let dead = self.execute(
            "UPDATE amends_outbox SET state = 'pending', due_at = 0 WHERE state = 'dead'",
            [],
        )?;
        self.execute("UPDATE amends_outbox SET due_at = 0 WHERE state = 'pending'", [])?;
        Ok(dead as u64)
    }

    async fn count_pending(&mut self) -> Outcome<u64> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT count(*) FROM amends_outbox WHERE state = 'pending'")?;
        Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    async fn aged_sagas(
        &mut self,
        age_ms: u64,
        after_seq: i64,
        limit: u32,
    ) -> Outcome<Vec<(i64, SagaId)>> {
        let before = self.before(age_ms);
        // In the order of arrival, as far as all are old: the first young one ends the look.
        let requests = self.select(
            "SELECT seq, saga, started_at FROM amends_requests WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            params![after_seq, limit],
            |row| Ok((row.get(0)?, saga(row, 1)?, row.get::<_, i64>(2)?)),
        )?;
        let mut aged: Vec<(i64, SagaId)> = requests
            .into_iter()
            .take_while(|(_, _, started_at)| *started_at < before)
            .map(|(seq, saga, _)| (seq, saga))
            .collect();
        aged.extend(self.select(
            "SELECT saga FROM amends_fences AS f
             WHERE put_at < ?1 AND NOT EXISTS (SELECT 1 FROM amends_requests AS r WHERE r.saga = f.saga)
             ORDER BY put_at LIMIT ?2",
            params![before, limit],
            |row| Ok((0, saga(row, 0)?)),
        )?);
        Ok(aged)
    }

    async fn forget(&mut self, sagas: &[SagaId], age_ms: u64) -> Outcome<u64> {
        let before = self.before(age_ms);
        let mut gone = 0;
        for saga in sagas {
            let is_over: bool = self
                .connection
                .prepare_cached(
                    "SELECT NOT EXISTS (SELECT 1 FROM amends_requests WHERE saga = ?1
                                        AND (state = 'started' OR coalesce(ended_at, started_at) >= ?2))
                        AND NOT EXISTS (SELECT 1 FROM amends_calls WHERE saga = ?1 AND coalesce(ended_at, started_at) >= ?2)
                        AND NOT EXISTS (SELECT 1 FROM amends_fences WHERE saga = ?1 AND put_at >= ?2)
                        AND NOT EXISTS (SELECT 1 FROM amends_steps WHERE saga = ?1 AND done_at >= ?2)
                        AND NOT EXISTS (SELECT 1 FROM amends_owed WHERE saga = ?1
                                        AND (state = 'pending' OR owed_at >= ?2))
                        AND NOT EXISTS (SELECT 1 FROM amends_notices WHERE saga = ?1 AND sent_at >= ?2)
                        AND NOT EXISTS (SELECT 1 FROM amends_outbox WHERE saga = ?1
                                        AND (state <> 'sent' OR happened_at >= ?2))",
                )?
                .query_row(params![saga.as_str(), before], |row| row.get(0))?;
            if is_over {
                for table in ["requests", "calls", "fences", "steps", "owed", "notices", "outbox"] {
                    self.execute(
                        &format!("DELETE FROM amends_{table} WHERE saga = ?1"),
                        [saga.as_str()],
                    )?;
                }
                gone += 1;
            }
        }
        Ok(gone)
    }

    async fn savepoint(&mut self) -> Outcome<()> {
        Ok(self.connection.execute_batch("SAVEPOINT amends_attempt")?)
    }

    async fn roll_back_to_savepoint(&mut self) -> Outcome<()> {
        Ok(self.connection.execute_batch("ROLLBACK TO amends_attempt")?)
    }

    async fn release_savepoint(&mut self) -> Outcome<()> {
        Ok(self.connection.execute_batch("RELEASE amends_attempt")?)
    }
}

impl fmt::Debug for SqliteTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTx").field("worker", &self.worker).finish_non_exhaustive()
    }
}
