//! One attack for each check of a login. Each begins with a login that would succeed, so that nothing but the one lie
//! can be the reason why it does not.

use crate::browser::{Browser, Page};
use crate::issuer::{IssuerKey, base64, parts};
use crate::liar::{CLIENT, Liar, now_s};
use crate::stage::Stage;
use aws_lc_rs::hmac;
use serde_json::{Value, json};

/// The page says why, and no session has begun.
#[track_caller]
fn is_refused(page: &Page, told: &str, what: &str) {
    assert!(page.status.is_client_error() || page.status.is_server_error(), "{what}: {page:?}");
    let text = page.body.replace("&#39;", "'");
    assert!(text.contains(told), "{what}: {text}");
    let begun = page
        .set_cookies
        .iter()
        .filter(|cookie| cookie.contains("session") || cookie.starts_with("__Host-amends="));
    let begun: Vec<_> = begun.filter(|cookie| !cookie.contains("Max-Age=0")).collect();
    assert!(begun.is_empty(), "{what}: {begun:?}");
}

#[tokio::test]
async fn an_honest_login_succeeds() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let asked = stage.begin(&mut browser, "/cases?state=stuck").await;
    let page = stage.come_back(&mut browser, &asked).await;
    assert_eq!(page.location.map(|to| to.to_string()), Some(Browser::at("/cases?state=stuck")));
    let whoami = browser.get(&Browser::at("/v1/whoami")).await;
    assert!(whoami.body.contains("person:ann"), "{}", whoami.body);
}

#[tokio::test]
async fn an_answer_that_belongs_to_no_login_of_this_browser_begins_no_session() {
    let stage = Stage::set().await;
    let issuer = stage.liar.issuer();
    let mut browser = stage.browser();
    let asked = stage.begin(&mut browser, "/").await;
    let code = stage.liar.code(&asked);
    let state = asked.state.as_str();
    for (answer, told, what) in [
        (&[("code", &*code), ("iss", &issuer)][..], "it has no `state`", "no state"),
        (
            &[("code", &code), ("state", "another"), ("iss", &issuer)],
            "another login",
            "another state",
        ),
        (
            &[("code", &code), ("state", state), ("state", state)],
            "stands there twice",
            "two states",
        ),
        (&[("state", state), ("iss", &issuer)], "neither a `code` nor an `error`", "no code"),
        (&[("code", &code), ("state", state)], "another identity provider", "no issuer"),
        (
            &[("code", &code), ("state", state), ("iss", "http://evil.example")],
            "another identity provider",
            "another issuer",
        ),
        (
            &[("error", "access_denied"), ("state", state), ("iss", &issuer)],
            "access_denied",
            "a refusal",
        ),
    ] {
        // The cookie of the login is gone after each answer, whatever it was.
        let kept = browser.cookies.clone();
        let page = stage.answer(&mut browser, answer).await;
        is_refused(&page, told, what);
        browser.cookies = kept;
    }
    // Somebody else's browser: the attacker's own login is given to the victim as a link.
    let good = [("code", &*code), ("state", state), ("iss", &*issuer)];
    let page = stage.answer(&mut stage.browser(), &good).await;
    is_refused(&page, "no login is under way in this browser", "a browser that began nothing");
    let mut victim = stage.browser();
    stage.begin(&mut victim, "/").await;
    let page = stage.answer(&mut victim, &good).await;
    is_refused(&page, "another login", "a browser that began a login of its own");
    // The login itself was good all along.
    assert_eq!(stage.answer(&mut browser, &good).await.status, 303);
}

#[tokio::test]
async fn a_login_is_used_once() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let asked = stage.begin(&mut browser, "/").await;
    let kept = browser.cookies.clone();
    assert_eq!(stage.come_back(&mut browser, &asked).await.status, 303);
    // Everything again, as it lay in the browser, and with a code that was never used.
    let mut again = stage.browser();
    again.cookies = kept;
    let page = stage.come_back(&mut again, &asked).await;
    is_refused(&page, "has been used already", "the same login again");
}

#[tokio::test]
async fn a_code_is_good_for_one_login() {
    let stage = Stage::set().await;
    let (mut thief, mut owner) = (stage.browser(), stage.browser());
    // A code of another login: the verifier that belongs to it is not the thief's.
    let of_owner = stage.begin(&mut owner, "/").await;
    let stolen = stage.liar.code(&of_owner);
    let of_thief = stage.begin(&mut thief, "/").await;
    let issuer = stage.liar.issuer();
    let answer = [("code", &*stolen), ("state", &*of_thief.state), ("iss", &*issuer)];
    let page = stage.answer(&mut thief, &answer).await;
    is_refused(&page, "invalid_grant", "a stolen code");
    // It is used up by that, for its owner too.
    let answer = [("code", &*stolen), ("state", &*of_owner.state), ("iss", &*issuer)];
    let page = stage.answer(&mut owner, &answer).await;
    is_refused(&page, "invalid_grant", "a code that was used");
}

type Lie = Box<dyn Fn(&Liar)>;

fn claim(name: &'static str, value: Value) -> Lie {
    Box::new(move |liar| {
        let value = value.clone();
        liar.lies_in_claims(move |claims| claims[name] = value.clone());
    })
}

fn without(name: &'static str) -> Lie {
    Box::new(move |liar| {
        liar.lies_in_claims(move |claims| {
            drop(claims.as_object_mut().expect("an object").remove(name))
        });
    })
}

fn forged(forge: fn(&IssuerKey, &Value) -> String) -> Lie {
    Box::new(move |liar| liar.forges(forge))
}

/// What is tried, how, and what the page says then.
type Attack = (&'static str, Lie, &'static str);

/// Claims that belong to another login, another client, or another time.
fn false_claims() -> Vec<Attack> {
    let (now, other) = (now_s(), "http://evil.example");
    vec![
        ("nonce of another login", claim("nonce", json!("another")), "belongs to another login"),
        ("no nonce", without("nonce"), "belongs to another login"),
        ("issuer of another", claim("iss", json!(other)), "another issuer"),
        ("no issuer", without("iss"), "no proper `iss`"),
        ("audience of another", claim("aud", json!("other")), "another audience"),
        ("no audience", without("aud"), "no proper `aud`"),
        ("several audiences", claim("aud", json!([CLIENT, "other"])), "given to another client"),
        ("party of another", claim("azp", json!("other")), "given to another client"),
        ("expired", claim("exp", json!(now - 120)), "has expired"),
        ("no end", without("exp"), "no proper `exp`"),
        ("not yet valid", claim("nbf", json!(now + 3_600)), "not valid yet"),
        ("issued in the future", claim("iat", json!(now + 3_600)), "issued in the future"),
        ("never issued", without("iat"), "no proper `iat`"),
        ("nobody", without("sub"), "no proper `sub`"),
        (
            "another access token",
            claim("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
            "access token beside it",
        ),
        ("no role", claim("groups", json!(["staff"])), "have no role here"),
        ("no claim of roles", without("groups"), "have no role here"),
    ]
}

/// Tokens that the provider's key did not sign as they say, and answers that hold something else.
fn forged_tokens() -> Vec<Attack> {
    vec![
        (
            "no signature",
            forged(|_, claims| format!("{}.", parts(&json!({ "alg": "none" }), claims))),
            "not allowed",
        ),
        ("signed with the public key", forged(by_public_key), "not allowed"),
        ("a key of its own inside", forged(by_key_inside), "does not fit"),
        (
            "an unknown key",
            forged(|_, claims| IssuerKey::new("ES256", "stranger").token(claims)),
            "no key",
        ),
        (
            "an access token",
            forged(|key, claims| key.token_with(&header("at+jwt"), claims)),
            "another type",
        ),
        (
            "a token for a logout",
            forged(|key, claims| key.token_with(&header("logout+jwt"), claims)),
            "another type",
        ),
        ("no token", answer("id_token", json!(null)), "no `id_token`"),
        ("a token that is none", answer("id_token", json!("a.b.c")), "no signed JWT"),
        (
            "a token of sixteen kilobytes",
            answer("id_token", json!("a".repeat(17_000))),
            "longer than",
        ),
        (
            "tokens of another type",
            answer("token_type", json!("DPoP")),
            "another type than `Bearer`",
        ),
    ]
}

#[tokio::test]
async fn what_the_provider_says_is_not_taken_for_true() {
    let stage = Stage::set().await;
    for (what, lie, told) in false_claims().iter().chain(&forged_tokens()) {
        stage.liar.is_honest();
        let mut browser = stage.browser();
        let asked = stage.begin(&mut browser, "/").await;
        lie(&stage.liar);
        let page = stage.come_back(&mut browser, &asked).await;
        is_refused(&page, told, what);
        assert_eq!(browser.get(&Browser::at("/v1/whoami")).await.status, 401, "{what}");
    }
    stage.liar.is_honest();
    stage.log_in(&mut stage.browser()).await;
}

fn header(kind: &str) -> Value {
    json!({ "alg": "ES256", "kid": "key-1", "typ": kind })
}

fn answer(name: &'static str, value: Value) -> Lie {
    Box::new(move |liar| {
        let value = value.clone();
        liar.lies_in_answer(move |answer| answer[name] = value.clone());
    })
}

fn by_public_key(key: &IssuerKey, claims: &Value) -> String {
    let signed = parts(&json!({ "alg": "HS256", "kid": key.id }), claims);
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.public().to_string().as_bytes());
    format!("{signed}.{}", base64(hmac::sign(&secret, signed.as_bytes())))
}

fn by_key_inside(key: &IssuerKey, claims: &Value) -> String {
    let own = IssuerKey::new("ES256", &key.id);
    let header = json!({ "alg": "ES256", "kid": key.id, "jwk": own.public(), "jku": "http://evil.example/keys" });
    own.token_with(&header, claims)
}

#[tokio::test]
async fn a_provider_that_calls_itself_otherwise_is_not_asked() {
    type Lie = fn(&mut Value);
    let lies: [(Lie, &str); 4] = [
        (|said| said["issuer"] = "http://evil.example".into(), "another issuer"),
        (|said| said["token_endpoint"] = "http://evil.example/token".into(), "no `https` address"),
        (|said| said["jwks_uri"] = "http://evil.example/keys".into(), "no `https` address"),
        (|said| said["code_challenge_methods_supported"] = json!(["plain"]), "PKCE"),
    ];
    let stage = Stage::set().await;
    for (lie, told) in lies {
        stage.liar.lies_in_discovery(lie);
        let page = stage.browser().get(&Browser::at("/login/provider")).await;
        is_refused(&page, told, told);
        assert!(page.location.is_none(), "nobody is led there");
    }
    stage.liar.is_honest();
    stage.log_in(&mut stage.browser()).await;
}

#[tokio::test]
async fn a_new_key_is_found_and_an_old_one_dies_without_a_restart() {
    let stage = Stage::set().await;
    let first = stage.liar.key();
    stage.log_in(&mut stage.browser()).await;
    stage.liar.changes_its_key(IssuerKey::new("ES384", "key-2"));
    stage.log_in(&mut stage.browser()).await;
    // Whoever has the old key can sign no login any more.
    let second = stage.liar.key();
    stage.liar.signs_with(first);
    let mut browser = stage.browser();
    let asked = stage.begin(&mut browser, "/").await;
    let page = stage.come_back(&mut browser, &asked).await;
    is_refused(&page, "no key", "a key that was taken back");
    stage.liar.signs_with(second);
    stage.log_in(&mut stage.browser()).await;
}

#[tokio::test]
async fn made_up_names_of_keys_are_not_turned_into_requests() {
    let stage = Stage::set().await;
    stage.liar.forges(|_, claims| IssuerKey::new("ES256", "stranger").token(claims));
    let mut browser = stage.browser();
    for _ in 0..20 {
        let asked = stage.begin(&mut browser, "/").await;
        is_refused(&stage.come_back(&mut browser, &asked).await, "no key", "an unknown key");
    }
    let times = stage.liar.times_keys_were_asked();
    assert!(times <= 6, "they were asked for {times} times");
    stage.liar.is_honest();
    stage.log_in(&mut stage.browser()).await;
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let stage = Stage::set().await;
    for next in [
        "http://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/a\r\nb: c",
    ] {
        let mut browser = stage.browser();
        let asked = stage.begin(&mut browser, next).await;
        let page = stage.come_back(&mut browser, &asked).await;
        assert_eq!(page.location.map(|to| to.to_string()), Some(Browser::at("/")), "{next}");
    }
    // The provider is told one address to come back to, whatever the login was asked for.
    let mut browser = stage.browser();
    let at = Browser::at("/login/provider?redirect_uri=http%3A%2F%2Fevil.example%2F");
    let to = browser.get(&at).await.location.expect("it leads to the provider");
    let redirects: Vec<_> = to.query_pairs().filter(|(name, _)| name == "redirect_uri").collect();
    assert_eq!(redirects.len(), 1);
    assert_eq!(redirects[0].1, Browser::at("/login/callback"));
}
