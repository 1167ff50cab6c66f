//! The audit: its entries, the hash chain that they form, and its two ends. What a digest covers is said in
//! `amends_api::audit` alone.

use super::{
    act_rows::{CHAINED, chained, digest},
    audit_begin::set_end,
    connection::{self, FILE_NAME, database},
    key::case_number,
    rows::{column, read_error},
};
use crate::{AuditEnds, StoreError};
use amends_api::audit::{ActDigest, ChainCheck, ChainLink, ChainReport, ChainedAct, Content};
use amends_engine::ActRow;
use amends_protocol::Timestamp;
use rusqlite::{CachedStatement, Connection, Transaction, params};
use std::path::Path;

const DOING: &str = "write the audit";
/// Entries of one call of pruning: a commit behind it waits for milliseconds.
const PRUNE_LIMIT: usize = 1_000;

const INSERT: &str = "
    INSERT INTO acts (id, at, actor, principal, address, act, reason, case_id, step, detail, digest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const ENDS: &str = "SELECT which, number, digest FROM audit_ends";
/// Adds entries to the chain's end, within one transaction.
pub(crate) struct ChainWriter<'c> {
    conn: &'c Connection,
    insert: CachedStatement<'c>,
    /// The last entry, once it has been asked for.
    last: Option<ChainLink>,
}

impl<'c> ChainWriter<'c> {
    pub(crate) fn new(conn: &'c Connection) -> Result<Self, StoreError> {
        let insert = conn.prepare_cached(INSERT).map_err(database(DOING))?;
        Ok(Self { conn, insert, last: None })
    }

    /// Writes an entry with `detail` as its JSON; says how many rows that were.
    pub(crate) fn add(
        &mut self,
        row: &ActRow,
        detail: &str,
    ) -> Result<rusqlite::Result<usize>, StoreError> {
        let last = match self.last {
            Some(last) => last,
            None => ends(self.conn)?.written,
        };
        let case = row.case.or(row.step.map(|step| step.case));
        let step = row.step.map(|step| step.to_string());
        let entry = ChainedAct {
            number: if self.last.is_some() {
                last.number + 1
            } else {
                next_number(self.conn, last)?
            },
            at: row.at,
            actor: row.actor.name.to_string(),
            principal: row.actor.principal.as_deref().map(str::to_owned),
            address: row.actor.address.as_deref().map(str::to_owned),
            act: row.act.to_string(),
            case: case.map(|case| case.to_string()),
            step: step.clone(),
            reason: Content::Text(row.reason.to_string()),
            detail: Content::Text(detail.to_owned()),
        };
        let digest = entry.digest(last.digest);
        let number = case.map(case_number).transpose()?;
        let written = self.insert.execute(params![
            entry.number.cast_signed(),
            entry.at.0,
            entry.actor,
            entry.principal,
            entry.address,
            entry.act,
            &*row.reason,
            number,
            step,
            detail,
            digest.bytes(),
        ]);
        self.last = Some(ChainLink { number: entry.number, digest });
        Ok(written)
    }

    /// Writes down which entry is the last one now.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        self.last
            .map_or(Ok(()), |last| set_end(self.conn, "written", last).map_err(database(DOING)))
    }
}

/// Behind the last entry, and behind whatever somebody else has put there: that must stop nobody from acting.
fn next_number(conn: &Connection, last: ChainLink) -> Result<u64, StoreError> {
    let highest: Option<i64> = conn
        .prepare_cached("SELECT max(id) FROM acts")
        .and_then(|mut highest| highest.query_row([], |row| row.get(0)))
        .map_err(database(DOING))?;
    Ok(last.number.max(highest.unwrap_or_default().cast_unsigned()) + 1)
}

/// The two ends of the chain.
pub(crate) fn ends(conn: &Connection) -> Result<AuditEnds, StoreError> {
    let mut ends = AuditEnds { removed: ChainLink::START, written: ChainLink::START };
    let mut statement = conn.prepare_cached(ENDS).map_err(read_error)?;
    let mut rows = statement.query([]).map_err(read_error)?;
    while let Some(row) = rows.next().map_err(read_error)? {
        let link = ChainLink {
            number: column::<i64>(row, 1)?.cast_unsigned(),
            digest: digest(row, 2)?.unwrap_or(ActDigest::NONE),
        };
        match column::<String>(row, 0)?.as_str() {
            "removed" => ends.removed = link,
            _ => ends.written = link,
        }
    }
    Ok(ends)
}

/// Removes entries from the beginning of the chain that were made before a moment, and writes down which the last of
/// them was; says how many. The last entry of all stays: with it goes when the clock last said what.
pub(crate) fn prune(
    tx: &Transaction<'_>,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let last = ends(tx)?.written.number;
    let mut statement = tx
        .prepare_cached("SELECT id, at, digest FROM acts WHERE id < ?1 ORDER BY id LIMIT ?2")
        .map_err(read_error)?;
    let mut rows = statement
        .query(params![last.cast_signed(), limit.min(PRUNE_LIMIT) as i64])
        .map_err(read_error)?;
    let (mut removed, mut gone) = (0, None);
    while let Some(row) = rows.next().map_err(read_error)?
        && column::<i64>(row, 1)? < before.0
    {
        let Some(digest) = digest(row, 2)? else { break };
        gone = Some(ChainLink { number: column::<i64>(row, 0)?.cast_unsigned(), digest });
        removed += 1;
    }
    if let Some(link) = gone {
        tx.execute("DELETE FROM acts WHERE id <= ?1", [link.number.cast_signed()])
            .map_err(database(DOING))?;
        set_end(tx, "removed", link).map_err(database(DOING))?;
    }
    Ok(removed)
}

/// Checks the chain of the store of a folder, beside a supervisor that may be using it; none if there is no store.
/// Changes nothing.
///
/// # Errors
/// As [`inspect`](super::inspect), or [`StoreError::OlderSchema`] of a store that has no chain yet.
pub fn verify_audit(
    dir: &Path,
    anchor: Option<ChainLink>,
) -> Result<Option<ChainReport>, StoreError> {
    let path = dir.join(FILE_NAME);
    if path.metadata().is_err() {
        return Ok(None);
    }
    let mut conn = connection::open_reader(&path)?;
    connection::refuse_foreign(&conn, &path)?;
    connection::refuse_other_schema(&conn)?;
    // One snapshot: what is written meanwhile is looked at the next time.
    let tx = conn.transaction().map_err(read_error)?;
    check(&tx, anchor).map(Some)
}

fn check(conn: &Connection, anchor: Option<ChainLink>) -> Result<ChainReport, StoreError> {
    let ends = ends(conn)?;
    let mut check = ChainCheck::new(ends.removed, anchor);
    let mut statement = conn.prepare(&format!("{CHAINED} ORDER BY id")).map_err(read_error)?;
    let mut rows = statement.query([]).map_err(read_error)?;
    while let Some(row) = rows.next().map_err(read_error)? {
        let (entry, told) = chained(row)?;
        check.take(entry, told);
    }
    Ok(check.finish(ends.written))
}
