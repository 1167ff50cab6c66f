//! Why an event is not taken.

use amends_protocol::ProblemCode;

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ProblemCode,
    pub(crate) detail: String,
    pub(crate) errors: Vec<String>,
}

impl Fault {
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }
}

/// A malformed report.
pub(crate) fn invalid(detail: impl Into<String>) -> Fault {
    Fault::new(ProblemCode::InvalidReport, detail)
}
