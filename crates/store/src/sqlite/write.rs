//! Puts one batch of the engine's rows into the tables, within a transaction that somebody else opened.
//!
//! INVARIANT: every JSON text has been read back into its row before it is written. What is acknowledged can be read.

use super::{
    audit::ChainWriter,
    codes::{Coded, role_code},
    connection::database,
    counts::{self, KEEP_LAST_CASE, LAST_CASE},
    erasures,
    key::{case_number, key_range, row_key},
    rejected,
};
use crate::StoreError;
use amends_engine::{
    ActRow, ActivationRow, AttemptRow, CaseRow, ReportRow, RuleHoldRow, SagaRow, ServiceRow,
    StepRow, StepState, StrangerDecisionRow, Write,
};
use amends_protocol::CaseId;
use rusqlite::{CachedStatement, Connection, ErrorCode, params};
use rustc_hash::FxHashSet;
use serde::{Serialize, de::DeserializeOwned};

const DOING: &str = "write to the store";

// A case's saga, first report and time of opening and a report's key never change, and their indexes are the dear ones: so
// they are compared, not rewritten.
// Inserting and changing a case are two statements, so that new cases can be counted.
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

const VERSION: &str = "
    INSERT INTO rulebooks (hash, name, stored_at, active, sources) VALUES (?1, ?2, ?3, 0, ?4)
    ON CONFLICT (hash) DO UPDATE SET sources = ?4 WHERE sources IS NOT ?4";
const RETIRE: &str = "UPDATE rulebooks SET active = 0 WHERE name = ?1 AND active = 1";
const ACTIVATE: &str =
    "UPDATE rulebooks SET active = 1, activated_at = ?3 WHERE hash = ?1 AND name = ?2";
const FORGET_FILE: &str = "UPDATE rulebooks SET from_file = 0 WHERE name = ?1 AND from_file = 1";
const FROM_FILE: &str = "UPDATE rulebooks SET from_file = 1 WHERE hash = ?1";
const STRANGER: &str = "INSERT OR REPLACE INTO strangers (rulebook, service, action, decision) VALUES (?1, ?2, ?3, ?4)";
const NO_STRANGER: &str =
    "DELETE FROM strangers WHERE rulebook = ?1 AND service = ?2 AND action = ?3";
const RULE_HOLD: &str =
    "INSERT OR REPLACE INTO rule_holds (rulebook, rule, decision) VALUES (?1, ?2, ?3)";
const NO_RULE_HOLD: &str = "DELETE FROM rule_holds WHERE rulebook = ?1 AND rule = ?2";
const SERVICE: &str = "INSERT OR REPLACE INTO services (service, settings) VALUES (?1, ?2)";

/// The statements of one transaction and a buffer for JSON.
struct BatchWriter<'c> {
    new_case: CachedStatement<'c>,
    case: CachedStatement<'c>,
    report: CachedStatement<'c>,
    step: CachedStatement<'c>,
    attempt: CachedStatement<'c>,
    chain: ChainWriter<'c>,
    saga: CachedStatement<'c>,
    json: Vec<u8>,
    /// The highest case number in the table.
    highest: i64,
    /// Cases that were not there before.
    new_cases: i64,
}

/// Writes a batch. On an error the caller rolls back.
pub(crate) fn write_batch(conn: &Connection, writes: &[Write]) -> Result<(), StoreError> {
    let prepare = |sql| conn.prepare_cached(sql).map_err(database(DOING));
    let mut writer = BatchWriter {
        new_case: prepare(NEW_CASE)?,
        case: prepare(CASE)?,
        report: prepare(REPORT)?,
        step: prepare(STEP)?,
        attempt: prepare(ATTEMPT)?,
        chain: ChainWriter::new(conn)?,
        saga: prepare(SAGA)?,
        json: Vec::with_capacity(1024),
        highest: counts::highest_case(conn)?,
        new_cases: 0,
    };
    let superseded = superseded(writes);
    for (position, write) in writes.iter().enumerate() {
        if !superseded.is_empty() && superseded.contains(&position) {
            continue;
        }
        match write {
            Write::Remove(id) => writer.new_cases -= remove(conn, *id)?,
            Write::Case(row) => writer.case(row)?,
            Write::Report(row) => writer.report(row)?,
            Write::Step(row) => writer.step(row)?,
            Write::Attempt(row) => writer.attempt(row)?,
            Write::Act(row) => writer.act(row)?,
            Write::Saga(row) => writer.saga(row)?,
            Write::Service(row) => service(conn, &mut writer.json, row)?,
            Write::Stranger(row) => stranger(conn, &mut writer.json, row)?,
            Write::RuleHold(row) => rule_hold(conn, &mut writer.json, row)?,
            Write::Activate(row) => activate(conn, &mut writer.json, row)?,
            Write::Erasure(row) => erasures::put(conn, row)?,
            Write::Erased(row) => {
                erasures::put_erased(conn, row)?;
                // What could not be taken of the saga holds its data as well.
                rejected::forget_of(conn, &row.saga)?;
            }
        }
    }
    let new_cases = writer.new_cases;
    writer.chain.finish()?;
    counts::more_cases(conn, new_cases)
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
            match self.case.execute(values) {
                Ok(0) => {}
                written => return must_be_one(written, named),
            }
        }
        let written = self.new_case.execute(values);
        self.highest = self.highest.max(id);
        self.new_cases += 1;
        must_be_one(written, named)
    }

    fn report(&mut self, row: &ReportRow) -> Result<(), StoreError> {
        let (role, role_arg) = role_code(row.role);
        let named =
            || Named::of(row.case, format!("report `{}` of case `{}`", row.report.key(), row.case));
        let key = row_key(row.case, row.position)?;
        let written = self.report.execute(params![
            key,
            row.received_at.0,
            role,
            role_arg,
            row.report.source,
            row.report.id,
            proved(&mut self.json, &*row.report, named)?,
        ]);
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
        let written = self.step.execute(params![
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
        ]);
        must_be_one(written, named)
    }

    fn attempt(&mut self, row: &AttemptRow) -> Result<(), StoreError> {
        let step = row_key(row.step.case, row.step.ordinal)?;
        let written = self.attempt.execute(params![
            step,
            row.attempt,
            row.sent_at.0,
            row.ended_at.0,
            &*row.result,
            row.status,
            row.message.as_deref(),
        ]);
        must_be_one(written, || {
            Named::of(row.step.case, format!("attempt {} of step `{}`", row.attempt, row.step))
        })
    }

    fn act(&mut self, row: &ActRow) -> Result<(), StoreError> {
        let id = row.case.or(row.step.map(|step| step.case));
        let named = || Named { row: format!("act `{}`", row.act), case: id };
        let detail = proved(&mut self.json, &row.detail, named)?;
        must_be_one(self.chain.add(row, detail)?, named)
    }

    fn saga(&mut self, row: &SagaRow) -> Result<(), StoreError> {
        let named = || Named { row: format!("saga `{}`", row.saga), case: None };
        let written = self.saga.execute(params![
            row.saga.as_str(),
            &*row.service,
            row.action.as_deref(),
            row.deadline.0,
            row.state.code(),
            proved(&mut self.json, &*row.data, named)?,
        ]);
        must_be_one(written, named)
    }
}

/// Takes a case out whose rows are about to be written anew; says how many there were. Its number is not given out
/// again.
fn remove(conn: &Connection, id: CaseId) -> Result<i64, StoreError> {
    let (number, keys) = (case_number(id)?, key_range(id));
    conn.execute(KEEP_LAST_CASE, [LAST_CASE])
        .and_then(|_| conn.execute("DELETE FROM steps WHERE key BETWEEN ?1 AND ?2", keys))
        .and_then(|_| conn.execute("DELETE FROM reports WHERE key BETWEEN ?1 AND ?2", keys))
        .and_then(|_| conn.execute("DELETE FROM cases WHERE id = ?1", [number]))
        .map(|removed| removed as i64)
        .map_err(database(DOING))
}

/// Seldom written, so it has no statement at hand.
fn service(conn: &Connection, json: &mut Vec<u8>, row: &ServiceRow) -> Result<(), StoreError> {
    let named = || Named { row: format!("settings of service `{}`", row.service), case: None };
    let settings = proved(json, &row.settings, named)?;
    must_be_one(conn.execute(SERVICE, params![&*row.service, settings]), named)
}

/// Seldom written, as well.
fn stranger(
    conn: &Connection,
    json: &mut Vec<u8>,
    row: &StrangerDecisionRow,
) -> Result<(), StoreError> {
    let (rulebook, service, action) = (&*row.rulebook, &*row.action.service, &*row.action.action);
    let Some(decision) = &row.decision else {
        let removed = conn.execute(NO_STRANGER, params![rulebook, service, action]);
        return removed.map(drop).map_err(database(DOING));
    };
    let named = || Named {
        row: format!("decision on stranger `{}` of rulebook `{rulebook}`", row.action),
        case: None,
    };
    let decision = proved(json, decision, named)?;
    must_be_one(conn.execute(STRANGER, params![rulebook, service, action, decision]), named)
}

/// Seldom written, likewise.
fn rule_hold(conn: &Connection, json: &mut Vec<u8>, row: &RuleHoldRow) -> Result<(), StoreError> {
    let (rulebook, rule) = (&*row.scope.rulebook, row.scope.rule.as_deref().unwrap_or_default());
    let Some(decision) = &row.decision else {
        let removed = conn.execute(NO_RULE_HOLD, params![rulebook, rule]);
        return removed.map(drop).map_err(database(DOING));
    };
    let named = || Named { row: format!("hold of {}", row.scope), case: None };
    let decision = proved(json, decision, named)?;
    must_be_one(conn.execute(RULE_HOLD, params![rulebook, rule, decision]), named)
}

/// Seldom written, too. First off, then on: never are two of a name active, not even between two statements.
fn activate(conn: &Connection, json: &mut Vec<u8>, row: &ActivationRow) -> Result<(), StoreError> {
    let (hash, name, at) = (&*row.hash, &*row.name, row.at.0);
    let named = || Named { row: format!("version `{hash}` of rulebook `{name}`"), case: None };
    conn.execute(VERSION, params![hash, name, at, proved(json, &row.sources, named)?])
        .and_then(|_| conn.execute(RETIRE, [name]))
        .map_err(database(DOING))?;
    let activated = conn.execute(ACTIVATE, params![hash, name, at]);
    must_be_one(activated, named)?;
    if row.from_file {
        conn.execute(FORGET_FILE, [name])
            .and_then(|_| conn.execute(FROM_FILE, [hash]))
            .map_err(database(DOING))?;
    }
    Ok(())
}

/// What a write is about, for messages.
struct Named {
    row: String,
    case: Option<CaseId>,
}

impl Named {
    fn of(case: CaseId, row: String) -> Self {
        Self { row, case: Some(case) }
    }

    fn unstorable(self, what: &str) -> StoreError {
        StoreError::Unstorable { row: self.row, case: self.case, what: what.to_owned() }
    }
}

/// A value as JSON that has been read back into one.
fn proved<'b, T: Serialize + DeserializeOwned>(
    buffer: &'b mut Vec<u8>,
    value: &T,
    named: impl FnOnce() -> Named,
) -> Result<&'b str, StoreError> {
    buffer.clear();
    let read_back = serde_json::to_writer(&mut *buffer, value)
        .and_then(|()| serde_json::from_slice::<T>(buffer).map(drop))
        .map_err(|e| e.to_string())
        .and_then(|()| std::str::from_utf8(buffer).map_err(|e| e.to_string()));
    read_back.map_err(|what| named().unstorable(&format!("it would not read back: {what}")))
}

/// An upsert that changed no row met another value where it may not change; a violated constraint says the same.
fn must_be_one(
    written: rusqlite::Result<usize>,
    named: impl FnOnce() -> Named,
) -> Result<(), StoreError> {
    let conflict = |Named { row, case }| StoreError::Conflict { row, case };
    match written {
        Ok(0) => Err(conflict(named())),
        Ok(_) => Ok(()),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Err(conflict(named())),
            Some(ErrorCode::TooBig) => Err(named().unstorable("it is longer than a row can be")),
            _ => Err(StoreError::Database { doing: DOING, source: error.into() }),
        },
    }
}
