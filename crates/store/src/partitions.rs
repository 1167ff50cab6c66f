//! Into which of the 64 parts a saga belongs. Stored with its rows for ever, so it never changes.

/// Parts of the sagas.
pub(crate) const PARTITIONS: usize = 64;

/// FNV-1a of its id, folded: unfolded, ids that hold a value twice would leave half of the parts empty.
pub(crate) fn partition_of(saga: &str) -> i16 {
    let hash = saga.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i16::from((hash ^ (hash >> 16) ^ (hash >> 32)).to_le_bytes()[0] & 63)
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
            assert_eq!(partition_of(saga), partition, "{saga}");
        }
    }

    #[test]
    fn sagas_that_hold_a_value_twice_spread_over_all_parts() {
        for name in [|n: u32| format!("order-{n}:order-{n}"), |n| format!("{n:08x}")] {
            let mut parts = [0_u32; PARTITIONS];
            (0..6_400).for_each(|n| parts[usize::from(partition_of(&name(n)).unsigned_abs())] += 1);
            assert!(parts.iter().all(|part| (50..=150).contains(part)), "{parts:?}");
        }
    }
}
