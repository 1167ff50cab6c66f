//! What every part of a kit shares, and one way to write. Knows no actions.

use crate::config::{KitConfig, KitError};
use crate::observer::Observer;
use crate::running::Running;
use crate::sink::ReportSink;
use crate::store::{BoxFuture, HistoryStore};
use crate::transport::Transport;
use amends_protocol::SagaId;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

pub(crate) struct Inner<S: HistoryStore> {
    pub(crate) config: KitConfig,
    pub(crate) store: S,
    pub(crate) transport: Transport,
    pub(crate) sink: Option<Arc<dyn ReportSink>>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) running: Running,
    /// Told when a report was put into the outbox.
    pub(crate) outbox_filled: Notify,
    /// Told when an outcome is to be told.
    pub(crate) outcome_owed: Notify,
}

impl<S: HistoryStore> Inner<S> {
    /// A transaction of the store, told to the observer when it is durable.
    pub(crate) async fn write<T, E, F>(&self, saga: Option<&SagaId>, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut S::Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<KitError> + Send + 'static,
    {
        let began = Instant::now();
        let done = self.store.write(saga, work).await;
        if done.is_ok() {
            self.observer.committed(began.elapsed());
        }
        done
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.config.call_timeout_ms.max(1))
    }
}
