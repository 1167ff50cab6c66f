//! Up to where a partition has been dealt with. Pure.
//!
//! Kafka remembers one offset of a partition: all before it is done. What we have in hand ends in any order, so that
//! the offset to commit is the lowest that has not ended, or the one after the last received if all have. Offsets have
//! holes, where transactions were or compaction has been: only what was received counts.

use std::collections::BTreeSet;

/// One partition, from when it is given to us until it is taken away.
#[derive(Clone, Debug, Default)]
pub(super) struct Watermark {
    /// Received, and neither durable nor put aside.
    unsettled: BTreeSet<i64>,
    /// The one after the last received.
    next: Option<i64>,
    /// What the broker was asked to remember, or remembers.
    asked: Option<i64>,
    /// It has said so.
    is_confirmed: bool,
    /// It has said that it remembers something, whatever that is.
    is_known: bool,
}

impl Watermark {
    /// A message has come. After a reset it may be an earlier one than before.
    pub(super) fn received(&mut self, offset: i64) {
        self.unsettled.insert(offset);
        self.next = Some(offset.saturating_add(1));
    }

    /// It is durable, or put aside.
    pub(super) fn settled(&mut self, offset: i64) {
        self.unsettled.remove(&offset);
    }

    /// The lowest that is not done; none while nothing has come.
    pub(super) fn position(&self) -> Option<i64> {
        let next = self.next?;
        Some(self.unsettled.first().map_or(next, |lowest| next.min(*lowest)))
    }

    /// What the broker is to remember now, if it does not yet; it counts as asked from here on.
    pub(super) fn ask(&mut self) -> Option<i64> {
        let position = self.position()?;
        if self.asked == Some(position) {
            return None;
        }
        (self.asked, self.is_confirmed) = (Some(position), false);
        Some(position)
    }

    /// Whether the broker has yet to remember something, or to say that it does.
    pub(super) fn is_unsure(&self) -> bool {
        self.position().is_some_and(|at| self.asked != Some(at) || !self.is_confirmed)
    }

    /// What the broker remembers; says whether that can be: it forgets nothing that is there still.
    pub(super) fn read_back(&mut self, remembered: Option<i64>) -> bool {
        if remembered.is_none() && self.is_known {
            return false;
        }
        self.is_known |= remembered.is_some();
        self.is_confirmed = remembered.is_some() && self.asked == remembered;
        if !self.is_confirmed {
            self.refused();
        }
        true
    }

    /// The broker did not remember it: it is to be asked again.
    pub(super) fn refused(&mut self) {
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_lowest_that_has_not_ended_is_committed() {
        let mut mark = Watermark::default();
        assert_eq!(mark.ask(), None, "nothing has come");
        for offset in [7, 8, 12, 13] {
            mark.received(offset); // 9 to 11 are a hole
        }
        assert_eq!(mark.ask(), Some(7), "so that the group has an offset at all");
        mark.settled(8);
        mark.settled(13);
        assert_eq!(mark.ask(), None, "the first is in hand still");
        mark.settled(7);
        assert_eq!(mark.ask(), Some(12), "the hole is no message");
        mark.settled(12);
        assert_eq!(mark.ask(), Some(14));
        assert_eq!(mark.ask(), None, "the broker knows");
        mark.refused();
        assert_eq!(mark.ask(), Some(14), "it does not");
    }

    #[test]
    fn what_the_broker_remembers_is_read_back_and_asked_for_until_it_is_so() {
        let mut mark = Watermark::default();
        assert!(mark.read_back(None) && !mark.is_unsure(), "a new group, and nothing has come");
        mark.received(7);
        assert_eq!((mark.is_unsure(), mark.ask()), (true, Some(7)));
        assert!(mark.read_back(None), "it has not come there yet");
        assert_eq!(mark.ask(), Some(7));
        assert!(mark.read_back(Some(7)) && !mark.is_unsure());
        mark.settled(7);
        assert_eq!((mark.is_unsure(), mark.ask()), (true, Some(8)));
        assert!(mark.read_back(Some(7)), "it was refused");
        assert_eq!(mark.ask(), Some(8));
        assert!(mark.read_back(Some(8)) && !mark.is_unsure());
        assert!(!mark.read_back(None), "what it did remember is gone");
    }

    #[test]
    fn after_a_reset_it_begins_where_the_messages_do() {
        let mut mark = Watermark::default();
        mark.received(1_000);
        mark.settled(1_000);
        assert_eq!(mark.ask(), Some(1_001));
        mark.received(3); // the topic was made anew
        assert_eq!(mark.ask(), Some(3));
        mark.settled(3);
        assert_eq!(mark.ask(), Some(4));
    }

    #[derive(Clone, Copy, Debug)]
    enum Move {
        /// The next message, after so many that are none of ours.
        Comes(i64),
        /// One of those in hand ends.
        Ends(usize),
        /// The second has passed.
        Asks,
        /// The broker says no.
        Refuses,
        /// The partition goes to another, who begins where the broker remembers, and comes back.
        Moves,
    }

    fn a_move() -> impl Strategy<Value = Move> {
        prop_oneof![
            4 => (0..4_i64).prop_map(Move::Comes),
            4 => any::<usize>().prop_map(Move::Ends),
            2 => Just(Move::Asks),
            1 => Just(Move::Refuses),
            1 => Just(Move::Moves),
        ]
    }

    proptest! {
        /// What the broker remembers never passes a message that nobody has settled; and in the end it passes all.
        #[test]
        fn nothing_unsettled_is_ever_passed(events in prop::collection::vec(a_move(), 0..200)) {
            let (mut mark, mut broker, mut log) = (Watermark::default(), 0_i64, Vec::new());
            let (mut settled, mut next) = (BTreeSet::new(), 0_i64);
            let mut in_hand: Vec<i64> = Vec::new();
            for event in events {
                match event {
                    Move::Comes(hole) => {
                        // What lies there already comes again first.
                        let again = log.iter().copied().find(|offset| *offset >= next);
                        let offset = again.unwrap_or_else(|| {
                            log.push(next + hole);
                            next + hole
                        });
                        next = offset + 1;
                        mark.received(offset);
                        in_hand.push(offset);
                    }
                    Move::Ends(which) if !in_hand.is_empty() => {
                        let offset = in_hand.swap_remove(which % in_hand.len());
                        settled.insert(offset);
                        mark.settled(offset);
                    }
                    Move::Ends(_) => {}
                    Move::Asks => broker = mark.ask().unwrap_or(broker),
                    Move::Refuses => mark.refused(),
                    Move::Moves => {
                        (mark, next) = (Watermark::default(), broker);
                        in_hand.clear();
                    }
                }
                for offset in log.iter().filter(|offset| **offset < broker) {
                    prop_assert!(settled.contains(offset), "{offset} is passed by {broker}");
                }
            }
            in_hand.iter().for_each(|offset| mark.settled(*offset));
            mark.refused();
            if let Some(asked) = mark.ask() {
                prop_assert_eq!(asked, next);
            }
        }
    }
}
