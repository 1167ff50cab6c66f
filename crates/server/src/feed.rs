//! What has happened lately, for the event stream. Lives in memory only: the store tells the whole story.

use amends_engine::{Event, Happening, StepState};
use amends_protocol::resources::EventView;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Events kept for a listener that comes back with its last id; some seconds of a busy supervisor.
const RING: usize = 4_096;

/// The feed of one supervisor; clones share it.
#[derive(Clone, Debug)]
pub struct EventFeed {
    ring: Arc<Mutex<Ring>>,
    live: broadcast::Sender<(u64, Arc<Event>)>,
}

#[derive(Debug, Default)]
struct Ring {
    next_id: u64,
    events: VecDeque<(u64, Event)>,
}

/// Events as they come, after those that were kept.
#[derive(Debug)]
pub struct EventStream {
    kept: VecDeque<(u64, Event)>,
    live: broadcast::Receiver<(u64, Arc<Event>)>,
    last: Option<u64>,
}

impl Default for EventFeed {
    fn default() -> Self {
        Self { ring: Arc::default(), live: broadcast::channel(RING).0 }
    }
}

impl EventFeed {
    pub(crate) fn tell(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let id = ring.next_id;
            ring.next_id += 1;
            if ring.events.len() == RING {
                ring.events.pop_front();
            }
            if self.live.receiver_count() > 0 {
                let _ = self.live.send((id, Arc::new(event.clone()))); // the last listener may just have gone
            }
            ring.events.push_back((id, event));
        }
    }

    /// Events after the one with id `last`, as far as they are kept, then new ones as they come. Without `last` only
    /// new ones.
    #[must_use]
    pub fn since(&self, last: Option<u64>) -> EventStream {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        let kept = match last {
            Some(last) => ring.events.iter().filter(|(id, _)| *id > last).cloned().collect(),
            None => VecDeque::new(),
        };
        EventStream { kept, live, last: ring.next_id.checked_sub(1).filter(|_| last.is_none()) }
    }
}

impl EventStream {
    /// The next event with its id; none when the supervisor has ended. A listener that is too slow misses events and
    /// sees it by the gap in the ids.
    pub async fn next(&mut self) -> Option<(u64, EventView)> {
        if let Some((id, event)) = self.kept.pop_front() {
            self.last = Some(id);
            return Some((id, view(&event)));
        }
        loop {
            match self.live.recv().await {
                Ok((id, _)) if self.last.is_some_and(|last| id <= last) => {}
                Ok((id, event)) => {
                    self.last = Some(id);
                    return Some((id, view(&event)));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// An event as the API shows it.
fn view(event: &Event) -> EventView {
    let mut view = EventView {
        at: event.at,
        kind: String::new(),
        case_id: None,
        step_id: None,
        subject: None,
        state: String::new(),
        message: None,
    };
    match &event.what {
        Happening::Reported { case, report } => {
            view.kind = "report".to_owned();
            view.case_id = Some(*case);
            view.subject = Some(format!("{}/{}", report.service(), report.data.code));
            view.state = "received".to_owned();
            view.message.clone_from(&report.data.message);
        }
        Happening::Step { step, verb, action, state, message } => {
            view.kind = "step".to_owned();
            view.case_id = Some(step.case);
            view.step_id = Some(*step);
            view.subject = Some(format!("{verb} {action}"));
            view.state = match state {
                StepState::Done(outcome) => outcome.to_string(),
                StepState::Stuck(reason) => format!("stuck: {reason}"),
                other => other.name().to_string(),
            };
            view.message.clone_from(message);
        }
        Happening::Case { case, saga, state, .. } => {
            view.kind = "case".to_owned();
            view.case_id = Some(*case);
            view.subject = Some(saga.to_string());
            view.state = state.to_string();
        }
        Happening::Planned { case, report, steps } => {
            view.kind = "plan".to_owned();
            view.case_id = Some(*case);
            view.subject = Some(format!("{}/{}", report.service(), report.data.code));
            view.state = "planned".to_owned();
            view.message = Some(match steps {
                1 => "1 step".to_owned(),
                steps => format!("{steps} steps"),
            });
        }
        Happening::Walked { case, service, entries } => {
            view.kind = "walk".to_owned();
            view.case_id = Some(*case);
            view.subject = Some(service.to_string());
            view.state = "answered".to_owned();
            view.message = Some(format!("{entries} entries"));
        }
        Happening::Acted { case, step, act, actor } => {
            view.kind = "act".to_owned();
            view.case_id = *case;
            view.step_id = *step;
            view.subject = Some(actor.to_string());
            view.state = (*act).to_owned();
        }
        Happening::Breaker { service, state, message } => {
            view.kind = "breaker".to_owned();
            view.subject = Some(service.to_string());
            view.state = (*state).to_owned();
            view.message.clone_from(message);
        }
        Happening::Rulebook { name, hash } => {
            view.kind = "rulebook".to_owned();
            view.subject = Some(name.to_string());
            view.state = "active".to_owned();
            view.message = Some(hash.to_string());
        }
    }
    view
}
