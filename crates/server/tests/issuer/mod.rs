//! An issuer of tokens in tests: makes keys of every kind and signs whatever it is told to. It signs by the library
//! below the product's own, so that no mistake of that one goes both ways.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;

/// A key that signs, with its name.
#[derive(Clone)]
pub struct IssuerKey {
    pub id: String,
    pub algorithm: &'static str,
    private: Arc<Private>,
}

enum Private {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl IssuerKey {
    /// A new key for an algorithm.
    pub fn new(algorithm: &'static str, id: &str) -> Self {
        let random = SystemRandom::new();
        let private = match algorithm {
            "ES256" | "ES384" => {
                let kind = match algorithm {
                    "ES256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
                };
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
                Private::Ec(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref()).expect("a key"))
            }
            "EdDSA" => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
                Private::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key"))
            }
            _ => Private::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
        };
        Self { id: id.to_owned(), algorithm, private: Arc::new(private) }
    }

    /// The same key, which signs by another algorithm now.
    pub fn by(&self, algorithm: &'static str) -> Self {
        Self { algorithm, ..self.clone() }
    }

    /// Its public half, as it stands in a set of keys.
    pub fn public(&self) -> Value {
        let mut key = match &*self.private {
            Private::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": base64(public.modulus().big_endian_without_leading_zero()),
                    "e": base64(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Private::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y) })
            }
            Private::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(pair.public_key().as_ref()) })
            }
        };
        key["kid"] = self.id.as_str().into();
        key["use"] = "sig".into();
        key
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" }), claims)
    }

    /// A token with a header of the test's own; the signature is good.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = parts(header, claims);
        let signature = base64(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.private {
            Private::Rsa(pair) => {
                let how: &'static dyn RsaEncoding = match self.algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(how, &random, message, &mut signature).expect("signed");
                signature
            }
            Private::Ec(pair) => pair.sign(&random, message).expect("signed").as_ref().to_vec(),
            Private::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// A set of the public halves.
pub fn key_set(keys: &[&IssuerKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>() })
}

/// Header and claims, which is what is signed.
pub fn parts(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string()), base64(claims.to_string()))
}

/// As all parts of a token are written.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
