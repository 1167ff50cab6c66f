//! Makes batches durable: what every report writes in one statement, what is seldom written in a transaction. Both hold
//! on to the leases that they need, and write nothing of a share of which one has gone to another.

pub(super) use super::batch_rows::Landed;

use super::{
    batch_rows::{ALL, Rows, is_outdated},
    columns::ColumnLists,
    lease::{Held, LOCK_ALL, Me},
    letters::Posted,
    refused,
    rule_minutes::Answers,
    session::{Session, database, get, has_code},
    statement::{COMMIT, COMMIT_SHARES, FENCE, FENCE_SHARES},
};
use crate::{
    Batch, Partition, StoreError,
    tables::{chain::ChainWriter, erasures, marks, rejected, settings, written::WRITING},
};
use amends_engine::{SettingsChange, Share, Write};
use std::collections::BTreeSet;

/// How often a statement is repeated that PostgreSQL took back so that another could go on.
const REPEATS: usize = 3;
/// Its codes for that: a deadlock, a transaction that could not be put in an order with others.
const TAKEN_BACK: [&str; 2] = ["40P01", "40001"];

/// Lets nodes that write acts at once do it one after the other, as a chain needs it: `AMNC`.
const ONE_CHAIN: &str = "SELECT pg_advisory_xact_lock(1095585347)";

/// Whose commit it is.
#[derive(Clone, Copy)]
pub(super) struct Holder<'a> {
    pub(super) session: &'a Session,
    pub(super) me: &'a Me,
    pub(super) held: &'a Held,
}

/// A share, and the number of its partition, or [`ALL`].
type Shared<'w> = (i16, &'w Share);

/// A version of the settings is made by each commit that changes them, and told by the mark.
const NEXT_SETTINGS: &str = "INSERT INTO marks (name, value) VALUES ('settings', 1)
    ON CONFLICT (name) DO UPDATE SET value = marks.value + 1 RETURNING value";
const OUTDATE: &str = "UPDATE lease SET books = $1";

/// What became of batches.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) landed: Landed,
    /// The version of the settings that was made.
    pub(super) settings: Option<u64>,
}

impl From<Landed> for Done {
    fn from(landed: Landed) -> Self {
        Self { landed, settings: None }
    }
}

/// Makes all of it durable, or nothing; by a node that holds some partitions, all of each share or nothing, but
/// nothing at all if it is outdated. Shares of an epoch that is not held are not asked for.
pub(super) fn commit(by: Holder<'_>, batches: &[&Batch]) -> Result<Done, StoreError> {
    let shares: Vec<Shared<'_>> =
        batches.iter().flat_map(|batch| &batch.shares).filter_map(|s| shared(by.held, s)).collect();
    let mut rows = Rows {
        clock: batches.iter().filter_map(|batch| batch.clock).max(),
        settings: planned_with(by, batches),
        shares: by.held.is_by_part().then(|| shares.iter().map(|(part, _)| *part).collect()),
        taken: shares.iter().flat_map(|(part, s)| s.taken.iter().map(|id| (*id, *part))).collect(),
        posted: batches.iter().flat_map(|batch| &batch.letters).collect(),
        rule_cases: shares
            .iter()
            .flat_map(|(part, s)| s.rule_cases.iter().map(|of| (*part, of)))
            .collect(),
        ..Rows::default()
    };
    let is_seldom = |share: &Share| !share.refused.is_empty() || share.writes.iter().any(is_rare);
    if shares.iter().any(|(_, share)| is_seldom(share)) {
        let change = batches.iter().filter_map(|batch| batch.change_of_settings()).max();
        let change = change.filter(|_| by.held.is_by_part());
        return by.session.transact(|| {
            if change == Some(SettingsChange::Rulebook) {
                // Before any is held on to: whoever locks several does it in order.
                by.session.batch(LOCK_ALL).map_err(database(WRITING))?;
            }
            let landed = hold(by, &rows)?;
            rows.settings = None; // what is written from here on is held on to
            match &landed {
                Landed::NotHeld => {}
                Landed::Yes => one_by_one(by, &shares, rows)?,
                Landed::Without(lost) if lost.contains(&ALL) => return Err(StoreError::Outdated),
                Landed::Without(lost) => {
                    let is_held = |part: &i16| !lost.contains(part);
                    rows.taken.retain(|(_, part)| is_held(part));
                    rows.shares.iter_mut().for_each(|shares| shares.retain(is_held));
                    let held = shares.iter().filter(|(part, _)| is_held(part)).copied();
                    one_by_one(by, &held.collect::<Vec<_>>(), rows)?;
                }
            }
            let settings = change.map(|change| raise_settings(by, change)).transpose()?;
            Ok(Done { landed, settings })
        });
    }
    for (part, share) in shares {
        rows.part = part;
        share.writes.iter().try_for_each(|write| rows.add(write))?;
    }
    put(by, &rows, REPEATS).map(Done::from)
}

/// The oldest version of the settings that the batches were planned with, by a node that shares the store.
fn planned_with(by: Holder<'_>, batches: &[&Batch]) -> Option<i64> {
    let with_shares = batches.iter().filter(|batch| !batch.shares.is_empty());
    let oldest = with_shares.map(|batch| batch.settings.cast_signed()).min();
    oldest.filter(|_| by.held.is_by_part())
}

/// The settings have another version now; where a rulebook has, what was planned before it is outdated.
fn raise_settings(by: Holder<'_>, change: SettingsChange) -> Result<u64, StoreError> {
    let raised = by.session.run(async |line| {
        let version: i64 = sqlx::query_scalar(NEXT_SETTINGS).fetch_one(&mut *line).await?;
        if change == SettingsChange::Rulebook {
            sqlx::query(OUTDATE).bind(version).execute(line).await?;
        }
        Ok(version)
    });
    raised.map(i64::cast_unsigned).map_err(database(WRITING))
}

/// What a share is known by, if it is of an epoch that is held.
fn shared<'w>(held: &Held, share: &'w Share) -> Option<Shared<'w>> {
    match held.is_by_part() {
        true => held.part(share.partition, share.epoch).map(|part| (part, share)),
        false => Some((ALL, share)),
    }
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
    let shares = by.held.is_by_part().then(|| BTreeSet::from([ALL]));
    hold(by, &Rows { shares, ..Rows::default() })
}

/// Holds on to all parts that are held each by itself, until the transaction ends: which they are, and which are lost.
pub(super) fn hold_all(by: Holder<'_>) -> Result<(Vec<i16>, Landed), StoreError> {
    let mut shares: BTreeSet<i16> =
        by.held.each().map(|lease| lease.partition.0.cast_signed()).collect();
    let rows = Rows { shares: Some(shares.clone()), ..Rows::default() };
    let landed = hold(by, &rows)?;
    if let Landed::Without(lost) = &landed {
        shares.retain(|part| !lost.contains(part));
    }
    Ok((shares.into_iter().collect(), landed))
}

/// Holds on to what rows need, until the transaction ends. A node that holds some partitions says which.
fn hold(by: Holder<'_>, rows: &Rows<'_>) -> Result<Landed, StoreError> {
    let asked = by.session.run(async |line| {
        let sql = if rows.shares.is_some() { FENCE_SHARES.as_str() } else { FENCE.as_str() };
        let query = sqlx::query_scalar::<_, i16>(sql).bind(&by.me.node).bind(&by.held.epochs[..]);
        let query = match &rows.shares {
            Some(shares) => {
                let (letters, parts) = rows.taken_lists();
                let shares: Vec<i16> = shares.iter().copied().collect();
                query.bind(shares).bind(letters).bind(parts).bind(rows.settings)
            }
            None => query,
        };
        query.fetch_all(line).await
    });
    match asked {
        Ok(held) => Ok(rows.landed(&held)),
        Err(error) if is_outdated(&error) => Err(StoreError::Outdated),
        Err(error) => Err(database(WRITING)(error)),
    }
}

/// Writes in order; what each report writes goes together up to the next that is rare.
fn one_by_one<'w>(
    by: Holder<'_>,
    shares: &[Shared<'w>],
    mut rows: Rows<'w>,
) -> Result<(), StoreError> {
    let (conn, mut json, mut chain) = (by.session, Vec::new(), ChainWriter::default());
    let is_act = |write: &Write| matches!(write, Write::Act(_));
    if rows.shares.is_some() && shares.iter().any(|(_, share)| share.writes.iter().any(is_act)) {
        conn.batch(ONE_CHAIN).map_err(database(WRITING))?;
    }
    for letter in shares.iter().flat_map(|(_, share)| &share.refused) {
        // As long as the letter is there, which goes with the first of the rows below.
        refused::keep(conn, letter)?;
    }
    for (part, write) in shares.iter().flat_map(|(part, s)| s.writes.iter().map(|w| (*part, w))) {
        rows.part = part;
        if !is_rare(write) {
            rows.add(write)?;
            continue;
        }
        let before = rows.split();
        put_whole(by, &before)?;
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
    put_whole(by, &rows)?;
    chain.finish(conn)
}

/// In the middle of a transaction that holds on to what it needs: whatever is lost now rolls it back.
fn put_whole(by: Holder<'_>, rows: &Rows<'_>) -> Result<(), StoreError> {
    match rows.is_empty() {
        true => Ok(()),
        false => match put(by, rows, 0)? {
            Landed::Yes => Ok(()),
            Landed::NotHeld | Landed::Without(_) => {
                Err(StoreError::NotHeld { partition: Partition::WHOLE, epoch: by.held.epoch() })
            }
        },
    }
}

/// One statement. Where it is taken back so that another can go on, it is repeated so often.
pub(super) fn put(by: Holder<'_>, rows: &Rows<'_>, repeats: usize) -> Result<Landed, StoreError> {
    let columns = ColumnLists::of(rows)?;
    let (clock, posted) = (rows.clock.map(|at| at.0), Posted::of(&rows.posted)?);
    let answers = Answers::of(&rows.rule_cases);
    let mut left = repeats;
    loop {
        let asked = by.session.run(async |line| {
            let sql = if rows.shares.is_some() { COMMIT_SHARES.as_str() } else { COMMIT.as_str() };
            let query = sqlx::query(sql).bind(&by.me.node).bind(&by.held.epochs[..]);
            let query = match &rows.shares {
                Some(shares) => {
                    let partitions: Vec<i16> = shares.iter().copied().collect();
                    let (letters, parts) = rows.taken_lists();
                    let query = query.bind(partitions).bind(letters).bind(parts);
                    let query = query.bind(rows.settings).bind(clock);
                    answers.bind(posted.bind(columns.bind(query)))
                }
                None => columns.bind(query.bind(clock)),
            };
            get::<Vec<i16>>(&query.fetch_one(line).await?, 0)
        });
        match asked {
            Ok(held) => return Ok(rows.landed(&held)),
            Err(error) if left > 0 && has_code(&error, &TAKEN_BACK) => left -= 1,
            Err(error) => return Err(rows.refusal(error)),
        }
    }
}
