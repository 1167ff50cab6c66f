//! Whether a request is signed by a key that the service was told.

use amends_protocol::headers;
use amends_protocol::wire::signature::{self, Signed, SigningKey};
use http::HeaderMap;

/// Decodes a signing key as it is shown to people, `whsec_` and base64.
///
/// # Errors
/// Says what is wrong, without the key.
pub fn signing_key(shown: &str) -> Result<Vec<u8>, String> {
    signature::key_bytes(shown)
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
    let signed = Signed {
        id: required(from, headers::WEBHOOK_ID)?,
        timestamp: required(from, headers::WEBHOOK_TIMESTAMP)?,
        signatures: required(from, headers::WEBHOOK_SIGNATURE)?,
    };
    let keys: Vec<SigningKey> = keys.iter().map(|key| SigningKey::of_bytes(key)).collect();
    signature::verify(&keys, signed, body, now_seconds)
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
