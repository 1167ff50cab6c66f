//! What this node holds of a store that nodes share, for those who ask.

use crate::supervisor::Supervisor;
use amends_store::{Partition, Store};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

impl<S: Store> Supervisor<S> {
    /// The partitions that this node holds; none of a store that is owned as a whole.
    #[must_use]
    pub fn held(&self) -> Option<Arc<BTreeSet<Partition>>> {
        let held = self.shared().held.lock().unwrap_or_else(PoisonError::into_inner);
        self.store().is_shared().then(|| Arc::clone(&held))
    }

    /// Whether it is this node that does what concerns all sagas.
    pub(crate) fn holds_the_seat(&self) -> bool {
        self.held().is_none_or(|held| held.contains(&Partition::SEAT))
    }

    /// Who does it, as was seen last; nobody for a moment while it moves.
    pub(crate) fn seat_at(&self) -> Option<String> {
        self.shared().seat_at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
