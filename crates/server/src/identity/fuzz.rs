//! Readers of signed tokens, for those who throw made-up input at them.

use super::algorithm::Algorithm;
use super::keys::Keys;
use super::token::{Claims, Expected, Purpose, Unverified};
use amends_protocol::Timestamp;
use serde_json::Value;

/// For whom the tokens of these tests are, and by whom.
pub const AUDIENCE: &str = "amends";
/// The issuer of these tests.
pub const ISSUER: &str = "https://issuer.example";

/// Whether one of these keys signed the token, by any algorithm that we know.
///
/// # Errors
/// Says why it is no signed token at all.
pub fn is_believed(token: &str, keys: &[u8]) -> Result<bool, String> {
    let unverified = Unverified::read(token).map_err(|why| why.to_string())?;
    let _ = unverified.said_issuer();
    let all = Algorithm::ALL.map(|(algorithm, _)| algorithm);
    Ok(unverified.verified(&Keys::read(keys)?, &all).is_ok())
}

/// Whether what a token claims holds now, as who somebody is or as what a service shows.
///
/// # Errors
/// Says what is wrong with it.
pub fn claims(all: Value, identity: bool, now: Timestamp) -> Result<(), String> {
    let claims = Claims::made_up(all);
    let purpose = if identity { Purpose::Identity } else { Purpose::Access };
    let audiences = [AUDIENCE.to_owned()];
    let checked = claims.check(Expected { purpose, issuer: ISSUER, audiences: &audiences }, now);
    let _ = (claims.name("email"), claims.get("/realm_access/roles"), claims.expires());
    let login = claims.check_login(AUDIENCE, "nonce", Some("access-token"));
    if identity { checked.and(login) } else { checked }.map_err(|why| why.to_string())
}

/// How many keys of a set can be used.
///
/// # Errors
/// Says what is wrong with it.
pub fn key_set(text: &[u8]) -> Result<usize, String> {
    Keys::read(text).map(|keys| keys.count())
}
