//! An identity provider that says whatever a test wants it to. Left alone it is honest, and as strict as a good one.

use crate::issuer::{IssuerKey, base64, key_set};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use url::Url;

pub const CLIENT: &str = "amends";
pub const SECRET: &str = "s3cret+of/amends";

type Lie = Box<dyn Fn(&mut Value) + Send>;
type Forge = Box<dyn Fn(&IssuerKey, &Value) -> String + Send>;

/// A provider on this machine.
#[derive(Clone)]
pub struct Liar {
    pub address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// The key that it signs with, and those that it shows.
    signs: IssuerKey,
    shows: Vec<IssuerKey>,
    /// What it changes of its discovery, of the claims, of its answer; how it makes the token.
    discovery: Option<Lie>,
    claims: Option<Lie>,
    answer: Option<Lie>,
    forge: Option<Forge>,
    codes: BTreeMap<String, Code>,
    times_keys_were_asked: usize,
}

/// What belongs to a code that was given out.
#[derive(Clone)]
struct Code {
    nonce: String,
    challenge: String,
    redirect: String,
}

/// A login as the browser was sent to it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub state: String,
    pub nonce: String,
    pub challenge: String,
    pub redirect: String,
}

impl Asked {
    pub fn of(address: &Url) -> Self {
        let one = |name: &str| {
            let found = address.query_pairs().find(|(n, _)| n == name);
            found.unwrap_or_else(|| panic!("{address} has no `{name}`")).1.into_owned()
        };
        assert_eq!(one("code_challenge_method"), "S256");
        Self {
            state: one("state"),
            nonce: one("nonce"),
            challenge: one("code_challenge"),
            redirect: one("redirect_uri"),
        }
    }
}

impl Liar {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let key = IssuerKey::new("ES256", "key-1");
        let inner = Inner {
            signs: key.clone(),
            shows: vec![key],
            discovery: None,
            claims: None,
            answer: None,
            forge: None,
            codes: BTreeMap::new(),
            times_keys_were_asked: 0,
        };
        let liar = Self { address, inner: Arc::new(Mutex::new(inner)) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(liar.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        liar
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Somebody has logged in there: the code that the browser comes back with.
    pub fn code(&self, asked: &Asked) -> String {
        let mut inner = self.inner();
        let code = format!("code-{}", inner.codes.len());
        let Asked { nonce, challenge, redirect, .. } = asked.clone();
        inner.codes.insert(code.clone(), Code { nonce, challenge, redirect });
        code
    }

    /// From now on it is honest.
    pub fn is_honest(&self) {
        let mut inner = self.inner();
        (inner.discovery, inner.claims, inner.answer, inner.forge) = (None, None, None, None);
    }

    pub fn lies_in_discovery(&self, lie: impl Fn(&mut Value) + Send + 'static) {
        self.inner().discovery = Some(Box::new(lie));
    }

    pub fn lies_in_claims(&self, lie: impl Fn(&mut Value) + Send + 'static) {
        self.inner().claims = Some(Box::new(lie));
    }

    pub fn lies_in_answer(&self, lie: impl Fn(&mut Value) + Send + 'static) {
        self.inner().answer = Some(Box::new(lie));
    }

    pub fn forges(&self, forge: impl Fn(&IssuerKey, &Value) -> String + Send + 'static) {
        self.inner().forge = Some(Box::new(forge));
    }

    /// Another key signs, and only that one is shown.
    pub fn changes_its_key(&self, key: IssuerKey) {
        let mut inner = self.inner();
        inner.signs = key.clone();
        inner.shows = vec![key];
    }

    /// Another key signs than is shown.
    pub fn signs_with(&self, key: IssuerKey) {
        self.inner().signs = key;
    }

    pub fn key(&self) -> IssuerKey {
        self.inner().signs.clone()
    }

    pub fn times_keys_were_asked(&self) -> usize {
        self.inner().times_keys_were_asked
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("not poisoned")
    }
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

async fn discovery(State(liar): State<Liar>) -> Json<Value> {
    let issuer = liar.issuer();
    let mut said = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "authorization_response_iss_parameter_supported": true,
    });
    if let Some(lie) = &liar.inner().discovery {
        lie(&mut said);
    }
    Json(said)
}

async fn keys(State(liar): State<Liar>) -> Json<Value> {
    let mut inner = liar.inner();
    inner.times_keys_were_asked += 1;
    Json(key_set(&inner.shows.iter().collect::<Vec<_>>()))
}

async fn token(State(liar): State<Liar>, headers: HeaderMap, body: String) -> Response {
    let no =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let field = |name: &str| {
        let found = form_urlencoded::parse(body.as_bytes()).find(|(n, _)| n == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let shown =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if shown != format!("Basic {}", basic()) {
        return no("invalid_client");
    }
    let mut inner = liar.inner();
    // A code is used once.
    let Some(code) = inner.codes.remove(&field("code")) else { return no("invalid_grant") };
    let verified = base64(Sha256::digest(field("code_verifier"))) == code.challenge;
    if !verified
        || field("redirect_uri") != code.redirect
        || field("grant_type") != "authorization_code"
    {
        return no("invalid_grant");
    }
    let now = now_s();
    let mut claims = json!({
        "iss": liar.issuer(), "aud": CLIENT, "sub": "ann", "nonce": code.nonce,
        "exp": now + 300, "iat": now, "preferred_username": "ann", "groups": ["operators", "staff"],
    });
    if let Some(lie) = &inner.claims {
        lie(&mut claims);
    }
    let id_token = match &inner.forge {
        Some(forge) => forge(&inner.signs, &claims),
        None => inner.signs.token(&claims),
    };
    let mut answer =
        json!({ "access_token": "an-access-token", "token_type": "Bearer", "id_token": id_token });
    if let Some(lie) = &inner.answer {
        lie(&mut answer);
    }
    Json(answer).into_response()
}

/// Name and secret of the client, each encoded as in a form first.
fn basic() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT}:s3cret%2Bof%2Famends"))
}
