//! The algorithms by which a token may be signed. None of them needs a secret that we share with the signer: `none` and
//! the HMACs have no name here, so that no token can choose them.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// One algorithm of RFC 7518 or RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// RSA with PKCS #1 v1.5 and SHA-384.
    Rs384,
    /// RSA with PKCS #1 v1.5 and SHA-512.
    Rs512,
    /// RSA with PSS and SHA-256.
    Ps256,
    /// RSA with PSS and SHA-384.
    Ps384,
    /// RSA with PSS and SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// Those of RSA keys.
#[cfg(feature = "tls")]
pub(super) const OF_RSA: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

impl Algorithm {
    /// All, by name.
    pub(crate) const ALL: [(Self, &'static str); 9] = [
        (Self::Rs256, "RS256"),
        (Self::Rs384, "RS384"),
        (Self::Rs512, "RS512"),
        (Self::Ps256, "PS256"),
        (Self::Ps384, "PS384"),
        (Self::Ps512, "PS512"),
        (Self::Es256, "ES256"),
        (Self::Es384, "ES384"),
        (Self::EdDsa, "EdDSA"),
    ];

    /// The algorithm of a name, which is exactly as the RFC writes it.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
    }

    /// The left half of the digest that belongs to the algorithm, as `at_hash` has it.
    pub(super) fn half_digest(self, text: &str) -> Vec<u8> {
        let whole = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => Sha256::digest(text).to_vec(),
            Self::Rs384 | Self::Ps384 | Self::Es384 => Sha384::digest(text).to_vec(),
            Self::Rs512 | Self::Ps512 | Self::EdDsa => Sha512::digest(text).to_vec(),
        };
        whole[..whole.len() / 2].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_can_ask_for_no_signature_or_for_one_by_a_shared_secret() {
        for name in ["none", "None", "NONE", "HS256", "HS384", "HS512", "rs256", "", "RSA-OAEP"] {
            assert_eq!(Algorithm::of_name(name), None, "{name}");
        }
        for (algorithm, name) in Algorithm::ALL {
            assert_eq!(Algorithm::of_name(name), Some(algorithm));
        }
    }
}
