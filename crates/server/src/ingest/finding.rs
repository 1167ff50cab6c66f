//! What is found at a broker that somebody looks at.

/// Why nothing could be said or done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// Nobody answers there.
    #[error("the server can't be reached: {0}")]
    Away(String),
    /// It answers, and something is wrong.
    #[error("{0}")]
    Refused(String),
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Good,
    /// It works, and could cost something.
    Warning,
    /// Reports don't come, or can be lost.
    Error,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, and what helps.
    pub text: String,
}

impl Finding {
    /// Something is as it should be.
    pub(super) fn good(text: String) -> Self {
        Self { severity: Severity::Good, text }
    }
}
