//! The keys under one name of the configuration, and the value of `webhook-signature` that they make.

use amends_protocol::wire::signature::SigningKey;

/// Keys under one name: the newest first; two while they are rotated, and a few more do no harm.
pub const MOST_KEYS_OF_A_NAME: usize = 4;

/// Signs with every key of one name, so that a receiver may know the old one or the new one.
#[derive(Clone)]
pub struct Signer {
    keys: Vec<SigningKey>,
}

impl Signer {
    /// One without keys: what it makes is no signature, and is never sent.
    pub(super) const fn without_keys() -> Self {
        Self { keys: Vec::new() }
    }

    /// Reads keys as people write them: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// Says what is wrong, without the key.
    pub fn new(shown: &[impl AsRef<str>]) -> Result<Self, String> {
        if shown.is_empty() || shown.len() > MOST_KEYS_OF_A_NAME {
            return Err(format!("there are {} keys; give 1 to {MOST_KEYS_OF_A_NAME}", shown.len()));
        }
        let keys =
            shown.iter().map(|one| SigningKey::read(one.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The value of `webhook-signature` for `{id}.{seconds}.{body}`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signatures: Vec<_> = self.keys.iter().map(|key| key.sign(id, seconds, body)).collect();
        signatures.join(" ")
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// The example of the Standard Webhooks specification.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

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
