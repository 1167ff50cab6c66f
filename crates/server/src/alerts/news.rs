//! What of that which happens is worth an alert, and the way to whoever groups and tells it. It never waits.

use super::board::{Kind, News};
use amends_api::{CaseState, QuestionKind};
use amends_engine::{Event, Happening, SUPERVISOR, StepState, UnreadableRow};
use amends_protocol::{CaseId, Timestamp};
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// News that may wait; grouping takes microseconds, so more only wait while the process is starved.
const QUEUE: usize = 16_384;

/// Where news goes; clones are the same. Without [`Alerts::open`] it goes nowhere.
#[derive(Clone, Default)]
pub(crate) struct Alerts {
    sender: Arc<OnceLock<mpsc::Sender<News>>>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("open", &self.sender.get().is_some()).finish()
    }
}

impl Alerts {
    /// Takes news from now on. None when it was open already.
    pub(crate) fn open(&self) -> Option<mpsc::Receiver<News>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.sender.set(sender).ok().map(|()| receiver)
    }

    /// The wall clock has jumped by so many milliseconds; ahead if positive.
    pub(crate) fn clock_jumped(&self, at: Timestamp, by_ms: i64) {
        let way = if by_ms < 0 { "back" } else { "ahead" };
        let reason = format!("{way} by {} s", by_ms.unsigned_abs() / 1_000);
        let news = News { at, kind: Kind::ClockJumped, subject: String::new(), case: None, reason };
        if let Some(sender) = self.sender.get() {
            let _ = sender.try_send(news); // it is in the log
        }
    }

    /// What has happened, after its commit.
    pub(crate) fn observe(&self, events: &[Event]) {
        let Some(sender) = self.sender.get() else { return };
        for news in events.iter().filter_map(news) {
            if sender.try_send(news).is_err() {
                tracing::warn!("too much to alert of at once; some is left out");
                return;
            }
        }
    }
}

/// What can't be used, of a case or of none.
pub(super) fn quarantined(at: Timestamp, case: Option<CaseId>, broken: &UnreadableRow) -> News {
    let UnreadableRow { row, why } = broken;
    let subject = if case.is_some() { "" } else { "stored rows" }.to_owned();
    News { at, kind: Kind::Quarantined, subject, case, reason: format!("{row}: {why}") }
}

fn news(event: &Event) -> Option<News> {
    let of = |kind, subject: String, case, reason: &str| {
        Some(News { at: event.at, kind, subject, case, reason: reason.to_owned() })
    };
    match &event.what {
        Happening::Step { step, verb, action, state: StepState::Stuck(reason), message } => {
            let why = message.as_deref().unwrap_or_default();
            let reason =
                if why.is_empty() { reason.to_string() } else { format!("{reason}: {why}") };
            of(Kind::Stuck, format!("{verb} {action}"), Some(step.case), &reason)
        }
        // Its step is stuck with the same word, and that is told.
        Happening::Question { kind: QuestionKind::DataConflict, .. } => None,
        Happening::Question { question, kind, service, sentence } => {
            of(Kind::Question, format!("{kind}: {service}"), Some(question.case), sentence)
        }
        Happening::Case { case, state: CaseState::Unmatched, .. } => {
            of(Kind::Unmatched, String::new(), Some(*case), "no rule answers its report")
        }
        Happening::Breaker { service, state: "open", message } => {
            of(Kind::OutOfReach, service.to_string(), None, message.as_deref().unwrap_or_default())
        }
        Happening::Breaker { service, state: "rejecting", message: Some(message) } => {
            of(Kind::Rejecting, service.to_string(), None, message)
        }
        Happening::Histories { service, available: false, message } => {
            let why = message.as_deref().unwrap_or_default();
            of(Kind::HistoriesUnavailable, service.to_string(), None, why)
        }
        Happening::Reported { case, report } if report.service() == SUPERVISOR => {
            let why = report.data.message.as_deref().unwrap_or_default();
            of(Kind::DeadlineMissed, String::new(), Some(*case), why)
        }
        Happening::Quarantined { case, broken } => Some(quarantined(event.at, *case, broken)),
        Happening::Step { .. }
        | Happening::Case { .. }
        | Happening::Breaker { .. }
        | Happening::Histories { .. }
        | Happening::Reported { .. }
        | Happening::Planned { .. }
        | Happening::Walked { .. }
        | Happening::Acted { .. }
        | Happening::Rulebook { .. } => None,
    }
}
