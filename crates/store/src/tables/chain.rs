//! The audit's entries as the hash chain that they form, and its two ends. What a digest covers is said in
//! `amends_api::audit` alone.

use super::{
    Columns, Tables, Value,
    act_rows::{CHAINED, chained, digest},
    collect,
    key::case_number,
    one,
    rows::{column, text},
    written::{Named, doing, must_be_one, proved},
};
use crate::{AuditEnds, StoreError};
use amends_api::audit::{ActDigest, ChainCheck, ChainLink, ChainReport, ChainedAct, Content};
use amends_engine::ActRow;
use amends_protocol::Timestamp;

const DOING: &str = "write the audit";
/// Entries of one call of pruning: a commit behind it waits for milliseconds.
const PRUNE_LIMIT: usize = 1_000;

const INSERT: &str = "
    INSERT INTO acts (id, at, actor, principal, address, act, reason, case_id, step, detail, digest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const ENDS: &str = "SELECT which, number, digest FROM audit_ends";
const END: &str = "UPDATE audit_ends SET number = ?2, digest = ?3 WHERE which = ?1";

/// Adds entries to the chain's end, within one transaction.
#[derive(Default)]
pub(crate) struct ChainWriter {
    /// The last entry, once it has been asked for.
    last: Option<ChainLink>,
}

impl ChainWriter {
    /// Writes an entry.
    pub(crate) fn add(
        &mut self,
        conn: &dyn Tables,
        json: &mut Vec<u8>,
        row: &ActRow,
    ) -> Result<(), StoreError> {
        let case = row.case.or(row.step.map(|step| step.case));
        let named = || Named { row: format!("act `{}`", row.act), case };
        let detail = proved(json, &row.detail, named)?;
        let (last, number) = match self.last {
            Some(last) => (last, last.number + 1),
            None => {
                let last = ends(conn)?.written;
                (last, next_number(conn, last)?)
            }
        };
        let step = row.step.map(|step| step.to_string());
        // The digest is of what stands there, so that it can be verified.
        let kept = |text: &str| conn.kept(text).into_owned();
        let reason = kept(&row.reason);
        let entry = ChainedAct {
            number,
            at: row.at,
            actor: kept(&row.actor.name),
            principal: row.actor.principal.as_deref().map(kept),
            address: row.actor.address.as_deref().map(kept),
            act: kept(&row.act),
            case: case.map(|case| case.to_string()),
            step: step.clone(),
            reason: Content::Text(reason.clone()),
            detail: Content::Text(detail.to_owned()),
        };
        let digest = entry.digest(last.digest);
        let values = [
            number.cast_signed().into(),
            entry.at.0.into(),
            entry.actor.into(),
            entry.principal.into(),
            entry.address.into(),
            entry.act.into(),
            reason.into(),
            case.map(case_number).transpose()?.into(),
            step.into(),
            text(detail),
            Value::from(digest.bytes().to_vec()),
        ];
        self.last = Some(ChainLink { number, digest });
        must_be_one(conn.execute(INSERT, &values), named)
    }

    /// Writes down which entry is the last one now.
    pub(crate) fn finish(self, conn: &dyn Tables) -> Result<(), StoreError> {
        self.last.map_or(Ok(()), |last| set_end(conn, "written", last))
    }
}

/// Behind the last entry, and behind whatever somebody else has put there: that must stop nobody from acting.
fn next_number(conn: &dyn Tables, last: ChainLink) -> Result<u64, StoreError> {
    let highest = one(conn, "SELECT max(id) FROM acts", &[], |row| column::<Option<i64>>(row, 0))?;
    Ok(last.number.max(highest.flatten().unwrap_or_default().cast_unsigned()) + 1)
}

/// Writes down where an end of the chain is.
pub(crate) fn set_end(conn: &dyn Tables, which: &str, link: ChainLink) -> Result<(), StoreError> {
    let digest = Value::from(link.digest.bytes().to_vec());
    conn.execute(END, &[text(which), link.number.cast_signed().into(), digest])
        .map(drop)
        .map_err(doing(DOING))
}

/// The two ends of the chain.
pub(crate) fn ends(conn: &dyn Tables) -> Result<AuditEnds, StoreError> {
    let mut ends = AuditEnds { removed: ChainLink::START, written: ChainLink::START };
    conn.each(ENDS, &[], &mut |row| {
        let link = ChainLink {
            number: column::<i64>(row, 1)?.cast_unsigned(),
            digest: digest(row, 2)?.unwrap_or(ActDigest::NONE),
        };
        match column::<String>(row, 0)?.as_str() {
            "removed" => ends.removed = link,
            _ => ends.written = link,
        }
        Ok(())
    })?;
    Ok(ends)
}

/// Removes entries from the beginning of the chain that were made before a moment, and writes down which the last of
/// them was; says how many. The last entry of all stays: with it goes when the clock last said what.
pub(crate) fn prune(
    conn: &dyn Tables,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let last = ends(conn)?.written.number;
    let sql = "SELECT id, at, digest FROM acts WHERE id < ?1 ORDER BY id LIMIT ?2";
    let values = [last.cast_signed().into(), (limit.min(PRUNE_LIMIT) as i64).into()];
    let oldest = collect(conn, sql, &values, |row: &dyn Columns| {
        Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?, digest(row, 2)?))
    })?;
    let goes = |(number, at, digest): (i64, i64, Option<ActDigest>)| {
        let digest = digest.filter(|_| at < before.0)?;
        Some(ChainLink { number: number.cast_unsigned(), digest })
    };
    let gone: Vec<ChainLink> = oldest.into_iter().map_while(goes).collect();
    if let Some(link) = gone.last() {
        conn.execute("DELETE FROM acts WHERE id <= ?1", &[link.number.cast_signed().into()])
            .map_err(doing(DOING))?;
        set_end(conn, "removed", *link)?;
    }
    Ok(gone.len())
}

/// Checks the whole chain.
pub(crate) fn check(
    conn: &dyn Tables,
    anchor: Option<ChainLink>,
) -> Result<ChainReport, StoreError> {
    let ends = ends(conn)?;
    let mut check = ChainCheck::new(ends.removed, anchor);
    conn.each(&format!("{CHAINED} ORDER BY id"), &[], &mut |row| {
        let (entry, told) = chained(row)?;
        check.take(entry, told);
        Ok(())
    })?;
    Ok(check.finish(ends.written))
}
