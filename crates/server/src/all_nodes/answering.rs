//! Hears what other nodes ask, and tells them of what this one works on; hears what happens at all of them.

use super::hub::Told;
use super::outages::{LOOK, Telling};
use super::said::{Head, Inquiry, read, text};
use crate::clock::{Clock, SystemClock};
use crate::supervisor::Supervisor;
use amends_protocol::Problem;
use amends_store::{Heard, Store};
use serde::Serialize;
use std::sync::Arc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// Questions that are answered at once; whoever asks one more asks again.
const AT_ONCE: usize = 32;

/// The task that answers. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Answering(JoinHandle<()>);

impl Answering {
    /// Begins, if nodes share the store.
    pub(crate) fn begin<S: Store>(supervisor: &Supervisor<S>) -> Option<Self> {
        let me = supervisor.store().own_name()?;
        Some(Self(tokio::spawn(hear(supervisor.clone(), me))))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn hear<S: Store>(supervisor: Supervisor<S>, me: Arc<str>) {
    let mut hearing = supervisor.store().listen();
    let mut answering = JoinSet::new();
    // Whoever asks again meanwhile is not answered twice.
    let mut begun: Vec<(String, u64)> = Vec::new();
    let (mut telling, mut looks) = (Telling::default(), interval(LOOK));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            heard = hearing.next() => heard,
            _ = looks.tick() => {
                telling.look(&supervisor, &me);
                continue;
            }
            Some(answered) = answering.join_next() => {
                // Asked again, it is answered again: that word may have been lost.
                match answered {
                    Ok(answered) => begun.retain(|one| *one != answered),
                    Err(_) => begun.clear(),
                }
                continue;
            }
        };
        let text = match heard {
            None => return, // the store is closed
            Some(Heard::Missed) => {
                // Whoever waits for a word asks again.
                supervisor.shared().hub.feed.missed();
                continue;
            }
            Some(Heard::Said(text)) => text,
        };
        match read(&text) {
            Some((Head::Ask { number, by, of }, body)) if of.iter().any(|node| **node == *me) => {
                let one = (by, number);
                let Ok(inquiry) = serde_json::from_str(body) else { continue };
                if inquiry == Inquiry::Watch {
                    supervisor.be_watched(&me);
                }
                if answering.len() < AT_ONCE && !begun.contains(&one) {
                    begun.push(one.clone());
                    answering.spawn(answer(supervisor.clone(), Arc::clone(&me), one, inquiry));
                }
            }
            Some((Head::Tell { number, by, to }, body)) if *to == *me => {
                supervisor.shared().hub.told(number, Told { by, body: body.to_owned() });
            }
            Some((Head::Outages { by }, body)) => {
                if let Ok(outages) = serde_json::from_str(body) {
                    supervisor.shared().hub.outages_are(by, outages);
                }
            }
            Some((Head::Watch { .. }, _)) => supervisor.be_watched(&me),
            Some((Head::Events { by, first }, body)) => {
                if let Ok(events) = serde_json::from_str(body) {
                    supervisor.shared().hub.feed.take(&by, first, events);
                }
            }
            _ => {}
        }
    }
}

/// Answers, if that is possible: else whoever asked says that this node did not.
async fn answer<S: Store>(
    supervisor: Supervisor<S>,
    me: Arc<str>,
    (by, number): (String, u64),
    inquiry: Inquiry,
) -> (String, u64) {
    let head = Head::Tell { number, by: me.to_string(), to: by.clone() };
    let told = match inquiry {
        Inquiry::OpenWork => {
            let work = supervisor.own_work(SystemClock.now()).await;
            told(&head, work.map(|work| work.thinned()))
        }
        Inquiry::Members { group, limit } => {
            told(&head, supervisor.own_members(group, limit).await)
        }
        Inquiry::Questions { filter, limit } => {
            told(&head, supervisor.own_questions(filter, limit).await)
        }
        Inquiry::Strangers => told(&head, supervisor.own_strangers().await),
        Inquiry::Quarantine => told(&head, Ok(supervisor.own_quarantine())),
        Inquiry::Watch => told(&head, Ok(true)),
    };
    told.into_iter().for_each(|text| supervisor.store().say(text));
    (by, number)
}

fn told(head: &Head, what: Result<impl Serialize, Problem>) -> Option<String> {
    text(head, &what.ok()?)
}
