//! Doors between the parties: each passes requests on to one party and writes down what went through. One can lose the
//! answers of a saga on the way back, as networks do.

use super::compare::Sent;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// Longest body that goes through; nothing on the page comes near.
const BODY_LIMIT: usize = 1 << 20;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// What went through a door.
#[derive(Clone, Debug)]
pub struct Passed {
    pub from: String,
    pub to: String,
    pub request: Sent,
    pub answer: Sent,
}

/// All doors and what went through them.
#[derive(Clone)]
pub struct Doors {
    passed: Arc<Mutex<Vec<Passed>>>,
    client: HttpClient,
}

#[derive(Clone)]
struct Door {
    doors: Doors,
    from: &'static str,
    to: &'static str,
    target: SocketAddr,
    loses: Option<&'static str>,
}

impl Doors {
    pub fn new() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { passed: Arc::default(), client }
    }

    /// Opens the door of one party to another; gives its URL. Answers of the saga `loses` never come through.
    pub async fn open(
        &self,
        from: &'static str,
        to: &'static str,
        target: SocketAddr,
        loses: Option<&'static str>,
    ) -> String {
        let door = Door { doors: self.clone(), from, to, target, loses };
        let (listener, address) = bind().await;
        let router = Router::new().fallback(pass).with_state(door);
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// Takes out the oldest request that went from one party to the other and fits.
    pub fn take(&self, from: &str, to: &str, fits: impl Fn(&Sent) -> bool) -> Option<Passed> {
        let mut passed = self.passed.lock().expect("not poisoned");
        let place = passed.iter().position(|p| p.from == from && p.to == to && fits(&p.request))?;
        Some(passed.remove(place))
    }

    /// What went through and was not taken out, in a line each.
    pub fn left(&self) -> String {
        let passed = self.passed.lock().expect("not poisoned");
        let line = |p: &Passed| {
            format!("  {} to {}: {} {}\n", p.from, p.to, p.request.start, p.answer.start)
        };
        passed.iter().map(line).collect()
    }

    /// Sends a request and waits for the whole answer.
    pub async fn ask(
        &self,
        target: SocketAddr,
        start: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Sent {
        let (method, path) = start.split_once(' ').expect("method and path");
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{target}{path}"))
            .body(Full::new(body))
            .expect("a request");
        *request.headers_mut() = headers;
        let answer = self.client.request(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let bytes = body.collect().await.expect("whole").to_bytes();
        Sent { start: head.status.as_str().to_owned(), headers: head.headers, body: json(&bytes) }
    }
}

/// A listener on a free port.
pub async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

async fn pass(State(door): State<Door>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await.expect("a short body");
    let start = format!("{} {}", head.method, head.uri.path());
    for name in
        [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION]
    {
        head.headers.remove(name);
    }
    let request = Sent { start: start.clone(), headers: head.headers.clone(), body: json(&body) };
    let answer = door.doors.ask(door.target, &start, head.headers, body).await;
    let is_lost = door
        .loses
        .is_some_and(|saga| request.headers.get("saga-id").is_some_and(|given| given == saga));
    let (from, to) = (door.from.to_owned(), door.to.to_owned());
    let passed = Passed { from, to, request, answer: answer.clone() };
    door.doors.passed.lock().expect("not poisoned").push(passed);
    if is_lost {
        // The connection breaks in the middle of the answer.
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("lost"))]);
        return Response::new(Body::from_stream(broken));
    }
    let body = match &answer.body {
        Value::Null => Body::empty(),
        value => Body::from(value.to_string()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.start.parse::<StatusCode>().expect("a status");
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}
