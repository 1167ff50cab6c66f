//! The kit itself: what its parts share (`inner`), and the work that its service gave it. How it is put together and
//! what it gives to a service is in `builder`. Holds no rule about requests (see `history`) and no SQL (see `store`).

use crate::config::KitError;
use crate::context::{ActionContext, Effect};
use crate::failure::{Failure, Refusal};
use crate::inner::Inner;
use crate::local_request::LocalFn;
use crate::store::{BoxFuture, HistoryStore};
use crate::undo::{Notice, Undo};
use amends_protocol::SagaId;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub(crate) type Handled<S> = BoxFuture<'static, Result<Effect<S>, Failure>>;
pub(crate) type Handler<S> = Box<dyn Fn(ActionContext<S>, Value) -> Handled<S> + Send + Sync>;
pub(crate) type UndoFn<T> =
    Box<dyn for<'t> Fn(&'t mut T, &'t Undo) -> BoxFuture<'t, Result<(), Refusal>> + Send + Sync>;
pub(crate) type NoticeFn<T> =
    Box<dyn for<'t> Fn(&'t mut T, &'t Notice) -> BoxFuture<'t, Result<(), Refusal>> + Send + Sync>;

/// One service's kit. Clones share everything.
pub struct Kit<S: HistoryStore> {
    pub(crate) inner: Arc<Inner<S>>,
    pub(crate) work: Arc<Work<S>>,
}

/// What a service can do.
pub(crate) struct Work<S: HistoryStore> {
    pub(crate) actions: HashMap<&'static str, Action<S>>,
    pub(crate) notices: HashMap<&'static str, NoticeFn<S::Tx>>,
}

pub(crate) struct Action<S: HistoryStore> {
    pub(crate) handler: Handler<S>,
    /// All of it, if it is local: then the handler is for a `retry` alone.
    pub(crate) local: Option<LocalFn<S::Tx>>,
    pub(crate) undo: Option<UndoFn<S::Tx>>,
}

impl<S: HistoryStore> Kit<S> {
    /// Reports that the supervisor has not acknowledged yet.
    ///
    /// # Errors
    /// [`KitError`] when the database fails.
    pub async fn pending_reports(&self) -> Result<u64, KitError> {
        use crate::store::HistoryTx as _;
        self.inner.store.read(|tx| Box::pin(tx.count_pending())).await
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.inner.config.service
    }

    /// Where History lies.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.inner.store
    }

    /// A transaction of the store, told to the observer when it is durable.
    pub(crate) async fn write<T, E, F>(&self, saga: Option<&SagaId>, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut S::Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<KitError> + Send + 'static,
    {
        self.inner.write(saga, work).await
    }
}

impl<S: HistoryStore> Clone for Kit<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), work: Arc::clone(&self.work) }
    }
}

impl<S: HistoryStore> fmt::Debug for Kit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("service", &self.service()).finish_non_exhaustive()
    }
}
