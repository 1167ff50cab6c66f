//! How things go wrong, as values: an action's failure, a failed call to another service, a refused undo.

use crate::config::KitError;
use amends_protocol::{HistoryState, Problem};
use serde_json::{Map, Value};
use std::fmt;

/// An action failed. The kit rolls back, answers the caller with a problem, and publishes a report with this code.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The report's code, e.g. `report-1`; together with the service it picks the rule.
    pub code: String,
    /// For people.
    pub message: String,
    /// HTTP status for the caller; 422 unless said otherwise. Values outside 400 to 599 are sent as 500.
    pub status: u16,
    /// Business fields for the rulebook's conditions and placeholders.
    pub data: Map<String, Value>,
    /// Ids of the reports that this failure follows from.
    pub caused_by: Vec<String>,
    /// Whether the last failed call may be named as the cause when no cause is named; see [`Failure::uncaused`].
    pub(crate) takes_cause: bool,
    /// The action may have had an effect outside of its transaction: the report says `unknown` instead of `failed`.
    pub effect_unknown: bool,
}

impl Failure {
    /// A failure that provably left no effect of this action.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status: 422,
            data: Map::new(),
            caused_by: Vec::new(),
            takes_cause: true,
            effect_unknown: false,
        }
    }

    /// Sets the HTTP status that the caller sees.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a business field to the report.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }

    /// Names a failed call as the cause, if the other service published a report about it.
    #[must_use]
    pub fn caused_by(mut self, call: &CallFailed) -> Self {
        if let Some(report) = &call.report
            && !self.caused_by.contains(report)
        {
            self.caused_by.push(report.clone());
        }
        self
    }

    /// Says that no other failure is the cause of this one, so that its report opens a case of its own.
    ///
    /// Without it, a failure that names no cause, of a handler whose last recorded call failed with a report, names that
    /// report by itself: it is nearly always why. A call that succeeded afterwards ends that suspicion.
    #[must_use]
    pub fn uncaused(mut self) -> Self {
        self.takes_cause = false;
        self
    }

    /// Says that the action may have had an effect that its transaction does not cover.
    #[must_use]
    pub fn effect_unknown(mut self) -> Self {
        self.effect_unknown = true;
        self
    }

    /// What stopped it is known to have been rolled back whole.
    pub(crate) fn without_effect(mut self) -> Self {
        self.effect_unknown = false;
        self
    }

    pub(crate) fn panicked(message: String) -> Self {
        Self::new("panicked", message).status(500).effect_unknown()
    }

    /// The handler came to its end and its effect was not committed, through no fault of the host's.
    pub(crate) fn not_committed(error: &KitError) -> Self {
        Self::new("database", error.to_string()).status(500).effect_unknown()
    }

    pub(crate) fn crashed() -> Self {
        let message = "the service stopped while it worked on this request";
        Self::new("crashed", message).status(500).effect_unknown()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// The usual way up: code `downstream`, and the other service's report as the cause.
impl From<CallFailed> for Failure {
    fn from(call: CallFailed) -> Self {
        Self::new("downstream", call.to_string())
            .status(502)
            .with("service", call.service.as_str())
            .with("action", call.action.as_str())
            .caused_by(&call)
    }
}

/// A statement of the effect failed: code `database`; the transaction was rolled back.
#[cfg(feature = "sqlite")]
impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::new("database", format!("the database failed: {error}")).status(500)
    }
}

/// A statement of the effect failed: code `database`; the transaction is rolled back. A deadlock or a serialization
/// failure is one too: nothing of it took effect, and a `retry` runs it again.
#[cfg(feature = "postgres")]
impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let state =
            error.as_database_error().and_then(|told| told.code()).map(|code| code.into_owned());
        let failure = Self::new("database", format!("the database failed: {error}")).status(500);
        match state {
            Some(state) => failure.with("sqlState", state),
            None => failure,
        }
    }
}

/// The body is not what the action takes: code `invalid-request`, status 400.
impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new("invalid-request", error.to_string()).status(400)
    }
}

/// A call to another service did not succeed.
#[derive(Clone, Debug)]
pub struct CallFailed {
    /// The service called.
    pub service: String,
    /// Its action.
    pub action: String,
    /// The id under which the other service saw the call; a later repetition must use the same.
    pub request_id: String,
    /// `failed`: it answered that it took no effect. `unknown`: no answer, a timeout, or an answer that proves
    /// nothing; the effect may be there.
    pub state: HistoryState,
    /// The answer's HTTP status, if one came.
    pub status: Option<u16>,
    /// The report that the other service published about it (`Amends-Report`).
    pub report: Option<String>,
    /// The answer's problem, if it was one.
    pub problem: Option<Problem>,
    /// For people: what happened.
    pub detail: String,
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}.{}` {}: {}", self.service, self.action, self.state, self.detail)
    }
}

impl std::error::Error for CallFailed {}

/// An undo or a notice cannot be done. Everything of the attempt is rolled back and it is not remembered, so a later
/// attempt may succeed. The fence of an undo stays up: nothing of the action takes effect while a person decides.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// For people: why, and what would help.
    pub message: String,
    pub(crate) finality: Finality,
}

/// Whether the supervisor should stop asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finality {
    /// The business says no: a person has to decide (422 `refused`).
    Final,
    /// The machinery failed: ask again (503).
    Passing,
}

impl Refusal {
    /// The business says no, for good; the step is stuck until a person decides.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), finality: Finality::Final }
    }

    /// It cannot be done right now; the supervisor asks again with backoff.
    pub fn try_later(message: impl Into<String>) -> Self {
        Self { message: message.into(), finality: Finality::Passing }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// A failed statement is no business decision: the supervisor asks again.
#[cfg(feature = "sqlite")]
impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::try_later(format!("the database failed: {error}"))
    }
}

/// A failed statement is no business decision: the supervisor asks again.
#[cfg(feature = "postgres")]
impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::try_later(format!("the database failed: {error}"))
    }
}

/// A stored body that cannot be read needs a person.
impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("cannot read a stored request: {error}"))
    }
}

/// Why a request did not come to its end; rolls back the transaction that it is returned from.
pub(crate) enum RolledBack {
    Failure(Failure),
    Kit(KitError),
}

impl From<KitError> for RolledBack {
    fn from(error: KitError) -> Self {
        Self::Kit(error)
    }
}
