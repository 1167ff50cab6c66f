//! Standard Webhooks 1.0 signatures (`v1`, HMAC-SHA256), the sending side. Signs exactly the bytes that are sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Keys under one name: the newest first; two while they are rotated, and a few more do no harm.
pub const MOST_KEYS_OF_A_NAME: usize = 4;

/// Signs with every key of one name, so that a receiver may know the old one or the new one.
#[derive(Clone)]
pub struct Signer {
    /// Keyed once; a clone of the state is cheaper than to key it again.
    keyed: Vec<Hmac<Sha256>>,
}

impl Signer {
    /// One without keys: what it makes is no signature, and is never sent.
    pub(super) const fn without_keys() -> Self {
        Self { keyed: Vec::new() }
    }

    /// Reads keys as people write them: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// Says what is wrong, without the key.
    pub fn new(shown: &[impl AsRef<str>]) -> Result<Self, String> {
        if shown.is_empty() || shown.len() > MOST_KEYS_OF_A_NAME {
            return Err(format!("there are {} keys; give 1 to {MOST_KEYS_OF_A_NAME}", shown.len()));
        }
        let keyed = shown.iter().map(|one| key(one.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { keyed })
    }

    /// The value of `webhook-signature` for `{id}.{seconds}.{body}`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut all = String::with_capacity(self.keyed.len() * 48);
        for keyed in &self.keyed {
            let mut mac = keyed.clone();
            mac.update(id.as_bytes());
            mac.update(b".");
            mac.update(seconds.to_string().as_bytes());
            mac.update(b".");
            mac.update(body);
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str("v1,");
            STANDARD.encode_string(mac.finalize().into_bytes(), &mut all);
        }
        all
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keyed.len())
    }
}

fn key(shown: &str) -> Result<Hmac<Sha256>, String> {
    let encoded =
        shown.trim().strip_prefix("whsec_").ok_or("a signing key begins with `whsec_`")?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| "after `whsec_` the signing key is not base64; copy it whole".to_owned())?;
    if !(24..=64).contains(&bytes.len()) {
        return Err(format!("the signing key has {} bytes; it must have 24 to 64", bytes.len()));
    }
    Hmac::new_from_slice(&bytes).map_err(|e| format!("the signing key can't be used: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_example_of_the_specification() {
        let signer = Signer::new(&[KEY]).expect("a key");
        let signature =
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_of_a_rotation_signs() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = Signer::new(&[other.as_str(), KEY]).expect("keys").sign("a", 1, b"x");
        let single = Signer::new(&[KEY]).expect("a key").sign("a", 1, b"x");
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert_eq!(second, single);
        assert_ne!(first, second);
    }

    #[test]
    fn a_bad_key_is_refused_without_being_shown() {
        for bad in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%secret", "whsec_c2hvcnQ="] {
            let error = Signer::new(&[bad]).expect_err("not a key");
            assert!(!error.contains("secret%") && !error.contains("MfKQ"), "{error}");
        }
        assert!(Signer::new(&[""; 0]).is_err());
        assert_eq!(format!("{:?}", Signer::new(&[KEY]).expect("a key")), "Signer(1 keys)");
    }
}
