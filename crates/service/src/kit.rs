//! The kit itself: built from a service's actions, compensations and notices; gives a router and background work.
//! Holds no rule about requests (see `history`) and no SQL (see `ledger`).

use crate::background::Background;
use crate::config::{KitConfig, KitError, is_plain_name};
use crate::context::{ActionContext, Effect};
use crate::database::Database;
use crate::failure::{Failure, Refusal};
use crate::transport::Transport;
use crate::undo::{Notice, Undo};
use rusqlite::{Connection, Transaction};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

type Handled = Pin<Box<dyn Future<Output = Result<Effect, Failure>> + Send>>;
type Handler = Box<dyn Fn(ActionContext, Value) -> Handled + Send + Sync>;
type UndoFn = Box<dyn Fn(&Transaction<'_>, &Undo<'_>) -> Result<(), Refusal> + Send + Sync>;
type NoticeFn = Box<dyn Fn(&Transaction<'_>, &Notice<'_>) -> Result<(), Refusal> + Send + Sync>;

/// One service's kit. Clones share everything.
#[derive(Clone)]
pub struct Kit {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) service: String,
    pub(crate) supervisor: Option<String>,
    pub(crate) signing_keys: Vec<Vec<u8>>,
    pub(crate) unfinished_after_ms: u64,
    pub(crate) sweep_every: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) database: Database,
    pub(crate) transport: Transport,
    pub(crate) running: Running,
    /// Told when a report was put into the outbox.
    pub(crate) outbox_filled: Arc<Notify>,
    pub(crate) actions: HashMap<&'static str, Action>,
    pub(crate) notices: HashMap<&'static str, NoticeFn>,
}

pub(crate) struct Action {
    pub(crate) handler: Handler,
    pub(crate) undo: Option<UndoFn>,
}

impl Kit {
    /// Opens or creates the service's database (WAL, every commit waits for the disk), brings the kit's tables up to
    /// date and runs the host's schema.
    ///
    /// # Errors
    /// [`KitError`] when a setting is wrong or the file cannot be used.
    pub fn open(config: KitConfig) -> Result<KitBuilder, KitError> {
        if !is_plain_name(&config.service) {
            return Err(KitError::Config(format!(
                "`{}` is not a service name: 1 to 128 of `a-z A-Z 0-9 _ -`",
                config.service
            )));
        }
        if let Some(url) = &config.supervisor
            && !url.starts_with("http://")
        {
            return Err(KitError::Config(format!(
                "`{url}` is not a supervisor's address: it must start with `http://` (TLS belongs to a proxy)"
            )));
        }
        let database = Database::open(&config)?;
        Ok(KitBuilder {
            inner: Inner {
                service: config.service,
                supervisor: config.supervisor,
                signing_keys: config.signing_keys,
                unfinished_after_ms: config.unfinished_after_ms,
                sweep_every: Duration::from_millis(config.sweep_every_ms.max(1)),
                call_timeout: Duration::from_millis(config.call_timeout_ms.max(1)),
                database,
                transport: Transport::new(),
                running: Running::default(),
                outbox_filled: Arc::default(),
                actions: HashMap::new(),
                notices: HashMap::new(),
            },
            undos: HashMap::new(),
        })
    }

    /// The forward actions at `POST /{action}`, the participant's endpoints below `/amends/v1/`, and `GET /healthz`.
    pub fn router(&self) -> axum::Router {
        crate::routes::router(self.clone())
    }

    /// Starts what must go on beside the requests: the relay of reports to the supervisor, and the sweep that finds
    /// requests of a process that died. Both stop with [`Background::stop`] or when the handle is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_background(&self) -> Background {
        Background::spawn(self)
    }

    /// Runs one of the host's own queries; it sees everything committed before it began, and cannot write.
    ///
    /// # Errors
    /// [`KitError`] when the query fails.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, KitError> {
        self.inner.database.read(query).await
    }

    /// Reports that the supervisor has not acknowledged yet.
    ///
    /// # Errors
    /// [`KitError`] when the database fails.
    pub async fn pending_reports(&self) -> Result<u64, KitError> {
        self.read(crate::outbox::count_pending).await
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.inner.service
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("service", &self.inner.service).finish_non_exhaustive()
    }
}

/// Takes a service's actions, how each is undone, and its notices.
pub struct KitBuilder {
    inner: Inner,
    undos: HashMap<&'static str, UndoFn>,
}

impl KitBuilder {
    /// A forward action at `POST /{name}`. The handler may call other services and returns the local effect; the
    /// effect runs in one transaction with the History row.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn action<F, Fut>(mut self, name: &'static str, handler: F) -> Self
    where
        F: Fn(ActionContext, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Effect, Failure>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |context, body| Box::pin(handler(context, body)));
        let action = Action { handler, undo: None };
        let taken = self.inner.actions.insert(checked(name), action).is_some();
        assert!(!taken, "the action `{name}` is given twice");
        self
    }

    /// How the action `name` is undone. Runs in the transaction that also marks its requests compensated and puts up
    /// the fence. When it refuses (or panics), what it wrote is rolled back and the fence stays.
    ///
    /// # Panics
    /// When the action has one already.
    #[must_use]
    pub fn compensation(
        mut self,
        name: &'static str,
        undo: impl Fn(&Transaction<'_>, &Undo<'_>) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        let taken = self.undos.insert(name, Box::new(undo)).is_some();
        assert!(!taken, "the action `{name}` has two compensations");
        self
    }

    /// A (correcting) message that the supervisor may ask for with the verb `notify`; sent once per saga.
    ///
    /// # Panics
    /// When the name is taken or can't be part of a path.
    #[must_use]
    pub fn notice(
        mut self,
        name: &'static str,
        send: impl Fn(&Transaction<'_>, &Notice<'_>) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        let taken = self.inner.notices.insert(checked(name), Box::new(send)).is_some();
        assert!(!taken, "the notice `{name}` is given twice");
        self
    }

    /// Puts the kit together.
    ///
    /// # Panics
    /// When a compensation names no action.
    #[must_use]
    pub fn build(mut self) -> Kit {
        for (name, undo) in self.undos {
            match self.inner.actions.get_mut(name) {
                Some(action) => action.undo = Some(undo),
                None => panic!("the compensation of `{name}` undoes no action; name an action"),
            }
        }
        Kit { inner: Arc::new(self.inner) }
    }
}

impl fmt::Debug for KitBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KitBuilder").field("service", &self.inner.service).finish_non_exhaustive()
    }
}

fn checked(name: &'static str) -> &'static str {
    assert!(is_plain_name(name), "`{name}` can't be part of a path: 1 to 128 of `a-z A-Z 0-9 _ -`");
    name
}

/// The requests that this process is working on. Whoever is `started` and not here was left behind by a process that
/// is gone. Read and changed on the writing thread, except for leaving.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<Mutex<HashSet<String>>>);

impl Running {
    /// Counts the request in until the guard is dropped.
    pub(crate) fn enter(&self, request_id: &str) -> RunningGuard {
        self.lock().insert(request_id.to_owned());
        RunningGuard { running: self.clone(), request_id: request_id.to_owned() }
    }

    pub(crate) fn contains(&self, request_id: &str) -> bool {
        self.lock().contains(request_id)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a request counted as running.
#[derive(Debug)]
pub(crate) struct RunningGuard {
    running: Running,
    request_id: String,
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running.lock().remove(&self.request_id);
    }
}

/// UTC milliseconds, the one place where the kit looks at a clock.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
}
