//! How often a step's tries brought the same definite answer by now, and since when.

use amends_protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// One answer that came again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SameAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// How often.
    pub count: u32,
    /// Since when, in milliseconds on the service's own line of time.
    pub since: i64,
}

impl SameAnswer {
    /// After one more try, and the status of its answer if that was a definite one. `own` is the moment on the
    /// service's own line of time.
    pub(crate) fn after(
        before: Option<Self>,
        definite: Option<u16>,
        own: Timestamp,
    ) -> Option<Self> {
        let status = definite?;
        Some(match before.filter(|same| same.status == status) {
            Some(same) => Self { count: same.count.saturating_add(1), ..same },
            None => Self { status, count: 1, since: own.0 },
        })
    }
}
