//! A connection for everything that people ask. It can't write.

use super::session::{self, Session, breaks, is_line_dead};
use super::tables::read_error;
use crate::{StoreError, threads::Reader};
use sqlx::postgres::PgConnectOptions;

pub(crate) struct PgReader {
    connects: PgConnectOptions,
    place: String,
    session: Option<Session>,
}

impl PgReader {
    pub(super) fn new(connects: PgConnectOptions, place: String) -> Self {
        Self { connects, place, session: None }
    }

    /// A connection within a new snapshot; another one if that of before has broken while nobody asked.
    fn begin(&mut self) -> Result<Session, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        if let Some(session) = self.session.take() {
            match session.batch(begin) {
                Ok(()) => return Ok(session),
                Err(error) if is_line_dead(&error) => {}
                Err(error) => return Err(read_error(error)),
            }
        }
        let session = session::reach(&self.connects, &self.place, session::READING)?;
        session.batch(begin).map_err(read_error)?;
        Ok(session)
    }
}

impl Reader for PgReader {
    type Snapshot = Session;

    fn in_snapshot<T>(
        &mut self,
        question: impl FnOnce(&Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let session = self.begin()?;
        let answer = question(&session);
        // Whatever it was told, the snapshot ends here; a connection on which that fails is of no use any more.
        if !answer.as_ref().is_err_and(breaks) && session.batch("ROLLBACK").is_ok() {
            self.session = Some(session);
        }
        answer
    }
}
