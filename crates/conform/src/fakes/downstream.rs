//! The service that the participant calls, played by the kit: writes down every call, and answers as the check wants,
//! holds it open, or hangs up. It keeps no History; a repeated call is a further call.

use super::listener::{Came, Given, Listening, serve};
use super::past::{Past, lock};
use amends_protocol::headers;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What one call is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// 200 with the answer of the configuration.
    Succeed,
    /// Held open until it is let go, then [`Reply::Succeed`].
    Hold,
    /// The connection is closed without an answer.
    HangUp,
    /// This status, as a gateway gives it: with a body that is no problem, and with `Location` if it redirects.
    Bare(u16),
    /// A problem, with the id of the report about it.
    Problem { status: u16, type_uri: String, report: Option<String> },
}

/// A call as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn request_id(&self) -> Option<&str> {
        self.header(headers::REQUEST_ID)
    }
}

/// The played service.
#[derive(Debug)]
pub(crate) struct Downstream {
    shared: Arc<Shared>,
    url: String,
    _listening: Listening,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    calls: watch::Sender<Vec<Call>>,
    /// Counts how often held calls were let go.
    let_go: watch::Sender<u64>,
    past: Past,
}

#[derive(Debug)]
struct Script {
    replies: VecDeque<Reply>,
    answer: Value,
}

impl Downstream {
    pub(crate) fn open(listener: TcpListener, past: Past) -> Self {
        let script = Script { replies: VecDeque::new(), answer: Value::Null };
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            calls: watch::Sender::new(Vec::new()),
            let_go: watch::Sender::new(0),
            past,
        });
        let port = listener.local_addr().map_or(0, |address| address.port());
        let host = match listener.local_addr().map(|address| address.ip()) {
            Ok(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
            Ok(ip) if ip.is_ipv6() => format!("[{ip}]"),
            Ok(ip) => ip.to_string(),
            Err(_) => "127.0.0.1".to_owned(),
        };
        let listening = serve(listener, shared.clone(), answer);
        Self { shared, url: format!("http://{host}:{port}"), _listening: listening }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Begins anew: calls so far are forgotten, held ones let go, the next ones get these replies, all later ones
    /// succeed with `answer`.
    pub(crate) fn begin(&self, replies: impl IntoIterator<Item = Reply>, answer: Value) {
        *lock(&self.shared.script) = Script { replies: replies.into_iter().collect(), answer };
        self.shared.calls.send_replace(Vec::new());
        self.let_go();
    }

    /// Lets every held call end well.
    pub(crate) fn let_go(&self) {
        self.shared.let_go.send_modify(|count| *count += 1);
    }

    /// The calls since the beginning of the script.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.borrow().clone()
    }

    /// Waits until there are so many calls.
    pub(crate) async fn called(&self, times: usize) {
        // The sender lives as long as this.
        let _ = self.shared.calls.subscribe().wait_for(|calls| calls.len() >= times).await;
    }
}

async fn answer(shared: Arc<Shared>, came: Came) -> Given {
    let old = came.header(headers::SAGA_ID).is_some_and(|saga| shared.past.contains(saga));
    if old {
        return Given::json(200, Value::Object(Default::default()));
    }
    // Before the call is reported: whoever waits for it may let go at once.
    let mut let_go = shared.let_go.subscribe();
    let (reply, answer) = {
        let mut script = lock(&shared.script);
        (script.replies.pop_front().unwrap_or(Reply::Succeed), script.answer.clone())
    };
    shared.calls.send_modify(|calls| calls.push(Call { headers: came.headers, body: came.body }));
    match reply {
        Reply::Succeed => Given::json(200, answer),
        Reply::Hold => {
            // An error means that the kit has ended.
            let _ = let_go.changed().await;
            Given::json(200, answer)
        }
        Reply::HangUp => Given::HangUp,
        Reply::Bare(status) => Given::bare(status, "/moved"),
        Reply::Problem { status, type_uri, report } => {
            let mut given = Given::problem(status, &type_uri, "the kit lets this call fail");
            if let (Given::Json { headers, .. }, Some(report)) = (&mut given, report) {
                headers.push((headers::AMENDS_REPORT, report));
            }
            given
        }
    }
}
