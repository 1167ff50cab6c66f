//! How a kit is put together from a service's actions, compensations and notices, and what it gives to the service: a
//! router and background work.

use crate::background::Background;
use crate::config::{KitConfig, KitError, is_plain_name};
use crate::context::{ActionContext, Effect};
use crate::failure::{Failure, Refusal};
use crate::inner::Inner;
use crate::kit::{Action, Handler, Kit, UndoFn, Work};
use crate::local_request::{LocalFn, LocalRequest};
use crate::observer::{Nobody, Observer};
use crate::running::Running;
use crate::sink::{HttpSink, ReportSink};
use crate::store::{BoxFuture, HistoryStore};
use crate::transport::Transport;
use crate::undo::{Notice, Undo};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Notify;

impl<S: HistoryStore> Kit<S> {
    /// Begins a kit that keeps History in `store`.
    ///
    /// # Errors
    /// [`KitError::Config`] when a setting is wrong.
    pub fn builder(config: KitConfig, store: S) -> Result<KitBuilder<S>, KitError> {
        config.check()?;
        let transport = Transport::new(&config.certificates);
        let sink = match &config.supervisor {
            Some(supervisor) => {
                let token = config.supervisor_token.clone();
                Some(HttpSink::new(&config.service, supervisor, token, transport.clone())?)
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
            outcome_owed: Notify::new(),
        };
        let work = Work { actions: HashMap::new(), notices: HashMap::new() };
        Ok(KitBuilder { inner, work, undos: HashMap::new() })
    }

    /// The forward actions at `POST /{action}`, the participant's endpoints below `/amends/v1/`, and `GET /healthz`.
    pub fn router(&self) -> axum::Router {
        crate::routes::router(self.clone())
    }

    /// Starts what must go on beside the requests: the relay of reports to the supervisor, and of outcomes that are
    /// owed to it, the sweep that finds requests of a process that died, and the removal of old sagas. All stop with
    /// [`Background::stop`] or when the handle is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_background(&self) -> Background {
        Background::spawn(self)
    }
}

/// Takes a service's actions, how each is undone, and its notices.
pub struct KitBuilder<S: HistoryStore> {
    inner: Inner<S>,
    work: Work<S>,
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
        let taken = self.work.actions.insert(checked(name), action).is_some();
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
        let taken = self.work.notices.insert(checked(name), Box::new(send)).is_some();
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
            match self.work.actions.get_mut(name) {
                Some(action) => action.undo = Some(undo),
                None => panic!("the compensation of `{name}` undoes no action; name an action"),
            }
        }
        Kit { inner: Arc::new(self.inner), work: Arc::new(self.work) }
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
