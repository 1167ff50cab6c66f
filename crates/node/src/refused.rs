//! Letters that could not be taken. One that the store refuses time and again is taken out of the way, and kept for
//! people; one that only a newer version can read is left for whoever can.

use amends_engine::LetterId;
use std::collections::{BTreeMap, BTreeSet};

/// How often the store may refuse what a letter alone brings: once may be somebody else's fault.
const TRIES: u32 = 2;

/// Letters that the store has refused, or that lie aside. As many as inboxes hold, at most.
#[derive(Debug, Default)]
pub(crate) struct RefusedLetters {
    /// How often, and what the store said last.
    failed: BTreeMap<LetterId, (u32, String)>,
    unread: BTreeSet<LetterId>,
}

impl RefusedLetters {
    /// The store has refused what it alone brought.
    pub(crate) fn refuse(&mut self, id: LetterId, why: &str) {
        let (times, last) = self.failed.entry(id).or_default();
        *times += 1;
        why.clone_into(last);
    }

    /// Why it is given up, if the store has refused it often enough.
    pub(crate) fn given_up(&self, id: LetterId) -> Option<&str> {
        self.failed.get(&id).filter(|(times, _)| *times >= TRIES).map(|(_, why)| &**why)
    }

    /// Nobody can read it here: a newer version of this program may. Says whether that is news.
    pub(crate) fn leave(&mut self, id: LetterId) -> bool {
        self.unread.insert(id)
    }

    /// Whether it is left where it is.
    pub(crate) fn is_left(&self, id: LetterId) -> bool {
        self.unread.contains(&id)
    }

    /// It was taken.
    pub(crate) fn forget(&mut self, id: LetterId) {
        self.failed.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_alone_once_may_be_somebody_elses_fault_and_twice_is_given_up() {
        let (mut refused, id) = (RefusedLetters::default(), LetterId(1));
        refused.refuse(id, "first");
        assert_eq!(refused.given_up(id), None);
        refused.refuse(id, "second");
        assert_eq!((refused.given_up(id), refused.given_up(LetterId(2))), (Some("second"), None));
        refused.forget(id);
        assert_eq!(refused.given_up(id), None);
    }

    #[test]
    fn what_nobody_can_read_is_left_and_told_once() {
        let (mut refused, id) = (RefusedLetters::default(), LetterId(1));
        assert!(!refused.is_left(id));
        assert_eq!([refused.leave(id), refused.leave(id)], [true, false]);
        assert!(refused.is_left(id) && !refused.is_left(LetterId(2)));
    }
}
