//! The identity provider of people: what it says of itself (discovery), and the exchange of a code for who logged in.
//! Whatever it answers is judged by `login` and `token`.

use super::algorithm::Algorithm;
use super::grants::Roles;
use super::key_source::{KeySource, KeysPlace};
use super::login::{Guesses, Pending, ProviderAnswer, Spent, plain};
use super::login_error::LoginError;
use super::metadata::{METADATA_LIMIT, Metadata};
use super::refused::Refused;
use super::token::{Claims, Expected, Purpose, Unverified};
use crate::clock::{Clock, SystemClock};
use crate::dispatch::WebClient;
use crate::random::{self, NoRandomness};
use amends_api::access::Grant;
use amends_protocol::Timestamp;
use amends_protocol::wire::percent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How long what a provider says of itself is believed before it is asked again.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long a provider that is away is not asked again.
const PAUSE: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer with tokens, in bytes.
const ANSWER_LIMIT: usize = 128 << 10;

/// The provider as the configuration names it.
#[derive(Clone, Debug)]
pub(crate) struct OidcOptions {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// The name of a secret of the configuration; none for a client that has none.
    pub(crate) client_secret: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Which claim people are called by.
    pub(crate) name_claim: String,
    pub(crate) roles: Roles,
    /// Where people reach us, without a path.
    pub(crate) public_url: String,
}

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// As the audit names them.
    pub(crate) name: String,
    /// The provider's own name for them, which never changes.
    pub(crate) subject: String,
    pub(crate) grants: Vec<Grant>,
    /// Where they wanted to go.
    pub(crate) next: String,
}

/// A login that begins: where the browser goes, and what it keeps.
pub(crate) struct Begun {
    pub(crate) address: String,
    pub(crate) keeps: String,
}

/// A provider that is asked when somebody logs in.
pub(crate) struct Provider {
    options: OidcOptions,
    client: WebClient,
    known: Mutex<Option<Known>>,
    /// When it could not be reached last, and why.
    away: Mutex<Option<(Duration, String)>>,
    /// Whoever holds it asks for all.
    asking: tokio::sync::Mutex<()>,
    /// What seals logins that are under way: a restart ends them.
    key: OnceLock<[u8; 32]>,
    spent: Mutex<Spent>,
}

#[derive(Clone)]
struct Known {
    metadata: Arc<Metadata>,
    keys: Arc<KeySource>,
    asked: Duration,
}

impl Provider {
    /// Asks nobody yet.
    pub(crate) fn new(options: OidcOptions, client: WebClient) -> Self {
        Self {
            options,
            client,
            known: Mutex::default(),
            away: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            key: OnceLock::new(),
            spent: Mutex::default(),
        }
    }

    fn key(&self) -> Result<[u8; 32], NoRandomness> {
        if let Some(known) = self.key.get() {
            return Ok(*known);
        }
        let new = random::bytes()?;
        Ok(*self.key.get_or_init(|| new))
    }

    /// Whose word counts.
    pub(crate) fn issuer(&self) -> &str {
        &self.options.issuer
    }

    /// Begins a login that leads to `next`.
    ///
    /// # Errors
    /// The provider is away, or not what it should be.
    pub(crate) async fn begin(&self, next: &str, now: Timestamp) -> Result<Begun, LoginError> {
        let known = self.known().await?;
        let (state, nonce, verifier) = (random::text()?, random::text()?, random::text()?);
        let guesses = Guesses { state, nonce, verifier };
        let pending = Pending::new(guesses, next, now);
        let OidcOptions { client_id, scopes, .. } = &self.options;
        let at = &known.metadata.authorization;
        let address = pending.address(at, client_id, &self.redirect(), &scopes.join(" "));
        Ok(Begun { address, keeps: pending.sealed(&self.key()?) })
    }

    /// Who logged in, by the parameters of the answer and what the browser kept.
    ///
    /// # Errors
    /// They are not believed, or have no role.
    pub(crate) async fn finish(
        &self,
        query: &str,
        kept: Option<&str>,
        now: Timestamp,
    ) -> Result<Person, LoginError> {
        let answer = ProviderAnswer::read(query)?;
        let pending = Pending::unsealed(kept.ok_or(LoginError::NotBegun)?, &self.key()?, now)?;
        let known = self.known().await?;
        let code = answer.code(&pending, &self.options.issuer, known.metadata.names_itself)?;
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).spend(&pending.state)?;
        let tokens = self.exchange(&known.metadata, &code, &pending.verifier).await?;
        let claims = self.judge(&known, &tokens, &pending, now).await?;
        self.person(&claims, pending.next)
    }

    /// Where somebody who logs out ends their session at the provider, if it has such a place.
    pub(crate) async fn logout_address(&self) -> Option<String> {
        let mut address = self.known().await.ok()?.metadata.end_session.clone()?;
        let back = format!("{}/login", self.options.public_url);
        address
            .query_pairs_mut()
            .append_pair("client_id", &self.options.client_id)
            .append_pair("post_logout_redirect_uri", &back);
        Some(address.into())
    }

    fn redirect(&self) -> String {
        format!("{}/login/callback", self.options.public_url)
    }

    async fn judge(
        &self,
        known: &Known,
        tokens: &Tokens,
        pending: &Pending,
        now: Timestamp,
    ) -> Result<Claims, LoginError> {
        let token = Unverified::read(&tokens.id_token)?;
        let keys = known.keys.for_token(token.seal(), SystemClock.monotonic()).await;
        let keys = keys.map_err(|why| match why {
            Refused::KeysAway(why) => LoginError::Away(why),
            why => LoginError::Refused(why),
        })?;
        let claims = token.verified(&keys, &self.options.algorithms)?;
        let OidcOptions { issuer, client_id, .. } = &self.options;
        let audiences = std::slice::from_ref(client_id);
        claims.check(Expected { purpose: Purpose::Identity, issuer, audiences }, now)?;
        claims.check_login(client_id, &pending.nonce, tokens.access_token.as_deref())?;
        Ok(claims)
    }

    fn person(&self, claims: &Claims, next: String) -> Result<Person, LoginError> {
        let subject = claims.subject()?.to_owned();
        let called = claims.name(&self.options.name_claim).or_else(|| claims.name("sub"));
        let name = called.ok_or(LoginError::Refused(Refused::Claim("sub")))?;
        let grants = self.options.roles.of(claims);
        if grants.is_empty() {
            let claim = self.options.roles.claim.clone();
            return Err(LoginError::NoRole { name, claim });
        }
        Ok(Person { name, subject, grants, next })
    }

    /// What the provider says of itself, asked for when it is not known or old. Anybody may begin a login: however many
    /// do, one asks for all, and one that is away is left in peace for a while.
    async fn known(&self) -> Result<Known, LoginError> {
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let _turn = self.asking.lock().await;
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let asked_at = SystemClock.monotonic();
        let found = match self.lately_away(asked_at) {
            Some(why) => Err(LoginError::Away(why)),
            None => self.discover().await,
        };
        let kept = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let metadata = match (found, kept) {
            (Ok(metadata), _) => metadata,
            (Err(LoginError::Away(why)), kept) => {
                self.is_away(SystemClock.monotonic(), &why);
                // It said so before; who it is has not changed by its being away.
                return kept.ok_or(LoginError::Away(why));
            }
            (Err(error), _) => return Err(error),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The same keys as before, unless they are elsewhere now.
        let before = known.take().filter(|before| before.metadata.keys == metadata.keys);
        let keys = match before {
            Some(before) => before.keys,
            None => {
                let place = KeysPlace::Address { uri: metadata.keys.clone(), secret: None };
                Arc::new(KeySource::new(place, self.client.clone()))
            }
        };
        let now = Known { metadata: Arc::new(metadata), keys, asked: asked_at };
        Ok(known.insert(now).clone())
    }

    fn fresh(&self) -> Option<Known> {
        let now = SystemClock.monotonic();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| now.saturating_sub(known.asked) < FRESH)
    }

    fn lately_away(&self, now: Duration) -> Option<String> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner).clone();
        away.filter(|(at, _)| now.saturating_sub(*at) < PAUSE).map(|(_, why)| why)
    }

    fn is_away(&self, now: Duration, why: &str) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if away.as_ref().is_none_or(|(at, _)| now.saturating_sub(*at) >= PAUSE) {
            tracing::warn!(why, "the identity provider can't be asked; what it said before counts");
            *away = Some((now, why.to_owned()));
        }
    }

    async fn discover(&self) -> Result<Metadata, LoginError> {
        let issuer = &self.options.issuer;
        let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let request = Request::get(at).header(ACCEPT, "application/json");
        let request = request.body(Full::default()).map_err(|e| LoginError::Odd(e.to_string()))?;
        let answer = self.client.fetch(request, TIMEOUT, METADATA_LIMIT).await;
        let answer = answer.map_err(LoginError::Away)?;
        match answer.status {
            StatusCode::OK => Metadata::read(&answer.body, issuer).map_err(LoginError::Odd),
            status => {
                Err(LoginError::Away(format!("its discovery answers HTTP {}", status.as_u16())))
            }
        }
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
    ) -> Result<Tokens, LoginError> {
        let request = self.token_request(metadata, code, verifier)?;
        let answer = self.client.fetch(request, TIMEOUT, ANSWER_LIMIT).await;
        let answer = answer.map_err(LoginError::Away)?;
        if answer.status == StatusCode::OK {
            return Tokens::read(&answer.body);
        }
        let said = serde_json::from_slice::<Said>(&answer.body);
        Err(match said {
            Ok(said) if answer.status.is_client_error() => LoginError::Declined(plain(&said.error)),
            _ => LoginError::Away(format!("it answers HTTP {} to a code", answer.status.as_u16())),
        })
    }

    fn token_request(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
    ) -> Result<Request<Full<Bytes>>, LoginError> {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect())
            .append_pair("code_verifier", verifier);
        let mut request = Request::post(metadata.token.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        let client = &self.options.client_id;
        match self.secret(&metadata.token)? {
            None => {
                form.append_pair("client_id", client);
            }
            Some(secret) if metadata.secret_in_body => {
                form.append_pair("client_id", client).append_pair("client_secret", &secret);
            }
            Some(secret) => request = request.header(AUTHORIZATION, basic(client, &secret)?),
        }
        let body = Full::new(Bytes::from(form.finish()));
        request.body(body).map_err(|e| LoginError::Odd(e.to_string()))
    }

    fn secret(&self, to: &Uri) -> Result<Option<String>, LoginError> {
        let Some(name) = &self.options.client_secret else { return Ok(None) };
        let host =
            to.authority().ok_or_else(|| LoginError::Odd("its address has no host".to_owned()))?;
        self.client.secret(name, host).map(Some).map_err(LoginError::Odd)
    }
}

/// What a provider answers to a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
    token_type: Option<String>,
}

/// What it answers when it says no.
#[derive(Deserialize)]
struct Said {
    error: String,
}

impl Tokens {
    fn read(body: &[u8]) -> Result<Self, LoginError> {
        let tokens: Self = serde_json::from_slice(body)
            .map_err(|_| LoginError::Odd("it answers a code with no `id_token`".to_owned()))?;
        let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
        match tokens.token_type.as_ref().is_none_or(is_bearer) {
            true => Ok(tokens),
            false => {
                Err(LoginError::Odd("its tokens are of another type than `Bearer`".to_owned()))
            }
        }
    }
}

/// Name and secret of a client (RFC 6749, 2.3.1): each encoded as in a form first.
fn basic(client: &str, secret: &str) -> Result<HeaderValue, LoginError> {
    let pair = format!("{}:{}", percent::strict(client), percent::strict(secret));
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)));
    let mut value = value.map_err(|e| LoginError::Odd(e.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
