//! How nodes that share a store keep the concurrency of a service: whoever has a permit may have one request under way
//! there. A service has as many as its concurrency, whichever nodes hold them.

use std::{sync::Arc, time::Duration};

/// How long a permit is held when nobody asks again: as long as a dead node's partitions stay its own. It counts from
/// when the asking began, by a clock that no setting moves: whoever sends past that may not be the only one.
pub const PERMIT_TIME: Duration = Duration::from_secs(5);

/// How many permits of a service this process wants to hold from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitsWanted {
    /// The service.
    pub service: Arc<str>,
    /// Its concurrency: as many there are, for all nodes together.
    pub slots: u32,
    /// So many of them, those that it has included; 0 gives all back.
    pub wanted: u32,
}

/// How many permits of a service this process holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitsHeld {
    /// The service.
    pub service: Arc<str>,
    /// So many: at most as many as it wanted.
    pub held: u32,
}
