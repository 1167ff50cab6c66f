//! The store on SQLite: one directory, one writing thread, a few reading threads. Other databases are none of its
//! affair.

mod audit;
mod audit_begin;
#[cfg(test)]
mod audit_tests;
mod checkpoint;
pub(crate) mod connection;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod erase_tests;
mod inspect;
mod lease;
pub(crate) mod moved;
pub(crate) mod raw;
mod reader;
mod scrub;
mod tables;
#[cfg(test)]
mod tests;
mod upkeep;
mod write;
mod writer;

pub use audit::verify_audit;
pub use connection::FILE_NAME;
pub use inspect::{SqliteSeen, StoreSeen, copy_store, inspect, sqlite_status};
#[cfg(test)]
pub(crate) use tables::DIALECT;
#[cfg(feature = "postgres")]
pub(crate) use upkeep::new_file;

use crate::closing::Closing;
use crate::{
    Calls, Letters, Nodes,
    roles::{names::*, roles},
    threads::{Reading, Writing},
};
use checkpoint::Checkpointer;
use reader::SqliteReader;
use std::{fs::File, path::PathBuf, thread};
use tokio::sync::oneshot;
use writer::SqliteWriter;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Connections for reading; at least 1. They hold a thread each.
    pub readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 2 }
    }
}

/// A store in one SQLite file. Clones share it; when the last is dropped, queued commits are finished, the write-ahead
/// log is put into the file and the directory is free again (this blocks for that long).
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

struct Shared {
    path: PathBuf,
    // Dropped in this order. Readers first: an old snapshot of theirs would keep the log from being emptied.
    reading: Reading<SqliteReader>,
    writing: Writing<SqliteWriter>,
    _lock: File,
    closing: Closing,
}

impl SqliteStore {
    /// Opens the store in a directory, or begins one there. The file is [`FILE_NAME`], readable by its owner alone.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another supervisor (or another call) has it open; [`StoreError::Moved`] when its
    /// cases are in a database now; [`StoreError::NewerSchema`] when a newer version wrote it; otherwise what the
    /// system or SQLite says.
    pub fn open(dir: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        let lock = connection::lock_directory(dir)?;
        moved::refuse(dir)?;
        let path = dir.join(FILE_NAME);
        let conn = connection::open_writer(&path)?;
        let checkpointer = Checkpointer::start(&path, &conn)?;
        let readers = (0..options.readers.max(1)).map(|_| SqliteReader::open(&path));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;
        let reading =
            Reading::start(readers).map_err(connection::file("start a thread for", &path))?;
        let writing = Writing::start(SqliteWriter::new(conn, checkpointer))
            .map_err(connection::file("start a thread for", &path))?;
        let closing = Closing::new();
        Ok(Self { shared: Arc::new(Shared { path, reading, writing, _lock: lock, closing }) })
    }

    /// Ends when the last clone is gone and the directory may be opened anew. Does not keep the store open.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.closing.closed()
    }

    fn writing(&self) -> &Writing<SqliteWriter> {
        &self.shared.writing
    }

    fn reading(&self) -> &Reading<SqliteReader> {
        &self.shared.reading
    }

    /// A consistent copy.
    async fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let (from, to) = (self.shared.path.clone(), to.to_owned());
        let (reply, done) = oneshot::channel();
        // A thread of its own: it takes as long as the file is large, and must not keep a reader busy.
        thread::Builder::new()
            .name("amends-backup".to_owned())
            .spawn(move || {
                let _ = reply.send(upkeep::backup(&from, &to));
            })
            .map_err(connection::file("start a thread for", &self.shared.path))?;
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// One node owns the directory as a whole: its lock is the claim, and it lives as long as its process.
    #[allow(clippy::unused_async)] // as of a store that asks a database
    async fn show_life(&self) -> Result<Beat, StoreError> {
        Ok(Beat::default())
    }

    /// Nobody else wants to know.
    #[allow(clippy::unused_self)] // as of a store that nodes share
    fn tell_settings(&self, _: u64) {}
}

// Nobody shares it.
impl Nodes for SqliteStore {}
impl Letters for SqliteStore {}
impl Calls for SqliteStore {}

roles!(SqliteStore);
