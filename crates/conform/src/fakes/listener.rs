//! A plain HTTP/1.1 server in a few lines, for the one thing that frameworks don't offer: to hang up without an answer.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longest body that is read: more than any report may have.
const BODY_LIMIT: usize = 4 << 20;

/// A request that came to the kit.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What is answered to it.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Json {
        status: u16,
        content_type: &'static str,
        headers: Vec<(&'static str, String)>,
        body: Value,
    },
    /// The connection is closed without an answer.
    HangUp,
}

impl Given {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::Json { status, content_type: "application/json", headers: Vec::new(), body }
    }

    pub(crate) fn problem(status: u16, type_uri: &str, detail: &str) -> Self {
        let body = serde_json::json!({
            "type": type_uri, "title": "The conformance kit says so", "status": status, "detail": detail,
        });
        Self::Json { status, content_type: "application/problem+json", headers: Vec::new(), body }
    }

    /// A status with a body that says nothing, and a `Location` if it redirects.
    pub(crate) fn bare(status: u16, location: &str) -> Self {
        let moved = (300..400).contains(&status).then(|| ("location", location.to_owned()));
        let headers = moved.into_iter().collect();
        Self::Json {
            status,
            content_type: "application/json",
            headers,
            body: serde_json::json!({}),
        }
    }
}

/// Ends the listening when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers every request with what `shared` gives.
pub(crate) fn serve<D, F>(
    listener: TcpListener,
    shared: Arc<D>,
    answer: fn(Arc<D>, Came) -> F,
) -> Listening
where
    D: Send + Sync + 'static,
    F: Future<Output = Given> + Send + 'static,
{
    Listening(tokio::spawn(async move {
        loop {
            // A failed accept is about one connection, or passes.
            let Ok((stream, _)) = listener.accept().await else { continue };
            let shared = shared.clone();
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { respond(answer(shared, read(request).await?).await) }
            });
            tokio::spawn(async move {
                // The peer may go away at any time.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }))
}

async fn read(request: Request<Incoming>) -> Result<Came, HungUp> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| HungUp)?;
    let path = head.uri.path().to_owned();
    Ok(Came { path, headers: head.headers, body: body.to_bytes() })
}

fn respond(given: Given) -> Result<Response<Full<Bytes>>, HungUp> {
    let Given::Json { status, content_type, headers, body } = given else { return Err(HungUp) };
    let bytes = match status {
        204 => Bytes::new(),
        _ => Bytes::from(body.to_string()),
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONTENT_TYPE, content_type);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::new(bytes)).map_err(|_| HungUp)
}

/// Makes hyper close the connection.
#[derive(Debug)]
struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung up on purpose")
    }
}

impl std::error::Error for HungUp {}
