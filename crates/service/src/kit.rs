//! The kit itself: built from a service's actions, compensations and notices; gives a router and background work.
//! Holds no rule about requests (see `history`) and no SQL (see `store`).

use crate::background::Background;
use crate::config::{KitConfig, KitError, is_plain_name};
use crate::context::{ActionContext, Effect};
use crate::failure::{Failure, Refusal};
use crate::local::{LocalFn, LocalRequest};
use crate::observer::{Nobody, Observer};
use crate::running::Running;
use crate::sink::{HttpSink, ReportSink};
use crate::store::{BoxFuture, HistoryStore};
use crate::transport::Transport;
use crate::undo::{Notice, Undo};
use amends_protocol::SagaId;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

type Handled<S> = BoxFuture<'static, Result<Effect<S>, Failure>>;
type Handler<S> = Box<dyn Fn(ActionContext<S>, Value) -> Handled<S> + Send + Sync>;
pub(crate) type UndoFn<T> =
    Box<dyn for<'t> Fn(&'t mut T, &'t Undo) -> BoxFuture<'t, Result<(), Refusal>> + Send + Sync>;
pub(crate) type NoticeFn<T> =
    Box<dyn for<'t> Fn(&'t mut T, &'t Notice) -> BoxFuture<'t, Result<(), Refusal>> + Send + Sync>;

/// One service's kit. Clones share everything.
pub struct Kit<S: HistoryStore> {
    pub(crate) inner: Arc<Inner<S>>,
}

pub(crate) struct Inner<S: HistoryStore> {
    pub(crate) config: KitConfig,
    pub(crate) store: S,
    pub(crate) transport: Transport,
    pub(crate) sink: Option<Arc<dyn ReportSink>>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) running: Running,
    /// Told when a report was put into the outbox.
    pub(crate) outbox_filled: Notify,
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
    /// Begins a kit that keeps History in `store`.
    ///
    /// # Errors
    /// [`KitError::Config`] when a setting is wrong.
    pub fn builder(config: KitConfig, store: S) -> Result<KitBuilder<S>, KitError> {
        config.check()?;
        let transport = Transport::new();
        let sink = match &config.supervisor {
            Some(supervisor) => {
                Some(HttpSink::new(&config.service, supervisor, transport.clone())?)
            }
            None => None,
        };
        let inner = Inner {
            running: Running::new(store.worker()),
            config,
            store,
            transport,
            sink: sink.map(|sink| Arc::new(sink) as Arc<dyn ReportSink>),
            observer: Arc::new(Nobody),
            outbox_filled: Notify::new(),
            actions: HashMap::new(),
            notices: HashMap::new(),
        };
        Ok(KitBuilder { inner, undos: HashMap::new() })
    }

    /// The forward actions at `POST /{action}`, the participant's endpoints below `/amends/v1/`, and `GET /healthz`.
    pub fn router(&self) -> axum::Router {
        crate::routes::router(self.clone())
    }

    /// Starts what must go on beside the requests: the relay of reports to the supervisor, the sweep that finds requests
    /// of a process that died, and the removal of old sagas. All stop with [`Background::stop`] or when the handle is
    /// dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_background(&self) -> Background {
        Background::spawn(self)
    }

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
        let began = Instant::now();
        let done = self.inner.store.write(saga, work).await;
        if done.is_ok() {
            self.inner.observer.committed(began.elapsed());
        }
        done
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.inner.config.call_timeout_ms.max(1))
    }
}

impl<S: HistoryStore> Clone for Kit<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: HistoryStore> fmt::Debug for Kit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("service", &self.service()).finish_non_exhaustive()
    }
}

/// Takes a service's actions, how each is undone, and its notices.
pub struct KitBuilder<S: HistoryStore> {
    inner: Inner<S>,
    undos: HashMap<&'static str, UndoFn<S::Tx>>,
}

impl<S: HistoryStore> KitBuilder<S> {
    /// A forward action at `POST /{name}`. The handler may call other services and returns the local effect; the
    /// effect runs in one transaction with the History row.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn action<F, Fut>(mut self, name: &'static str, handler: F) -> Self
    where
        F: Fn(ActionContext<S>, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Effect<S>, Failure>> + Send + 'static,
    {
        let handler: Handler<S> = Box::new(move |context, body| Box::pin(handler(context, body)));
        self.insert(name, Action { handler, local: None, undo: None });
        self
    }

    /// A local action as a store's author gives it; hosts use `local_action`, which gives them their database's own
    /// connection. Request, effect and end are one transaction, with one wait for the disk instead of two.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn local_action_within(
        mut self,
        name: &'static str,
        work: impl for<'t> Fn(&'t mut S::Tx, &'t LocalRequest) -> BoxFuture<'t, Result<Value, Failure>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let local: LocalFn<S::Tx> = Arc::new(work);
        let again = Arc::clone(&local);
        let handler: Handler<S> = Box::new(move |context, _| {
            let (work, request) = (Arc::clone(&again), LocalRequest::of(&context.row.request));
            let effect =
                context.effect_within(move |tx| Box::pin(async move { work(tx, &request).await }));
            Box::pin(std::future::ready(Ok(effect)))
        });
        self.insert(name, Action { handler, local: Some(local), undo: None });
        self
    }

    fn insert(&mut self, name: &'static str, action: Action<S>) {
        let taken = self.inner.actions.insert(checked(name), action).is_some();
        assert!(!taken, "the action `{name}` is given twice");
    }

    /// A compensation as a store's author gives it; hosts use `compensation`, which gives them their database's own
    /// connection. Runs in the transaction that also marks the requests compensated and puts up the fence. When it
    /// refuses (or panics), what it wrote is rolled back and the fence stays.
    ///
    /// # Panics
    /// When the action has one already.
    #[must_use]
    pub fn compensation_within(
        mut self,
        name: &'static str,
        undo: impl for<'t> Fn(&'t mut S::Tx, &'t Undo) -> BoxFuture<'t, Result<(), Refusal>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let taken = self.undos.insert(name, Box::new(undo)).is_some();
        assert!(!taken, "the action `{name}` has two compensations");
        self
    }

    /// A notice as a store's author gives it; hosts use `notice`.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn notice_within(
        mut self,
        name: &'static str,
        send: impl for<'t> Fn(&'t mut S::Tx, &'t Notice) -> BoxFuture<'t, Result<(), Refusal>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let taken = self.inner.notices.insert(checked(name), Box::new(send)).is_some();
        assert!(!taken, "the notice `{name}` is given twice");
        self
    }

    /// Who is told of what the kit does.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.inner.observer = Arc::new(observer);
        self
    }

    /// Where reports go instead of to [`KitConfig::supervisor`] by HTTP, e.g. to a broker.
    #[must_use]
    pub fn report_sink(mut self, sink: impl ReportSink) -> Self {
        self.inner.sink = Some(Arc::new(sink));
        self
    }

    /// Puts the kit together.
    ///
    /// # Panics
    /// When a compensation names no action.
    #[must_use]
    pub fn build(mut self) -> Kit<S> {
        for (name, undo) in self.undos {
            match self.inner.actions.get_mut(name) {
                Some(action) => action.undo = Some(undo),
                None => panic!("the compensation of `{name}` undoes no action; name an action"),
            }
        }
        Kit { inner: Arc::new(self.inner) }
    }
}

impl<S: HistoryStore> fmt::Debug for KitBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KitBuilder")
            .field("service", &self.inner.config.service)
            .finish_non_exhaustive()
    }
}

fn checked(name: &'static str) -> &'static str {
    assert!(is_plain_name(name), "`{name}` can't be part of a path: 1 to 128 of `a-z A-Z 0-9 _ -`");
    name
}
