//! What is kept of a saga that announced itself.

pub use amends_protocol::SagaState;
use amends_protocol::{SagaBegin, SagaId, Timestamp};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A saga that announced itself with a deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaRow {
    /// The key.
    pub saga: SagaId,
    /// The service that began it.
    pub service: Arc<str>,
    /// The action that it began with.
    pub action: Option<Arc<str>>,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// Whether it has.
    pub state: SagaState,
    /// Business fields.
    pub data: Arc<Map<String, Value>>,
}

impl SagaRow {
    /// As one that announces itself says.
    #[must_use]
    pub fn begun(begin: SagaBegin) -> Self {
        Self {
            saga: begin.saga_id,
            service: begin.service.into(),
            action: begin.action.map(Into::into),
            deadline: begin.deadline,
            state: SagaState::Begun,
            data: Arc::new(begin.data),
        }
    }

    /// The action with which it began, as `service.action`.
    #[must_use]
    pub fn entry(&self) -> Option<String> {
        self.action.as_ref().map(|action| format!("{}.{action}", self.service))
    }
}
