//! Messages of brokers that can't be taken as reports, and letters of nodes that were refused. Nobody waits for an
//! answer to them, so each becomes a row that people see; only then may it be acknowledged. A person has it read once
//! more, or discards it.

pub(crate) mod letters;
pub(crate) mod shown;

use crate::faults::store_problem;
use crate::ingest::{Channels, Fault, again};
use crate::supervisor::Supervisor;
use crate::views::rejected_detail;
use amends_api::{AuditActName, RejectedAct, RejectedDone, RejectedId};
use amends_engine::Actor;
use amends_protocol::{Problem, ProblemCode, ReportReceipt};
use amends_rulebook::{Rulebook, SecretFields};
use amends_store::{RejectedRow, Store, StoreError};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Most bytes of a body that are kept; a longer one is cut.
pub(crate) const BODY_KEPT: usize = 1 << 20;
/// Most bytes of headers that are kept, names included; the rest are left out.
const HEADERS_KEPT: usize = 64 << 10;
/// Most bytes of what is said of a message, and of each name in it.
const TEXT_KEPT: usize = 4 << 10;

impl<S: Store> Supervisor<S> {
    /// Keeps a message that could not be taken. It is durable when this returns, and may be acknowledged then.
    ///
    /// # Errors
    /// When the store can't be written: the message must come again.
    pub async fn reject(&self, mut row: RejectedRow) -> Result<(), StoreError> {
        bound(&mut row);
        row.detail = rejected_detail(&row, &self.secrets_of_active());
        let (way, code) = (row.way, row.code);
        let (place, detail, at) = (row.place.clone(), row.detail.clone(), row.rejected_at);
        let kept = self.store().reject(row, self.shared().rejected.limits).await?;
        self.metrics().kept_apart().rejected_dropped(kept.dropped);
        if kept.dropped > 0 {
            tracing::warn!(
                dropped = kept.dropped,
                "there was no room for all rejected messages: the oldest went; the broker has them as long as it keeps them"
            );
        }
        if kept.is_new {
            tracing::warn!(
                %way, place, code = code.as_str(), detail,
                "a message could not be taken as a report; `amends report rejected` shows it"
            );
            self.metrics().kept_apart().rejected(way, code);
            self.alerts().rejected(at, way, code, &format!("{place}: {detail}"));
        }
        self.count_rejected().await.map(drop)
    }

    /// How many lie there, as it was counted last.
    pub(crate) fn rejected_shown(&self) -> u64 {
        self.shared().rejected.rows.load(Ordering::Relaxed)
    }

    /// Counts them, and shows that.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn count_rejected(&self) -> Result<u64, StoreError> {
        let rows = self.store().rejected_count().await?;
        self.shared().rejected.rows.store(rows, Ordering::Relaxed);
        Ok(rows)
    }

    /// What is secret by the word of any active rulebook: a message that can't be read belongs to none.
    pub(crate) fn secrets_of_active(&self) -> SecretFields {
        secrets_of(&self.active_books())
    }
}

fn secrets_of(books: &[Arc<Rulebook>]) -> SecretFields {
    books.iter().fold(SecretFields::default(), |secrets, book| secrets.with(book.secrets()))
}

/// Does what a person asks for, with a message that lies there.
///
/// # Errors
/// `not-found` when it does not (any more); `conflict` when it can't be taken still: it stays, with what is wrong now.
/// Otherwise as [`Supervisor::report`]; it stays as it was then.
pub(crate) async fn act_on_rejected<S: Store>(
    (supervisor, channels): (&Supervisor<S>, &Channels),
    id: RejectedId,
    act: &RejectedAct,
    actor: Actor,
) -> Result<RejectedDone, Problem> {
    let found = supervisor.store().rejected_one(id).await.map_err(store_problem)?;
    let row = found.ok_or_else(|| {
        let detail =
            format!("there is no rejected message `{id}`; it may have been taken or discarded");
        Problem::new(ProblemCode::NotFound, detail)
    })?;
    let about = json!({
        "message": id.to_string(), "place": row.place, "source": row.source, "eventId": row.event_id,
        "sagaId": row.saga, "code": row.code.as_str(),
    });
    let reason = act.reason();
    let taken = match act {
        // What is not in the audit must not be gone.
        RejectedAct::Discard { .. } => {
            supervisor.audit(AuditActName::RejectDiscard, actor, reason, about).await?;
            None
        }
        RejectedAct::Retry { .. } => match taken_again(supervisor, channels, &row).await? {
            Ok(receipt) => {
                let mut about = about;
                about["caseId"] = json!(receipt.case_id);
                // Should this fail, it lies there still, and is a duplicate the next time.
                supervisor.audit(AuditActName::RejectRetry, actor, reason, about).await?;
                Some(receipt)
            }
            Err(fault) => {
                let mut about = about;
                about["refused"] = json!(fault.code.as_str());
                supervisor.audit(AuditActName::RejectRetry, actor, reason, about).await?;
                return Err(still_refused(supervisor, row, fault).await);
            }
        },
    };
    let gone = supervisor.store().forget_rejected(id).await;
    let left = async { gone.and(supervisor.count_rejected().await) }.await;
    Ok(RejectedDone {
        case_id: taken.as_ref().and_then(|receipt| receipt.case_id),
        duplicate: taken.is_some_and(|receipt| receipt.duplicate),
        left: left.map_err(store_problem)?,
    })
}

/// The receipt, or why it can't be taken still; an outer error passes by itself, and nothing is known then.
async fn taken_again<S: Store>(
    supervisor: &Supervisor<S>,
    channels: &Channels,
    row: &RejectedRow,
) -> Result<Result<ReportReceipt, Fault>, Problem> {
    let taken = match row.way.broker() {
        Some(way) => match again(way, row, channels) {
            Ok(report) => supervisor.report(report).await,
            Err(fault) => return Ok(Err(fault)),
        },
        None => letters::again(supervisor, row).await?,
    };
    match taken {
        Ok(receipt) => Ok(Ok(receipt)),
        Err(problem) if problem.retryable == Some(true) => Err(problem),
        Err(problem) => {
            let code = ProblemCode::ALL.iter().find(|code| problem.is(**code));
            let code = code.copied().unwrap_or(ProblemCode::InvalidReport);
            Ok(Err(Fault::new(code, problem.detail.unwrap_or_default())))
        }
    }
}

/// Writes down what is wrong now, and says it.
async fn still_refused<S: Store>(
    supervisor: &Supervisor<S>,
    row: RejectedRow,
    fault: Fault,
) -> Problem {
    let row = RejectedRow { code: fault.code, detail: fault.detail, ..row };
    let detail = rejected_detail(&row, &supervisor.secrets_of_active());
    if let Err(error) = supervisor.reject(row).await {
        return store_problem(error);
    }
    let detail = format!("it can't be taken still, and stays: {detail}");
    Problem::new(ProblemCode::Conflict, detail)
}

/// Nobody makes a row larger than people can read.
fn bound(row: &mut RejectedRow) {
    row.cut |= row.body.len() > BODY_KEPT;
    row.body.truncate(BODY_KEPT);
    let mut bytes = 0;
    let size = |(name, value): &(String, String)| name.len() + value.len();
    row.headers.retain(|header| {
        bytes += size(header);
        bytes <= HEADERS_KEPT
    });
    shorten(&mut row.detail);
    [&mut row.source, &mut row.event_id, &mut row.saga].into_iter().flatten().for_each(shorten);
}

fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_KEPT));
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::RejectedWay;
    use amends_protocol::Timestamp;

    #[test]
    fn nobody_makes_a_row_larger_than_people_can_read() {
        let long = || "é".repeat(TEXT_KEPT);
        let mut row = RejectedRow {
            id: "kafka/reports/0/1".to_owned(),
            way: RejectedWay::Kafka,
            place: "message 1".to_owned(),
            source: Some(long()),
            event_id: None,
            saga: Some(long()),
            code: ProblemCode::TooLarge,
            detail: format!("x{}", long()),
            headers: (0..100).map(|n| (n.to_string(), "h".repeat(1_000))).collect(),
            body: vec![0; BODY_KEPT + 1],
            cut: false,
            rejected_at: Timestamp(0),
            sent_at: None,
        };
        bound(&mut row);
        assert!(row.cut && row.body.len() == BODY_KEPT);
        assert_eq!(row.headers.len(), 65, "the first 64 KiB");
        assert_eq!(row.detail.len(), TEXT_KEPT - 1, "no character is cut in two");
        assert_eq!(row.source.map(|text| text.len()), Some(TEXT_KEPT));
    }
}
