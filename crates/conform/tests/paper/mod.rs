//! A participant written straight from `docs/reference/protocol.md`: in memory, in one process, not on the service kit;
//! and with one defect if a test wants one. What it holds is here; what it does is in the files beside.
#![allow(dead_code)] // every test file uses its own part

mod defect;
mod forward;
mod ledger;
mod outbox;
mod signature;
mod steps;

pub use defect::Defect;

use amends_conform::{HttpAnswer, Sent};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ledger::Ledger;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// The participant's name.
pub const SERVICE: &str = "coupon";

/// How steps are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    AtOnce,
    /// With 202; the outcome is found at `Location`.
    AtLocation,
    /// With 202; the outcome is brought to the supervisor.
    ByCallback,
}

/// One participant. Clones are the same one.
#[derive(Clone)]
pub struct Participant(Arc<Inner>);

struct Inner {
    defect: Option<Defect>,
    answers: Answers,
    supervisor: String,
    ledger: Mutex<Ledger>,
    /// What the ledger is written into, for a participant in a process of its own.
    file: Option<PathBuf>,
    outbox: Notify,
    /// Compensations that have read what there is to undo, for the defect that two do so at once.
    readers: AtomicU32,
    read: Notify,
}

impl Participant {
    /// A participant that reports to the supervisor at this address.
    pub fn new(supervisor: &str, answers: Answers, defect: Option<Defect>) -> Self {
        Self::on(None, supervisor, answers, defect)
    }

    /// The same with its ledger in a file, which may have been written by a process that is dead.
    pub fn on(
        file: Option<PathBuf>,
        supervisor: &str,
        answers: Answers,
        defect: Option<Defect>,
    ) -> Self {
        let participant = Self(Arc::new(Inner {
            defect,
            answers,
            supervisor: supervisor.to_owned(),
            ledger: Mutex::default(),
            file,
            outbox: Notify::new(),
            readers: AtomicU32::new(0),
            read: Notify::new(),
        }));
        let kept = participant.0.file.as_ref().and_then(|file| std::fs::read(file).ok());
        if let Some(kept) = kept {
            let mut ledger = participant.ledger();
            *ledger = serde_json::from_slice(&kept).expect("a ledger");
            ledger.take_over(&participant);
        }
        participant.0.outbox.notify_one();
        tokio::spawn(outbox::relay(participant.clone()));
        participant
    }

    fn has(&self, defect: Defect) -> bool {
        self.0.defect == Some(defect)
    }

    fn ledger(&self) -> Transaction<'_> {
        let ledger = self.0.ledger.lock().expect("whole");
        Transaction { ledger, file: self.0.file.as_deref() }
    }

    /// Counts one in, and waits until there are two.
    async fn until_two_have_read(&self) {
        self.0.readers.fetch_add(1, Ordering::SeqCst);
        self.0.read.notify_waiters();
        loop {
            let told = self.0.read.notified();
            if self.0.readers.load(Ordering::SeqCst) >= 2 {
                return;
            }
            told.await;
        }
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/effects", get(effects))
            .route("/receipts", get(receipts))
            .route("/amends/v1/history/{saga}", get(steps::history))
            .route("/amends/v1/steps/{id}", get(steps::outcome))
            .route("/amends/v1/{verb}/{action}", any(steps::step))
            .route("/{action}", post(forward::forward))
            .with_state(self.clone())
    }
}

/// The ledger as long as nobody else has it; what has become of it is durable afterwards.
struct Transaction<'p> {
    ledger: MutexGuard<'p, Ledger>,
    file: Option<&'p Path>,
}

impl Deref for Transaction<'_> {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file {
            // Whole, or not at all: a process may be killed at any time.
            let next = file.with_extension("next");
            std::fs::write(&next, serde_json::to_vec(&*self.ledger).expect("JSON"))
                .and_then(|()| std::fs::rename(&next, file))
                .expect("a folder of the test's own");
        }
    }
}

type Asked = Query<HashMap<String, String>>;

async fn effects(State(participant): State<Participant>, asked: Asked) -> Response {
    let count = participant.ledger().effects.get(&asked["saga"]).copied().unwrap_or(0);
    answer(200, &json!({ "count": count }))
}

async fn receipts(State(participant): State<Participant>, asked: Asked) -> Response {
    let count = participant.ledger().receipts.get(&asked["saga"]).copied().unwrap_or(0);
    answer(200, &json!({ "count": count }))
}

/// A JSON answer; a problem is one by its status.
fn answer(status: u16, body: &Value) -> Response {
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Body::from(body.to_string())).expect("an answer")
}

fn problem(status: u16, code: &str) -> Response {
    answer(status, &problem_body(status, code, code))
}

fn problem_body(status: u16, kind: &str, code: &str) -> Value {
    json!({
        "type": format!("https://amends.dev/problems/{kind}"), "title": kind, "status": status, "code": code,
        "detail": "no further words",
    })
}

/// Sends a request to another service; nothing is the answer of a broken connection.
async fn send(url: &str, sent: Sent) -> Option<HttpAnswer> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request =
        http::Request::builder().method(sent.method).uri(url).body(Full::new(sent.body)).ok()?;
    *request.headers_mut() = sent.headers;
    let (head, body) = client.request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(HttpAnswer { status: head.status.as_u16(), headers: head.headers, body })
}

/// A JSON request to another service.
fn json_request(headers: &[(&'static str, &str)], body: &Value) -> Sent {
    let mut map = HeaderMap::new();
    map.insert("content-type", "application/json".parse().expect("text"));
    for (name, value) in headers {
        map.insert(*name, value.parse().expect("checked before"));
    }
    Sent {
        method: http::Method::POST,
        path: String::new(),
        headers: map,
        body: body.to_string().into(),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
