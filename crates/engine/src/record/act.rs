//! The audit: what people did, as it is stored.

use super::Actor;
use amends_protocol::{CaseId, StepId, Timestamp};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// One entry of the audit.
#[derive(Clone, Debug, PartialEq)]
pub struct ActRow {
    /// When.
    pub at: Timestamp,
    /// Who, and from where.
    pub actor: Actor,
    /// What, in a word.
    pub act: Cow<'static, str>,
    /// Why.
    pub reason: Arc<str>,
    /// The case, if it was about one.
    pub case: Option<CaseId>,
    /// The step, if it was about one.
    pub step: Option<StepId>,
    /// Details.
    pub detail: Value,
}
