//! What has happened lately, for the event stream. Lives in memory only: the store tells the whole story.

use amends_api::sentence::{breaker_sentence, histories_sentence, stuck_sentence, with_detail};
use amends_api::signs::Signed;
use amends_api::{AuditActName, CaseState, EventState, EventView};
use amends_engine::{DomainEvent, Event, StepState};
use amends_protocol::CaseId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Events kept for a listener that comes back with its last id; some seconds of a busy supervisor.
const RING: usize = 4_096;
/// The same in bytes of their messages, which reports may make long.
const RING_BYTES: usize = 4 << 20;

/// The feed of one supervisor; clones share it.
#[derive(Clone, Debug)]
pub struct EventStream {
    ring: Arc<Mutex<Ring>>,
    live: broadcast::Sender<(u64, Arc<Kept>)>,
}

#[derive(Debug, Default)]
struct Ring {
    next_id: u64,
    events: VecDeque<(u64, Arc<Kept>)>,
    bytes: usize,
}

/// An event without what nobody is shown: a whole report would stay in memory for a line about it.
#[derive(Debug)]
enum Kept {
    Small(Event),
    Shown(EventView),
}

impl Ring {
    /// What was said of a case whose business data went is not said again.
    fn forget(&mut self, case: CaseId) {
        for (_, kept) in &mut self.events {
            let view = kept.view();
            if view.case_id == Some(case) && view.message.is_some() {
                self.bytes -= kept.bytes();
                *kept = Arc::new(Kept::Shown(EventView { message: None, ..view }));
            }
        }
    }
}

fn erased_case(event: &Event) -> Option<CaseId> {
    match &event.what {
        DomainEvent::Acted { case, act: AuditActName::Erased, .. } => *case,
        _ => None,
    }
}

impl Kept {
    fn of(event: &Event) -> Self {
        match &event.what {
            DomainEvent::Reported { .. } | DomainEvent::Planned { .. } => Self::Shown(view(event)),
            _ => Self::Small(event.clone()),
        }
    }

    fn view(&self) -> EventView {
        match self {
            Self::Small(event) => view(event),
            Self::Shown(view) => view.clone(),
        }
    }

    /// Bytes of what may be long.
    fn bytes(&self) -> usize {
        let message = match self {
            Self::Shown(view) => view.message.as_ref(),
            Self::Small(event) => match &event.what {
                DomainEvent::Step { message, .. }
                | DomainEvent::Breaker { message, .. }
                | DomainEvent::Histories { message, .. } => message.as_ref(),
                DomainEvent::Question { sentence, .. } => Some(sentence),
                DomainEvent::Quarantined { broken, .. } => Some(&broken.why),
                _ => None,
            },
        };
        message.map_or(0, String::len)
    }
}

/// Events as they come, after those that were kept.
#[derive(Debug)]
pub struct EventSubscription {
    kept: VecDeque<(u64, Arc<Kept>)>,
    live: broadcast::Receiver<(u64, Arc<Kept>)>,
    last: Option<u64>,
}

impl Default for EventStream {
    fn default() -> Self {
        Self { ring: Arc::default(), live: broadcast::channel(RING).0 }
    }
}

impl EventStream {
    pub(crate) fn observe(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let id = ring.next_id;
            ring.next_id += 1;
            let erased = erased_case(event);
            let event = Arc::new(Kept::of(event));
            ring.bytes += event.bytes();
            if self.live.receiver_count() > 0 {
                let _ = self.live.send((id, Arc::clone(&event))); // the last listener may just have gone
            }
            ring.events.push_back((id, event));
            if let Some(case) = erased {
                ring.forget(case);
            }
            while ring.events.len() > RING || ring.bytes > RING_BYTES {
                let Some((_, oldest)) = ring.events.pop_front() else { break };
                ring.bytes -= oldest.bytes();
            }
        }
    }

    /// Events after the one with id `last`, as far as they are kept, then new ones as they come. Without `last` only
    /// new ones.
    #[must_use]
    pub fn since(&self, last: Option<u64>) -> EventSubscription {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        let kept = match last {
            Some(last) => ring.events.iter().filter(|(id, _)| *id > last).cloned().collect(),
            None => VecDeque::new(),
        };
        EventSubscription {
            kept,
            live,
            last: ring.next_id.checked_sub(1).filter(|_| last.is_none()),
        }
    }
}

impl EventSubscription {
    /// The next event with its id; none when the supervisor has ended. A listener that is too slow misses events and
    /// sees it by the gap in the ids.
    pub async fn next(&mut self) -> Option<(u64, EventView)> {
        if let Some((id, event)) = self.kept.pop_front() {
            self.last = Some(id);
            return Some((id, event.view()));
        }
        loop {
            match self.live.recv().await {
                Ok((id, _)) if self.last.is_some_and(|last| id <= last) => {}
                Ok((id, event)) => {
                    self.last = Some(id);
                    return Some((id, event.view()));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// An event as the API shows it.
fn view(event: &Event) -> EventView {
    let mut view = EventView::new(event.at, state(&event.what));
    match &event.what {
        DomainEvent::Reported { case, report } => {
            view.case_id = Some(*case);
            view.subject = Some(format!("{}/{}", report.service(), report.data.code));
            view.message.clone_from(&report.data.message);
        }
        DomainEvent::Step { step, verb, action, state, message } => {
            view.case_id = Some(step.case);
            view.step_id = Some(*step);
            view.subject = Some(format!("{verb} {action}"));
            view.message = of_step(state, &action.service, message.as_ref());
        }
        DomainEvent::Case { case, saga, state, closed_on, .. } => {
            view.case_id = Some(*case);
            view.subject = Some(saga.to_string());
            let no_rule = *state == CaseState::Unmatched;
            view.message = closed_on
                .map(|word| format!("{}: {}", word.sign().word, word.meaning()))
                .or_else(|| no_rule.then(|| "no rule answers its report".to_owned()));
        }
        DomainEvent::Planned { case, report, steps } => {
            view.case_id = Some(*case);
            view.subject = Some(format!("{}/{}", report.service(), report.data.code));
            view.message = Some(match steps {
                1 => "1 step".to_owned(),
                steps => format!("{steps} steps"),
            });
        }
        DomainEvent::Walked { case, service, entries } => {
            view.case_id = Some(*case);
            view.subject = Some(service.to_string());
            view.message = Some(format!("{entries} entries"));
        }
        DomainEvent::Acted { case, step, actor, .. } => {
            view.case_id = *case;
            view.step_id = *step;
            view.subject = Some(actor.to_string());
        }
        DomainEvent::Question { question, sentence, .. } => {
            view.case_id = Some(question.case);
            view.subject = Some(question.to_string());
            view.message = Some(sentence.to_string());
        }
        DomainEvent::Breaker { service, state, message } => {
            view.subject = Some(service.to_string());
            let sentence = breaker_sentence(service, *state);
            view.message = Some(with_detail(sentence, message.as_deref()));
        }
        DomainEvent::Histories { service, available, message } => {
            view.subject = Some(service.to_string());
            let sentence = histories_sentence(service, *available);
            view.message = Some(with_detail(sentence, message.as_deref()));
        }
        DomainEvent::Quarantined { case, broken } => {
            view.case_id = *case;
            view.subject = Some(broken.row.clone());
            view.message = Some(broken.why.clone());
        }
        DomainEvent::Rulebook { name, hash } => {
            view.subject = Some(name.to_string());
            view.message = Some(hash.to_string());
        }
    }
    view
}

/// What is told of a step beside where it stands.
fn of_step(state: &StepState, service: &str, message: Option<&String>) -> Option<String> {
    match state {
        StepState::Stuck(reason) => {
            let sentence = stuck_sentence(service, *reason);
            Some(with_detail(sentence, message.map(String::as_str)))
        }
        StepState::Accepted { location: None, .. } => {
            Some(format!("{service} tells when it is done"))
        }
        _ => message.cloned(),
    }
}

/// What became of what it is about.
fn state(what: &DomainEvent) -> EventState {
    match what {
        DomainEvent::Reported { .. } => EventState::Received,
        DomainEvent::Step { state: StepState::Done(outcome), .. } => EventState::Ended(*outcome),
        DomainEvent::Step { state: StepState::Stuck(reason), .. } => EventState::Stuck(*reason),
        DomainEvent::Step { state, .. } => EventState::Step(state.name()),
        DomainEvent::Case { state, .. } => EventState::Case(*state),
        DomainEvent::Planned { .. } => EventState::Planned,
        DomainEvent::Walked { .. } => EventState::Answered,
        DomainEvent::Acted { act, .. } => EventState::Act(*act),
        DomainEvent::Question { kind, .. } => EventState::Question(*kind),
        DomainEvent::Breaker { state, .. } => EventState::Breaker(*state),
        DomainEvent::Histories { available: true, .. } => EventState::Available,
        DomainEvent::Histories { available: false, .. } => EventState::Unavailable,
        DomainEvent::Quarantined { case: Some(_), .. } => EventState::Quarantined,
        DomainEvent::Quarantined { case: None, .. } => EventState::Unreadable,
        DomainEvent::Rulebook { .. } => EventState::Active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::{CaseId, Report, ReportData, SagaId, Timestamp};

    fn reported(n: usize, message: &str) -> Event {
        let report = Report {
            id: format!("r-{n}"),
            source: "order".to_owned(),
            saga_id: SagaId::new("o-1").expect("valid"),
            time: None,
            traceparent: None,
            data: ReportData {
                code: "failed".to_owned(),
                message: Some(message.to_owned()),
                ..ReportData::default()
            },
        };
        let what = DomainEvent::Reported { case: CaseId(1), report: Arc::new(report) };
        Event { at: Timestamp(0), what }
    }

    #[tokio::test]
    async fn what_is_kept_has_a_limit_in_bytes_and_keeps_no_report() {
        let feed = EventStream::default();
        let (long, events) = ("x".repeat(8_192), 1_000);
        let first = reported(0, &long);
        let DomainEvent::Reported { report, .. } = &first.what else { unreachable!("made so") };
        let alive = Arc::downgrade(report);
        feed.observe(&[first]);
        assert!(alive.upgrade().is_none(), "only what is shown of it stays");
        feed.observe(&(1..events).map(|n| reported(n, &long)).collect::<Vec<_>>());
        let mut since = feed.since(Some(0));
        let (id, event) = since.next().await.expect("some are kept");
        assert_eq!(event.message.as_deref(), Some(&*long));
        let kept = events - usize::try_from(id).expect("small");
        assert_eq!(kept, RING_BYTES / long.len());
    }
}
