//! What nobody can guess.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 32 bytes that nobody can guess.
///
/// # Panics
/// When the system has no randomness: without it nothing here is safe.
pub(super) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    bytes
}

/// The same as text that fits into an address.
pub(super) fn text() -> String {
    URL_SAFE_NO_PAD.encode(bytes())
}
