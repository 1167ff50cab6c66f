//! Tells people, without a monitoring system: web hooks when a case needs somebody, a service is out of reach, a
//! deadline was missed, or a case is older than its objective. Once per transition, in groups, never per retry.
//!
//! What waits to be told is kept in memory: an alert that was not sent when the process ends is not sent. The cases
//! themselves are durable, and `amends cases list --state stuck,unmatched` always has the truth.

mod board;
mod message;
pub(crate) mod news;
mod send;

pub(crate) use board::{Board, Group, Kind, News};
pub(crate) use send::watch;

use crate::dispatch::Signer;
use std::time::Duration;

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
