//! A login by OpenID Connect as far as it can be judged without asking anybody: the address that it begins with, what
//! the browser keeps meanwhile, and whether the answer belongs to it. Pure: randomness and the time are arguments.

use super::login_error::LoginError;
use amends_protocol::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use url::Url;

/// How long a login may take, in seconds.
pub(crate) const LOGIN_S: i64 = 600;
/// Longest path that a login leads back to, in bytes.
const NEXT_LIMIT: usize = 1_024;
/// Answers that are remembered as used. Each has cost its sender a login; the oldest are over long before.
const MOST_SPENT: usize = 10_000;
/// Longest parameter of an answer, in bytes: codes of common providers have up to two thousand.
const PARAMETER_LIMIT: usize = 8 << 10;

/// A login that was begun. The browser keeps it, sealed, and shows it with the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// Comes back with the answer: by it the answer belongs to this browser.
    pub(super) state: String,
    /// Comes back in the token: by it the token belongs to this login.
    pub(super) nonce: String,
    /// What the code can be exchanged with, and nothing else (RFC 7636).
    pub(super) verifier: String,
    /// Where it leads then.
    pub(super) next: String,
    /// When it is over, in seconds since 1970.
    until_s: i64,
}

/// Three texts that nobody can guess.
pub(super) struct Guesses {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

impl Pending {
    pub(super) fn new(guesses: Guesses, next: &str, now: Timestamp) -> Self {
        let Guesses { state, nonce, verifier } = guesses;
        let next = local_path(next).unwrap_or_else(|| "/".to_owned());
        Self { state, nonce, verifier, next, until_s: seconds(now) + LOGIN_S }
    }

    /// The address that the browser is sent to.
    pub(super) fn address(&self, at: &Url, client: &str, redirect: &str, scopes: &str) -> String {
        let mut address = at.clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", scopes)
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        address.into()
    }

    /// What the browser keeps. It can read it, which harms nobody else, but not change it.
    pub(super) fn sealed(&self, key: &[u8; 32]) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let text = URL_SAFE_NO_PAD.encode(text);
        let seal = URL_SAFE_NO_PAD.encode(mac(key, &text).finalize().into_bytes());
        format!("{text}.{seal}")
    }

    /// What the browser kept, if it comes from us and is not over.
    pub(super) fn unsealed(kept: &str, key: &[u8; 32], now: Timestamp) -> Result<Self, LoginError> {
        let read = || {
            let (text, seal) = kept.split_once('.')?;
            let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
            mac(key, text).verify_slice(&seal).ok()?;
            serde_json::from_slice::<Self>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        };
        let pending = read().filter(|pending| seconds(now) < pending.until_s);
        pending.ok_or(LoginError::NotBegun)
    }
}

/// What the provider sends the browser back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProviderAnswer {
    state: String,
    issuer: Option<String>,
    said: Result<String, String>,
}

impl ProviderAnswer {
    /// Reads the parameters. A parameter that stands there twice would mean one thing here and another there.
    pub(super) fn read(query: &str) -> Result<Self, LoginError> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let one = |wanted: &str| {
            let mut found = pairs.iter().filter(|(name, _)| name == wanted).map(|(_, v)| &**v);
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(LoginError::Malformed("a parameter stands there twice")),
                (Some(text), _) if text.len() > PARAMETER_LIMIT => {
                    Err(LoginError::Malformed("a parameter is too long"))
                }
                (found, _) => Ok(found.filter(|text| !text.is_empty()).map(str::to_owned)),
            }
        };
        let state = one("state")?.ok_or(LoginError::Malformed("it has no `state`"))?;
        let said = match (one("code")?, one("error")?) {
            (Some(code), None) => Ok(code),
            (None, Some(error)) => Err(plain(&error)),
            _ => return Err(LoginError::Malformed("it has neither a `code` nor an `error`")),
        };
        Ok(Self { state, issuer: one("iss")?, said })
    }

    /// The code, if the answer belongs to this login and comes from this issuer (RFC 9207).
    pub(super) fn code(
        self,
        pending: &Pending,
        issuer: &str,
        names_itself: bool,
    ) -> Result<String, LoginError> {
        if self.state != pending.state {
            return Err(LoginError::AnotherLogin);
        }
        match self.issuer {
            Some(said) if said != issuer => return Err(LoginError::AnotherIssuer),
            None if names_itself => return Err(LoginError::AnotherIssuer),
            _ => {}
        }
        self.said.map_err(LoginError::Declined)
    }
}

/// Logins that have had their answer: none has a second.
#[derive(Debug, Default)]
pub(super) struct Spent(VecDeque<String>);

impl Spent {
    /// Takes note of a login's end.
    ///
    /// # Errors
    /// It has ended before.
    pub(super) fn spend(&mut self, state: &str) -> Result<(), LoginError> {
        if self.0.iter().any(|spent| spent == state) {
            return Err(LoginError::Spent);
        }
        if self.0.len() == MOST_SPENT {
            self.0.pop_front();
        }
        self.0.push_back(state.to_owned());
        Ok(())
    }
}

/// A path of ours that somebody may be led to: nobody is led to another site.
pub(crate) fn local_path(path: &str) -> Option<String> {
    // As it stands in an address: whatever else there is in a path is encoded there.
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if !path.starts_with('/') || path.starts_with("//") || path.len() > NEXT_LIMIT || !is_plain {
        return None;
    }
    // As a browser would read it.
    let here = Url::parse("https://here.invalid/").ok()?;
    let there = here.join(path).ok()?;
    (there.origin() == here.origin()).then(|| path.to_owned())
}

/// A short word of somebody else's, as the standards have it: `access_denied`.
pub(super) fn plain(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    match word.len() <= 64 && !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => "an error without a proper name".to_owned(),
    }
}

fn seconds(now: Timestamp) -> i64 {
    now.0.div_euclid(1_000)
}

fn mac(key: &[u8; 32], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(b"amends login 1\n");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const ISSUER: &str = "https://id.example";

    fn begun(next: &str) -> Pending {
        let text = str::to_owned;
        let guesses = Guesses { state: text("s-1"), nonce: text("n-1"), verifier: text("v-1") };
        Pending::new(guesses, next, NOW)
    }

    fn code(query: &str, names_itself: bool) -> Result<String, LoginError> {
        ProviderAnswer::read(query)?.code(&begun("/"), ISSUER, names_itself)
    }

    #[test]
    fn a_login_asks_for_a_code_that_only_this_login_can_use() {
        let at = Url::parse("https://id.example/authorize?tenant=7").expect("an address");
        let address =
            begun("/").address(&at, "amends", "https://a.example/login/callback", "openid");
        let pairs: Vec<_> = Url::parse(&address).expect("one").query_pairs().into_owned().collect();
        let says = |name: &str| {
            let mut all = pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
            (all.next(), all.next())
        };
        for (name, value) in [
            ("tenant", "7"),
            ("response_type", "code"),
            ("client_id", "amends"),
            ("redirect_uri", "https://a.example/login/callback"),
            ("state", "s-1"),
            ("nonce", "n-1"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(says(name), (Some(value), None), "{name}");
        }
        assert!(!address.contains("v-1"), "the verifier stays here");
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest("v-1"));
        assert_eq!(says("code_challenge").0, Some(&*challenge));
    }

    #[test]
    fn what_the_browser_keeps_can_t_be_changed_and_ends() {
        let pending = begun("/cases");
        let kept = pending.sealed(&KEY);
        assert_eq!(Pending::unsealed(&kept, &KEY, NOW), Ok(pending.clone()));
        let last = Timestamp(NOW.0 + LOGIN_S * 1_000 - 1);
        assert!(Pending::unsealed(&kept, &KEY, last).is_ok());
        let over = Timestamp(NOW.0 + LOGIN_S * 1_000);
        assert_eq!(Pending::unsealed(&kept, &KEY, over), Err(LoginError::NotBegun));
        let (text, seal) = kept.split_once('.').expect("a seal");
        let longer = Pending { until_s: i64::MAX, ..pending };
        let longer = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&longer).expect("JSON"));
        for kept in [
            "",
            ".",
            text,
            &format!("{text}."),
            &format!("{text}.{}", &seal[1..]),
            &format!("{longer}.{seal}"),
            &format!("{kept}.{seal}"),
        ] {
            let told = Pending::unsealed(kept, &KEY, NOW);
            assert_eq!(told, Err(LoginError::NotBegun), "{kept}");
        }
        let other = Pending::unsealed(&kept, &[8; 32], NOW);
        assert_eq!(other, Err(LoginError::NotBegun), "a key of another process");
    }

    #[test]
    fn an_answer_belongs_to_the_login_of_this_browser_and_comes_from_whom_it_asked() {
        assert_eq!(code("code=c&state=s-1", false).as_deref(), Ok("c"));
        assert_eq!(code("code=c&state=s-1&iss=https%3A%2F%2Fid.example", true).as_deref(), Ok("c"));
        let wrong = |query, names_itself| code(query, names_itself).unwrap_err();
        assert_eq!(wrong("code=c&state=s-2", false), LoginError::AnotherLogin);
        assert_eq!(wrong("code=c&state=S-1", false), LoginError::AnotherLogin);
        let evil = "code=c&state=s-1&iss=https%3A%2F%2Fevil.example";
        assert_eq!(wrong(evil, false), LoginError::AnotherIssuer);
        assert_eq!(
            wrong("code=c&state=s-1", true),
            LoginError::AnotherIssuer,
            "it names itself always"
        );
        let declined = wrong("error=access_denied&state=s-1", false);
        assert_eq!(declined, LoginError::Declined("access_denied".to_owned()));
        assert_eq!(wrong("error=access_denied&state=s-2", false), LoginError::AnotherLogin);
        for query in [
            "",
            "code=c",
            "state=s-1",
            "code=&state=s-1",
            "code=c&state=",
            "code=c&error=e&state=s-1",
            "code=c&code=d&state=s-1",
            "code=c&state=s-1&state=s-2",
            "code=c&state=s-1&iss=a&iss=b",
        ] {
            assert!(matches!(wrong(query, false), LoginError::Malformed(_)), "{query}");
        }
        let long = format!("code={}&state=s-1", "c".repeat(PARAMETER_LIMIT + 1));
        assert!(matches!(wrong(&long, false), LoginError::Malformed(_)));
    }

    #[test]
    fn an_error_is_told_only_if_it_is_a_word() {
        let told = code("error=%3Cscript%3Ealert(1)%3C%2Fscript%3E&state=s-1", false).unwrap_err();
        assert_eq!(told, LoginError::Declined("an error without a proper name".to_owned()));
    }

    #[test]
    fn an_answer_is_used_once() {
        let mut spent = Spent::default();
        assert_eq!(spent.spend("a"), Ok(()));
        assert_eq!(spent.spend("a"), Err(LoginError::Spent));
        for n in 0..MOST_SPENT {
            assert_eq!(spent.spend(&format!("s-{n}")), Ok(()));
        }
        assert_eq!(spent.0.len(), MOST_SPENT);
    }

    #[test]
    fn nobody_is_led_to_another_site() {
        for path in ["/", "/cases?state=stuck&order=age", "/cases/7#steps", "/a//b", "/%2F%2Fevil"]
        {
            assert_eq!(local_path(path).as_deref(), Some(path));
        }
        for path in [
            "",
            "cases",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\nSet-Cookie: x",
            "/\t/evil.example",
            " //evil.example",
            "/cases?q=\u{fc}",
        ] {
            assert_eq!(local_path(path), None, "{path:?}");
            assert_eq!(begun(path).next, "/", "{path:?}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(NEXT_LIMIT))), None);
    }
}
