//! A small client of the supervisor's REST API: JSON in, JSON out, problems as failures. It never retries an act.

use crate::failure::{Failure, Outcome};
use crate::sealed::{self, Lines};
use amends_protocol::headers::AMENDS_ACTOR;
use amends_protocol::wire::percent;
use amends_protocol::{Problem, Timestamp, causes};
use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, UNIX_EPOCH};

/// Where the supervisor is looked for when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7100";
/// How long a connection may take: nobody wants to wait longer for a machine that is off.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long an answer may take: an act on 10,000 steps (the API's limit) is done long before.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// Longest answer: a page of 500 cases has well under 1 MiB, a case with thousands of attempts a few.
const BODY_LIMIT_BYTES: usize = 64 << 20;

/// Talks to one supervisor.
pub struct Client {
    base: String,
    actor: String,
    pool: Pool,
    answer_limit: Duration,
}

/// A query string that grows, each value encoded.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// Adds `name=value`.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&percent::part(value).to_string());
    }

    /// Adds `name=value` when there is a value.
    pub fn push_opt<T: ToString>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.push(name, &value.to_string());
        }
    }

    /// `?a=b&c=d`, or nothing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Client {
    /// A client of the supervisor at `url`, acting as `actor`. Connects only when needed.
    pub fn new(url: &str, actor: &str) -> Outcome<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|e| {
            Failure::Usage(format!("`{url}` is not a URL: {e}; write e.g. `{DEFAULT_URL}`"))
        })?;
        let secure = match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => false,
            (Some("https"), Some(_)) => true,
            _ => {
                return Err(Failure::Usage(format!(
                    "`{url}` is not an http URL; write e.g. `{DEFAULT_URL}`"
                )));
            }
        };
        let pool = if secure { tls_pool()? } else { Pool::Plain(builder().build(tcp())) };
        Ok(Self { base, actor: actor.to_owned(), pool, answer_limit: ANSWER_LIMIT })
    }

    /// Waits longer (or shorter) for answers than is usual.
    pub fn with_answer_limit(mut self, limit: Duration) -> Self {
        self.answer_limit = limit;
        self
    }

    /// `GET`, read as `T`, its texts sealed for being shown.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let request = self.request(Method::GET, path, "", Bytes::new())?;
        self.read(path, self.send(request).await?).await
    }

    /// The same with its texts as they were sent, for files and for what works with them.
    pub async fn get_as_sent<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let request = self.request(Method::GET, path, "", Bytes::new())?;
        let body = self.body(self.send(request).await?).await?;
        serde_json::from_slice(&body).map_err(|e| self.no_supervisor(&e))
    }

    /// `POST` of a JSON body, the answer read as `T`.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Outcome<T> {
        self.read(path, self.post_raw(path, "application/json", body).await?).await
    }

    /// `POST` with a content type of its own, the answer read as `T`.
    pub async fn post_as<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: &B,
    ) -> Outcome<T> {
        self.read(path, self.post_raw(path, content_type, body).await?).await
    }

    /// `PUT` of a JSON body, the answer read as `T`.
    pub async fn put<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Outcome<T> {
        let body = serde_json::to_vec(body).map_err(anyhow::Error::from)?;
        let request = self.request(Method::PUT, path, "application/json", body.into())?;
        self.read(path, self.send(request).await?).await
    }

    /// `DELETE`, the answer read as `T`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let request = self.request(Method::DELETE, path, "", Bytes::new())?;
        self.read(path, self.send(request).await?).await
    }

    /// `POST` of nothing, where nothing is answered.
    pub async fn post_nothing(&self, path: &str) -> Outcome {
        let request = self.request(Method::POST, path, "", Bytes::new())?;
        self.send(request).await.map(drop)
    }

    /// Opens a stream of server-sent events.
    pub async fn stream(&self, path: &str, last_id: Option<&str>) -> Outcome<Incoming> {
        let mut request = self.request(Method::GET, path, "", Bytes::new())?;
        request
            .headers_mut()
            .insert(header::ACCEPT, header::HeaderValue::from_static("text/event-stream"));
        if let Some(value) = last_id.and_then(|id| header::HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", value);
        }
        Ok(self.send(request).await?.into_body())
    }

    /// Asks whether somebody is there: the status of whatever answer, and the time that it tells.
    pub async fn probe(&self, path: &str, limit: Duration) -> Outcome<(u16, Option<Timestamp>)> {
        let request = self.request(Method::GET, path, "", Bytes::new())?;
        let answer = tokio::time::timeout(limit, self.pool.request(request))
            .await
            .map_err(|_| self.unreachable(format!("no answer within {} s", limit.as_secs())))?
            .map_err(|e| self.unreachable(causes::innermost(&e).to_string()))?;
        let date = answer.headers().get(header::DATE).and_then(|v| v.to_str().ok());
        Ok((answer.status().as_u16(), date.and_then(read_date)))
    }

    /// The failure that says that this supervisor gave no (whole) answer.
    pub fn unreachable(&self, why: impl Into<String>) -> Failure {
        Failure::Unreachable { url: self.base.clone(), why: why.into() }
    }

    async fn post_raw<B: Serialize>(
        &self,
        path: &str,
        content_type: &str,
        body: &B,
    ) -> Outcome<Response<Incoming>> {
        let body = serde_json::to_vec(body).map_err(anyhow::Error::from)?;
        self.send(self.request(Method::POST, path, content_type, body.into())?).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Outcome<Request<Full<Bytes>>> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::USER_AGENT, concat!("amends-cli/", env!("CARGO_PKG_VERSION")))
            .header(AMENDS_ACTOR, &self.actor);
        if !content_type.is_empty() {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        builder.body(Full::new(body)).map_err(|e| {
            Failure::Usage(format!("cannot make a request for `{path}` as `{}`: {e}", self.actor))
        })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Outcome<Response<Incoming>> {
        let lines = lines_of(request.uri().path());
        let answer = tokio::time::timeout(self.answer_limit, self.pool.request(request))
            .await
            .map_err(|_| {
                self.unreachable(format!("no answer within {} s", self.answer_limit.as_secs()))
            })?
            .map_err(|e| self.unreachable(causes::innermost(&e).to_string()))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let body = self.body(answer).await.unwrap_or_default();
        Err(Failure::Problem(Box::new(read_problem(status, &body, lines))))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        answer: Response<Incoming>,
    ) -> Outcome<T> {
        let body = self.body(answer).await?;
        sealed::read(&body, lines_of(path)).map_err(|e| self.no_supervisor(&e))
    }

    fn no_supervisor(&self, why: &serde_json::Error) -> Failure {
        self.unreachable(format!("its answer is none of a supervisor: {}", causes::of_json(why)))
    }

    async fn body(&self, answer: Response<Incoming>) -> Outcome<Bytes> {
        let whole = Limited::new(answer.into_body(), BODY_LIMIT_BYTES).collect();
        match tokio::time::timeout(self.answer_limit, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(e)) => Err(self.unreachable(format!("the answer broke off: {e}"))),
            Err(_) => Err(self.unreachable("the answer did not end in time")),
        }
    }
}

/// Connections, with TLS only where it is asked for: its certificates need not be there otherwise.
enum Pool {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    #[cfg(feature = "tls")]
    Tls(legacy::Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Pool {
    fn request(&self, request: Request<Full<Bytes>>) -> legacy::ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            #[cfg(feature = "tls")]
            Self::Tls(client) => client.request(request),
        }
    }
}

fn builder() -> legacy::Builder {
    legacy::Client::builder(TokioExecutor::new())
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    tcp
}

#[cfg(feature = "tls")]
fn tls_pool() -> Outcome<Pool> {
    let mut tcp = tcp();
    tcp.enforce_http(false);
    let roots = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots().map_err(|e| {
        anyhow::anyhow!(
            "the system's root certificates can't be read: {e}; install `ca-certificates`"
        )
    })?;
    let connector = roots.https_only().enable_http1().wrap_connector(tcp);
    Ok(Pool::Tls(builder().build(connector)))
}

#[cfg(not(feature = "tls"))]
fn tls_pool() -> Outcome<Pool> {
    let text =
        "this build knows no https; build it with the feature `tls`, or use the http address";
    Err(Failure::Usage(text.to_owned()))
}

/// The moment that a header `Date` tells.
pub fn read_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

/// Whether answers of this path hold texts of several lines.
fn lines_of(path: &str) -> Lines {
    if path.contains("/v1/rulebooks") { Lines::Many } else { Lines::One }
}

/// A problem as sent, or one made up from the status when something else answered (a proxy, another server).
fn read_problem(status: u16, body: &[u8], lines: Lines) -> Problem {
    let mut problem: Problem = sealed::read(body, lines).unwrap_or_else(|_| Problem {
        type_uri: "about:blank".to_owned(),
        title: String::new(),
        status,
        detail: None,
        instance: None,
        code: None,
        retryable: None,
        errors: Vec::new(),
    });
    problem.status = status;
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_encoded() {
        let mut query = Query::default();
        query.push("report", "payment/*");
        query.push("q", "a b&c=ü");
        query.push_opt::<String>("saga", None);
        assert_eq!(query.as_str(), "?report=payment%2F%2A&q=a%20b%26c%3D%C3%BC");
    }

    #[test]
    fn only_http_urls_are_taken() {
        for bad in ["ftp://x", "127.0.0.1:7100", "http://", "x y"] {
            assert!(
                matches!(Client::new(bad, "me"), Err(Failure::Usage(_))),
                "{bad} must be refused"
            );
        }
        assert!(Client::new("http://127.0.0.1:7100/", "me").is_ok());
    }

    #[test]
    fn an_answer_that_is_no_problem_still_names_its_status() {
        let problem = read_problem(502, b"<html>bad gateway</html>", Lines::One);
        assert_eq!((problem.status, problem.title.as_str()), (502, ""));
    }
}
