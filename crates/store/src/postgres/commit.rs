//! Makes batches durable: what every report writes in one statement, what is seldom written in a transaction. Both hold
//! on to the leases that they need, and write nothing if one of them has gone to another.

use super::{
    columns::ColumnLists,
    lease::{Held, Me},
    session::{Session, database, get, has_code},
    tables::{storable, unwritten},
};
use crate::{
    Batch, StoreError,
    partitions::partition_of,
    tables::{
        chain::ChainWriter,
        erasures,
        key::{case_number, row_key},
        marks, rejected, settings,
        written::{Named, WRITING, Why},
    },
};
use amends_engine::{AttemptRow, CaseRow, ReportRow, SagaRow, StepRow, Write};
use amends_protocol::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// How often a statement is repeated that PostgreSQL took back so that another could go on.
const REPEATS: usize = 3;
/// Its codes for that: a deadlock, a transaction that could not be put in an order with others.
const TAKEN_BACK: [&str; 2] = ["40P01", "40001"];
/// What `amends_must` raises.
const CONFLICT: &str = "AM002";

/// Which leases are needed, which of them are held, and whether that is all.
macro_rules! fence {
    () => {
        "WITH wanted AS MATERIALIZED (
           SELECT 64 AS partition UNION SELECT p::int FROM unnest($3::smallint[]) AS u(p)
           UNION SELECT partition::int FROM cases WHERE id = ANY($4::bigint[])),
         held AS MATERIALIZED (
           SELECT l.partition FROM lease l
           WHERE l.partition = ANY(ARRAY(SELECT partition FROM wanted)) AND l.owner = $1
             AND l.epoch = ($2::bigint[])[l.partition + 1]
           ORDER BY l.partition FOR SHARE OF l),
         fence AS MATERIALIZED (SELECT (SELECT count(*) FROM held) = (SELECT count(*) FROM wanted) AS ok)"
    };
}

const FENCE: &str = concat!(fence!(), " SELECT ok FROM fence");

/// Rows that may not be changed in some of their columns are compared, and what is left out by that is a conflict.
const COMMIT: &str = concat!(
    fence!(),
    ", known AS MATERIALIZED (SELECT count(*) AS n FROM cases WHERE id = ANY($5::bigint[])),
     new_cases AS (
       INSERT INTO cases (id, opened_at, updated_at, settled_at, partition, state, closed_on, saga, rulebook, rulebook_hash,
                          report, message, memo)
       SELECT u.* FROM unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::smallint[], $10::smallint[],
                              $11::smallint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[])
         AS u WHERE (SELECT ok FROM fence)
       ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at, settled_at = excluded.settled_at,
         state = excluded.state, closed_on = excluded.closed_on, rulebook = excluded.rulebook,
         rulebook_hash = excluded.rulebook_hash, message = excluded.message, memo = excluded.memo
       WHERE cases.saga = excluded.saga AND cases.report = excluded.report AND cases.opened_at = excluded.opened_at
       RETURNING cases.id),
     new_reports AS (
       INSERT INTO reports (key, received_at, role_arg, role, source, id, body)
       SELECT u.* FROM unnest($18::bigint[], $19::bigint[], $20::bigint[], $21::smallint[], $22::text[], $23::text[],
                              $24::text[]) AS u WHERE (SELECT ok FROM fence)
       ON CONFLICT (key) DO UPDATE SET received_at = excluded.received_at, role = excluded.role,
         role_arg = excluded.role_arg, body = excluded.body
       WHERE reports.source = excluded.source AND reports.id = excluded.id
       RETURNING reports.key),
     new_steps AS (
       INSERT INTO steps (key, tag, attempts, planned_at, updated_at, due_at, until, stage, state, ending, verb, service,
                          action, location, memo)
       SELECT u.* FROM unnest($25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[], $29::bigint[], $30::bigint[],
                              $31::bigint[], $32::int[], $33::smallint[], $34::smallint[], $35::smallint[], $36::text[],
                              $37::text[], $38::text[], $39::text[]) AS u WHERE (SELECT ok FROM fence)
       ON CONFLICT (key) DO UPDATE SET tag = excluded.tag, attempts = excluded.attempts,
         planned_at = excluded.planned_at, updated_at = excluded.updated_at, due_at = excluded.due_at,
         until = excluded.until, stage = excluded.stage, state = excluded.state, ending = excluded.ending,
         verb = excluded.verb, service = excluded.service, action = excluded.action, location = excluded.location,
         memo = excluded.memo),
     new_attempts AS (
       INSERT INTO attempts (step, attempt, sent_at, ended_at, status, result, message)
       SELECT u.* FROM unnest($40::bigint[], $41::bigint[], $42::bigint[], $43::bigint[], $44::int[], $45::text[],
                              $46::text[]) AS u WHERE (SELECT ok FROM fence)
       ON CONFLICT (step, attempt) DO UPDATE SET sent_at = excluded.sent_at, ended_at = excluded.ended_at,
         status = excluded.status, result = excluded.result, message = excluded.message),
     new_sagas AS (
       INSERT INTO sagas (saga, deadline, partition, state, service, action, data)
       SELECT u.* FROM unnest($47::text[], $48::bigint[], $49::smallint[], $50::smallint[], $51::text[], $52::text[],
                              $53::text[]) AS u WHERE (SELECT ok FROM fence)
       ON CONFLICT (saga) DO UPDATE SET deadline = excluded.deadline, state = excluded.state,
         service = excluded.service, action = excluded.action, data = excluded.data),
     more AS (
       UPDATE marks SET value = value + m.n FROM (SELECT cardinality($5::bigint[]) - n AS n FROM known) AS m
       WHERE name = 'cases' AND m.n <> 0 AND (SELECT ok FROM fence)),
     clock AS (
       INSERT INTO marks (name, value) SELECT 'clock', $54::bigint
       WHERE $54::bigint IS NOT NULL AND (SELECT ok FROM fence)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > marks.value)
     SELECT ok, CASE WHEN ok THEN
       amends_must('case', (SELECT id FROM unnest($5::bigint[]) AS u(id) EXCEPT SELECT id FROM new_cases LIMIT 1))
       AND amends_must('report',
         (SELECT key FROM unnest($18::bigint[]) AS u(key) EXCEPT SELECT key FROM new_reports LIMIT 1)) END
     FROM fence"
);

/// Whose commit it is.
#[derive(Clone, Copy)]
pub(super) struct Holder<'a> {
    pub(super) session: &'a Session,
    pub(super) me: &'a Me,
    pub(super) held: &'a Held,
}

/// What became of what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landed {
    /// It is durable.
    Yes,
    /// Nothing of it: a lease has gone to another.
    NotHeld,
}

/// Makes all of it durable, or nothing.
pub(super) fn commit(by: Holder<'_>, batches: &[&Batch]) -> Result<Landed, StoreError> {
    let clock = batches.iter().filter_map(|batch| batch.clock).max();
    let mut rows = Rows { clock, ..Rows::default() };
    if batches.iter().any(|batch| batch.writes.iter().any(is_rare)) {
        return by.session.transact(|| match needs(by, batches)? {
            Landed::NotHeld => Ok(Landed::NotHeld),
            Landed::Yes => one_by_one(by, batches, rows),
        });
    }
    for write in batches.iter().flat_map(|batch| &batch.writes) {
        rows.add(write)?;
    }
    rows.put(by, REPEATS)
}

/// Whether it is written by a statement of its own, in its place between the others.
fn is_rare(write: &Write) -> bool {
    match write {
        Write::Case(_) | Write::Report(_) | Write::Step(_) | Write::Attempt(_) | Write::Saga(_) => {
            false
        }
        Write::Remove(_)
        | Write::Act(_)
        | Write::Service(_)
        | Write::Stranger(_)
        | Write::RuleHold(_)
        | Write::Activate(_)
        | Write::Erasure(_)
        | Write::Erased(_) => true,
    }
}

/// Holds on to the seat alone, until the transaction ends.
pub(super) fn hold_the_seat(by: Holder<'_>) -> Result<Landed, StoreError> {
    hold(by, &[], &[])
}

/// Holds on to what the rare writes of batches need.
fn needs(by: Holder<'_>, batches: &[&Batch]) -> Result<Landed, StoreError> {
    let (mut partitions, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for write in batches.iter().flat_map(|batch| &batch.writes) {
        match write {
            Write::Remove(id) => ids.extend(case_number(*id)),
            Write::Act(row) => {
                let case = row.case.or(row.step.map(|step| step.case));
                ids.extend(case.and_then(|case| case_number(case).ok()));
            }
            Write::Erased(row) => {
                partitions.insert(partition_of(row.saga.as_str()));
            }
            // What belongs to no saga is the seat's; the others bring along what they need.
            _ => {}
        }
    }
    let (partitions, ids): (Vec<i16>, Vec<i64>) =
        (partitions.into_iter().collect(), ids.into_iter().collect());
    hold(by, &partitions, &ids)
}

fn hold(by: Holder<'_>, partitions: &[i16], ids: &[i64]) -> Result<Landed, StoreError> {
    let asked = by.session.run(async |line| {
        sqlx::query_scalar::<_, bool>(FENCE)
            .bind(&by.me.node)
            .bind(&by.held.epochs[..])
            .bind(partitions)
            .bind(ids)
            .fetch_one(line)
            .await
    });
    let ok = asked.map_err(database(WRITING))?;
    Ok(if ok { Landed::Yes } else { Landed::NotHeld })
}

/// Writes in order; what each report writes goes together up to the next that is rare.
fn one_by_one<'w>(
    by: Holder<'_>,
    batches: &[&'w Batch],
    mut rows: Rows<'w>,
) -> Result<Landed, StoreError> {
    let (conn, mut json, mut chain) = (by.session, Vec::new(), ChainWriter::default());
    for write in batches.iter().flat_map(|batch| &batch.writes) {
        if !is_rare(write) {
            rows.add(write)?;
            continue;
        }
        if rows.take_and_put(by)? == Landed::NotHeld {
            return Err(lost(by));
        }
        match write {
            Write::Remove(id) => marks::more_cases(conn, -settings::remove(conn, *id)?)?,
            Write::Act(row) => chain.add(conn, &mut json, row)?,
            Write::Service(row) => settings::service(conn, &mut json, row)?,
            Write::Stranger(row) => settings::stranger(conn, &mut json, row)?,
            Write::RuleHold(row) => settings::rule_hold(conn, &mut json, row)?,
            Write::Activate(row) => settings::activate(conn, &mut json, row)?,
            Write::Erasure(row) => erasures::put(conn, row)?,
            Write::Erased(row) => {
                erasures::put_erased(conn, row)?;
                // What could not be taken of the saga holds its data as well.
                rejected::forget_of(conn, &row.saga)?;
            }
            Write::Case(_)
            | Write::Report(_)
            | Write::Step(_)
            | Write::Attempt(_)
            | Write::Saga(_) => {}
        }
    }
    if rows.take_and_put(by)? == Landed::NotHeld {
        return Err(lost(by));
    }
    chain.finish(conn)?;
    Ok(Landed::Yes)
}

/// In the middle of a transaction, which is rolled back by it.
fn lost(by: Holder<'_>) -> StoreError {
    StoreError::NotHeld { partition: crate::Partition(0), epoch: by.held.epoch() }
}

/// Rows of a statement, by key: of several with one key the last.
#[derive(Default)]
pub(super) struct Rows<'w> {
    pub(super) cases: BTreeMap<i64, &'w CaseRow>,
    pub(super) reports: BTreeMap<i64, &'w ReportRow>,
    pub(super) steps: BTreeMap<i64, &'w StepRow>,
    pub(super) attempts: BTreeMap<(i64, u32), &'w AttemptRow>,
    pub(super) sagas: BTreeMap<&'w str, &'w SagaRow>,
    clock: Option<Timestamp>,
}

impl<'w> Rows<'w> {
    pub(super) fn named_case(row: &CaseRow) -> Named {
        Named::of(row.id, format!("case `{}` of saga `{}`", row.id, row.saga))
    }

    pub(super) fn named_report(row: &ReportRow) -> Named {
        Named::of(row.case, format!("report `{}` of case `{}`", row.report.key(), row.case))
    }

    pub(super) fn add(&mut self, write: &'w Write) -> Result<(), StoreError> {
        match write {
            Write::Case(row) => {
                let fixed = |row: &'w CaseRow| (&row.saga, &row.report, row.opened_at);
                let before = self.cases.insert(case_number(row.id)?, row);
                if before.is_some_and(|before| fixed(before) != fixed(row)) {
                    return Err(Self::named_case(row).conflict());
                }
            }
            Write::Report(row) => {
                let key = row_key(row.case, row.position)?;
                let before = self.reports.insert(key, row);
                if before.is_some_and(|before| before.report.key() != row.report.key()) {
                    return Err(Self::named_report(row).conflict());
                }
            }
            Write::Step(row) => {
                self.steps.insert(row_key(row.id.case, row.id.ordinal)?, row);
            }
            Write::Attempt(row) => {
                let step = row_key(row.step.case, row.step.ordinal)?;
                self.attempts.insert((step, row.attempt), row);
            }
            Write::Saga(row) => {
                self.sagas.insert(row.saga.as_str(), row);
            }
            _ => {}
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.cases.is_empty()
            && self.reports.is_empty()
            && self.steps.is_empty()
            && self.attempts.is_empty()
            && self.sagas.is_empty()
            && self.clock.is_none()
    }

    fn take_and_put(&mut self, by: Holder<'_>) -> Result<Landed, StoreError> {
        let rows = std::mem::take(self);
        if rows.is_empty() { Ok(Landed::Yes) } else { rows.put(by, 0) }
    }

    /// Which parts their sagas lie in, and which cases tell it of themselves.
    fn needs(&self) -> (Vec<i16>, Vec<i64>) {
        let of_cases = self.cases.values().map(|row| partition_of(row.saga.as_str()));
        let of_sagas = self.sagas.keys().map(|saga| partition_of(saga));
        let partitions: BTreeSet<i16> = of_cases.chain(of_sagas).collect();
        let reports = self.reports.keys().map(|key| key >> 20);
        let steps = self.steps.keys().chain(self.attempts.keys().map(|(step, _)| step));
        let ids: BTreeSet<i64> = reports.chain(steps.map(|key| key >> 20)).collect();
        let told = ids.into_iter().filter(|id| !self.cases.contains_key(id));
        (partitions.into_iter().collect(), told.collect())
    }

    /// One statement. Where it is taken back so that another can go on, it is repeated so often.
    pub(super) fn put(&self, by: Holder<'_>, repeats: usize) -> Result<Landed, StoreError> {
        let columns = ColumnLists::of(self)?;
        let (partitions, ids) = self.needs();
        let mut left = repeats;
        loop {
            let asked = by.session.run(async |line| {
                let query = sqlx::query(COMMIT)
                    .bind(&by.me.node)
                    .bind(&by.held.epochs[..])
                    .bind(&partitions[..])
                    .bind(&ids[..]);
                let row =
                    columns.bind(query).bind(self.clock.map(|at| at.0)).fetch_one(line).await?;
                get::<bool>(&row, 0)
            });
            match asked {
                Ok(true) => return Ok(Landed::Yes),
                Ok(false) => return Ok(Landed::NotHeld),
                Err(error) if left > 0 && has_code(&error, &TAKEN_BACK) => left -= 1,
                Err(error) => return Err(self.refusal(error)),
            }
        }
    }

    /// What the database refuses, by the name of the row.
    fn refusal(&self, error: sqlx::Error) -> StoreError {
        if has_code(&error, &[CONFLICT]) {
            let told = error.as_database_error().map(|told| told.message().to_owned());
            return self.culprit(told.as_deref().unwrap_or_default()).conflict();
        }
        let detail = error.as_database_error().and_then(|told| {
            told.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.detail().map(str::to_owned)
        });
        let unwritten = unwritten(error);
        match unwritten.why {
            Why::Taken => self.twin(detail.as_deref().unwrap_or_default()).conflict(),
            Why::TooLong => Named::plain("a row of the batch".to_owned()).too_long(),
            Why::Failed => unwritten.while_doing(WRITING),
        }
    }

    /// The row that `amends_must` names by its key.
    fn culprit(&self, told: &str) -> Named {
        let named = told.split_once(' ').and_then(|(what, key)| {
            let key: i64 = key.parse().ok()?;
            match what {
                "case" => self.cases.get(&key).map(|row| Self::named_case(row)),
                _ => self.reports.get(&key).map(|row| Self::named_report(row)),
            }
        });
        named.unwrap_or_else(|| Named::plain("a row of the batch".to_owned()))
    }

    /// The row that claims a key of another: the database tells the key as `Key (…)=(VALUES) …`.
    fn twin(&self, detail: &str) -> Named {
        let has = |values: &str| detail.contains(&format!("=({values})"));
        let report = self.reports.values().find(|row| {
            has(&format!("{}, {}", storable(&row.report.source), storable(&row.report.id)))
        });
        let case = || self.cases.values().find(|row| has(row.saga.as_str()));
        report
            .map(|row| Self::named_report(row))
            .or_else(|| case().map(|row| Self::named_case(row)))
            .unwrap_or_else(|| Named::plain("a row of the batch".to_owned()))
    }
}
