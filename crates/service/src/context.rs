//! What a handler holds while it works: the saga, calls to other services, and the way to its effect.

use crate::calls::Calls;
use crate::failure::{CallFailed, Failure};
use crate::inner::Inner;
use crate::store::{BoxFuture, HistoryStore, RequestRow};
use amends_protocol::SagaId;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// The context of one forward request. Cheap to clone; all clones count calls together.
pub struct ActionContext<S: HistoryStore> {
    pub(crate) inner: Arc<Inner<S>>,
    pub(crate) row: Arc<RequestRow>,
    pub(crate) calls: Arc<Calls>,
}

impl<S: HistoryStore> ActionContext<S> {
    pub(crate) fn new(inner: Arc<Inner<S>>, row: Arc<RequestRow>) -> Self {
        Self { inner, row, calls: Arc::default() }
    }

    /// The saga that the request belongs to.
    #[must_use]
    pub fn saga(&self) -> &SagaId {
        &self.row.request.saga
    }

    /// The request's own id; the same when it runs again. What is done outside of the service's tables is done under
    /// this id, so that a re-run and an undo find it.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.row.request.request_id
    }

    /// The value of a W3C `baggage` member that came with the request; it is passed on to every call by itself.
    #[must_use]
    pub fn baggage(&self, key: &str) -> Option<String> {
        self.row.request.passed_on.baggage(key)
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
        let call = self.next_call(service, action);
        async move { call.post(base_url, body).await }
    }

    /// An effect as a store's author gives it; hosts use `effect`, which gives them their database's own connection. It
    /// runs after the handler, in one transaction with the request's History row: both are durable, or neither. Its
    /// value is the body of the 200 answer.
    pub fn effect_within(
        &self,
        run: impl for<'t> FnOnce(&'t mut S::Tx) -> BoxFuture<'t, Result<Value, Failure>>
        + Send
        + 'static,
    ) -> Effect<S> {
        Effect { run: Box::new(run) }
    }
}

impl<S: HistoryStore> Clone for ActionContext<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            row: Arc::clone(&self.row),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<S: HistoryStore> fmt::Debug for ActionContext<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionContext")
            .field("saga", self.saga())
            .field("request_id", &self.request_id())
            .finish_non_exhaustive()
    }
}

type EffectFn<T> = dyn for<'t> FnOnce(&'t mut T) -> BoxFuture<'t, Result<Value, Failure>> + Send;

/// A local effect that waits for its transaction; made by the context's `effect`.
pub struct Effect<S: HistoryStore> {
    pub(crate) run: Box<EffectFn<S::Tx>>,
}

impl<S: HistoryStore> fmt::Debug for Effect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effect")
    }
}
