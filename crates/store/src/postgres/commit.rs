//! Makes batches durable: what every report writes in one statement, what is seldom written in a transaction. Both hold
//! on to the leases that they need, and write nothing if one of them has gone to another.

use super::{
    batch_rows::Rows,
    columns::ColumnLists,
    lease::{Held, Me},
    session::{Session, database, get, has_code},
};
use crate::{
    Batch, StoreError,
    partitions::partition_of,
    tables::{
        chain::ChainWriter, erasures, key::case_number, marks, rejected, settings, written::WRITING,
    },
};
use amends_engine::Write;
use std::collections::BTreeSet;

/// How often a statement is repeated that PostgreSQL took back so that another could go on.
const REPEATS: usize = 3;
/// Its codes for that: a deadlock, a transaction that could not be put in an order with others.
const TAKEN_BACK: [&str; 2] = ["40P01", "40001"];

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
pub(super) const COMMIT: &str = concat!(
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
    if batches.iter().any(|batch| batch.writes().any(is_rare)) {
        return by.session.transact(|| match needs(by, batches)? {
            Landed::NotHeld => Ok(Landed::NotHeld),
            Landed::Yes => one_by_one(by, batches, rows),
        });
    }
    for write in batches.iter().flat_map(|batch| batch.writes()) {
        rows.add(write)?;
    }
    put(by, &rows, REPEATS)
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
    for write in batches.iter().flat_map(|batch| batch.writes()) {
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
    for write in batches.iter().flat_map(|batch| batch.writes()) {
        if !is_rare(write) {
            rows.add(write)?;
            continue;
        }
        if take_and_put(by, &mut rows)? == Landed::NotHeld {
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
    if take_and_put(by, &mut rows)? == Landed::NotHeld {
        return Err(lost(by));
    }
    chain.finish(conn)?;
    Ok(Landed::Yes)
}

/// In the middle of a transaction, which is rolled back by it.
fn lost(by: Holder<'_>) -> StoreError {
    StoreError::NotHeld { partition: crate::Partition::WHOLE, epoch: by.held.epoch() }
}

fn take_and_put(by: Holder<'_>, rows: &mut Rows<'_>) -> Result<Landed, StoreError> {
    let rows = std::mem::take(rows);
    if rows.is_empty() { Ok(Landed::Yes) } else { put(by, &rows, 0) }
}

/// One statement. Where it is taken back so that another can go on, it is repeated so often.
pub(super) fn put(by: Holder<'_>, rows: &Rows<'_>, repeats: usize) -> Result<Landed, StoreError> {
    let columns = ColumnLists::of(rows)?;
    let (partitions, ids) = rows.needs();
    let mut left = repeats;
    loop {
        let asked = by.session.run(async |line| {
            let query = sqlx::query(COMMIT)
                .bind(&by.me.node)
                .bind(&by.held.epochs[..])
                .bind(&partitions[..])
                .bind(&ids[..]);
            let row = columns.bind(query).bind(rows.clock.map(|at| at.0)).fetch_one(line).await?;
            get::<bool>(&row, 0)
        });
        match asked {
            Ok(true) => return Ok(Landed::Yes),
            Ok(false) => return Ok(Landed::NotHeld),
            Err(error) if left > 0 && has_code(&error, &TAKEN_BACK) => left -= 1,
            Err(error) => return Err(rows.refusal(error)),
        }
    }
}
