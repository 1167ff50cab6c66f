//! A read-only connection for everything that people ask.

use super::{connection::open_reader, tables::read_error};
use crate::{StoreError, tables::rows::READ_LIMIT_SECONDS, threads::Reader};
use rusqlite::Connection;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Steps of SQLite's machine between two looks at the clock, some hundred microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;

pub(crate) struct SqliteReader(Connection);

impl SqliteReader {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        open_reader(path).map(Self)
    }
}

impl Reader for SqliteReader {
    type Snapshot = Connection;

    fn in_snapshot<T>(
        &mut self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (began, limit) = (Instant::now(), Duration::from_secs(READ_LIMIT_SECONDS));
        let watch = Some(move || began.elapsed() > limit);
        self.0.progress_handler(STEPS_BETWEEN_LOOKS, watch).map_err(read_error)?;
        let snapshot = self.0.unchecked_transaction().map_err(read_error)?;
        question(&snapshot)
    }
}
