//! Standard Webhooks 1.0 signatures (`v1`, HMAC-SHA256), both sides: over `{id}.{seconds}.{body}`, exactly the bytes that
//! are sent. Holds keys and never shows them; remembers no ids, since steps are idempotent by theirs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// What stands before a key as it is shown to people.
const PREFIX: &str = "whsec_";

/// How far the sender's clock may be off, in seconds; what the Standard Webhooks libraries use.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Signatures of one request that are looked at; rotation needs two.
const SIGNATURE_LIMIT: usize = 16;

/// Reads a key as it is shown to people: `whsec_` and base64 of 24 to 64 bytes.
///
/// # Errors
/// Says what is wrong, without the key.
pub fn key_bytes(shown: &str) -> Result<Vec<u8>, String> {
    let encoded = shown.trim().strip_prefix(PREFIX);
    let encoded = encoded.ok_or("a signing key begins with `whsec_`; copy it whole")?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| "after `whsec_` the signing key is not base64; copy it whole".to_owned())?;
    match bytes.len() {
        24..=64 => Ok(bytes),
        other => Err(format!("the signing key has {other} bytes; it must have 24 to 64")),
    }
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    /// Keyed once; a clone of the state is cheaper than to key it again.
    keyed: Hmac<Sha256>,
}

impl SigningKey {
    /// Reads a key as it is shown to people, see [`key_bytes`].
    ///
    /// # Errors
    /// Says what is wrong, without the key.
    pub fn read(shown: &str) -> Result<Self, String> {
        key_bytes(shown).map(|bytes| Self::of_bytes(&bytes))
    }

    /// A key of these bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        // HMAC takes keys of any length, so this is always keyed.
        let keyed = Hmac::new_from_slice(bytes).unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self { keyed }
    }

    /// One signature, with its version: `v1,` and base64.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut signature = String::with_capacity(48);
        signature.push_str("v1,");
        STANDARD.encode_string(self.mac(id, &seconds.to_string(), body), &mut signature);
        signature
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// The three headers of a signed request, as they came.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'r> {
    /// `webhook-id`.
    pub id: &'r str,
    /// `webhook-timestamp`, whole seconds.
    pub timestamp: &'r str,
    /// `webhook-signature`: signatures with blanks between them.
    pub signatures: &'r str,
}

/// Checks that one of the keys signed these bytes, lately. Compares in constant time.
///
/// # Errors
/// Says what is wrong, without saying which key came close.
pub fn verify(
    keys: &[SigningKey],
    signed: Signed<'_>,
    body: &[u8],
    now_seconds: i64,
) -> Result<(), String> {
    // What is signed is told apart by dots: with one in the id, the same bytes would be of several requests.
    if signed.id.contains('.') {
        return Err("`webhook-id` has a dot".to_owned());
    }
    let sent: i64 = signed
        .timestamp
        .parse()
        .map_err(|_| "`webhook-timestamp` is not a number of seconds".to_owned())?;
    if now_seconds.saturating_sub(sent).saturating_abs() > TOLERANCE_SECONDS {
        return Err(format!(
            "the signature is more than {TOLERANCE_SECONDS} s old or ahead; check both clocks"
        ));
    }
    let given: Vec<Vec<u8>> = signed
        .signatures
        .split(' ')
        .filter_map(|part| part.strip_prefix("v1,"))
        .take(SIGNATURE_LIMIT)
        .filter_map(|part| STANDARD.decode(part).ok())
        .collect();
    let mut agrees = Choice::from(0);
    for key in keys {
        let expected = key.mac(signed.id, signed.timestamp, body);
        for signature in &given {
            agrees |= expected.as_slice().ct_eq(signature.as_slice());
        }
    }
    match bool::from(agrees) {
        true => Ok(()),
        false => Err("no signature of the request is from an accepted key".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_example_of_the_specification_is_signed_and_verified() {
        let keys = [SigningKey::read(KEY).expect("a key")];
        assert_eq!(keys[0].sign(ID, 1_614_265_330, BODY), SIGNATURE);
        let signed = Signed { id: ID, timestamp: "1614265330", signatures: SIGNATURE };
        assert_eq!(verify(&keys, signed, BODY, 1_614_265_330), Ok(()));
        assert!(verify(&keys, signed, b"{}", 1_614_265_330).is_err());
        assert_eq!(verify(&keys, signed, BODY, 1_614_265_330 + 300), Ok(()));
        assert!(verify(&keys, signed, BODY, 1_614_265_330 + 301).is_err());
        let stranger = [SigningKey::of_bytes(b"a key that nobody was told")];
        assert!(verify(&stranger, signed, BODY, 1_614_265_330).is_err());
    }

    /// `a.1.2.{}` is what id `a`, time `1` and body `2.{}` give, and id `a.1`, time `2` and body `{}` as well.
    #[test]
    fn the_same_bytes_are_of_one_request_only() {
        let keys = [SigningKey::read(KEY).expect("a key")];
        let signatures = &keys[0].sign("a", 1_614_265_330, b"1614265331.{}");
        let moved = Signed { id: "a.1614265330", timestamp: "1614265331", signatures };
        assert!(verify(&keys, moved, b"{}", 1_614_265_331).is_err_and(|why| why.contains("dot")));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let bare = KEY.trim_start_matches(PREFIX);
        for bad in
            [bare, "whsec_%%%secret", "whsec_short", "whsec_c2hvcnQ=", "not base64 at all", ""]
        {
            let error = key_bytes(bad).expect_err("no key");
            let hidden = !bad.is_empty() && error.contains(bad.trim_start_matches(PREFIX));
            assert!(
                !hidden && error.contains("the signing key") | error.contains("a signing key"),
                "{error}"
            );
        }
        assert_eq!(format!("{:?}", SigningKey::read(KEY).expect("a key")), "SigningKey");
    }
}
