//! The public keys of an issuer (RFC 7517), and whether one of them signed a token. A key is used only for what it says
//! that it is for; what can't be used is left out.

use super::algorithm::Algorithm;
#[cfg(feature = "tls")]
use super::algorithm::OF_RSA;
use super::refused::Refused;
#[cfg(feature = "tls")]
use jsonwebtoken::DecodingKey;
#[cfg(feature = "tls")]
use serde_json::Value;

/// Longest set of keys, in bytes.
pub(super) const KEYS_LIMIT: usize = 256 << 10;
/// Most keys of a set: two or three while they are rotated.
#[cfg(feature = "tls")]
const MOST_KEYS: usize = 64;

/// What says of a token that it was signed, and is not believed yet.
#[cfg_attr(not(feature = "tls"), allow(dead_code))] // without TLS no signature is looked at
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<&'t str>,
    /// The bytes that were signed.
    pub(super) signed: &'t [u8],
    /// In base64.
    pub(super) signature: &'t str,
}

/// The keys of an issuer.
#[derive(Clone, Default)]
pub(super) struct Keys {
    #[cfg(feature = "tls")]
    all: Vec<Key>,
}

#[cfg(feature = "tls")]
#[derive(Clone)]
struct Key {
    id: Option<String>,
    fits: Vec<Algorithm>,
    key: DecodingKey,
}

#[cfg(feature = "tls")]
impl Keys {
    /// Reads a set of keys.
    ///
    /// # Errors
    /// Says what is wrong: it is no such set, or has no key by which a token could be signed.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        if text.len() > KEYS_LIMIT {
            return Err(format!("it is longer than {KEYS_LIMIT} bytes"));
        }
        let set: Value = serde_json::from_slice(text)
            .map_err(|e| format!("it is no JSON: {}", amends_protocol::causes::of_json(&e)))?;
        let given = set.get("keys").and_then(Value::as_array);
        let given = given.ok_or("it is no set of keys: it has no list `keys`")?;
        if given.len() > MOST_KEYS {
            return Err(format!("it has {} keys; at most {MOST_KEYS} are taken", given.len()));
        }
        let all: Vec<Key> = given.iter().filter_map(Key::read).collect();
        match all.is_empty() {
            true => Err("it has no public key by which a token could be signed".to_owned()),
            false => Ok(Self { all }),
        }
    }

    /// How many there are.
    #[cfg(feature = "fuzz")]
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether there is a key that a token could have been signed by.
    pub(super) fn have_one_for(&self, seal: Seal<'_>) -> bool {
        self.of(seal).next().is_some()
    }

    /// Whether one of the keys signed the token.
    pub(super) fn verify(&self, seal: Seal<'_>) -> Result<(), Refused> {
        let mut some = false;
        for key in self.of(seal) {
            some = true;
            let algorithm = in_library(seal.algorithm);
            let fits =
                jsonwebtoken::crypto::verify(seal.signature, seal.signed, &key.key, algorithm);
            if fits.is_ok_and(|fits| fits) {
                return Ok(());
            }
        }
        Err(if some { Refused::Signature } else { Refused::NoKey })
    }

    /// The keys of the token's name. Without a name there must be no choice (OpenID Connect Core, 10.1).
    fn of<'k>(&'k self, seal: Seal<'k>) -> impl Iterator<Item = &'k Key> {
        let fits = move |key: &&Key| key.fits.contains(&seal.algorithm);
        let is_alone = self.all.iter().filter(fits).count() == 1;
        self.all.iter().filter(fits).filter(move |key| match seal.key_id {
            Some(id) => key.id.as_deref() == Some(id),
            None => is_alone,
        })
    }
}

#[cfg(feature = "tls")]
impl Key {
    /// One key; none if it is no public key for signatures that we know.
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let is_to_verify = |ops: &Value| {
            ops.as_array().is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify")))
        };
        if text("use").is_some_and(|what| what != "sig")
            || value.get("key_ops").is_some_and(|ops| !is_to_verify(ops))
        {
            return None;
        }
        let (fits, key) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (OF_RSA, DecodingKey::from_rsa_components(text("n")?, text("e")?)),
            ("EC", Some("P-256")) => {
                (&[Algorithm::Es256][..], DecodingKey::from_ec_components(text("x")?, text("y")?))
            }
            ("EC", Some("P-384")) => {
                (&[Algorithm::Es384][..], DecodingKey::from_ec_components(text("x")?, text("y")?))
            }
            ("OKP", Some("Ed25519")) => {
                (&[Algorithm::EdDsa][..], DecodingKey::from_ed_components(text("x")?))
            }
            // Of a shared secret (`oct`) above all: whoever knows it could sign.
            _ => return None,
        };
        let said = text("alg");
        let is_for =
            |one: &Algorithm| said.is_none_or(|name| Algorithm::of_name(name) == Some(*one));
        let fits: Vec<Algorithm> = fits.iter().copied().filter(is_for).collect();
        if fits.is_empty() {
            return None;
        }
        Some(Self { id: text("kid").map(str::to_owned), fits, key: key.ok()? })
    }
}

#[cfg(feature = "tls")]
fn in_library(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    use jsonwebtoken::Algorithm as Library;
    match algorithm {
        Algorithm::Rs256 => Library::RS256,
        Algorithm::Rs384 => Library::RS384,
        Algorithm::Rs512 => Library::RS512,
        Algorithm::Ps256 => Library::PS256,
        Algorithm::Ps384 => Library::PS384,
        Algorithm::Ps512 => Library::PS512,
        Algorithm::Es256 => Library::ES256,
        Algorithm::Es384 => Library::ES384,
        Algorithm::EdDsa => Library::EdDSA,
    }
}

/// A build without TLS has nothing that checks signatures: it believes no token.
#[cfg(not(feature = "tls"))]
impl Keys {
    pub(super) fn read(_: &[u8]) -> Result<Self, String> {
        Err("this build checks no signatures; build it with the feature `tls`".to_owned())
    }

    #[cfg(feature = "fuzz")]
    pub(super) fn count(&self) -> usize {
        0
    }

    pub(super) fn have_one_for(&self, _: Seal<'_>) -> bool {
        false
    }

    pub(super) fn verify(&self, _: Seal<'_>) -> Result<(), Refused> {
        Err(Refused::NoKey)
    }
}
