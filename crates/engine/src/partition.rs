//! Into which part a saga belongs, and by what right a loop writes there. Plain data.

use amends_protocol::SagaId;
use std::fmt;

/// Sagas are dealt out over so many parts.
const PARTS: u16 = 64;

/// What one loop may own and another may take over: a part of the sagas, or what belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

impl Partition {
    /// Parts of the sagas: they have the numbers below this.
    pub const PARTS: usize = PARTS as usize;

    /// What belongs to no saga: what people have set for services and rules, versions of rulebooks.
    pub const SEAT: Self = Self(PARTS);

    /// All sagas and the seat at once, of a store that one loop owns as a whole.
    pub const WHOLE: Self = Self(u16::MAX);

    /// The part of a saga: FNV-1a of its id, folded, since ids that hold a value twice would leave half of the parts
    /// empty otherwise. It is stored with the saga's rows for ever, so it never changes.
    #[must_use]
    pub fn of(saga: &SagaId) -> Self {
        Self::of_text(saga.as_str())
    }

    /// As [`Partition::of`], of the text of an id.
    #[must_use]
    pub fn of_text(saga: &str) -> Self {
        let hash = saga.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let [low, ..] = (hash ^ (hash >> 16) ^ (hash >> 32)).to_le_bytes();
        Self(u16::from(low) % PARTS)
    }

    /// All parts of the sagas, in order.
    pub fn parts() -> impl Iterator<Item = Self> {
        (0..PARTS).map(Self)
    }
}

/// Where nothing else is said, a store is owned as a whole.
impl Default for Partition {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::WHOLE => f.write_str("the store"),
            Self::SEAT => f.write_str("the seat"),
            Self(part) => write!(f, "partition {part}"),
        }
    }
}

/// How often a partition has changed its owner. A store that several can own refuses what carries an old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A partition that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// What is held.
    pub partition: Partition,
    /// What every commit for it has to carry. It grows whenever the partition is claimed or raised.
    pub epoch: Epoch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saga_stays_in_its_part_for_ever() {
        for (saga, partition) in [
            ("order-1", 12),
            ("order-2", 53),
            ("order-4711", 15),
            ("a", 1),
            ("aa", 53),
            ("saga/2026-11-29/0001", 1),
            ("0190f5a2-7c1e-7b3a-9f00-0123456789ab", 14),
            ("order-7:order-7", 59),
        ] {
            assert_eq!(Partition::of_text(saga), Partition(partition), "{saga}");
        }
    }

    #[test]
    fn sagas_that_hold_a_value_twice_spread_over_all_parts() {
        for name in [|n: u32| format!("order-{n}:order-{n}"), |n| format!("{n:08x}")] {
            let mut parts = [0_u32; Partition::PARTS];
            (0..6_400).for_each(|n| parts[usize::from(Partition::of_text(&name(n)).0)] += 1);
            assert!(parts.iter().all(|part| (50..=150).contains(part)), "{parts:?}");
        }
    }
}
