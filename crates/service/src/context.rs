//! What a handler holds while it works: the saga, calls to other services, and the way to its effect.

use crate::failure::{CallFailed, Failure};
use crate::kit::Kit;
use crate::rows::RequestRow;
use crate::saga_context::derive_request_id;
use amends_protocol::SagaId;
use rusqlite::Transaction;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The context of one forward request. Cheap to clone; all clones count calls together.
#[derive(Clone)]
pub struct ActionContext {
    pub(crate) kit: Kit,
    pub(crate) request: Arc<RequestRow>,
    calls_made: Arc<Mutex<HashMap<String, u32>>>,
}

impl ActionContext {
    pub(crate) fn new(kit: Kit, request: Arc<RequestRow>) -> Self {
        Self { kit, request, calls_made: Arc::default() }
    }

    /// The saga that the request belongs to.
    #[must_use]
    pub fn saga(&self) -> &SagaId {
        &self.request.saga
    }

    /// The request's own id; the same when it runs again.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request.request_id
    }

    /// The value of a W3C `baggage` member that came with the request; it is passed on to every call by itself.
    #[must_use]
    pub fn baggage(&self, key: &str) -> Option<String> {
        self.request.passed_on.baggage(key)
    }

    /// Calls `action` of another service: `POST {base_url}/{action}` with the saga context.
    ///
    /// The call is durable in History before it is sent and again when it is answered. Its request id derives from
    /// this request, the action, and how many calls this request made to that action before, so a re-run repeats it
    /// under the same id. An answer "still running" is waited for, within the call's time limit.
    ///
    /// # Errors
    /// [`CallFailed`] says whether the other service proved that it took no effect, or nobody knows. A call is not
    /// sent at all once a compensation has fenced this request's action.
    ///
    /// Calls to one action are counted in the order in which this is called, also when they are awaited together.
    pub fn call<'a>(
        &'a self,
        base_url: &'a str,
        service: &'a str,
        action: &'a str,
        body: &'a Value,
    ) -> impl Future<Output = Result<Value, CallFailed>> + Send + 'a {
        let ordinal = self.next_ordinal(service, action);
        let call_id = derive_request_id(self.request_id(), service, action, ordinal);
        async move { self.kit.call(&self.request, base_url, service, action, &call_id, body).await }
    }

    /// What the action does to the service's own tables. It runs after the handler, in one transaction with the
    /// request's History row: both are durable, or neither. Its value is the body of the 200 answer.
    pub fn effect(
        &self,
        run: impl FnOnce(&Transaction<'_>) -> Result<Value, Failure> + Send + 'static,
    ) -> Effect {
        Effect { run: Box::new(run) }
    }

    fn next_ordinal(&self, service: &str, action: &str) -> u32 {
        let mut made = self.calls_made.lock().unwrap_or_else(PoisonError::into_inner);
        let count = made.entry(format!("{service}.{action}")).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

impl fmt::Debug for ActionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionContext")
            .field("saga", self.saga())
            .field("request_id", &self.request_id())
            .finish_non_exhaustive()
    }
}

type EffectFn = dyn FnOnce(&Transaction<'_>) -> Result<Value, Failure> + Send;

/// A local effect that waits for its transaction; made by [`ActionContext::effect`].
pub struct Effect {
    pub(crate) run: Box<EffectFn>,
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effect")
    }
}
