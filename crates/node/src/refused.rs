//! Letters that could not be taken: they lie aside for a while, so that they hold up no others, and are tried again.

use amends_engine::LetterId;
use amends_protocol::Timestamp;
use std::collections::BTreeMap;

/// How often the store may refuse what a letter alone brings before it lies aside.
const TRIES: u32 = 2;

/// For how long it does so the first time, in milliseconds; then twice as long each time, [`DOUBLINGS`] times.
const ASIDE_MS: u64 = 60_000;
const DOUBLINGS: u32 = 6;

/// Letters that lie aside, or have been refused once.
#[derive(Debug, Default)]
pub(crate) struct RefusedLetters(BTreeMap<LetterId, Refused>);

#[derive(Clone, Copy, Debug)]
struct Refused {
    times: u32,
    until: Timestamp,
}

impl RefusedLetters {
    /// The store has refused what it alone brought.
    pub(crate) fn refuse(&mut self, id: LetterId, now: Timestamp) {
        let refused = self.0.entry(id).or_insert(Refused { times: 0, until: now });
        refused.times += 1;
        if let Some(doublings) = refused.times.checked_sub(TRIES) {
            refused.until = now.plus_ms(ASIDE_MS << doublings.min(DOUBLINGS));
        }
    }

    /// Nobody can read it here: another version of this program may.
    pub(crate) fn leave(&mut self, id: LetterId) {
        self.0.insert(id, Refused { times: TRIES, until: Timestamp(i64::MAX) });
    }

    /// Whether it lies aside now.
    pub(crate) fn is_left(&self, id: LetterId, now: Timestamp) -> bool {
        self.0.get(&id).is_some_and(|refused| now < refused.until)
    }

    /// It was taken.
    pub(crate) fn forget(&mut self, id: LetterId) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_lies_aside_longer_each_time_and_never_for_ever() {
        let (mut refused, id, mut now) = (RefusedLetters::default(), LetterId(1), Timestamp(0));
        refused.refuse(id, now);
        assert!(!refused.is_left(id, now), "once may be somebody else's fault");
        let mut aside = Vec::new();
        for _ in 0..9 {
            refused.refuse(id, now);
            let minutes = (0..).find(|n| !refused.is_left(id, now.plus_ms(n * ASIDE_MS)));
            let minutes = minutes.expect("it comes again");
            now = now.plus_ms(minutes * ASIDE_MS);
            aside.push(minutes);
        }
        assert_eq!(aside, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        refused.forget(id);
        refused.refuse(id, now);
        assert!(!refused.is_left(id, now));
        refused.leave(id);
        assert!(refused.is_left(id, now.plus_ms(u64::MAX / 4)));
    }
}
