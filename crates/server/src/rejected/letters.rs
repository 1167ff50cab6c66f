//! What one node had taken in, and the one that works on its saga has refused. Its row is written in the commit that
//! deletes the letter, since nobody knows then whether the sender is still waiting; whoever tells the sender takes the
//! row away again.

use super::secrets_of;
use crate::mailbox::Shared;
use crate::supervisor::Supervisor;
use crate::views::rejected_detail;
use amends_engine::{Input, LetterId};
use amends_protocol::{Problem, ProblemCode, ReportReceipt};
use amends_store::{Rejected, RejectedRow, Store, StoreError};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long after its commit a refusal counts as one that nobody was told: a door waits for a second.
const HEARD: Duration = Duration::from_secs(2);

/// The sender was told the refusal: nobody else has to.
pub(crate) async fn was_told<S: Rejected>(store: S, letter: LetterId) {
    if let Err(error) = store.forget_rejected(RejectedRow::name_of_letter(letter)).await {
        tracing::debug!(%letter, %error, "that a refusal was told can't be written; people see it as one that was not");
    }
}

/// Tells people of refusals that nobody was told, a moment after their commit.
pub(crate) async fn tell_people<S: Store>(store: S, shared: Arc<Shared>, letters: Vec<LetterId>) {
    tokio::time::sleep(HEARD).await;
    for letter in letters {
        match store.rejected_one(RejectedRow::name_of_letter(letter)).await {
            Ok(Some(row)) => tell_of(&shared, &row),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%letter, %error, "a letter was refused; why can't be read now")
            }
        }
    }
    if let Err(error) = make_room(&store, &shared).await {
        tracing::warn!(%error, "rejected messages can't be counted");
    }
}

fn tell_of(shared: &Shared, row: &RejectedRow) {
    let books = Arc::clone(&shared.books.lock().unwrap_or_else(PoisonError::into_inner));
    let detail = rejected_detail(row, &secrets_of(&books));
    let (way, code, place) = (row.way, row.code, &row.place);
    tracing::warn!(
        %way, place, code = code.as_str(), detail,
        "what another node had taken in was refused; `amends report rejected` shows it"
    );
    shared.observers.metrics.kept_apart().rejected(way, code);
    shared.observers.alerts.rejected(row.rejected_at, way, code, &format!("{place}: {detail}"));
}

async fn make_room<S: Store>(store: &S, shared: &Shared) -> Result<(), StoreError> {
    let dropped = store.make_room_for_rejected(shared.rejected.limits).await?;
    shared.observers.metrics.kept_apart().rejected_dropped(dropped);
    shared.rejected.rows.store(store.rejected_count().await?, Ordering::Relaxed);
    Ok(())
}

/// Hands in anew what a service had brought; the outer error is of what is not to be done twice.
///
/// # Errors
/// `conflict` for what a person did, or what concerns one request: that is done anew by whoever wants it.
pub(super) async fn again<S: Store>(
    supervisor: &Supervisor<S>,
    row: &RejectedRow,
) -> Result<Result<ReportReceipt, Problem>, Problem> {
    let taken = ReportReceipt { case_id: None, duplicate: false, letter: None };
    let input = row.letter().and_then(|letter| letter.input(0).ok());
    Ok(match input {
        Some(Input::Report { report, .. }) => supervisor.report(Arc::unwrap_or_clone(report)).await,
        Some(Input::SagaBegan { begin, .. }) => supervisor.begin_saga(begin).await.map(|_| taken),
        Some(Input::SagaEnded { saga, .. }) => {
            let sender = row.source.as_deref().unwrap_or("node").into();
            supervisor.end_saga(saga, sender).await.map(|()| taken)
        }
        Some(_) => {
            let detail = "only reports, announcements and ends of sagas are read once more; what a person wanted, that one does anew if it is still wanted, and an outcome is recorded (`amends steps record`); then discard this";
            return Err(Problem::new(ProblemCode::Conflict, detail));
        }
        None => {
            let detail = "it can't be read as it is kept: have it done anew by whoever wanted it, or discard it";
            return Err(Problem::new(ProblemCode::Conflict, detail));
        }
    })
}
