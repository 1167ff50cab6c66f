//! A participant's History of a saga, as it came.

use crate::wire::Exchange;
use amends_protocol::null_is_absent;
use serde::Deserialize;

/// An entry of a History, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    #[serde(default)]
    pub(crate) service: Option<String>,
    #[serde(default, deserialize_with = "null_is_absent")]
    pub(crate) action: String,
    #[serde(default, deserialize_with = "null_is_absent")]
    pub(crate) request_id: String,
    #[serde(default, deserialize_with = "null_is_absent")]
    pub(crate) state: String,
}

/// A History, as it came.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) exchange: Exchange,
    pub(crate) entries: Vec<Entry>,
    /// Where it goes on; none at its end.
    pub(crate) next: Option<String>,
}

impl History {
    /// The state of a request that the participant received.
    pub(crate) fn own(&self, request: &str) -> Option<&str> {
        let own = |entry: &&Entry| entry.service.is_none() && entry.request_id == request;
        self.entries.iter().find(own).map(|entry| entry.state.as_str())
    }

    /// The requests that the participant received, in the order in which they are told first.
    pub(crate) fn received(&self) -> Vec<&str> {
        let own = self.entries.iter().filter(|entry| entry.service.is_none());
        let mut ids = Vec::new();
        for id in own.map(|entry| entry.request_id.as_str()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The calls that it made.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.service.is_some())
    }
}
