//! Where the audit's chain begins and ends: the two rows that say so, and the entries of a store that had no chain yet.

use super::{
    act_rows::{CHAINED, chained},
    rows::read_error,
};
use crate::StoreError;
use amends_api::audit::ChainLink;
use rusqlite::{Connection, params};

const END: &str = "UPDATE audit_ends SET number = ?2, digest = ?3 WHERE which = ?1";

/// Writes down where an end of the chain is.
pub(crate) fn set_end(conn: &Connection, which: &str, link: ChainLink) -> rusqlite::Result<()> {
    let mut set = conn.prepare_cached(END)?;
    set.execute(params![which, link.number.cast_signed(), link.digest.bytes()]).map(drop)
}

/// Chains the entries of a store that had no chain yet.
pub(crate) fn chain_all(conn: &Connection) -> Result<(), StoreError> {
    let mut statement = conn.prepare(&format!("{CHAINED} ORDER BY id")).map_err(read_error)?;
    let mut rows = statement.query([]).map_err(read_error)?;
    let mut set = conn.prepare("UPDATE acts SET digest = ?2 WHERE id = ?1").map_err(read_error)?;
    let mut last = ChainLink::START;
    while let Some(row) = rows.next().map_err(read_error)? {
        let (entry, _) = chained(row)?;
        last = ChainLink { number: entry.number, digest: entry.digest(last.digest) };
        set.execute(params![last.number.cast_signed(), last.digest.bytes()]).map_err(read_error)?;
    }
    set_end(conn, "written", last).map_err(read_error)
}
