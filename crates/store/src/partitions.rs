//! Into which of the parts a saga belongs, as a column has it.

use crate::Partition;

/// Parts of the sagas.
pub(crate) const PARTITIONS: usize = Partition::PARTS;

/// The part of a saga.
pub(crate) fn partition_of(saga: &str) -> i16 {
    Partition::of_text(saga).0.cast_signed()
}
