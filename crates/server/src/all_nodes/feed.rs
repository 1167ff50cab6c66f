//! Events of all nodes, in the order in which all nodes hear them, for whoever watches at this one. As long as somebody
//! watches anywhere, each node says what happens at it; the newest are kept for a while, so that a listener that goes
//! to another node goes on there.

use crate::clock::{Clock, SystemClock};
use amends_api::{AuditActName, EventState, EventView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};

/// Events that are kept, and that a listener may be behind.
const RING: usize = 4_096;
/// The same in bytes of their messages.
const RING_BYTES: usize = 4 << 20;
/// How long a node goes on saying what happens after somebody has said that it is watched: longer than a listener takes
/// to find another node.
pub(super) const WATCHED: Duration = Duration::from_secs(60);

/// Names an event among those of all nodes: the process that it happened in, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventId {
    pub(super) process: u64,
    pub(super) number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.process, self.number)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (process, number) = text.split_once('-').filter(|(hex, _)| hex.len() == 16).ok_or(())?;
        let process = u64::from_str_radix(process, 16).map_err(drop)?;
        Ok(Self { process, number: number.parse().map_err(drop)? })
    }
}

/// Something that is told to a listener.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// An event of this id.
    Event(EventId, Arc<EventView>),
    /// Some may have been missed.
    Gap,
}

/// The events of all nodes.
#[derive(Debug)]
pub(crate) struct Feed {
    kept: Mutex<Kept>,
    live: broadcast::Sender<(u64, Seen)>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What was told, under numbers of this node's own.
    ring: VecDeque<(u64, Seen)>,
    bytes: usize,
    next: u64,
    /// By node, the process that it is, and the number that its next event has.
    expected: BTreeMap<String, (u64, u64)>,
    /// Until when this node says what happens, by the monotonic clock.
    watched_until: Option<Duration>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { kept: Mutex::default(), live: broadcast::channel(RING).0 }
    }
}

impl Feed {
    /// Somebody watches. True if nobody did before.
    pub(super) fn is_watched_now(&self) -> bool {
        self.lock().watched_until.replace(SystemClock.monotonic() + WATCHED).is_none()
    }

    /// Until when somebody may watch. Once that is over, what is kept is no whole story any more, and goes.
    pub(super) fn watched_until(&self) -> Option<Duration> {
        let mut kept = self.lock();
        if kept.watched_until.is_some_and(|until| until <= SystemClock.monotonic()) {
            *kept = Kept { next: kept.next, ..Kept::default() };
        }
        kept.watched_until
    }

    /// A node has said what happened in its process, from this number on.
    pub(super) fn take(&self, node: &str, first: EventId, events: Vec<EventView>) {
        let mut kept = self.lock();
        if kept.watched_until.is_none() {
            return;
        }
        let EventId { process, number } = first;
        let next = number + events.len() as u64;
        let expected = kept.expected.insert(node.to_owned(), (process, next));
        if expected.is_some_and(|expected| expected != (process, number)) {
            self.tell(&mut kept, Seen::Gap);
        }
        for (event, number) in events.into_iter().zip(number..) {
            if let (EventState::Act(AuditActName::Erased), Some(_)) = (event.state, event.case_id) {
                kept.forget(&event);
            }
            self.tell(&mut kept, Seen::Event(EventId { process, number }, Arc::new(event)));
        }
    }

    /// What others said may have been missed.
    pub(super) fn missed(&self) {
        let mut kept = self.lock();
        if kept.watched_until.is_some() {
            self.tell(&mut kept, Seen::Gap);
        }
    }

    fn tell(&self, kept: &mut Kept, seen: Seen) {
        let place = kept.next;
        kept.next += 1;
        if self.live.receiver_count() > 0 {
            let _ = self.live.send((place, seen.clone())); // the last listener may just have gone
        }
        kept.bytes += bytes(&seen);
        kept.ring.push_back((place, seen));
        while kept.ring.len() > RING || kept.bytes > RING_BYTES {
            let Some((_, oldest)) = kept.ring.pop_front() else { break };
            kept.bytes -= bytes(&oldest);
        }
    }

    /// Events after the one that is named, as far as they are kept, then new ones as they come; without a name new ones
    /// alone. One that is not known is a gap.
    pub(super) fn since(&self, last: Option<EventId>) -> Listener {
        let kept = self.lock();
        let live = self.live.subscribe();
        let from = kept.next;
        let is_it = |seen: &Seen| matches!(seen, Seen::Event(id, _) if Some(*id) == last);
        let waiting = match last {
            None => VecDeque::new(),
            Some(_) => match kept.ring.iter().position(|(_, seen)| is_it(seen)) {
                Some(at) => kept.ring.iter().skip(at + 1).map(|(_, seen)| seen.clone()).collect(),
                None => VecDeque::from([Seen::Gap]),
            },
        };
        Listener { waiting, live, from }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// What was said of a case whose business data went is not said again.
    fn forget(&mut self, erased: &EventView) {
        for (_, seen) in &mut self.ring {
            let Seen::Event(_, event) = seen else { continue };
            if event.case_id == erased.case_id && event.message.is_some() {
                let bare = EventView { message: None, ..EventView::clone(event) };
                self.bytes -= event.message.as_ref().map_or(0, String::len);
                *event = Arc::new(bare);
            }
        }
    }
}

fn bytes(seen: &Seen) -> usize {
    match seen {
        Seen::Event(_, event) => event.message.as_ref().map_or(0, String::len),
        Seen::Gap => 0,
    }
}

/// One who listens.
#[derive(Debug)]
pub(crate) struct Listener {
    waiting: VecDeque<Seen>,
    live: broadcast::Receiver<(u64, Seen)>,
    /// What comes live from this place on is new.
    from: u64,
}

impl Listener {
    /// Somebody may not have been heard, from the beginning.
    pub(super) fn missed(&mut self) {
        self.waiting.push_back(Seen::Gap);
    }

    /// The next that is told; none when the supervisor has ended. One who is too slow is told of a gap.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        if let Some(seen) = self.waiting.pop_front() {
            return Some(seen);
        }
        loop {
            match self.live.recv().await {
                Ok((place, _)) if place < self.from => {}
                Ok((_, seen)) => return Some(seen),
                Err(RecvError::Lagged(_)) => return Some(Seen::Gap),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::{CaseId, Timestamp};

    fn event(case: u64, state: EventState) -> EventView {
        EventView {
            case_id: Some(CaseId(case)),
            message: Some("card 4711".to_owned()),
            ..EventView::new(Timestamp(0), state)
        }
    }

    fn at(process: u64, number: u64) -> EventId {
        EventId { process, number }
    }

    async fn heard(listener: &mut Listener, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(20), listener.next()).await;
            heard.push(match next.expect("in time").expect("it goes on") {
                Seen::Event(id, _) => id.to_string(),
                Seen::Gap => "gap".to_owned(),
            });
        }
        heard
    }

    #[tokio::test]
    async fn a_listener_goes_on_at_another_node_where_it_was() {
        let (here, there) = (Feed::default(), Feed::default());
        let received = || event(1, EventState::Received);
        assert!([&here, &there].iter().all(|feed| feed.is_watched_now()));
        let mut first = here.since(None);
        let say = |node: &str, first: EventId, count: usize| {
            for feed in [&here, &there] {
                feed.take(node, first, vec![received(); count]);
            }
        };
        say("a", at(0xa, 7), 2);
        say("b", at(0xb, 0), 1);
        let told = heard(&mut first, 3).await;
        assert_eq!(told, ["000000000000000a-7", "000000000000000a-8", "000000000000000b-0"]);
        say("a", at(0xa, 9), 1);
        let last: EventId = told[1].parse().expect("an id");
        let mut second = there.since(Some(last));
        say("b", at(0xb, 1), 1);
        let rest = ["000000000000000b-0", "000000000000000a-9", "000000000000000b-1"];
        assert_eq!(heard(&mut second, 3).await, rest);
    }

    #[tokio::test]
    async fn what_is_missing_is_a_gap() {
        let feed = Feed::default();
        let one = || vec![event(1, EventState::Received)];
        feed.take("a", at(1, 5), one());
        assert!(feed.is_watched_now() && !feed.is_watched_now());
        let mut listener = feed.since(Some(at(1, 5)));
        assert_eq!(heard(&mut listener, 1).await, ["gap"], "nobody watched then");
        feed.take("a", at(1, 6), one());
        feed.take("a", at(1, 8), one());
        feed.take("a", at(2, 0), one());
        feed.missed();
        let id = |process: u64, number| at(process, number).to_string();
        let told =
            [id(1, 6), "gap".to_owned(), id(1, 8), "gap".to_owned(), id(2, 0), "gap".to_owned()];
        assert_eq!(heard(&mut listener, 6).await, told);
        assert!("7".parse::<EventId>().is_err() && "x-1".parse::<EventId>().is_err());
    }

    #[tokio::test]
    async fn what_went_for_good_is_not_told_again() {
        let feed = Feed::default();
        feed.is_watched_now();
        let erased = EventState::Act(AuditActName::Erased);
        feed.take(
            "a",
            at(1, 0),
            vec![event(1, EventState::Received), event(2, EventState::Received)],
        );
        feed.take("a", at(1, 2), vec![event(1, erased)]);
        let mut again = feed.since(Some(at(1, 1)));
        assert!(matches!(again.next().await, Some(Seen::Event(id, _)) if id == at(1, 2)));
        let kept = feed.lock();
        let messages: Vec<bool> = kept
            .ring
            .iter()
            .map(|(_, seen)| matches!(seen, Seen::Event(_, event) if event.message.is_some()))
            .collect();
        assert_eq!(messages, [false, true, true]);
    }
}
