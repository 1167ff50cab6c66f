//! Tokens and sessions. What their states say is none of its affair.

use super::{
    Tables, Value, collect,
    rows::{column, text},
    written::doing,
};
use crate::{CredentialKind, CredentialRow, StoreError};

/// All of them, by kind and id.
pub(crate) fn all(conn: &dyn Tables) -> Result<Vec<CredentialRow>, StoreError> {
    let mut found = Vec::new();
    for kind in CredentialKind::ALL {
        let sql = "SELECT id, digest, state FROM credentials WHERE kind = ?1 ORDER BY id";
        found.extend(collect(conn, sql, &[text(kind.as_str())], |row| {
            let (id, digest, state) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
            Ok(CredentialRow { kind, id, digest, state })
        })?);
    }
    Ok(found)
}

/// Keeps one; of one that is known, only the state is replaced.
pub(crate) fn put(conn: &dyn Tables, row: &CredentialRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO credentials (kind, id, digest, state) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (kind, id) DO UPDATE SET state = excluded.state";
    let digest = Value::from(row.digest.to_vec());
    conn.execute(sql, &[text(row.kind.as_str()), text(&row.id), digest, text(&row.state)])
        .map(drop)
        .map_err(doing("store a credential"))
}

/// Forgets one.
pub(crate) fn remove(conn: &dyn Tables, kind: CredentialKind, id: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM credentials WHERE kind = ?1 AND id = ?2";
    conn.execute(sql, &[text(kind.as_str()), text(id)])
        .map(drop)
        .map_err(doing("forget a credential"))
}
