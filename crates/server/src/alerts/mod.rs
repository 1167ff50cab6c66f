//! Tells people, without a monitoring system: web hooks when a case needs somebody, a service is out of reach, a
//! deadline was missed, or a case is older than its objective. Once per transition, in groups, never per retry.
//!
//! What waits to be told is kept in memory: an alert that was not sent when the process ends is not sent. The cases
//! themselves are durable, and `amends cases list --state stuck,unmatched` always has the truth.

pub(crate) mod alert;
mod grouper;
mod message;
mod nodes;
mod options;
mod send;

pub(crate) use grouper::{Alert, AlertGrouper, Group, Kind};
pub(crate) use nodes::watch as watch_nodes;
pub use options::AlertOptions;
pub(crate) use send::watch;
