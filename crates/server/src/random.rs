//! What nobody can guess.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The system gives no randomness: without it nothing here is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// Bytes that nobody can guess.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// 32 such bytes, as text that fits into an address.
pub(crate) fn text() -> Result<String, NoRandomness> {
    bytes::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}
