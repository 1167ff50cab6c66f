//! A limit per second: when the next request may go.
//!
//! Where nodes share a store, time is divided into slots, as many a second as requests may go, and each belongs to one
//! of the 64 partitions in turn. Whoever holds the partition may send one request in it. So all nodes together keep
//! the limit without a word to each other, each with what its part of the sagas is of all; their clocks are the
//! database's.

use amends_protocol::Timestamp;

/// How far requests may run ahead of their limit, or behind it, in microseconds: a tenth of a second's worth may go at
/// once, so that a limit of thousands needs no timer per request.
const AHEAD_US: i64 = 100_000;

/// Slots go round among them.
const PARTS: i64 = crate::Partition::PARTS as i64;

/// When requests to a service may go.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Up to then the limit is used up, in microseconds.
    used_us: i64,
    /// When it is looked at again because of the limit.
    looks_at: Option<Timestamp>,
    /// The partitions that are here, as bits; none of a store that is owned as a whole.
    parts: Option<u64>,
}

fn micros(now: Timestamp) -> i64 {
    now.0.saturating_mul(1_000)
}

/// The time that one request has, in microseconds.
fn width_us(per_second: u32) -> i64 {
    (1_000_000 / i64::from(per_second.max(1))).max(1)
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { used_us: i64::MIN, looks_at: None, parts: None }
    }

    /// From now on these partitions are here, of a store that nodes share.
    pub(crate) fn share(&mut self, parts: u64) {
        self.parts = Some(parts);
    }

    /// Whether a request may go now.
    pub(super) fn may_go(&self, now: Timestamp, per_second: u32) -> bool {
        match self.parts {
            None => self.used_us <= micros(now) + AHEAD_US,
            Some(parts) => self.slot(now, per_second, parts).is_some(),
        }
    }

    /// One goes.
    pub(super) fn launched(&mut self, now: Timestamp, per_second: u32) {
        let width = width_us(per_second);
        match self.parts {
            None => self.used_us = self.used_us.max(micros(now)).saturating_add(width),
            Some(parts) => {
                if let Some(slot) = self.slot(now, per_second, parts) {
                    self.used_us = (slot + 1).saturating_mul(width);
                }
            }
        }
    }

    /// When it is to be looked at again, since requests wait; told once. A slot passes whether or not one goes in it:
    /// where something else keeps them back now, there is another one when that is over.
    pub(super) fn look_again(&mut self, now: Timestamp, per_second: u32) -> Option<Timestamp> {
        let may_go = self.may_go(now, per_second);
        if self.looks_at.is_some_and(|at| at > now) || (may_go && self.parts.is_none()) {
            return None;
        }
        let at = match self.parts {
            None => Timestamp((self.used_us - AHEAD_US).div_euclid(1_000) + 1),
            Some(parts) => {
                let width = width_us(per_second);
                let from = micros(now) + if may_go { AHEAD_US } else { 0 };
                let next = from.div_euclid(width) + 1;
                let next = (next..next + PARTS).find(|slot| is_of(*slot, parts))?;
                Timestamp(next.saturating_mul(width).div_euclid(1_000) + 1)
            }
        };
        self.looks_at = Some(at);
        Some(at)
    }

    /// The first slot of ours that is not used: the present one, or one that has just gone by.
    fn slot(&self, now: Timestamp, per_second: u32, parts: u64) -> Option<i64> {
        let (width, now) = (width_us(per_second), micros(now));
        let late = (AHEAD_US - width).max(0);
        let first = (now - late).max(self.used_us).div_euclid(width);
        (first..=now.div_euclid(width)).find(|slot| is_of(*slot, parts))
    }
}

fn is_of(slot: i64, parts: u64) -> bool {
    parts >> slot.rem_euclid(PARTS) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that go between two moments, in milliseconds, at nodes that always have some; each node is woken when
    /// it has said that it wants to be, or so much later.
    fn sent(nodes: &mut [Pace], per_second: u32, from: i64, to: i64, late: i64) -> Vec<Vec<i64>> {
        let mut sent = vec![Vec::new(); nodes.len()];
        let mut wakes = vec![Some(from); nodes.len()];
        for now in from..to {
            for (n, node) in nodes.iter_mut().enumerate() {
                if wakes[n].is_none_or(|at| at + late > now) {
                    continue;
                }
                while node.may_go(Timestamp(now), per_second) {
                    node.launched(Timestamp(now), per_second);
                    sent[n].push(now);
                }
                wakes[n] = node.look_again(Timestamp(now), per_second).map(|at| at.0);
            }
        }
        sent
    }

    fn shared(parts: u64) -> Pace {
        let mut pace = Pace::new();
        pace.share(parts);
        pace
    }

    /// Three nodes with every third partition, one with a half of what the others have.
    fn three() -> [Pace; 3] {
        let every_fifth = |of: &[i64]| {
            let bits = (0..PARTS).filter(|n| of.contains(&(n % 5)));
            shared(bits.map(|n| 1 << n).sum())
        };
        [every_fifth(&[0, 2]), every_fifth(&[1, 4]), every_fifth(&[3])]
    }

    #[test]
    fn nodes_keep_a_limit_together_in_every_second_and_use_all_of_it() {
        const FROM: i64 = 1_700_000_000_000;
        const SECONDS: i64 = 128;
        for (per_second, late) in [(1, 0), (1, 300), (2, 0), (7, 0), (50, 5), (1_000, 20)] {
            let sent = sent(&mut three(), per_second, FROM, FROM + SECONDS * 1_000, late);
            let mut all: Vec<i64> = sent.iter().flatten().copied().collect();
            all.sort_unstable();
            for second in 0..SECONDS {
                let began = FROM + second * 1_000;
                let of_it = all.iter().filter(|at| (began..began + 1_000).contains(*at)).count();
                // A tenth of a second's worth may come late.
                let most = per_second as usize + per_second as usize / 10 + 1;
                assert!(of_it <= most, "{of_it} of {per_second} in second {second}");
            }
            let most = SECONDS as usize * per_second as usize;
            assert!(all.len() <= most + per_second as usize, "{} of {most}", all.len());
            assert!(all.len() >= most * 9 / 10, "{} of {most}", all.len());
            let shares: Vec<usize> = sent.iter().map(|of| of.len() * 64 / all.len()).collect();
            assert!((23..=28).contains(&shares[0]) && (10..=15).contains(&shares[2]), "{shares:?}");
        }
    }

    #[test]
    fn of_one_request_a_second_no_two_go_in_one() {
        let sent = sent(&mut three(), 1, 0, 64_000, 0);
        let mut all: Vec<i64> = sent.iter().flatten().map(|at| at / 1_000).collect();
        all.sort_unstable();
        let seconds: Vec<i64> = (0..64).collect();
        assert_eq!(all, seconds);
    }

    #[test]
    fn who_holds_nothing_sends_nothing_and_who_holds_all_has_all() {
        assert_eq!(sent(&mut [shared(0)], 10, 0, 5_000, 0), [Vec::<i64>::new()]);
        let alone = sent(&mut [shared(u64::MAX)], 10, 0, 5_000, 0);
        assert!((49..=51).contains(&alone[0].len()), "{}", alone[0].len());
    }

    #[test]
    fn who_is_kept_back_by_something_else_looks_again_at_a_later_slot() {
        let mut pace = shared(1 << 3);
        let at = pace.look_again(Timestamp(3_100), 1).expect("it may go, and could not");
        assert!(pace.may_go(Timestamp(3_900), 1) && !pace.may_go(Timestamp(4_000), 1));
        assert!(at >= Timestamp(67_000) && pace.may_go(at, 1), "{at:?}");
        let mut alone = Pace::new();
        assert_eq!(alone.look_again(Timestamp(3_100), 1), None, "it stays on time");
    }

    #[test]
    fn a_limit_that_changes_holds_at_once() {
        let mut pace = shared(u64::MAX);
        let now = Timestamp(10_000);
        pace.launched(now, 1);
        assert!(!pace.may_go(now, 1));
        assert!(!pace.may_go(now, 1_000), "what is used up stays so");
        assert!(pace.may_go(Timestamp(11_000), 1_000));
    }
}
