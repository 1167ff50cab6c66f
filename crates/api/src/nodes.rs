//! The nodes that share a store, as people see them. Plain data.

use crate::NodeState;
use amends_protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// The nodes that share a store: `GET /v1/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodesView {
    /// Whether the store is one that nodes can share. If not, this supervisor keeps its cases alone, in a file.
    pub shared: bool,
    /// Those that have shown themselves within the last day, by name.
    pub nodes: Vec<NodeView>,
    /// How many of the 64 parts of the sagas, and of the seat, nobody who lives holds. What they have is not worked on.
    pub without_owner: u32,
    /// Letters that nodes have left for each other and that are not taken yet.
    pub letters_waiting: u64,
    /// For how long the oldest of them has waited, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_letter_ms: Option<u64>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeView {
    /// Its name: `cluster.node`.
    pub name: String,
    /// It is the one that answers.
    pub answering: bool,
    /// How it is.
    pub state: NodeState,
    /// Which parts of the sagas it holds, 0 to 63.
    pub parts: Vec<u16>,
    /// It holds the seat: what belongs to no saga, such as rulebooks and settings.
    pub seat: bool,
    /// Since when it has lived without a break.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
    /// Milliseconds since it showed itself last, by the clock of the database.
    pub silent_ms: u64,
    /// Milliseconds that its clock is ahead of the database's; absent as long as nobody has measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_off_ms: Option<i64>,
    /// The version of the store's tables that its program knows. While an upgrade goes on, there are two.
    pub version: u32,
}

/// A node that did not answer when it was asked what it works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SilentNodeView {
    /// Its name.
    pub name: String,
    /// Milliseconds since it showed itself last, by the clock of the database.
    pub silent_ms: u64,
    /// How many of the 64 parts of the sagas it holds.
    pub parts: u32,
    /// What it works on is in the figures as it was then; absent: it is missing there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub as_of: Option<Timestamp>,
}

/// Body of `POST /v1/nodes/{name}/drain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrainWanted {
    /// Why.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000, pattern = r"\S"))]
    pub reason: String,
    /// Also if no other node is there to take what it gives back.
    #[serde(default)]
    pub last: bool,
}
