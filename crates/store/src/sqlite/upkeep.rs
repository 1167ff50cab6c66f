//! Backups.

use super::connection::{create_private_file, database, file, open_reader};
use crate::StoreError;
use rusqlite::Connection;
use std::{fs, io, path::Path};

/// Writes a consistent copy of the database at `from` to a new file that only its owner may read.
pub(crate) fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    let conn = open_reader(from)?;
    in_new_file(to, || copy(&conn, to))
}

/// Writes a new store that only its owner may read: begun, and filled within one transaction.
#[cfg(feature = "postgres")]
pub(crate) fn new_file(
    to: &Path,
    fill: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    in_new_file(to, || {
        let mut conn = Connection::open(to).map_err(database("open the backup"))?;
        super::connection::migrate(&mut conn)?;
        let tx = conn.transaction().map_err(database("write the backup"))?;
        fill(&tx)?;
        tx.commit().map_err(database("write the backup"))
    })
}

fn in_new_file(
    to: &Path,
    write: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let made = match create_private_file(to) {
        Ok(made) => made,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(StoreError::Exists { path: to.to_owned() });
        }
        Err(error) => return Err(file("create", to)(error)),
    };
    let result = write().and_then(|()| made.sync_all().map_err(file("sync", to)));
    if result.is_err() {
        // Half a copy is worse than none.
        let _ = fs::remove_file(to);
    }
    result
}

fn copy(conn: &Connection, to: &Path) -> Result<(), StoreError> {
    let Some(target) = to.to_str() else {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "the path is not unicode text");
        return Err(file("write", to)(source));
    };
    conn.execute("VACUUM INTO ?1", [target]).map_err(database("write the backup"))?;
    Ok(())
}
