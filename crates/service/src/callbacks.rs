//! Outcomes that are owed: of undos that took longer than the supervisor waits. Ends them, and tells each until the
//! supervisor has it, also after a restart; one may be told twice, which changes nothing there.

use crate::config::KitError;
use crate::failure::Refusal;
use crate::kit::Kit;
use crate::saga_context::put;
use crate::sink::TRY_TIMEOUT;
use crate::steps;
use crate::store::{BoxFuture, HistoryStore, HistoryTx, OwedRow};
use crate::supervisor_token::is_of;
use crate::transport::Reply;
use amends_protocol::wire::percent;
use amends_protocol::{CallbackProof, OutcomeCallback, PROBLEM_TYPE_BASE, SagaId};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use std::time::Duration;
use tokio::sync::watch;

/// Outcomes that are read at once.
const BATCH: u32 = 16;

/// First pause after an outcome that could not be told, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<S: HistoryStore> Kit<S> {
    /// Ends an undo that [`Undo::answer_later`](crate::Undo::answer_later) began; hosts use `finish_undo`, which gives
    /// them their database's own connection. `work`, History and what is owed to the supervisor are one transaction. A
    /// final refusal is told as the outcome `refused`, and the next try of the step undoes anew. Gives whether there
    /// was anything to end.
    ///
    /// # Errors
    /// [`KitError`] when the database fails, or [`KitError::Unfinished`] when `work` refuses for now: nothing has
    /// changed, and it is still owed.
    pub async fn finish_undo_within(
        &self,
        saga: &SagaId,
        action: &str,
        work: impl for<'t> FnOnce(&'t mut S::Tx) -> BoxFuture<'t, Result<(), Refusal>> + Send + 'static,
    ) -> Result<bool, KitError> {
        let (kit, of, action) = (self.clone(), saga.clone(), action.to_owned());
        let ended: usize = self
            .write(Some(saga), move |tx| {
                Box::pin(async move { steps::finish(tx, &kit, (&of, &action), work).await })
            })
            .await?;
        self.inner.outcome_owed.notify_one();
        Ok(ended > 0)
    }
}

/// Tells outcomes until told to stop.
pub(crate) async fn relay<S: HistoryStore>(kit: Kit<S>, mut stop: watch::Receiver<()>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let look_in = match tell_all(&kit).await {
            Ok(true) => {
                pause = FIRST_PAUSE;
                LONGEST_PAUSE
            }
            Ok(false) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
                pause
            }
            Err(error) => {
                tracing::error!(%error, "outcomes that are owed cannot be read or written");
                LONGEST_PAUSE
            }
        };
        tokio::select! {
            _ = stop.changed() => return,
            () = kit.inner.outcome_owed.notified() => {}
            () = tokio::time::sleep(look_in) => {}
        }
    }
}

/// Tells what is to be told; false if some of it could not be told now.
async fn tell_all<S: HistoryStore>(kit: &Kit<S>) -> Result<bool, KitError> {
    loop {
        let read = kit.inner.store.read(|tx| Box::pin(tx.outcomes_to_tell(BATCH)));
        let owed: Vec<OwedRow> = read.await?;
        let mut is_told = true;
        let is_last = owed.len() < BATCH as usize;
        for one in owed {
            let error = match tell(kit, &one).await {
                Delivery::Taken => None,
                Delivery::Never(why) => {
                    tracing::error!(
                        service = kit.service(),
                        step = one.step_id,
                        why,
                        "its outcome is not taken"
                    );
                    Some(why)
                }
                Delivery::Later(why) => {
                    tracing::warn!(
                        service = kit.service(),
                        step = one.step_id,
                        why,
                        "its outcome waits"
                    );
                    is_told = false;
                    continue;
                }
            };
            kit.write(None, move |tx| {
                Box::pin(async move { tx.settle_owed(&one, error.as_deref()).await })
            })
            .await?;
        }
        if is_last || !is_told {
            return Ok(is_told);
        }
    }
}

enum Delivery {
    Taken,
    /// It will never be taken; why.
    Never(String),
    Later(String),
}

async fn tell<S: HistoryStore>(kit: &Kit<S>, owed: &OwedRow) -> Delivery {
    // Only what has ended is read.
    let Some(outcome) = owed.outcome else { return Delivery::Later("it goes on".to_owned()) };
    let step = percent::part(&owed.step_id);
    let supervisor = kit.inner.config.supervisor.as_deref();
    let own = supervisor.map(|at| format!("{}/v1/steps/{step}/outcome", at.trim_end_matches('/')));
    let Some(address) = owed.url.clone().or(own) else {
        return Delivery::Later("no supervisor is configured".to_owned());
    };
    let Ok(uri) = address.parse::<Uri>() else {
        return Delivery::Never(format!("`{address}` is no address"));
    };
    let word = OutcomeCallback::of(outcome);
    let word = match &owed.proof {
        Some(proof) => word.proven(CallbackProof::new(proof.as_str())),
        None => word,
    };
    let Ok(body) = serde_json::to_vec(&word) else {
        return Delivery::Later("it cannot be written as JSON".to_owned());
    };
    let mut headers = HeaderMap::new();
    put(&mut headers, "content-type", "application/json");
    if let Some(token) =
        kit.inner.config.supervisor_token.as_ref().filter(|_| is_of(supervisor, &uri))
    {
        match token.authorization() {
            Ok(value) => drop(headers.insert(header::AUTHORIZATION, value)),
            Err(why) => return Delivery::Later(why),
        }
    }
    match kit.inner.transport.post(uri, headers, Bytes::from(body), TRY_TIMEOUT).await {
        Ok(reply) => judge(&reply),
        Err(why) => Delivery::Later(why),
    }
}

/// What is no problem of ours comes from what stands before the supervisor, and passes.
fn judge(reply: &Reply) -> Delivery {
    let text: String = String::from_utf8_lossy(&reply.body).chars().take(500).collect();
    let why = format!("answered {}: {text}", reply.status.as_u16());
    let is_final = reply.status.is_client_error()
        && !matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED)
        && text.contains(PROBLEM_TYPE_BASE);
    match reply.status.is_success() {
        true => Delivery::Taken,
        false if is_final => Delivery::Never(why),
        false => Delivery::Later(why),
    }
}
