//! What of that which happens is worth an alert, and the way to whoever groups and tells it. It never waits.

use super::grouper::{Alert, Kind};
use amends_api::sentence::{stuck_sentence, with_detail};
use amends_api::signs::Signed;
use amends_api::{BreakerState, CaseState, QuestionKind, RejectedWay};
use amends_engine::{DomainEvent, Event, SUPERVISOR, StepState, UnreadableRow};
use amends_protocol::{CaseId, ProblemCode, Timestamp};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// Alert that may wait; grouping takes microseconds, so more only wait while the process is starved.
const QUEUE: usize = 16_384;

/// Where alert goes; clones are the same. Without [`Alerts::open`] it goes nowhere.
#[derive(Clone, Default)]
pub(crate) struct Alerts {
    sender: Arc<OnceLock<mpsc::Sender<Alert>>>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("open", &self.sender.get().is_some()).finish()
    }
}

impl Alerts {
    /// Takes alert from now on. None when it was open already.
    pub(crate) fn open(&self) -> Option<mpsc::Receiver<Alert>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.sender.set(sender).ok().map(|()| receiver)
    }

    /// The wall clock has jumped by so many milliseconds; ahead if positive.
    pub(crate) fn clock_jumped(&self, at: Timestamp, by_ms: i64) {
        let way = if by_ms < 0 { "back" } else { "ahead" };
        let reason = format!("{way} by {} s", by_ms.unsigned_abs() / 1_000);
        let alert =
            Alert { at, kind: Kind::ClockJumped, subject: String::new(), case: None, reason };
        if let Some(sender) = self.sender.get() {
            let _ = sender.try_send(alert); // it is in the log
        }
    }

    /// A token that is kept for emergencies was used, from there: nobody does so unheard.
    pub(crate) fn break_glass(&self, at: Timestamp, token: &str, from: Option<IpAddr>) {
        let from = from.map(|from| from.to_canonical());
        tracing::warn!(token, ?from, "a token that is kept for emergencies was used");
        let reason = from.map_or_else(String::new, |from| format!("from {from}"));
        let (kind, subject) = (Kind::BreakGlass, token.to_owned());
        if let Some(sender) = self.sender.get() {
            let _ = sender.try_send(Alert { at, kind, subject, case: None, reason }); // it is in the log
        }
    }

    /// A message of a broker could not be taken as a report, or what a node had acknowledged was refused by the one
    /// that works on its saga: nobody was told who could send it better.
    pub(crate) fn rejected(
        &self,
        at: Timestamp,
        way: RejectedWay,
        code: ProblemCode,
        reason: &str,
    ) {
        let subject = format!("{way}: {}", code.as_str());
        let (kind, reason) = (Kind::Rejected, reason.to_owned());
        if let Some(sender) = self.sender.get() {
            let _ = sender.try_send(Alert { at, kind, subject, case: None, reason }); // it is in the log
        }
    }

    /// Something of the nodes is not as it should be.
    pub(super) fn of_nodes(&self, alert: Alert) {
        let (subject, reason) = (&alert.subject, &alert.reason);
        tracing::warn!(kind = alert.kind.as_str(), subject, reason, "the nodes need somebody");
        if let Some(sender) = self.sender.get() {
            let _ = sender.try_send(alert); // it is in the log
        }
    }

    /// What has happened, after its commit.
    pub(crate) fn observe(&self, events: &[Event]) {
        let Some(sender) = self.sender.get() else { return };
        for alert in events.iter().filter_map(alert) {
            if sender.try_send(alert).is_err() {
                tracing::warn!("too much to alert of at once; some is left out");
                return;
            }
        }
    }
}

/// What can't be used, of a case or of none.
pub(super) fn quarantined(at: Timestamp, case: Option<CaseId>, broken: &UnreadableRow) -> Alert {
    let UnreadableRow { row, why } = broken;
    let subject = if case.is_some() { "" } else { "stored rows" }.to_owned();
    Alert { at, kind: Kind::Quarantined, subject, case, reason: format!("{row}: {why}") }
}

fn alert(event: &Event) -> Option<Alert> {
    let of = |kind, subject: String, case, reason: &str| {
        Some(Alert { at: event.at, kind, subject, case, reason: reason.to_owned() })
    };
    match &event.what {
        DomainEvent::Step { step, verb, action, state: StepState::Stuck(reason), message } => {
            let reason = stuck_sentence(&action.service, *reason);
            let reason = with_detail(reason, message.as_deref());
            of(Kind::Stuck, format!("{verb} {action}"), Some(step.case), &reason)
        }
        // Its step is stuck with the same word, and that is told.
        DomainEvent::Question { kind: QuestionKind::DataConflict, .. } => None,
        DomainEvent::Question { question, kind, service, sentence } => of(
            Kind::Question,
            format!("{}: {service}", kind.sign().word),
            Some(question.case),
            sentence,
        ),
        DomainEvent::Case { case, state: CaseState::Unmatched, .. } => {
            of(Kind::Unmatched, String::new(), Some(*case), "no rule answers its report")
        }
        DomainEvent::Breaker { service, state: BreakerState::Open, message } => {
            of(Kind::OutOfReach, service.to_string(), None, message.as_deref().unwrap_or_default())
        }
        DomainEvent::Breaker {
            service,
            state: BreakerState::Rejecting,
            message: Some(message),
        } => of(Kind::Rejecting, service.to_string(), None, message),
        DomainEvent::Histories { service, available: false, message } => {
            let why = message.as_deref().unwrap_or_default();
            of(Kind::HistoriesUnavailable, service.to_string(), None, why)
        }
        DomainEvent::Reported { case, report } if report.service() == SUPERVISOR => {
            let why = report.data.message.as_deref().unwrap_or_default();
            of(Kind::DeadlineMissed, String::new(), Some(*case), why)
        }
        DomainEvent::Quarantined { case, broken } => Some(quarantined(event.at, *case, broken)),
        DomainEvent::Step { .. }
        | DomainEvent::Case { .. }
        | DomainEvent::Breaker { .. }
        | DomainEvent::Histories { .. }
        | DomainEvent::Reported { .. }
        | DomainEvent::Planned { .. }
        | DomainEvent::Walked { .. }
        | DomainEvent::Acted { .. }
        | DomainEvent::Rulebook { .. } => None,
    }
}
