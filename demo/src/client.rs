//! A small HTTP client for the demo's own needs: placing orders, errands, and reading the supervisor's API. It knows
//! nothing of sagas, repeats nothing, and follows no redirects.

use amends_protocol::causes;
use amends_protocol::wire::bearer;
use amends_service::Certificates;
use amends_service::rustls::crypto::aws_lc_rs::default_provider;
use amends_service::rustls::{ClientConfig, RootCertStore};
use anyhow::Context;
use axum::body::HttpBody;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Longest answer that is read. A page of cases with all their evidence is far below it.
const ANSWER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Connections that are kept, with TLS where an address asks for it.
pub(crate) type Pool<B> = Pooled<HttpsConnector<HttpConnector>, B>;

/// A pooled client; cheap to clone.
#[derive(Clone)]
pub struct Client {
    pool: Pool<Full<Bytes>>,
    /// Shown with every request.
    authorization: Option<HeaderValue>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; `null` if it is none.
    pub body: Value,
}

impl Answer {
    /// Whether it says that the same request may be answered otherwise later.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.body["retryable"].as_bool() == Some(true)
    }
}

/// Why nothing came back.
#[derive(Debug)]
pub enum NoAnswer {
    /// The connection was refused, so nothing was sent.
    NotSent(String),
    /// It was sent, or may have been.
    Lost(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Lost(why) => write!(f, "no answer: {why}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl Default for Client {
    /// One that believes nobody's certificate, so that it can't ask by `https`.
    fn default() -> Self {
        Self { pool: pool(believes_nobody()), authorization: None }
    }
}

/// Connections to whoever is believed.
pub(crate) fn pool<B>(tls: ClientConfig) -> Pool<B>
where
    B: HttpBody + Send,
    B::Data: Send,
{
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    Pooled::builder(TokioExecutor::new()).build(HttpsConnector::from((tcp, tls)))
}

/// What there is without certificates.
pub(crate) fn believes_nobody() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has both versions of TLS")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

impl Client {
    /// One that believes and shows these certificates.
    ///
    /// # Errors
    /// When they can't be used.
    pub fn with_certificates(certificates: &Certificates) -> anyhow::Result<Self> {
        Ok(Self { pool: pool(certificates.client_config()?), authorization: None })
    }

    /// The same, which shows this token with every request.
    ///
    /// # Errors
    /// When it is no token.
    pub fn with_token(self, token: &str) -> anyhow::Result<Self> {
        let mut value = HeaderValue::from_str(&bearer::authorization(token)).context("no token")?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value), ..self })
    }

    /// Sends `body` as JSON.
    ///
    /// # Errors
    /// [`NoAnswer`]; any status is an answer.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        self.send(Method::POST, url, headers, Bytes::from(body.to_string()), limit).await
    }

    /// Asks for a resource.
    ///
    /// # Errors
    /// [`NoAnswer`]; any status is an answer.
    pub async fn get(&self, url: &str, limit: Duration) -> Result<Answer, NoAnswer> {
        self.send(Method::GET, url, &[], Bytes::new(), limit).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let not_sent = |why: &dyn fmt::Display| NoAnswer::NotSent(why.to_string());
        let uri: Uri = url.parse().map_err(|e| not_sent(&e))?;
        let mut request = Request::builder().method(method).uri(uri);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|e| not_sent(&e))?;
        let exchange = async {
            let answer = self.pool.request(request).await.map_err(|e| {
                let why = causes::in_one_line(&e);
                if e.is_connect() { NoAnswer::NotSent(why) } else { NoAnswer::Lost(why) }
            })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT_BYTES).collect().await;
            let body =
                body.map_err(|e| NoAnswer::Lost(causes::in_one_line(e.as_ref())))?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
            Err(NoAnswer::Lost(format!("nothing within {} ms", limit.as_millis())))
        })
    }
}
