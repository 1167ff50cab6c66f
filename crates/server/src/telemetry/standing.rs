//! What metrics show of the moment at which they are read.

use amends_api::{NodesView, Overview};
use amends_protocol::Timestamp;

/// What a scrape looks at besides the counters.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    /// Nothing while the store is away: then the numbers of cases stay as they were known last, and all others go on.
    pub(crate) overview: Option<&'a Overview>,
    /// The nodes that share the store, and when they were looked at; nothing while it is away.
    pub(crate) nodes: Option<(&'a NodesView, Timestamp)>,
    pub(crate) queued_inputs: usize,
    /// Rulebooks whose file is kept out.
    pub(crate) files_rejected: usize,
    /// Rulebooks whose active version is not what their file says.
    pub(crate) files_differing: usize,
}
