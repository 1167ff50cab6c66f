//! What is written, by name and as it reads back; and what it means when a database does not take it.

use crate::StoreError;
use amends_protocol::CaseId;
use serde::{Serialize, de::DeserializeOwned};

/// What was tried, for messages.
pub(crate) const WRITING: &str = "write to the store";

/// Why rows were not changed.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) why: Why,
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

/// What a database says of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A key belongs to another row, or a rule of the tables is broken.
    Taken,
    /// A value is longer than it can be.
    TooLong,
    /// Anything else.
    Failed,
}

impl Unwritten {
    /// As an error of what was tried.
    pub(crate) fn while_doing(self, doing: &'static str) -> StoreError {
        StoreError::Database { doing, source: self.source }
    }
}

/// For `map_err`.
pub(crate) fn doing(doing: &'static str) -> impl FnOnce(Unwritten) -> StoreError {
    move |unwritten| unwritten.while_doing(doing)
}

/// What a write is about, for messages.
pub(crate) struct Named {
    pub(crate) row: String,
    pub(crate) case: Option<CaseId>,
}

impl Named {
    /// A row of a case.
    pub(crate) fn of(case: CaseId, row: String) -> Self {
        Self { row, case: Some(case) }
    }

    /// A row of no case.
    pub(crate) fn plain(row: String) -> Self {
        Self { row, case: None }
    }

    pub(crate) fn conflict(self) -> StoreError {
        StoreError::Conflict { row: self.row, case: self.case }
    }

    pub(crate) fn unstorable(self, what: &str) -> StoreError {
        StoreError::Unstorable { row: self.row, case: self.case, what: what.to_owned() }
    }

    pub(crate) fn too_long(self) -> StoreError {
        self.unstorable("it is longer than a row can be")
    }
}

/// A value as JSON that has been read back into one.
///
/// INVARIANT: every JSON text goes through here before it is written. What is acknowledged can be read.
pub(crate) fn proved<'b, T: Serialize + DeserializeOwned>(
    buffer: &'b mut Vec<u8>,
    value: &T,
    named: impl FnOnce() -> Named,
) -> Result<&'b str, StoreError> {
    buffer.clear();
    let read_back = serde_json::to_writer(&mut *buffer, value)
        .and_then(|()| serde_json::from_slice::<T>(buffer).map(drop))
        .map_err(|e| e.to_string())
        .and_then(|()| std::str::from_utf8(buffer).map_err(|e| e.to_string()));
    read_back.map_err(|what| named().unstorable(&format!("it would not read back: {what}")))
}

/// An upsert that changed no row met another value where it may not change; a violated constraint says the same.
pub(crate) fn must_be_one(
    written: Result<usize, Unwritten>,
    named: impl FnOnce() -> Named,
) -> Result<(), StoreError> {
    match written {
        Ok(0) => Err(named().conflict()),
        Ok(_) => Ok(()),
        Err(unwritten) => match unwritten.why {
            Why::Taken => Err(named().conflict()),
            Why::TooLong => Err(named().too_long()),
            Why::Failed => Err(unwritten.while_doing(WRITING)),
        },
    }
}
