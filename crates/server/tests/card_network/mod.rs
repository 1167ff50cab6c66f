//! A card network as a service sees it, and the bank behind it: charges under a key, once; cancels under the same key,
//! which pays back what was charged and refuses what comes later. The way to it can fail in both directions.

use amends_service::axum::body::{Body, Bytes};
use amends_service::axum::extract::{Path, State};
use amends_service::axum::response::{IntoResponse, Response};
use amends_service::axum::routing::post;
use amends_service::axum::{Json, Router, serve};
use futures_util::stream;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;

/// More than this no card gives.
const CREDIT: i64 = 10_000;

/// The client's side.
#[derive(Clone)]
pub struct CardNetwork {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What came of a charge.
#[derive(Debug)]
pub enum Charged {
    Yes,
    /// The network says so.
    No(String),
    /// No answer, or none that proves anything.
    NobodyKnows(String),
}

/// What came of a cancellation.
#[derive(Clone, Copy, Debug)]
pub struct Cancelled {
    pub refunded: bool,
}

impl CardNetwork {
    /// Charges under this key; again under the same key, nothing more is charged.
    pub async fn charge(&self, key: &str, amount: i64) -> Charged {
        match self.ask("/charges", key, &json!({ "amount": amount })).await {
            Some((StatusCode::CREATED | StatusCode::OK, _)) => Charged::Yes,
            Some((status, body)) if status.is_client_error() => Charged::No(body.to_string()),
            Some((status, _)) => Charged::NobodyKnows(format!("the network answered {status}")),
            None => Charged::NobodyKnows("no word from the network".to_owned()),
        }
    }

    /// Pays back what was charged under this key, and lets nothing be charged under it any more.
    pub async fn cancel(&self, key: &str) -> Option<Cancelled> {
        let (status, body) = self.ask(&format!("/charges/{key}/cancel"), key, &json!({})).await?;
        let refunded = body["refunded"].as_bool()?;
        status.is_success().then_some(Cancelled { refunded })
    }

    async fn ask(&self, path: &str, key: &str, body: &Value) -> Option<(StatusCode, Value)> {
        let request = Request::post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        let answer = self.client.request(request).await.ok()?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }
}

/// The bank's side, as a test sees it.
pub struct Bank {
    network: CardNetwork,
    accounts: Shared,
}

#[derive(Default)]
struct Accounts {
    charges: HashMap<String, i64>,
    /// Keys that are closed, and whether that paid something back.
    cancelled: HashMap<String, bool>,
    loses: bool,
    swallows: bool,
}

type Shared = Arc<Mutex<Accounts>>;

impl Bank {
    pub async fn open() -> Self {
        let accounts = Shared::default();
        let router = Router::new()
            .route("/charges", post(charge))
            .route("/charges/{key}/cancel", post(cancel))
            .with_state(Arc::clone(&accounts));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move { serve(listener, router).await });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { network: CardNetwork { url, client }, accounts }
    }

    pub fn network(&self) -> CardNetwork {
        self.network.clone()
    }

    pub fn client(&self) -> &Client<HttpConnector, Full<Bytes>> {
        &self.network.client
    }

    /// What all cards together have paid.
    pub fn charged(&self) -> i64 {
        self.accounts().charges.values().sum()
    }

    pub fn cancellations(&self) -> usize {
        self.accounts().cancelled.len()
    }

    /// The next charge takes place, and its answer is lost.
    pub fn lose_next_answer(&self) {
        self.accounts().loses = true;
    }

    /// The next charge gets lost on its way.
    pub fn swallow_next_request(&self) {
        self.accounts().swallows = true;
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().expect("not poisoned")
    }
}

async fn charge(
    State(accounts): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let mut accounts = accounts.lock().expect("not poisoned");
    let key = headers["idempotency-key"].to_str().expect("text").to_owned();
    let amount = body["amount"].as_i64().expect("an amount");
    if std::mem::take(&mut accounts.swallows) {
        return broken();
    }
    if accounts.cancelled.contains_key(&key) {
        return (StatusCode::CONFLICT, Json(json!("cancelled"))).into_response();
    }
    if amount > CREDIT {
        return (StatusCode::PAYMENT_REQUIRED, Json(json!("too much"))).into_response();
    }
    accounts.charges.insert(key, amount);
    match std::mem::take(&mut accounts.loses) {
        true => broken(),
        false => StatusCode::CREATED.into_response(),
    }
}

async fn cancel(State(accounts): State<Shared>, Path(key): Path<String>) -> Json<Value> {
    let mut accounts = accounts.lock().expect("not poisoned");
    let paid_back = accounts.charges.remove(&key).is_some();
    let refunded = *accounts.cancelled.entry(key).or_insert(paid_back);
    Json(json!({ "refunded": refunded }))
}

/// The connection breaks within the answer.
fn broken() -> Response {
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other("lost"))])))
}
