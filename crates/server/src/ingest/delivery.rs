//! What becomes of one message of a broker: taken, put aside for people, or asked for again. It is acknowledged only
//! after what it became is durable, so that a crash in between brings it once more and changes nothing.

use super::age::{Age, Ages};
use super::bridge::Foreign;
use super::channels::Channels;
use super::fault::Fault;
use super::hear::{Heard, hear, told, with_key};
use super::message::Binding;
use crate::clock::{Clock, SystemClock};
use crate::supervisor::Supervisor;
use amends_protocol::{Problem, ProblemCode, Report, Timestamp};
use amends_store::{RejectedRow, Store};
use std::sync::Arc;
use std::time::Duration;

/// A message that a broker has brought.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Where it lies there, never twice the same: `nats/REPORTS/17@1764414000000/amends.reports.payment`,
    /// `kafka/reports/3/42@1764414000000`.
    pub(crate) place: String,
    /// The same in words.
    pub(crate) told: String,
    /// The subject or topic that it came on.
    pub(crate) channel: String,
    /// Its key; only Kafka's have one.
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// By the broker's clock.
    pub(crate) sent_at: Option<Timestamp>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is durable, or was before.
    Taken { duplicate: bool },
    /// It stands where people see it.
    Rejected,
    /// It tells of no failure.
    Skipped,
    /// Nothing was taken; it comes again after a pause.
    Again,
}

impl Verdict {
    /// In a word, for the metric.
    const fn word(self) -> &'static str {
        match self {
            Self::Taken { duplicate: false } => "taken",
            Self::Taken { duplicate: true } => "duplicate",
            Self::Rejected => "rejected",
            Self::Skipped => "skipped",
            Self::Again => "again",
        }
    }
}

/// Takes what one broker brings.
#[derive(Clone, Debug)]
pub(crate) struct Intake<S> {
    pub(crate) supervisor: Supervisor<S>,
    pub(crate) binding: Binding,
    pub(crate) channels: Arc<Channels>,
    pub(crate) ages: Arc<Ages>,
}

impl<S: Store> Intake<S> {
    /// Takes a message, or puts it aside; returns when that is durable.
    pub(crate) async fn take(&self, delivery: &Delivery) -> Verdict {
        let now = SystemClock.now();
        let verdict = match hear(self.binding, delivery.event(), &self.channels) {
            Ok(Heard::Report { report, .. }) => {
                match self.ages.of(delivery.sent_at, SystemClock.boot(), now) {
                    Age::Young => self.report(delivery, *report, now).await,
                    Age::TooOld(fault) => self.reject(delivery, problem(fault), now).await,
                    Age::InDoubt => Verdict::Again,
                }
            }
            Ok(Heard::Skipped(why)) => {
                tracing::debug!(place = delivery.place, why, "a message tells of no failure");
                Verdict::Skipped
            }
            Err(fault) => self.reject(delivery, problem(fault), now).await,
        };
        self.supervisor.metrics().ways().delivered(self.binding.way(), verdict.word());
        verdict
    }

    async fn report(&self, delivery: &Delivery, report: Report, now: Timestamp) -> Verdict {
        match self.supervisor.report(report).await {
            Ok(receipt) => Verdict::Taken { duplicate: receipt.duplicate },
            Err(problem) if problem.retryable == Some(true) => Verdict::Again,
            Err(problem) => self.reject(delivery, problem, now).await,
        }
    }

    /// Puts a message aside that nobody can read; returns when that is durable.
    #[cfg(feature = "nats")]
    pub(crate) async fn put_aside(&self, delivery: &Delivery, fault: Fault) -> Verdict {
        let verdict = self.reject(delivery, problem(fault), SystemClock.now()).await;
        self.supervisor.metrics().ways().delivered(self.binding.way(), verdict.word());
        verdict
    }

    /// Counts a message that comes again because nobody can say where it lies.
    #[cfg(feature = "nats")]
    pub(crate) fn not_read(&self) {
        self.supervisor.metrics().ways().delivered(self.binding.way(), Verdict::Again.word());
    }

    fn rejected(&self, delivery: &Delivery, problem: &Problem, now: Timestamp) -> RejectedRow {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = told(self.binding, delivery.event(), &self.channels);
        let headers = with_key(&delivery.headers, delivery.key.as_deref());
        RejectedRow {
            id: delivery.place.clone(),
            way: self.binding.way().into(),
            place: delivery.told.clone(),
            source: told.source,
            event_id: told.id,
            saga: told.subject,
            code: code_of(problem),
            detail: problem.detail.clone().unwrap_or_default(),
            headers: headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            body: delivery.body.clone(),
            cut: false,
            rejected_at: now,
            sent_at: delivery.sent_at,
        }
    }

    async fn reject(&self, delivery: &Delivery, problem: Problem, now: Timestamp) -> Verdict {
        let row = self.rejected(delivery, &problem, now);
        match self.supervisor.reject(row).await {
            Ok(()) => Verdict::Rejected,
            // It comes again, and nothing is lost.
            Err(error) => {
                let place = &delivery.place;
                tracing::error!(%error, place, "a message can't be put aside; it is asked for again");
                Verdict::Again
            }
        }
    }
}

impl Delivery {
    fn event(&self) -> Foreign<'_> {
        let Self { place, channel, key, headers, body, .. } = self;
        Foreign { place, channel, key: key.as_deref(), headers, body }
    }
}

/// How long a message waits that could not be taken so many times: longer from time to time, so that a supervisor that
/// can't take anything is not asked for nothing.
pub(crate) fn pause_after(tries: u32) -> Duration {
    Duration::from_millis(250 << tries.clamp(1, 6).saturating_sub(1)).min(Duration::from_secs(5))
}

fn problem(fault: Fault) -> Problem {
    Problem { errors: fault.errors, ..Problem::new(fault.code, fault.detail) }
}

fn code_of(problem: &Problem) -> ProblemCode {
    let found = ProblemCode::ALL.iter().find(|code| problem.is(**code));
    found.copied().unwrap_or(ProblemCode::InvalidReport)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds() {
        let pauses = [0, 1, 2, 3, 5, 6, 1_000].map(|tries| pause_after(tries).as_millis());
        assert_eq!(pauses, [250, 250, 500, 1_000, 4_000, 5_000, 5_000]);
    }
}
