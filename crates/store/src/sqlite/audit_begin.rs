//! The entries of a store that had no chain yet.

use crate::{
    StoreError,
    tables::{
        Tables, Value,
        act_rows::{CHAINED, chained},
        chain::set_end,
        collect,
        written::doing,
    },
};
use amends_api::audit::ChainLink;
use rusqlite::Connection;

/// Chains the entries of a store that had no chain yet.
pub(crate) fn chain_all(conn: &Connection) -> Result<(), StoreError> {
    let entries = collect(conn, &format!("{CHAINED} ORDER BY id"), &[], |row| Ok(chained(row)?.0))?;
    let mut last = ChainLink::START;
    for entry in entries {
        last = ChainLink { number: entry.number, digest: entry.digest(last.digest) };
        let digest = Value::from(last.digest.bytes().to_vec());
        Tables::execute(
            conn,
            "UPDATE acts SET digest = ?2 WHERE id = ?1",
            &[last.number.cast_signed().into(), digest],
        )
        .map_err(doing("chain the audit"))?;
    }
    set_end(conn, "written", last)
}
