//! Events for one who watches: of all nodes that share the store, or of this supervisor where it is alone.

use super::feed::{EventId, Feed, Listener, Seen};
use super::said::{Head, Inquiry, text};
use crate::clock::{Clock, SystemClock};
use crate::event_stream::EventSubscription;
use crate::supervisor::Supervisor;
use amends_api::EventView;
use amends_protocol::Problem;
use amends_store::Store;
use futures_util::FutureExt as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

/// How often a listener says that it is still there: well within the time for which that is believed.
const SAID_AGAIN: Duration = Duration::from_secs(15);
/// What happens within this time is said together, as far as it fits.
const TOGETHER: Duration = Duration::from_millis(50);
/// Events that are said together.
const EVENTS: usize = 512;
/// Bytes from which on no further event is said along.
const BYTES: usize = 128 << 10;

/// The name of an event, as a client gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastEventId {
    /// Of a supervisor that is alone: a number.
    Own(u64),
    /// Of one of several nodes.
    OfNodes(EventId),
}

impl LastEventId {
    /// What it looks like.
    pub(crate) const PATTERN: &str = "^([0-9a-f]{16}-)?[0-9]{1,19}$";
}

impl FromStr for LastEventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let own = text.parse().map(Self::Own);
        own.or_else(|_| text.parse().map(Self::OfNodes))
    }
}

/// What a listener is told.
#[derive(Debug)]
pub(crate) enum ToldEvent {
    /// An event, with its name.
    Event(String, EventView),
    /// Events may have been missed.
    Gap,
}

/// One who watches.
pub(crate) enum Watching {
    Own(OwnEvents),
    OfNodes(OfNodes),
}

/// Events of this supervisor alone.
pub(crate) struct OwnEvents {
    events: EventSubscription,
    /// Number of the last event that was seen.
    last: Option<u64>,
    /// An event that a gap comes before.
    held: Option<(u64, EventView)>,
    /// What the listener saw last is not known here.
    begins_with_gap: bool,
}

/// Events of all nodes.
pub(crate) struct OfNodes {
    listener: Listener,
    again: Interval,
    /// Says that somebody watches.
    say: Box<dyn Fn() + Send + Sync>,
}

impl<S: Store> Supervisor<S> {
    /// Events after the one that is named, as far as they are kept, then new ones as they come; without a name new ones
    /// alone. All nodes that answer say what happens from now on.
    ///
    /// # Errors
    /// `unavailable` when it can't be read from the store which nodes there are.
    pub(crate) async fn watch(&self, last: Option<LastEventId>) -> Result<Watching, Problem> {
        let Some(me) = self.store().own_name() else {
            let own = match last {
                Some(LastEventId::Own(number)) => Some(number),
                _ => None,
            };
            return Ok(Watching::Own(OwnEvents {
                events: self.events().since(own),
                last: own,
                held: None,
                begins_with_gap: matches!(last, Some(LastEventId::OfNodes(_))),
            }));
        };
        self.be_watched(&me);
        let last = last.map(|last| match last {
            LastEventId::OfNodes(id) => id,
            // No process has this number but by the greatest of chances: it is not known.
            LastEventId::Own(number) => EventId { process: 0, number },
        });
        let mut listener = self.shared().hub.feed.since(last);
        let others = self.ask_others::<bool>(&Inquiry::Watch).await?;
        if !others.silent.is_empty() {
            listener.missed();
        }
        let mut again = interval(SAID_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (store, head) = (self.store().clone(), Head::Watch { by: me.to_string() });
        let say = move || text(&head, &()).into_iter().for_each(|text| store.say(text));
        Ok(Watching::OfNodes(OfNodes { listener, again, say: Box::new(say) }))
    }

    /// Somebody watches, at this node or at another: what happens here is said to all for a while.
    pub(super) fn be_watched(&self, me: &Arc<str>) {
        let hub = &self.shared().hub;
        if hub.feed.is_watched_now() {
            let events = self.events().since(None);
            let from = (Arc::clone(me), hub.process());
            tokio::spawn(say_events(self.store().clone(), from, Arc::clone(&hub.feed), events));
        }
    }
}

/// Says what happens, until nobody watches any more or the supervisor has ended.
async fn say_events(
    store: impl Store,
    (me, process): (Arc<str>, u64),
    feed: Arc<Feed>,
    mut events: EventSubscription,
) {
    let mut held = None;
    while let Some(until) = feed.watched_until() {
        let left = until.saturating_sub(SystemClock.monotonic());
        let first = match held.take() {
            Some(first) => first,
            None => match timeout(left, events.next()).await {
                Ok(Some(first)) => first,
                Ok(None) => return,
                Err(_) => continue,
            },
        };
        sleep(TOGETHER).await;
        let (number, event) = first;
        let (mut bytes, mut together) = (size(&event), vec![event]);
        while together.len() < EVENTS
            && bytes < BYTES
            && let Some(Some((next, event))) = events.next().now_or_never()
        {
            if next != number + together.len() as u64 {
                // More came than could be said: whoever listens sees it by the number.
                held = Some((next, event));
                break;
            }
            bytes += size(&event);
            together.push(event);
        }
        let head = Head::Events { by: me.to_string(), first: EventId { process, number } };
        text(&head, &together).into_iter().for_each(|text| store.say(text));
    }
}

/// About as many bytes as it takes as a text.
fn size(event: &EventView) -> usize {
    /// Of everything but the message.
    const BARE: usize = 200;
    BARE + event.message.as_ref().map_or(0, String::len)
}

impl Watching {
    /// The next that is told; none when the supervisor has ended. May be given up at any time.
    pub(crate) async fn next(&mut self) -> Option<ToldEvent> {
        match self {
            Self::Own(own) => own.next().await,
            Self::OfNodes(all) => all.next().await,
        }
    }
}

impl OwnEvents {
    async fn next(&mut self) -> Option<ToldEvent> {
        if std::mem::take(&mut self.begins_with_gap) {
            return Some(ToldEvent::Gap);
        }
        let (id, event) = match self.held.take() {
            Some(held) => held,
            None => {
                let (id, event) = self.events.next().await?;
                // Numbers count up by one; after a restart of the supervisor they begin anew.
                let missed = self.last.is_some_and(|last| id != last.wrapping_add(1));
                self.last = Some(id);
                if missed {
                    self.held = Some((id, event));
                    return Some(ToldEvent::Gap);
                }
                (id, event)
            }
        };
        Some(ToldEvent::Event(id.to_string(), event))
    }
}

impl OfNodes {
    async fn next(&mut self) -> Option<ToldEvent> {
        loop {
            let seen = tokio::select! {
                biased;
                _ = self.again.tick() => {
                    (self.say)();
                    continue;
                }
                seen = self.listener.next() => seen?,
            };
            return Some(match seen {
                Seen::Event(id, event) => {
                    ToldEvent::Event(id.to_string(), Arc::unwrap_or_clone(event))
                }
                Seen::Gap => ToldEvent::Gap,
            });
        }
    }
}
