//! Reads signed JWTs (RFC 7519) and judges what they claim, as RFC 8725 advises. Pure: keys and the time are arguments.
//! What a token claims can be had only after its signature has been checked.

use super::algorithm::Algorithm;
use super::keys::{Keys, Seal};
use super::refused::Refused;
use amends_protocol::{Timestamp, check_keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Longest token, in bytes: one with hundreds of groups has half of it.
pub(crate) const TOKEN_LIMIT: usize = 16 << 10;
/// How far the clocks of the issuer and of this machine may be apart, in seconds.
pub(super) const LEEWAY_S: i64 = 60;
/// Longest name of somebody, in bytes: what the audit keeps.
pub(super) const NAME_LIMIT: usize = 128;
/// Longest name of a key, in bytes.
const KEY_ID_LIMIT: usize = 256;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A service shows it with each request.
    Access,
    /// It tells who logged in.
    Identity,
}

/// A token of which nothing is believed yet.
#[derive(Debug)]
pub(super) struct Unverified<'t> {
    algorithm: Algorithm,
    key_id: Option<String>,
    kind: Option<String>,
    signed: &'t str,
    payload: &'t str,
    signature: &'t str,
}

/// What a token claims. It was signed by the issuer's key.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    algorithm: Algorithm,
    kind: Option<String>,
    all: Value,
}

/// What must be true of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'e> {
    pub(super) purpose: Purpose,
    pub(super) issuer: &'e str,
    pub(super) audiences: &'e [String],
}

/// Whether a text has the shape of a JWT, whatever is in it.
pub(crate) fn is_jwt(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'t> Unverified<'t> {
    /// Takes a token apart and looks at its header.
    pub(super) fn read(token: &'t str) -> Result<Self, Refused> {
        if token.len() > TOKEN_LIMIT {
            return Err(Refused::TooLong(TOKEN_LIMIT));
        }
        let parts = Refused::Malformed("it has three parts with dots between them");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| parts.clone())?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| parts.clone())?;
        if payload.contains('.') {
            return Err(parts);
        }
        let header = object(header, "its header is no JSON object")?;
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refused::Malformed("its header says `alg`, `kid` and `typ` as texts")),
        };
        if header.get("crit").is_some() {
            return Err(Refused::Malformed("it asks for extensions that nobody here knows"));
        }
        if header.get("cty").is_some() {
            return Err(Refused::Type("it holds another token"));
        }
        let name = text("alg")?.ok_or(Refused::Algorithm)?;
        let key_id = text("kid")?;
        if key_id.as_ref().is_some_and(|id| id.len() > KEY_ID_LIMIT) {
            return Err(Refused::Malformed("the name of its key is too long"));
        }
        let algorithm = Algorithm::of_name(&name).ok_or(Refused::Algorithm)?;
        let kind = text("typ")?.map(|kind| kind.to_ascii_lowercase());
        Ok(Self { algorithm, key_id, kind, signed, payload, signature })
    }

    /// What says that it was signed.
    pub(super) fn seal(&self) -> Seal<'_> {
        Seal {
            algorithm: self.algorithm,
            key_id: self.key_id.as_deref(),
            signed: self.signed.as_bytes(),
            signature: self.signature,
        }
    }

    /// Whom it says that it is of: good for choosing whose keys to try, and for nothing else.
    pub(super) fn said_issuer(&self) -> Option<String> {
        let all = object(self.payload, "").ok()?;
        all.get("iss").and_then(Value::as_str).map(str::to_owned)
    }

    /// What it claims, if one of the keys signed it by one of the allowed algorithms.
    pub(super) fn verified(&self, keys: &Keys, allowed: &[Algorithm]) -> Result<Claims, Refused> {
        if !allowed.contains(&self.algorithm) {
            return Err(Refused::Algorithm);
        }
        keys.verify(self.seal())?;
        let all = object(self.payload, "its claims are no JSON object")?;
        Ok(Claims { algorithm: self.algorithm, kind: self.kind.clone(), all })
    }
}

impl Claims {
    /// What a test claims.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn made_up(all: Value) -> Self {
        Self { algorithm: Algorithm::Es256, kind: None, all }
    }

    /// A claim by its name, or by a JSON pointer (`/realm_access/roles`) into one.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match name.starts_with('/') {
            true => self.all.pointer(name),
            false => self.all.get(name),
        }
    }

    /// A claim that is a text and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Refuses what is of another issuer, for others, or not for now.
    pub(super) fn check(&self, expected: Expected<'_>, now: Timestamp) -> Result<(), Refused> {
        self.check_type(expected.purpose)?;
        let issuer = self.text("iss").ok_or(Refused::Claim("iss"))?;
        if issuer != expected.issuer {
            return Err(Refused::Issuer);
        }
        let audiences = self.audiences()?;
        if !audiences.iter().any(|one| expected.audiences.iter().any(|ours| ours == one)) {
            return Err(Refused::Audience);
        }
        let now_s = now.0.div_euclid(1_000);
        let expires = self.seconds("exp")?.ok_or(Refused::Claim("exp"))?;
        if now_s >= expires.saturating_add(LEEWAY_S) {
            return Err(Refused::Expired);
        }
        let latest = now_s.saturating_add(LEEWAY_S);
        if self.seconds("nbf")?.is_some_and(|begins| begins > latest) {
            return Err(Refused::NotYet);
        }
        let issued = self.seconds("iat")?;
        if issued.is_some_and(|issued| issued > latest) {
            return Err(Refused::FromTheFuture);
        }
        match expected.purpose {
            Purpose::Identity if issued.is_none() => Err(Refused::Claim("iat")),
            _ => self.subject().map(drop),
        }
    }

    /// Refuses an identity that answers another login, or was given to another client (OpenID Connect Core, 3.1.3.7).
    pub(super) fn check_login(
        &self,
        client: &str,
        nonce: &str,
        access_token: Option<&str>,
    ) -> Result<(), Refused> {
        if self.get("nonce").and_then(Value::as_str) != Some(nonce) {
            return Err(Refused::Nonce);
        }
        let party = match self.get("azp") {
            None => None,
            Some(Value::String(party)) => Some(party.as_str()),
            Some(_) => return Err(Refused::Claim("azp")),
        };
        let others = self.audiences()?.len() > 1;
        if party.is_some_and(|party| party != client) || (others && party.is_none()) {
            return Err(Refused::AuthorizedParty);
        }
        let Some(hash) = self.get("at_hash") else { return Ok(()) };
        let made =
            access_token.map(|token| URL_SAFE_NO_PAD.encode(self.algorithm.half_digest(token)));
        match hash.as_str() {
            Some(hash) if Some(hash) == made.as_deref() => Ok(()),
            _ => Err(Refused::AccessToken),
        }
    }

    /// Whom it is about.
    pub(super) fn subject(&self) -> Result<&str, Refused> {
        // OpenID Connect Core, 2: at most 255 characters.
        self.text("sub").filter(|text| text.len() <= 255).ok_or(Refused::Claim("sub"))
    }

    /// How somebody is called. An address of mail that the issuer has not seen working is anybody's.
    pub(super) fn name(&self, claim: &str) -> Option<String> {
        let is_seen = || self.get("email_verified") == Some(&Value::Bool(true));
        if claim == "email" && !is_seen() {
            return None;
        }
        let name = self.text(claim)?;
        let is_fine = name.len() <= NAME_LIMIT && !name.contains(char::is_control);
        is_fine.then(|| name.to_owned())
    }

    /// When it ends, in seconds since 1970.
    pub(super) fn expires(&self) -> Option<i64> {
        self.seconds("exp").ok().flatten()
    }

    /// A token of another kind must not pass for this one (RFC 8725, 3.11): an access token is no identity.
    fn check_type(&self, purpose: Purpose) -> Result<(), Refused> {
        let kind =
            self.kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
        match (purpose, kind) {
            (_, None | Some("jwt")) | (Purpose::Access, Some("at+jwt")) => Ok(()),
            (Purpose::Access, _) => Err(Refused::Type("it is no access token")),
            (Purpose::Identity, _) => Err(Refused::Type("it is no ID token")),
        }
    }

    fn audiences(&self) -> Result<Vec<&str>, Refused> {
        let wrong = Refused::Claim("aud");
        match self.get("aud") {
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(all)) => {
                all.iter().map(Value::as_str).collect::<Option<_>>().ok_or(wrong)
            }
            _ => Err(wrong),
        }
    }

    fn seconds(&self, name: &'static str) -> Result<Option<i64>, Refused> {
        let Some(value) = self.get(name) else { return Ok(None) };
        #[allow(clippy::cast_possible_truncation)]
        // bounded below, and fractions of a second don't matter
        let rounded = |value: f64| (value.abs() < 1e15).then_some(value as i64);
        let read = value.as_i64().or_else(|| value.as_f64().and_then(rounded));
        read.map(Some).ok_or(Refused::Claim(name))
    }
}

/// A part of a token that is a JSON object and names nothing twice.
fn object(part: &str, wrong: &'static str) -> Result<Value, Refused> {
    let malformed = || Refused::Malformed(wrong);
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())?;
    check_keys(&bytes).map_err(|_| malformed())?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
    if value.is_object() { Ok(value) } else { Err(malformed()) }
}

#[cfg(all(test, feature = "tls"))]
#[path = "token_tests.rs"]
mod tests;
