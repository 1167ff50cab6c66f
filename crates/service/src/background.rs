//! What goes on beside the requests: the relay of reports and the sweep. Ends when told, or with its handle.

use crate::config::KitError;
use crate::kit::{Kit, now_ms};
use crate::{ledger, outbox};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Handle of the background work; it ends when this is dropped.
#[must_use = "the background work ends when its handle is dropped"]
#[derive(Debug)]
pub struct Background {
    stop: watch::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn spawn(kit: &Kit) -> Self {
        let (stop, stopped) = watch::channel(());
        let tasks = vec![
            tokio::spawn(outbox::relay(kit.clone(), stopped.clone())),
            tokio::spawn(sweep(kit.clone(), stopped)),
        ];
        Self { stop, tasks }
    }

    /// Ends the work and waits for it. A report that is being posted is posted again by the next start, which the
    /// supervisor recognises by its id.
    pub async fn stop(self) {
        drop(self.stop);
        for task in self.tasks {
            // A task that panicked has nothing left to stop.
            let _ = task.await;
        }
    }
}

async fn sweep(kit: Kit, mut stop: watch::Receiver<()>) {
    loop {
        match sweep_once(&kit).await {
            Ok(0) => {}
            Ok(found) => {
                tracing::warn!(
                    service = kit.inner.service,
                    found,
                    "requests of a dead process were reported"
                );
                kit.inner.outbox_filled.notify_one();
            }
            Err(error) => tracing::error!(%error, "the sweep failed; it tries again"),
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(kit.inner.sweep_every) => {}
        }
    }
}

async fn sweep_once(kit: &Kit) -> Result<usize, KitError> {
    let limit = i64::try_from(kit.inner.unfinished_after_ms).unwrap_or(i64::MAX);
    let started_before = now_ms().saturating_sub(limit);
    let (running, service) = (kit.inner.running.clone(), kit.inner.service.clone());
    kit.inner.database.write(move |tx| ledger::sweep(tx, &running, &service, started_before)).await
}
