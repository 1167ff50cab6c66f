//! What the work of a local action is given.

use crate::failure::Failure;
use crate::saga_context::PassedOn;
use crate::store::{BoxFuture, NewRequest};
use amends_protocol::SagaId;
use serde_json::Value;
use std::sync::Arc;

/// What a local action gets to see.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalRequest {
    /// The saga that the request belongs to.
    pub saga: SagaId,
    /// The request's own id; the same when it runs again.
    pub id: String,
    /// What it asks with.
    pub body: Value,
    passed_on: PassedOn,
}

impl LocalRequest {
    pub(crate) fn of(request: &NewRequest) -> Self {
        Self {
            saga: request.saga.clone(),
            id: request.request_id.clone(),
            body: request.body.clone(),
            passed_on: request.passed_on.clone(),
        }
    }

    /// The value of a W3C `baggage` member that came with the request.
    #[must_use]
    pub fn baggage(&self, key: &str) -> Option<String> {
        self.passed_on.baggage(key)
    }
}

pub(crate) type LocalFn<T> = Arc<
    dyn for<'t> Fn(&'t mut T, &'t LocalRequest) -> BoxFuture<'t, Result<Value, Failure>>
        + Send
        + Sync,
>;
