//! Checks the audit of a folder's store from outside.

use super::{
    connection::{self, FILE_NAME},
    tables::read_error,
};
use crate::{StoreError, tables::chain};
use amends_api::audit::{ChainLink, ChainReport};
use std::path::Path;

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
    chain::check(&*tx, anchor).map(Some)
}
