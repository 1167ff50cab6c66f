//! Standard Webhooks 1.0 signatures (`v1`, HMAC-SHA256), the receiving side. Checks bytes as they came; remembers
//! nothing, since steps are idempotent by their id.

use amends_protocol::headers;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How far the sender's clock may be off, in seconds; what the Standard Webhooks libraries use.
const TOLERANCE_SECONDS: i64 = 300;

/// Signatures of one request that are looked at; rotation needs two.
const SIGNATURE_LIMIT: usize = 16;

/// Decodes a signing key as it is shown to people, `whsec_` and base64.
///
/// # Errors
/// Says what is wrong, without the key.
pub fn signing_key(shown: &str) -> Result<Vec<u8>, String> {
    let encoded = shown.trim();
    let encoded = encoded.strip_prefix("whsec_").unwrap_or(encoded);
    let key = STANDARD.decode(encoded).map_err(|_| {
        "the signing key is not base64; copy it whole, with its `whsec_`".to_owned()
    })?;
    match key.len() {
        24..=64 => Ok(key),
        bytes => Err(format!("the signing key has {bytes} bytes; it must have 24 to 64")),
    }
}

/// Checks that one of the keys signed these bytes, lately.
///
/// # Errors
/// Says what is missing or wrong, without saying which key came close.
pub(crate) fn verify(
    keys: &[Vec<u8>],
    from: &HeaderMap,
    body: &[u8],
    now_seconds: i64,
) -> Result<(), String> {
    let id = required(from, headers::WEBHOOK_ID)?;
    let timestamp = required(from, headers::WEBHOOK_TIMESTAMP)?;
    let signatures = required(from, headers::WEBHOOK_SIGNATURE)?;
    let sent: i64 = timestamp
        .parse()
        .map_err(|_| format!("`{}` is not a number of seconds", headers::WEBHOOK_TIMESTAMP))?;
    if now_seconds.saturating_sub(sent).saturating_abs() > TOLERANCE_SECONDS {
        return Err(format!(
            "the signature is more than {TOLERANCE_SECONDS} s old or ahead; check both clocks"
        ));
    }
    let given: Vec<Vec<u8>> = signatures
        .split(' ')
        .filter_map(|part| part.strip_prefix("v1,"))
        .take(SIGNATURE_LIMIT)
        .filter_map(|part| STANDARD.decode(part).ok())
        .collect();
    let mut agrees = subtle::Choice::from(0);
    for key in keys {
        let expected = sign(key, id, timestamp, body);
        for signature in &given {
            agrees |= expected.as_slice().ct_eq(signature.as_slice());
        }
    }
    match bool::from(agrees) {
        true => Ok(()),
        false => Err("no signature of the request is from an accepted key".to_owned()),
    }
}

fn sign(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn required<'h>(from: &'h HeaderMap, name: &str) -> Result<&'h str, String> {
    from.get(name).and_then(|value| value.to_str().ok()).ok_or_else(|| {
        format!(
            "header `{name}` is missing; what the supervisor asks of this service must be signed"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_verifies() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ] {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        let body = br#"{"test": 2432232314}"#;
        let keys = [key];
        assert_eq!(verify(&keys, &headers, body, 1_614_265_330), Ok(()));
        assert!(verify(&keys, &headers, b"{}", 1_614_265_330).is_err());
        assert_eq!(verify(&keys, &headers, body, 1_614_265_330 + 300), Ok(()));
        assert!(verify(&keys, &headers, body, 1_614_265_330 + 301).is_err());
    }

    #[test]
    fn a_key_that_cannot_be_one_is_refused_without_showing_it() {
        for bad in ["whsec_short", "whsec_c2hvcnQ=", "not base64 at all"] {
            let error = signing_key(bad).expect_err("no key");
            assert!(!error.contains(bad), "{error}");
        }
    }
}
