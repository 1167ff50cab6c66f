//! One request and its answer, within a time limit. Says whether it was sent at all, and sends it once more only where
//! a kept connection turns out to be dead.

use super::connect::{Connector, innermost, refusal};
use super::guarded::{Guarded, Withdrawn, was_withdrawn};
use super::line::Use;
use super::options::HttpOptions;
use super::request::Outgoing;
use crate::open_files::open_files;
use crate::outbound::Permit;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a try says of itself whose request went out two times.
pub(super) const SENT_TWICE: &str =
    "sent twice: the kept connection ended before a byte of an answer";

/// Sends requests over pooled connections.
pub(super) struct Exchange {
    client: Client<Connector, Guarded>,
    /// Keeps no connection, so that each of its requests has a new one.
    fresh: Client<Connector, Guarded>,
    connector: Connector,
    answer_bytes: usize,
}

/// What came back.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The request went out two times; the service may have acted on the first.
    pub(super) sent_twice: bool,
}

/// Why nothing came back.
pub(super) struct Unanswered {
    pub(super) end: Ended,
    pub(super) status: Option<u16>,
    pub(super) message: String,
    pub(super) sent_twice: bool,
}

/// What is sure of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It may not go there. It was not sent.
    Refused,
    /// There was no connection. It was not sent.
    NotSent,
    /// Nothing.
    Unknown,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("answer_bytes", &self.answer_bytes).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn new(options: &HttpOptions) -> Self {
        Self::by(options, Connector::new(options))
    }

    pub(super) fn by(options: &HttpOptions, connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(options.idle_per_host.min(open_files() / 4))
            .pool_idle_timeout(Duration::from_millis(options.idle_timeout_ms))
            .pool_timer(TokioTimer::new())
            .build(connector.clone());
        let fresh = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector.clone());
        Self { client, fresh, connector, answer_bytes: options.answer_bytes }
    }

    /// Sends a request, if it still `may` when it is about to be written, and reads its answer.
    pub(super) async fn ask(
        &self,
        mut request: Outgoing,
        timeout_ms: u64,
        may: &Permit,
    ) -> Result<Answered, Unanswered> {
        self.connector.authorize(&mut request).map_err(|message| Unanswered {
            end: Ended::Refused,
            status: None,
            message,
            sent_twice: false,
        })?;
        if !may.holds() {
            let message = Withdrawn.to_string();
            return Err(Unanswered {
                end: Ended::NotSent,
                status: None,
                message,
                sent_twice: false,
            });
        }
        // Also for a time limit that ends the second sending.
        let sent_twice = AtomicBool::new(false);
        let whole = async {
            let response = self.send(request, &sent_twice, may).await?;
            self.receive(response, &sent_twice).await
        };
        match tokio::time::timeout(Duration::from_millis(timeout_ms), whole).await {
            Ok(result) => result,
            Err(_) => Err(unknown(None, format!("no answer within {timeout_ms} ms"), &sent_twice)),
        }
    }

    async fn send(
        &self,
        request: Outgoing,
        sent_twice: &AtomicBool,
        may: &Permit,
    ) -> Result<Response<Incoming>, Unanswered> {
        let host = request.uri().authority().cloned();
        let guarded = |request: Outgoing| request.map(|body| Guarded::new(body, may.clone()));
        let again = request.clone();
        let sent = match self.client.request(guarded(request)).await {
            // The service had closed it while the request was on its way, as every server does with idle ones.
            Err(error) if was_kept_and_is_silent(&error) => {
                sent_twice.store(true, Ordering::Release);
                self.fresh.request(guarded(again)).await
            }
            sent => sent,
        };
        sent.map_err(|error| {
            if let Some(refusal) = refusal(&error) {
                let message = refusal.to_string();
                return Unanswered { end: Ended::Refused, ..unknown(None, message, sent_twice) };
            }
            let host = host.as_ref().map_or("", |host| host.as_str());
            let none = unknown(None, format!("{}: {host}", innermost(&error)), sent_twice);
            match (error.is_connect() || was_withdrawn(&error)) && !none.sent_twice {
                true => Unanswered { end: Ended::NotSent, ..none },
                false => none,
            }
        })
    }

    async fn receive(
        &self,
        response: Response<Incoming>,
        sent_twice: &AtomicBool,
    ) -> Result<Answered, Unanswered> {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let body = Limited::new(body, self.answer_bytes).collect().await.map_err(|e| {
            let message = if e.is::<LengthLimitError>() {
                format!("HTTP {status} with a body over {} bytes", self.answer_bytes)
            } else {
                format!("HTTP {status}, then the body broke off: {}", innermost(e.as_ref()))
            };
            unknown(Some(status), message, sent_twice)
        })?;
        let (headers, body) = (head.headers, body.to_bytes());
        Ok(Answered { status, headers, body, sent_twice: sent_twice.load(Ordering::Acquire) })
    }
}

fn unknown(status: Option<u16>, mut message: String, sent_twice: &AtomicBool) -> Unanswered {
    let sent_twice = sent_twice.load(Ordering::Acquire);
    if sent_twice {
        message = format!("{message}; {SENT_TWICE}");
    }
    Unanswered { end: Ended::Unknown, status, message, sent_twice }
}

/// Whether the request went out on a connection that had carried others, and not one byte of an answer came.
fn was_kept_and_is_silent(error: &Error) -> bool {
    let Some(connection) = error.connect_info() else { return false };
    let mut of_connection = Extensions::new();
    connection.get_extras(&mut of_connection);
    of_connection.get::<Use>().is_some_and(Use::was_kept_and_is_silent)
}
