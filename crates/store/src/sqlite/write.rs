//! Puts one batch of the engine's rows into the tables, within a transaction that somebody else opened.
//!
//! INVARIANT: every JSON text has been read back into its row before it is written. What is acknowledged can be read.

use super::tables::unwritten;
use crate::{
    StoreError,
    tables::{
        chain::ChainWriter,
        codes::{Coded, role_code},
        erasures,
        key::{case_number, row_key},
        marks, one, rejected,
        rows::column,
        settings,
        written::{Named, Unwritten, WRITING, must_be_one, proved},
    },
};
use amends_engine::{AttemptRow, CaseRow, ReportRow, SagaRow, StepRow, StepState, Write};
use rusqlite::{CachedStatement, Connection, Params, params};
use rustc_hash::FxHashSet;

// A case's saga, first report and time of opening and a report's key never change, and their indexes are the dear
// ones: so they are compared, not rewritten. Inserting and changing a case are two statements, so that new cases can
// be counted.
const NEW_CASE: &str = "
    INSERT INTO cases (id, state, opened_at, updated_at, settled_at, closed_on, saga, rulebook, rulebook_hash, report,
                       message, memo)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const CASE: &str = "
    UPDATE cases SET
      state = ?2, updated_at = ?4, settled_at = ?5, closed_on = ?6, rulebook = ?8, rulebook_hash = ?9,
      message = ?11, memo = ?12
    WHERE id = ?1 AND saga = ?7 AND report = ?10 AND opened_at = ?3";
const REPORT: &str = "
    INSERT INTO reports (key, received_at, role, role_arg, source, id, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (key) DO UPDATE SET received_at = ?2, role = ?3, role_arg = ?4, body = ?7
    WHERE source = ?5 AND id = ?6";
// Without other indexes, REPLACE writes over the old row in place.
const STEP: &str = "
    INSERT OR REPLACE INTO steps (key, state, ending, verb, service, action, tag, stage, attempts, planned_at,
                                  updated_at, due_at, until, location, memo)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
const ATTEMPT: &str = "
    INSERT OR REPLACE INTO attempts (step, attempt, sent_at, ended_at, result, status, message)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const SAGA: &str = "
    INSERT INTO sagas (saga, service, action, deadline, state, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (saga) DO UPDATE SET service = ?2, action = ?3, deadline = ?4, state = ?5, data = ?6";

/// The statements of one transaction and a buffer for JSON.
struct BatchWriter<'c> {
    new_case: CachedStatement<'c>,
    case: CachedStatement<'c>,
    report: CachedStatement<'c>,
    step: CachedStatement<'c>,
    attempt: CachedStatement<'c>,
    chain: ChainWriter,
    saga: CachedStatement<'c>,
    json: Vec<u8>,
    /// The highest case number in the table.
    highest: i64,
    /// Cases that were not there before.
    new_cases: i64,
}

/// Writes a batch. On an error the caller rolls back.
pub(crate) fn write_batch(conn: &Connection, writes: &[Write]) -> Result<(), StoreError> {
    let prepare = |sql| conn.prepare_cached(sql).map_err(super::connection::database(WRITING));
    let mut writer = BatchWriter {
        new_case: prepare(NEW_CASE)?,
        case: prepare(CASE)?,
        report: prepare(REPORT)?,
        step: prepare(STEP)?,
        attempt: prepare(ATTEMPT)?,
        chain: ChainWriter::default(),
        saga: prepare(SAGA)?,
        json: Vec::with_capacity(1024),
        highest: highest_case(conn)?,
        new_cases: 0,
    };
    let superseded = superseded(writes);
    for (position, write) in writes.iter().enumerate() {
        if !superseded.is_empty() && superseded.contains(&position) {
            continue;
        }
        match write {
            Write::Remove(id) => writer.new_cases -= settings::remove(conn, *id)?,
            Write::Case(row) => writer.case(row)?,
            Write::Report(row) => writer.report(row)?,
            Write::Step(row) => writer.step(row)?,
            Write::Attempt(row) => writer.attempt(row)?,
            Write::Act(row) => writer.chain.add(conn, &mut writer.json, row)?,
            Write::Saga(row) => writer.saga(row)?,
            Write::Service(row) => settings::service(conn, &mut writer.json, row)?,
            Write::Stranger(row) => settings::stranger(conn, &mut writer.json, row)?,
            Write::RuleHold(row) => settings::rule_hold(conn, &mut writer.json, row)?,
            Write::Activate(row) => settings::activate(conn, &mut writer.json, row)?,
            Write::Erasure(row) => erasures::put(conn, row)?,
            Write::Erased(row) => {
                erasures::put_erased(conn, row)?;
                // What could not be taken of the saga holds its data as well.
                rejected::forget_of(conn, &row.saga)?;
            }
        }
    }
    let new_cases = writer.new_cases;
    writer.chain.finish(conn)?;
    marks::more_cases(conn, new_cases)
}

/// The highest case number that is stored now, 0 if none.
fn highest_case(conn: &Connection) -> Result<i64, StoreError> {
    let highest = one(conn, "SELECT coalesce(max(id), 0) FROM cases", &[], |row| column(row, 0))?;
    Ok(highest.unwrap_or_default())
}

/// Positions of case and step rows that a later one of the batch replaces: writing them would be wasted. These are the
/// only rows that the engine writes several times in a batch.
fn superseded(writes: &[Write]) -> FxHashSet<usize> {
    let mut superseded = FxHashSet::default();
    let mut seen = FxHashSet::default();
    for (position, write) in writes.iter().enumerate().rev() {
        let key = match write {
            Write::Case(row) => (row.id, None),
            Write::Step(row) => (row.id.case, Some(row.id.ordinal)),
            Write::Report(_)
            | Write::Attempt(_)
            | Write::Act(_)
            | Write::Remove(_)
            | Write::Saga(_)
            | Write::Service(_)
            | Write::Stranger(_)
            | Write::RuleHold(_)
            | Write::Activate(_)
            | Write::Erasure(_)
            | Write::Erased(_) => continue,
        };
        if !seen.insert(key) {
            superseded.insert(position);
        }
    }
    superseded
}

impl BatchWriter<'_> {
    fn case(&mut self, row: &CaseRow) -> Result<(), StoreError> {
        let rulebook = row.rulebook.as_ref();
        let named = || Named::of(row.id, format!("case `{}` of saga `{}`", row.id, row.saga));
        let id = case_number(row.id)?;
        let values = params![
            id,
            row.state.code(),
            row.opened_at.0,
            row.updated_at.0,
            row.settled_at.map(|at| at.0),
            row.closed_on.map(Coded::code),
            row.saga.as_str(),
            rulebook.map(|r| &*r.name),
            rulebook.map(|r| &*r.hash),
            &*row.report,
            row.message.as_deref(),
            proved(&mut self.json, &row.extra, named)?,
        ];
        if id <= self.highest {
            match execute(&mut self.case, values) {
                Ok(0) => {}
                written => return must_be_one(written, named),
            }
        }
        let written = execute(&mut self.new_case, values);
        self.highest = self.highest.max(id);
        self.new_cases += 1;
        must_be_one(written, named)
    }

    fn report(&mut self, row: &ReportRow) -> Result<(), StoreError> {
        let (role, role_arg) = role_code(row.role);
        let named =
            || Named::of(row.case, format!("report `{}` of case `{}`", row.report.key(), row.case));
        let key = row_key(row.case, row.position)?;
        let written = execute(
            &mut self.report,
            params![
                key,
                row.received_at.0,
                role,
                role_arg,
                row.report.source,
                row.report.id,
                proved(&mut self.json, &*row.report, named)?,
            ],
        );
        must_be_one(written, named)
    }

    fn step(&mut self, row: &StepRow) -> Result<(), StoreError> {
        let (ending, due_at, until, location) = match &row.state {
            StepState::Due(at) => (None, Some(at.0), None, None),
            StepState::Accepted { poll_at, until, location } => {
                (None, Some(poll_at.0), Some(until.0), location.as_deref())
            }
            StepState::Done(outcome) => (Some(outcome.code()), None, None, None),
            StepState::Stuck(reason) => (Some(reason.code()), None, None, None),
            StepState::Waiting
            | StepState::InFlight
            | StepState::Superseded
            | StepState::Shadow => (None, None, None, None),
        };
        let named = || Named::of(row.id.case, format!("step `{}`", row.id));
        let key = row_key(row.id.case, row.id.ordinal)?;
        let written = execute(
            &mut self.step,
            params![
                key,
                row.state.name().code(),
                ending,
                row.verb.code(),
                &*row.action.service,
                &*row.action.action,
                row.id.tag.cast_signed(),
                row.stage,
                row.attempts,
                row.planned_at.0,
                row.updated_at.0,
                due_at,
                until,
                location,
                proved(&mut self.json, &row.extra, named)?,
            ],
        );
        must_be_one(written, named)
    }

    fn attempt(&mut self, row: &AttemptRow) -> Result<(), StoreError> {
        let step = row_key(row.step.case, row.step.ordinal)?;
        let written = execute(
            &mut self.attempt,
            params![
                step,
                row.attempt,
                row.sent_at.0,
                row.ended_at.0,
                &*row.result,
                row.status,
                row.message.as_deref(),
            ],
        );
        must_be_one(written, || {
            Named::of(row.step.case, format!("attempt {} of step `{}`", row.attempt, row.step))
        })
    }

    fn saga(&mut self, row: &SagaRow) -> Result<(), StoreError> {
        let named = || Named::plain(format!("saga `{}`", row.saga));
        let written = execute(
            &mut self.saga,
            params![
                row.saga.as_str(),
                &*row.service,
                row.action.as_deref(),
                row.deadline.0,
                row.state.code(),
                proved(&mut self.json, &*row.data, named)?,
            ],
        );
        must_be_one(written, named)
    }
}

/// Runs a statement that stays prepared.
fn execute(statement: &mut CachedStatement<'_>, values: impl Params) -> Result<usize, Unwritten> {
    statement.execute(values).map_err(unwritten)
}
