//! Tells people, without a monitoring system: web hooks when a case needs somebody, a service is out of reach, a
//! deadline was missed, or a case is older than its objective. Once per transition, in groups, never per retry.
//!
//! What waits to be told is kept in memory: an alert that was not sent when the process ends is not sent. The cases
//! themselves are durable, and `amends cases list --state stuck,unmatched` always has the truth.

mod board;
mod message;
mod send;

pub(crate) use board::{Board, Group, Kind, News};
pub(crate) use send::watch;

use crate::dispatch::Signer;
use amends_engine::{Event, Happening, SUPERVISOR, StepState};
use amends_protocol::CaseState;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// News that may wait; grouping takes microseconds, so more only wait while the process is starved.
const QUEUE: usize = 16_384;

/// How alerts are told.
#[derive(Clone, Debug)]
pub struct AlertOptions {
    /// Addresses that get Standard Webhooks messages.
    pub webhooks: Vec<http::Uri>,
    /// Addresses that get `{"text": …}`, as Slack and those compatible with it take it.
    pub slack: Vec<http::Uri>,
    /// Signs messages to `webhooks`.
    pub signer: Option<Signer>,
    /// How long the first of a group waits for others.
    pub group_wait: Duration,
    /// Shortest time between two messages of one group.
    pub every: Duration,
    /// A case that is open for longer is told of, if its rule states no objective of its own.
    pub objective: Option<Duration>,
    /// Where people reach this supervisor, for links.
    pub public_url: String,
}

impl AlertOptions {
    /// Whether anybody is to be told.
    #[must_use]
    pub fn tells_anybody(&self) -> bool {
        !self.webhooks.is_empty() || !self.slack.is_empty()
    }
}

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
        Happening::Case { case, state: CaseState::Unmatched, .. } => {
            of(Kind::Unmatched, String::new(), Some(*case), "no rule answers its report")
        }
        Happening::Breaker { service, state: "open", message } => {
            of(Kind::OutOfReach, service.to_string(), None, message.as_deref().unwrap_or_default())
        }
        Happening::Reported { case, report } if report.service() == SUPERVISOR => {
            let why = report.data.message.as_deref().unwrap_or_default();
            of(Kind::DeadlineMissed, String::new(), Some(*case), why)
        }
        Happening::Step { .. }
        | Happening::Case { .. }
        | Happening::Breaker { .. }
        | Happening::Reported { .. }
        | Happening::Planned { .. }
        | Happening::Walked { .. }
        | Happening::Acted { .. }
        | Happening::Rulebook { .. } => None,
    }
}
