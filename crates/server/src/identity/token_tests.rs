//! What is believed of a token, and one attack for each check. Every token here is signed as it should be unless the
//! story says otherwise, so that nothing but the one thing that is wrong can be the reason.

use super::*;
use hmac::{Hmac, Mac as _};
use issuer::{IssuerKey, base64, key_set, parts};
use serde_json::json;
use sha2::Sha256;

#[path = "../../tests/issuer/mod.rs"]
mod issuer;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NOW_S: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "amends", "sub": "payment",
        "exp": NOW_S + 300, "iat": NOW_S, "nonce": "n-1",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

fn keys(of: &[&IssuerKey]) -> Keys {
    Keys::read(key_set(of).to_string().as_bytes()).expect("keys")
}

fn all() -> Vec<Algorithm> {
    Algorithm::ALL.iter().map(|(algorithm, _)| *algorithm).collect()
}

/// What is said of a token as one of a service.
fn judged(token: &str, keys: &Keys) -> Result<Claims, Refused> {
    judged_as(Purpose::Access, token, keys)
}

fn judged_as(purpose: Purpose, token: &str, keys: &Keys) -> Result<Claims, Refused> {
    let audiences = ["amends".to_owned()];
    let claims = Unverified::read(token)?.verified(keys, &all())?;
    let issuer = "https://issuer.example";
    claims.check(Expected { purpose, issuer, audiences: &audiences }, NOW)?;
    Ok(claims)
}

#[test]
fn a_token_by_any_allowed_algorithm_is_believed() {
    let rsa = IssuerKey::new("RS256", "rsa");
    let others = ["ES256", "ES384", "EdDSA"].map(|algorithm| IssuerKey::new(algorithm, algorithm));
    let all_rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(|name| rsa.by(name));
    for key in others.iter().chain(&all_rsa) {
        let judged = judged(&key.token(&claims()), &keys(&[key]));
        let claims = judged.unwrap_or_else(|why| panic!("{}: {why}", key.algorithm));
        assert_eq!(claims.subject(), Ok("payment"));
    }
}

#[test]
fn a_token_without_a_signature_or_signed_with_what_is_public_is_refused() {
    let key = IssuerKey::new("RS256", "rsa");
    let known = keys(&[&key]);
    for name in ["none", "None", ""] {
        let token = format!("{}.", parts(&json!({ "alg": name }), &claims()));
        assert_eq!(judged(&token, &known).unwrap_err(), Refused::Algorithm, "{name}");
    }
    // The public key as the secret of an HMAC: whoever takes the algorithm from the token believes it.
    let header = json!({ "alg": "HS256", "kid": "rsa" });
    let signed = parts(&header, &claims());
    let modulus = key.public()["n"].as_str().expect("a number").to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(modulus.as_bytes()).expect("a key");
    mac.update(signed.as_bytes());
    let token = format!("{signed}.{}", base64(mac.finalize().into_bytes()));
    assert_eq!(judged(&token, &known).unwrap_err(), Refused::Algorithm);
}

#[test]
fn a_shared_secret_is_no_key_of_an_issuer() {
    let oct = json!({ "keys": [{ "kty": "oct", "kid": "a", "k": base64("a secret of thirty-two bytes....") }] });
    assert!(Keys::read(oct.to_string().as_bytes()).is_err());
}

#[test]
fn an_algorithm_that_the_issuer_is_not_allowed_is_refused() {
    let key = IssuerKey::new("ES256", "a");
    let token = key.token(&claims());
    let read = Unverified::read(&token).expect("a token");
    let told = read.verified(&keys(&[&key]), &[Algorithm::Rs256]).unwrap_err();
    assert_eq!(told, Refused::Algorithm);
}

#[test]
fn a_key_is_used_for_nothing_but_what_it_is_for() {
    let rsa = IssuerKey::new("RS256", "a");
    let mut public = rsa.public();
    public["alg"] = "PS256".into();
    let only_pss = Keys::read(json!({ "keys": [public] }).to_string().as_bytes()).expect("keys");
    assert_eq!(judged(&rsa.token(&claims()), &only_pss).unwrap_err(), Refused::NoKey);
    assert!(judged(&rsa.by("PS256").token(&claims()), &only_pss).is_ok());
    for (name, value) in
        [("use", json!("enc")), ("key_ops", json!(["encrypt"])), ("key_ops", json!("verify"))]
    {
        let mut public = rsa.public();
        public[name] = value;
        assert!(Keys::read(json!({ "keys": [public] }).to_string().as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn a_token_of_another_key_is_refused_whatever_it_says() {
    let (ours, theirs) = (IssuerKey::new("ES256", "a"), IssuerKey::new("ES256", "b"));
    let known = keys(&[&ours]);
    assert_eq!(judged(&theirs.token(&claims()), &known).unwrap_err(), Refused::NoKey);
    let named_as_ours = theirs.token_with(&json!({ "alg": "ES256", "kid": "a" }), &claims());
    assert_eq!(judged(&named_as_ours, &known).unwrap_err(), Refused::Signature);
    // Its own key comes along, or the address of one: neither is looked at.
    let brought = json!({ "alg": "ES256", "kid": "a", "jwk": theirs.public(), "jku": "https://evil.example/keys" });
    assert_eq!(
        judged(&theirs.token_with(&brought, &claims()), &known).unwrap_err(),
        Refused::Signature
    );
}

#[test]
fn a_token_that_names_no_key_is_believed_only_if_there_is_no_choice() {
    let (a, b) = (IssuerKey::new("ES256", "a"), IssuerKey::new("ES256", "b"));
    let token = a.token_with(&json!({ "alg": "ES256" }), &claims());
    assert!(judged(&token, &keys(&[&a])).is_ok());
    assert_eq!(judged(&token, &keys(&[&a, &b])).unwrap_err(), Refused::NoKey);
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let key = IssuerKey::new("ES256", "a");
    let token = key.token(&claims());
    let (header, rest) = token.split_once('.').expect("parts");
    let (_, signature) = rest.split_once('.').expect("parts");
    let changed =
        format!("{header}.{}.{signature}", base64(with("sub", json!("bank")).to_string()));
    assert_eq!(judged(&changed, &keys(&[&key])).unwrap_err(), Refused::Signature);
}

#[test]
fn what_is_no_token_is_told_apart_from_what_is_a_wrong_one() {
    let key = IssuerKey::new("ES256", "a");
    let known = keys(&[&key]);
    let good = key.token(&claims());
    let two = key.token_with(&json!({ "alg": "ES256", "crit": ["b64"], "b64": false }), &claims());
    let twice =
        format!("{}.{}.x", base64(r#"{"alg":"none","alg":"ES256","kid":"a"}"#), base64("{}"));
    let list = format!("{}.{}.x", base64("[]"), base64("{}"));
    let padded = good.replacen('.', "=.", 1);
    for (token, what) in [
        ("", "nothing"),
        ("a.b", "two parts"),
        (&*format!("{good}.x"), "four parts"),
        (&two, "an extension"),
        (&twice, "a header that says two things"),
        (&list, "a list for a header"),
        (&padded, "padding"),
        (&format!("{good}\n"), "a line end"),
    ] {
        let told = judged(token, &known).unwrap_err();
        assert!(matches!(told, Refused::Malformed(_) | Refused::Signature), "{what}: {told:?}");
    }
    let long = format!("{good}{}", "a".repeat(TOKEN_LIMIT));
    assert_eq!(judged(&long, &known).unwrap_err(), Refused::TooLong(TOKEN_LIMIT));
    let nested = key.token_with(&json!({ "alg": "ES256", "kid": "a", "cty": "JWT" }), &claims());
    assert!(matches!(judged(&nested, &known).unwrap_err(), Refused::Type(_)));
}

#[test]
fn a_token_for_others_or_for_another_time_is_refused() {
    let key = IssuerKey::new("ES256", "a");
    let known = keys(&[&key]);
    for (claims, told) in [
        (without("iss"), Refused::Claim("iss")),
        (with("iss", json!("https://issuer.example/")), Refused::Issuer),
        (with("iss", json!("https://evil.example")), Refused::Issuer),
        (with("iss", json!(["https://issuer.example"])), Refused::Claim("iss")),
        (without("aud"), Refused::Claim("aud")),
        (with("aud", json!("other")), Refused::Audience),
        (with("aud", json!(["other", "more"])), Refused::Audience),
        (with("aud", json!([])), Refused::Audience),
        (with("aud", json!(["amends", 7])), Refused::Claim("aud")),
        (with("aud", json!({ "amends": true })), Refused::Claim("aud")),
        (without("exp"), Refused::Claim("exp")),
        (with("exp", json!("1800000300")), Refused::Claim("exp")),
        (with("exp", json!(1e300)), Refused::Claim("exp")),
        (with("exp", json!(NOW_S - LEEWAY_S)), Refused::Expired),
        (with("exp", json!(-1)), Refused::Expired),
        (with("nbf", json!(NOW_S + LEEWAY_S + 1)), Refused::NotYet),
        (with("nbf", json!(null)), Refused::Claim("nbf")),
        (with("iat", json!(NOW_S + LEEWAY_S + 1)), Refused::FromTheFuture),
        (without("sub"), Refused::Claim("sub")),
        (with("sub", json!("")), Refused::Claim("sub")),
        (with("sub", json!("a".repeat(256))), Refused::Claim("sub")),
    ] {
        assert_eq!(judged(&key.token(&claims), &known).unwrap_err(), told, "{claims}");
    }
    for claims in [
        with("aud", json!(["other", "amends"])),
        with("exp", json!(NOW_S - LEEWAY_S + 1)),
        with("exp", json!(1_800_000_000.5)),
        with("nbf", json!(NOW_S + LEEWAY_S)),
        without("iat"),
    ] {
        assert!(judged(&key.token(&claims), &known).is_ok(), "{claims}");
    }
}

#[test]
fn a_token_of_one_kind_does_not_pass_for_another() {
    let key = IssuerKey::new("ES256", "a");
    let known = keys(&[&key]);
    let typed =
        |kind: &str| key.token_with(&json!({ "alg": "ES256", "kid": "a", "typ": kind }), &claims());
    for kind in ["at+jwt", "application/at+JWT", "JWT"] {
        assert!(judged(&typed(kind), &known).is_ok(), "{kind}");
    }
    for kind in ["logout+jwt", "dpop+jwt", "secevent+jwt", ""] {
        assert!(matches!(judged(&typed(kind), &known).unwrap_err(), Refused::Type(_)), "{kind}");
    }
    let told = judged_as(Purpose::Identity, &typed("at+jwt"), &known).unwrap_err();
    assert!(matches!(told, Refused::Type(_)), "an access token is no identity");
}

#[test]
fn an_identity_belongs_to_one_login_of_one_client() {
    let key = IssuerKey::new("ES256", "a");
    let known = keys(&[&key]);
    let access = "the-access-token";
    let half = base64(Algorithm::Es256.half_digest(access));
    let login = |claims: &Value, access| {
        let claims = judged_as(Purpose::Identity, &key.token(claims), &known)?;
        claims.check_login("amends", "n-1", access)
    };
    assert_eq!(login(&claims(), None), Ok(()));
    assert_eq!(login(&with("at_hash", json!(half)), Some(access)), Ok(()));
    let mut for_two = with("aud", json!(["amends", "other"]));
    for (claims, given, told) in [
        (without("nonce"), None, Refused::Nonce),
        (with("nonce", json!("n-2")), None, Refused::Nonce),
        (with("nonce", json!(["n-1"])), None, Refused::Nonce),
        (without("iat"), None, Refused::Claim("iat")),
        (with("azp", json!("other")), None, Refused::AuthorizedParty),
        (with("azp", json!(7)), None, Refused::Claim("azp")),
        (for_two.clone(), None, Refused::AuthorizedParty),
        (with("at_hash", json!(half)), Some("another"), Refused::AccessToken),
        (with("at_hash", json!(half)), None, Refused::AccessToken),
        (with("at_hash", json!(7)), Some(access), Refused::AccessToken),
    ] {
        assert_eq!(login(&claims, given).unwrap_err(), told, "{claims}");
    }
    for_two["azp"] = "amends".into();
    assert_eq!(login(&for_two, None), Ok(()));
}

#[test]
fn somebody_is_called_by_an_address_only_if_it_has_been_seen_to_work() {
    let key = IssuerKey::new("ES256", "a");
    let known = keys(&[&key]);
    let called = |verified: Value| {
        let mut claims = with("email", json!("ann@shop.example"));
        claims["email_verified"] = verified;
        judged(&key.token(&claims), &known).expect("believed").name("email")
    };
    assert_eq!(called(json!(true)).as_deref(), Some("ann@shop.example"));
    for verified in [json!(false), json!(null), json!("true")] {
        assert_eq!(called(verified.clone()), None, "{verified}");
    }
}

#[test]
fn a_set_of_keys_has_bounds() {
    let key = IssuerKey::new("ES256", "a").public();
    let many = json!({ "keys": vec![key.clone(); 65] }).to_string();
    assert!(Keys::read(many.as_bytes()).is_err_and(|why| why.contains("65")));
    let long = json!({ "keys": [key], "more": "a".repeat(300_000) }).to_string();
    assert!(Keys::read(long.as_bytes()).is_err());
    for nothing in ["", "[]", "{}", r#"{"keys": []}"#, r#"{"keys": {}}"#, r#"{"keys": [7]}"#] {
        assert!(Keys::read(nothing.as_bytes()).is_err(), "{nothing}");
    }
}
