//! Local actions: those whose whole work is one transaction. Row, effect and end are committed at once, with one wait for
//! the disk. Makes no calls, and has no way to.
//!
//! # Why no `started` row precedes
//!
//! The row that is durable before a handler runs is there for what a dying process may leave behind: calls that it made,
//! money that it moved. A local action gets a connection and nothing else, and all that it does is in the transaction
//! that also holds its row. If the process dies before the commit, the database takes everything back, and the request
//! has never been: whoever asked has no answer and asks again, and a compensation finds nothing and puts up its fence. If it
//! dies after the commit, the request has succeeded. There is no third case that a trace could tell of.
//!
//! INVARIANT: a local action's row is never committed as `started`, but by a `retry`, which runs it as any other.

use crate::config::KitError;
use crate::failure::{Failure, RolledBack};
use crate::guarded::guarded;
use crate::kit::Kit;
use crate::ledger::{self, Admission, Arrived, Failed};
use crate::local_request::{LocalFn, LocalRequest};
use crate::running::RunningGuard;
use crate::store::{HistoryStore, NewRequest, StoredAnswer};
use std::sync::Arc;

const TAKEN: &str = "the request id was taken in another saga at the same moment";

/// What became of a request of a local action.
pub(crate) enum Entered {
    /// It did not run here and now.
    Arrived(Arrived),
    /// It ran, and the end is durable.
    Succeeded(StoredAnswer),
    /// The same. It counts as under way until the guard is dropped.
    Failed(StoredAnswer, RunningGuard),
}

/// Takes a request in and sees it to its end in one transaction. One that fails is rolled back, its row as well, and then
/// written as failed with its report, in a transaction of its own: whoever came between the two is answered first.
pub(crate) async fn enter<S: HistoryStore>(
    kit: &Kit<S>,
    work: &LocalFn<S::Tx>,
    request: &NewRequest,
    named: bool,
) -> Result<Entered, KitError> {
    let (running, asked, work) = (kit.inner.running.clone(), request.clone(), Arc::clone(work));
    let entered = kit
        .write(Some(&request.saga), move |tx| {
            Box::pin(async move {
                if !ledger::may_begin(tx, &asked).await? {
                    let arrived = ledger::arrive(tx, &running, asked, named).await?;
                    return Ok(Entered::Arrived(arrived));
                }
                let told = LocalRequest::of(&asked);
                let value = guarded(async { work(&mut *tx, &told).await })
                    .await?
                    .map_err(RolledBack::Failure)?;
                // INVARIANT: something of ours is written after the effect, so that a failed statement that the host kept
                // to itself is found out.
                match ledger::succeed_at_once(tx, &asked, value).await? {
                    Some(answer) => Ok(Entered::Succeeded(answer)),
                    // What it did is rolled back; the next transaction sees whose the id is.
                    None => Err(RolledBack::Kit(KitError::Database(TAKEN.to_owned()))),
                }
            })
        })
        .await;
    let failure = match entered {
        Ok(entered) => return Ok(entered),
        Err(RolledBack::Failure(failure)) => failure,
        // What was rolled back had no effect, whatever stopped it. If nobody knows whether it was committed, the next
        // transaction sees it.
        Err(RolledBack::Kit(KitError::Panicked(text))) => Failure::panicked(text).without_effect(),
        Err(RolledBack::Kit(error)) => Failure::not_committed(&error).without_effect(),
    };
    tracing::info!(%failure, "an action failed");
    let (own, asked) = (kit.clone(), request.clone());
    let entered: Entered = kit
        .write(Some(&request.saga), move |tx| {
            Box::pin(async move {
                let (running, service) = (&own.inner.running, own.service());
                let arrived = ledger::arrive(tx, running, asked, named).await?;
                let Arrived::Here(Admission::Run(row, guard)) = arrived else {
                    return Ok::<_, KitError>(Entered::Arrived(arrived));
                };
                Ok(match ledger::fail(tx, running, service, &row, &failure, true).await? {
                    Failed::Answer { answer, .. } => Entered::Failed(answer, guard),
                    // Nobody else decides about a request that this transaction wrote.
                    Failed::Fenced => Entered::Arrived(Arrived::Here(Admission::Fenced)),
                    Failed::Lost(admission) => Entered::Arrived(Arrived::Here(admission)),
                })
            })
        })
        .await?;
    if matches!(entered, Entered::Failed(..)) {
        kit.report_queued();
    }
    Ok(entered)
}
