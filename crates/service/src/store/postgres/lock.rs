//! The two numbers of a saga's advisory lock.

use amends_protocol::SagaId;
use sha2::{Digest, Sha256};

/// The first, `amnd` in ASCII: locks of others are elsewhere.
pub(super) const LOCK_CLASS: i32 = 0x616d_6e64;

/// The second: a saga's.
pub(super) fn lock_number(saga: &SagaId) -> i32 {
    let digest = Sha256::digest(saga.as_str());
    i32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
