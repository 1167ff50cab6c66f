//! What is kept of one service: what operators decided about it, and what it has shown of itself.

use amends_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is kept of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRow {
    /// The key.
    pub service: Arc<str>,
    /// What holds now.
    pub settings: ServiceSettings,
}

/// What operators have set and what the service has shown of itself, stored as one JSON text. What is absent follows
/// the rulebook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceSettings {
    /// Nothing is sent to it, by this decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Decision>,
    /// Its limits, by this decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Milliseconds of supervisor time since when it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<i64>,
    /// Milliseconds of all its pauses that are over.
    #[serde(skip_serializing_if = "super::is_zero_ms")]
    pub paused_ms: u64,
    /// It has told a History, so it can tell that it knows nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub tells_history: bool,
}

impl ServiceSettings {
    /// Pauses it, or ends its pause. A pause that goes on began when it began.
    pub(crate) fn set_pause(&mut self, now: Timestamp, decision: Option<Decision>) {
        match (&decision, self.paused_since) {
            (Some(_), None) => self.paused_since = Some(now.0),
            (None, Some(_)) => {
                self.paused_ms = self.paused_ms_by(now);
                self.paused_since = None;
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.pause = decision;
    }

    /// How long it has been paused by now, all in all.
    pub(crate) fn paused_ms_by(&self, now: Timestamp) -> u64 {
        let this_ms = self.paused_since.map_or(0, |since| now.ms_since(Timestamp(since)));
        self.paused_ms.saturating_add(this_ms)
    }
}

/// Who decided, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// UTC milliseconds.
    pub at: i64,
    /// Who.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

impl Decision {
    /// Whether this one decided it, for this reason.
    pub(crate) fn is_by(&self, actor: &str, reason: &str) -> bool {
        *self.by == *actor && *self.reason == *reason
    }
}

/// Limits of one service in place of the rulebook's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Most requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// By whom.
    pub decision: Decision,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_false(flag: &bool) -> bool {
    !*flag
}
