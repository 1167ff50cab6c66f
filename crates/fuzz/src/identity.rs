//! What tells who somebody is: tokens, cookies, signed tokens, and the keys of who signs them.

use crate::message::{read, split};
use amends_protocol::Timestamp;
use amends_server::fuzz::credential;
use amends_server::fuzz::identity::{
    AUDIENCE, ISSUER, claims as judged, is_believed, key_set as keys,
};
use serde_json::Value;

/// The clock of these tests.
const NOW: Timestamp = Timestamp(1_767_225_600_000);
/// How far clocks may be apart, in seconds.
const LEEWAY_S: f64 = 60.0;
/// A key of RFC 7517, appendix A.1, and one of RFC 8037, appendix A.2: who signs with them is not in the corpus.
const KEYS: &str = r#"{"keys":[
    {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
     "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"},
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"2"}]}"#;

/// Headers that show somebody. What is taken stood there once and whole; what is refused is not repeated.
pub fn token(data: &[u8]) {
    let (headers, _) = read(data);
    for secure in [false, true] {
        let values: Vec<_> = headers.values().filter_map(|value| value.to_str().ok()).collect();
        match credential(&headers, secure) {
            Ok(None) => assert!(!headers.contains_key("authorization"), "a token is overlooked"),
            Ok(Some(text)) => {
                assert!(values.iter().any(|value| value.contains(text)), "`{text}` was not shown");
                assert!(headers.get_all("authorization").iter().count() < 2, "one of two is taken");
                // A cookie's value may have blanks and commas, as browsers send them; it counts by its digest alone.
                let is_token = headers.contains_key("authorization");
                let ends: &[char] = if is_token { &[' ', ',', ';'] } else { &[';'] };
                assert!(!text.contains(ends), "`{text}` is two");
            }
            Err(why) => {
                let long = values.iter().filter(|value| value.len() > 40);
                assert!(!long.clone().any(|value| why.contains(*value)), "it is repeated: {why}");
            }
        }
    }
}

/// No made-up token is believed, whatever it says of itself, and the mistake does not repeat it.
pub fn jwt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match is_believed(text, KEYS.as_bytes()) {
        Ok(believed) => assert!(!believed, "a made-up signature is believed"),
        Err(why) => assert!(text.len() < 40 || !why.contains(text), "it is repeated: {why}"),
    }
}

/// The first line says what the token is for; what is believed after all is of the issuer, for us, and for now.
pub fn claims(data: &[u8]) {
    let (purpose, json) = split(data, b"\n");
    let Ok(all) = serde_json::from_slice::<Value>(json) else { return };
    if judged(all.clone(), purpose == b"identity", NOW).is_err() {
        return;
    }
    assert_eq!(all["iss"], ISSUER);
    let is_for = |one: &Value| one == AUDIENCE;
    assert!(is_for(&all["aud"]) || all["aud"].as_array().is_some_and(|all| all.iter().any(is_for)));
    #[allow(clippy::cast_precision_loss)] // a clock of this century
    let now = NOW.0 as f64 / 1_000.0;
    assert!(all["exp"].as_f64().is_some_and(|ends| ends + LEEWAY_S + 1.0 >= now), "{all}");
    assert!(purpose != b"identity" || all["nonce"] == "nonce", "of another login");
}

/// A set is read in one way, and what is taken holds a key.
pub fn key_set(data: &[u8]) {
    let read = keys(data);
    assert_eq!(read, keys(data));
    assert_ne!(read, Ok(0), "a set without a key is taken");
}
