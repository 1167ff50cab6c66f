//! What a supervisor is told of its alerts: who gets them, and how often.

use crate::dispatch::Signer;
use crate::withheld::Withheld;
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
    /// A case that is open for longer is reported, if its rule states no objective of its own.
    pub objective: Option<Duration>,
    /// What no message shows.
    pub withheld: Withheld,
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
