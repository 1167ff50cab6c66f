//! What goes on beside the requests: the relay of reports, the sweep, the removal of old sagas. Ends when told, or with
//! its handle.

use crate::callbacks;
use crate::config::KitError;
use crate::kit::Kit;
use crate::ledger::{self, SWEEP_BATCH};
use crate::outbox;
use crate::store::{HistoryStore, HistoryTx, Unfinished};
use amends_protocol::SagaId;
use std::time::Duration;
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
    pub(crate) fn spawn<S: HistoryStore>(kit: &Kit<S>) -> Self {
        let (stop, stopped) = watch::channel(());
        let tasks = vec![
            tokio::spawn(outbox::relay(kit.clone(), stopped.clone())),
            tokio::spawn(callbacks::relay(kit.clone(), stopped.clone())),
            tokio::spawn(sweep(kit.clone(), stopped.clone())),
            tokio::spawn(forget(kit.clone(), stopped)),
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

async fn sweep<S: HistoryStore>(kit: Kit<S>, mut stop: watch::Receiver<()>) {
    loop {
        match sweep_once(&kit).await {
            Ok(found) => {
                if found > 0 {
                    tracing::warn!(
                        service = kit.service(),
                        found,
                        "requests of a dead process were reported"
                    );
                }
                kit.inner.observer.swept(found);
            }
            Err(error) => tracing::error!(%error, "the sweep failed; it tries again"),
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(Duration::from_millis(kit.inner.config.sweep_every_ms.max(1))) => {}
        }
    }
}

/// Looks through everything that has been `started` for too long. What this process is at work on is passed over, so
/// that ever so many slow requests can't hide an abandoned one. Gives how many were abandoned.
pub(crate) async fn sweep_once<S: HistoryStore>(kit: &Kit<S>) -> Result<usize, KitError> {
    let age_ms = kit.inner.config.unfinished_after_ms;
    let (mut found, mut after) = (0, 0);
    loop {
        let batch: Vec<Unfinished> = kit
            .inner
            .store
            .read(move |tx| {
                Box::pin(async move { tx.unfinished(age_ms, after, SWEEP_BATCH).await })
            })
            .await?;
        let Some(last) = batch.last() else { return Ok(found) };
        after = last.seq;
        for left in batch {
            found += usize::from(sweep_request(kit, left).await?);
        }
    }
}

async fn sweep_request<S: HistoryStore>(kit: &Kit<S>, left: Unfinished) -> Result<bool, KitError> {
    let running = &kit.inner.running;
    if left.worker == running.worker() && running.contains(&left.request_id, left.run) {
        return Ok(false);
    }
    let (own, saga) = (kit.clone(), left.saga.clone());
    let swept = kit
        .write(Some(&saga), move |tx| {
            Box::pin(
                async move { ledger::sweep(tx, &own.inner.running, own.service(), &left).await },
            )
        })
        .await?;
    if swept {
        kit.report_queued();
    }
    Ok(swept)
}

/// Pause between two looks for old sagas: they are days old, so an hour more is nothing.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// Requests that one look for old sagas takes, and one transaction removes: a few milliseconds of work, so that live
/// requests hardly wait.
const FORGET_BATCH: u32 = 100;

/// Pause between two removals, which leaves the database to the requests most of the time.
const FORGET_PAUSE: Duration = Duration::from_millis(50);

async fn forget<S: HistoryStore>(kit: Kit<S>, mut stop: watch::Receiver<()>) {
    let Some(kept) = kit.inner.config.keep_history_for else { return };
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            done = forget_once(&kit, kept, FORGET_PAUSE) => match done {
                Ok(0) => {}
                Ok(sagas) => tracing::info!(service = kit.service(), sagas, "old sagas were removed"),
                Err(error) => tracing::error!(%error, "old sagas cannot be removed; tried again"),
            },
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
    }
}

/// Removes every saga in which all ended longer ago than `kept`, in small batches. Gives how many went.
pub(crate) async fn forget_once<S: HistoryStore>(
    kit: &Kit<S>,
    kept: Duration,
    pause: Duration,
) -> Result<u64, KitError> {
    let age_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
    let (mut gone, mut after) = (0, 0);
    loop {
        let aged = kit
            .inner
            .store
            .read(move |tx| {
                Box::pin(async move { tx.aged_sagas(age_ms, after, FORGET_BATCH).await })
            })
            .await?;
        let Some(last) = aged.iter().map(|(seq, _)| *seq).max() else { return Ok(gone) };
        let mut sagas: Vec<SagaId> = aged.into_iter().map(|(_, saga)| saga).collect();
        sagas.sort_unstable();
        sagas.dedup();
        let removed: u64 = kit
            .inner
            .store
            .write(None, move |tx| Box::pin(async move { tx.forget(&sagas, age_ms).await }))
            .await?;
        gone += removed;
        if last <= after && removed == 0 {
            // Nothing but fences is left, of sagas in which something is still to come.
            return Ok(gone);
        }
        after = after.max(last);
        tokio::time::sleep(pause).await;
    }
}
