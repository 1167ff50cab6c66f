//! Where reports go: the trait, and the sink that ships, CloudEvents by HTTP to the supervisor. Tries once; when to try
//! again is the relay's business.

use crate::config::KitError;
use crate::saga_context::put;
use crate::store::{BoxFuture, OutgoingReport};
use crate::supervisor_token::SupervisorToken;
use crate::transport::{Reply, Transport};
use amends_protocol::wire::percent;
use amends_protocol::{REPORT_TYPE, Timestamp, headers};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use std::fmt;
use std::time::Duration;

/// Time for one try.
pub(crate) const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest `Retry-After` that is obeyed, so that a wrong one can't silence a service for a day.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Takes reports to the supervisor, by whatever way. Reports of one saga come in order, one after the other; those of
/// different sagas may come together. One may come again after a crash, under its old id.
pub trait ReportSink: Send + Sync + 'static {
    /// Tries once. It should take no longer than 10 seconds; then it is given up and tried again.
    fn deliver<'a>(&'a self, report: &'a OutgoingReport) -> BoxFuture<'a, Delivery>;
}

/// What a try led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is durable at the other end.
    Taken,
    /// It will never be taken, as it is; says why. It is kept as `dead`, and tried once more by each start.
    Refused(String),
    /// Not now.
    Later {
        /// Why, for people.
        why: String,
        /// When to try again at the earliest.
        at_least: Duration,
        /// Whether it was turned away on its way (a wrong address, credentials that ran out): a person should look.
        turned_away: bool,
    },
}

impl Delivery {
    /// Not now; it passes by itself.
    pub(crate) fn away(why: String) -> Self {
        Self::Later { why, at_least: Duration::ZERO, turned_away: false }
    }

    /// Not now, and a person should look.
    pub(crate) fn denied(why: String) -> Self {
        Self::Later { why, at_least: Duration::ZERO, turned_away: true }
    }
}

/// Posts CloudEvents 1.0 in binary mode to `{supervisor}/v1/reports`.
pub(crate) struct HttpSink {
    service: String,
    uri: Uri,
    token: Option<SupervisorToken>,
    transport: Transport,
}

impl HttpSink {
    pub(crate) fn new(
        service: &str,
        supervisor: &str,
        token: Option<SupervisorToken>,
        transport: Transport,
    ) -> Result<Self, KitError> {
        let address = format!("{}/v1/reports", supervisor.trim_end_matches('/'));
        let uri = address.parse().map_err(|error| {
            KitError::Config(format!("`{supervisor}` is not a supervisor's address: {error}"))
        })?;
        Ok(Self { service: service.to_owned(), uri, token, transport })
    }

    fn envelope(&self, sent: &OutgoingReport) -> HeaderMap {
        let mut written = HeaderMap::new();
        put(&mut written, "content-type", "application/json");
        put(&mut written, "ce-specversion", "1.0");
        put(&mut written, "ce-type", REPORT_TYPE);
        put(&mut written, "ce-source", &self.service);
        put(&mut written, "ce-id", &sent.report.report_id);
        put(&mut written, "ce-subject", &percent::attribute(sent.report.saga.as_str()).to_string());
        put(&mut written, "ce-time", &Timestamp(sent.happened_at_ms).to_string());
        if let Some(parent) = &sent.report.traceparent {
            // One hop, so the starting trace and this hop's agree.
            put(&mut written, "ce-traceparent", parent);
            put(&mut written, headers::TRACEPARENT, parent);
        }
        written
    }
}

impl ReportSink for HttpSink {
    fn deliver<'a>(&'a self, sent: &'a OutgoingReport) -> BoxFuture<'a, Delivery> {
        let body = Bytes::from(sent.report.data.clone());
        let mut written = self.envelope(sent);
        if let Some(token) = &self.token {
            match token.authorization() {
                Ok(value) => drop(written.insert(header::AUTHORIZATION, value)),
                Err(why) => return Box::pin(async move { Delivery::denied(why) }),
            }
        }
        let posted = self.transport.post(self.uri.clone(), written, body, TRY_TIMEOUT);
        Box::pin(async move { judge(posted.await) })
    }
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink").field("uri", &self.uri).finish_non_exhaustive()
    }
}

fn judge(posted: Result<Reply, String>) -> Delivery {
    let reply = match posted {
        Ok(reply) => reply,
        Err(why) => return Delivery::away(why),
    };
    let why = || {
        let told: String = String::from_utf8_lossy(&reply.body).chars().take(500).collect();
        format!("answered {}: {told}", reply.status.as_u16())
    };
    match reply.status {
        status if status.is_success() => Delivery::Taken,
        // The words for a report that is wrong in itself. Any other 4xx is about the way there: an ingress that knows
        // no route during a deployment, a token that ran out. That passes.
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Delivery::Refused(why()),
        status => Delivery::Later {
            why: why(),
            at_least: retry_after(&reply.headers),
            turned_away: status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS,
        },
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok())
        .map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}
