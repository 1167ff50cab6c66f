//! Standard Webhooks signatures, the receiving side.

use super::{Defect, Participant, header};
use crate::rig::KEY;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether the supervisor signed these bytes, lately.
pub fn is_right(participant: &Participant, headers: &HeaderMap, body: &[u8]) -> bool {
    let given = |name| header(headers, name);
    let (Some(id), Some(sent), Some(signatures)) =
        (given("webhook-id"), given("webhook-timestamp"), given("webhook-signature"))
    else {
        return false;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let fresh = sent.parse::<u64>().is_ok_and(|sent| now.abs_diff(sent) <= 300);
    if !fresh && !participant.has(Defect::OldSignature) {
        return false;
    }
    if participant.has(Defect::AnySignature) {
        return true;
    }
    let key = STANDARD.decode(KEY.trim_start_matches("whsec_")).expect("a key");
    let count = if participant.has(Defect::FirstSignatureOnly) { 1 } else { 4 };
    let versions = |mut of: std::str::Split<'_, char>| of.all(|one| one.starts_with("v1,"));
    if participant.has(Defect::StrictVersions) && !versions(signatures.split(' ')) {
        return false;
    }
    signatures.split(' ').take(count).any(|signature| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        for part in [id.as_bytes(), b".", sent.as_bytes(), b".", body] {
            mac.update(part);
        }
        let signature = match participant.has(Defect::AnyVersion) {
            true => signature.split_once(',').map(|(_, bytes)| bytes),
            false => signature.strip_prefix("v1,"),
        };
        let bytes = signature.and_then(|text| STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
    })
}
