//! Standard Webhooks 1.0 signatures (`v1`, HMAC-SHA256), the sending side, right ones and wrong ones. Holds the key and
//! never shows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Signs with one key.
#[derive(Clone)]
pub(crate) struct Signer {
    keyed: Hmac<Sha256>,
}

impl Signer {
    /// Reads a key as people write it: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// Says what is wrong, without the key.
    pub(crate) fn new(shown: &str) -> Result<Self, String> {
        let encoded =
            shown.trim().strip_prefix("whsec_").ok_or("it does not begin with `whsec_`")?;
        let key = STANDARD.decode(encoded).map_err(|_| "it is not base64; copy it whole")?;
        if !(24..=64).contains(&key.len()) {
            return Err(format!("it has {} bytes, not 24 to 64", key.len()));
        }
        Ok(Self { keyed: Hmac::new_from_slice(&key).map_err(|error| error.to_string())? })
    }

    /// A key that nobody was told.
    pub(crate) fn stranger() -> Self {
        // HMAC takes keys of any length, so this is always keyed.
        let keyed = Hmac::new_from_slice(b"a key that no participant was told")
            .unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self { keyed }
    }

    /// One signature of `{id}.{seconds}.{body}`, with its version.
    pub(crate) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = self.keyed.clone();
        for part in [id.as_bytes(), b".", seconds.to_string().as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use super::Signer;

    #[test]
    fn the_example_of_the_specification() {
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
        let signature =
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_ne!(
            signature,
            Signer::stranger().sign(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#
            )
        );
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for bad in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%secret", "whsec_c2hvcnQ="] {
            let error = Signer::new(bad).expect_err("not a key");
            assert!(!error.contains("secret%") && !error.contains("MfKQ"), "{error}");
        }
    }
}
