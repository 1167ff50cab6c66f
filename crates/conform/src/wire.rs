//! One HTTP exchange with the participant, as it went: what was sent, what came. Sends nothing twice, follows no
//! redirects, keeps no connections, so that every exchange stands for itself.

use amends_protocol::causes;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::Duration;

/// Longest answer that is read; no answer of the protocol comes near it.
const ANSWER_LIMIT: usize = 4 << 20;

/// Time for a TCP connection; a participant under test is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much more time a held request has: while it is held, a few others have their whole time.
const HELD_FACTOR: u32 = 4;

/// A request before it is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its method.
    pub method: Method,
    /// Its path, below the participant's URL.
    pub path: String,
    /// The headers that mean something here.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
}

impl Sent {
    /// A request without a body.
    pub(crate) fn get(path: String) -> Self {
        Self { method: Method::GET, path, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A request with a JSON body.
    pub(crate) fn json(method: Method, path: String, body: &Value) -> Self {
        let mut sent =
            Self { method, path, headers: HeaderMap::new(), body: body.to_string().into() };
        sent.set("content-type", "application/json");
        sent
    }

    /// Adds a further line of a header; a value that HTTP cannot carry is left out.
    pub(crate) fn add(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(HeaderName::from_static(name), value);
        }
    }

    /// Sets a header; a value that HTTP cannot carry is left out.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// All its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
}

impl HttpAnswer {
    /// A header's value, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; nothing if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody listens there.
    NotReached(String),
    /// The connection broke.
    Broken(String),
    /// Nothing came in time.
    Late(Duration),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotReached(why) => write!(f, "no connection: {why}"),
            Self::Broken(why) => write!(f, "no answer, the connection broke: {why}"),
            Self::Late(limit) => write!(f, "no answer within {limit:?}"),
        }
    }
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was sent.
    pub sent: Sent,
    /// What came.
    pub came: Result<HttpAnswer, NoAnswer>,
}

/// Talks to one participant. Clones are the same client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    base: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
    limit: Duration,
}

impl Client {
    /// A client of the participant at `url`, with this time for one answer.
    ///
    /// # Errors
    /// Says why `url` is no address of a participant.
    pub(crate) fn new(url: &str, limit: Duration) -> Result<Self, String> {
        let base = url.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|error| format!("it is no URL: {error}"))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err("it must begin with `http://` (TLS belongs to a proxy)".to_owned());
        }
        if uri.query().is_some() {
            return Err("it must end before the `?`".to_owned());
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT.min(limit)));
        let pool = Pool::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { base: base.to_owned(), pool, limit })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether anybody is there; any answer is good enough.
    ///
    /// # Errors
    /// Says why nobody is.
    pub(crate) async fn reach(&self) -> Result<(), String> {
        let exchange = self.exchange(Sent::get("/amends/v1/history/conform".to_owned())).await;
        match exchange.came {
            Ok(_) | Err(NoAnswer::Broken(_)) => Ok(()),
            Err(why @ (NoAnswer::NotReached(_) | NoAnswer::Late(_))) => Err(why.to_string()),
        }
    }

    /// Sends once and waits for the whole answer.
    pub(crate) async fn exchange(&self, sent: Sent) -> Exchange {
        self.exchange_within(sent, self.limit).await
    }

    /// The same for a request that the kit itself keeps from its end meanwhile.
    pub(crate) async fn exchange_of_held(&self, sent: Sent) -> Exchange {
        self.exchange_within(sent, self.limit * HELD_FACTOR).await
    }

    async fn exchange_within(&self, sent: Sent, limit: Duration) -> Exchange {
        let came = match tokio::time::timeout(limit, self.answer(&sent)).await {
            Ok(came) => came,
            Err(_) => Err(NoAnswer::Late(limit)),
        };
        Exchange { sent, came }
    }

    async fn answer(&self, sent: &Sent) -> Result<HttpAnswer, NoAnswer> {
        let broken = |error: &(dyn std::error::Error + 'static)| {
            NoAnswer::Broken(causes::in_one_line(error))
        };
        let uri = format!("{}{}", self.base, sent.path);
        let mut request = Request::builder()
            .method(sent.method.clone())
            .uri(uri)
            .body(Full::new(sent.body.clone()))
            .map_err(|error| broken(&error))?;
        *request.headers_mut() = sent.headers.clone();
        let answer =
            self.pool.request(request).await.map_err(|error| match error.is_connect() {
                true => NoAnswer::NotReached(causes::in_one_line(&error)),
                false => broken(&error),
            })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| NoAnswer::Broken(format!("the answer broke off: {error}")))?;
        Ok(HttpAnswer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}
