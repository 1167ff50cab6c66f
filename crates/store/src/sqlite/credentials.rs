//! Tokens and sessions. What their states say is none of its affair.

use super::{
    connection::database,
    rows::{collect, column},
};
use crate::{CredentialKind, CredentialRow, StoreError};
use rusqlite::{Connection, Transaction, params};

/// All of them, by kind and id.
pub(crate) fn all(conn: &Connection) -> Result<Vec<CredentialRow>, StoreError> {
    let mut found = Vec::new();
    for kind in CredentialKind::ALL {
        let sql = "SELECT id, digest, state FROM credentials WHERE kind = ?1 ORDER BY id";
        found.extend(collect(conn, sql, [kind.as_str()], |row| {
            let (id, digest, state) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
            Ok(CredentialRow { kind, id, digest, state })
        })?);
    }
    Ok(found)
}

/// Keeps one; of one that is known, only the state is replaced.
pub(crate) fn put(tx: &Transaction<'_>, row: &CredentialRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO credentials (kind, id, digest, state) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (kind, id) DO UPDATE SET state = ?4";
    tx.execute(sql, params![row.kind.as_str(), row.id, row.digest, row.state])
        .map_err(database("store a credential"))?;
    Ok(())
}

/// Forgets one.
pub(crate) fn remove(
    tx: &Transaction<'_>,
    kind: CredentialKind,
    id: &str,
) -> Result<(), StoreError> {
    tx.execute("DELETE FROM credentials WHERE kind = ?1 AND id = ?2", params![kind.as_str(), id])
        .map_err(database("forget a credential"))?;
    Ok(())
}
