//! Sends finished spans to an OpenTelemetry collector: OTLP 1.x over HTTP, in JSON. A collector that is away costs
//! spans, which are counted, and nothing else.
//!
//! The JSON encoding is the protobuf mapping with ids in hex (OTLP specification, "JSON Protobuf Encoding"). An SDK
//! would choose the ids itself; ours are fixed by what services were sent.

use super::metrics::Metrics;
use super::spans::Span;
use crate::dispatch::WebClient;
use crate::withheld::Withheld;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode, Uri};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Spans of one request; some 300 KiB.
const BATCH: usize = 512;

/// How long a span waits for others to go along.
const LINGER: Duration = Duration::from_secs(1);

/// Tries of one request, and the pause before the second, which doubles: a collector that restarts is back by then.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Time for one try.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends spans until told to end; what has queued by then still goes.
pub(crate) async fn export(
    endpoint: Uri,
    client: WebClient,
    withheld: Withheld,
    metrics: Metrics,
    mut spans: mpsc::Receiver<Span>,
    mut end: oneshot::Receiver<()>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut ended = false;
    while !ended {
        tokio::select! {
            biased;
            _ = &mut end => ended = true,
            _ = spans.recv_many(&mut batch, BATCH) => {
                tokio::select! {
                    _ = &mut end => ended = true,
                    () = gather(&mut batch, &mut spans) => {}
                }
            }
        }
        if ended {
            spans.close();
            while let Ok(span) = spans.try_recv() {
                batch.push(span);
            }
        }
        for part in batch.chunks(BATCH) {
            let body = Bytes::from(withheld.hide_in_text(&encode(part).to_string()));
            if let Err(why) = deliver(&endpoint, &client, body).await {
                metrics.spans_dropped(part.len() as u64);
                tracing::warn!(%endpoint, spans = part.len(), why, "spans could not be exported");
            }
        }
        batch.clear();
    }
}

/// Takes what comes within the time that a span may wait.
async fn gather(batch: &mut Vec<Span>, spans: &mut mpsc::Receiver<Span>) {
    let deadline = tokio::time::Instant::now() + LINGER;
    while batch.len() < BATCH {
        match tokio::time::timeout_at(deadline, spans.recv()).await {
            Ok(Some(span)) => batch.push(span),
            Ok(None) | Err(_) => return,
        }
    }
}

async fn deliver(endpoint: &Uri, client: &WebClient, body: Bytes) -> Result<(), String> {
    let mut pause = FIRST_PAUSE;
    let mut tries = 1;
    loop {
        let request = Request::post(endpoint.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body.clone().into())
            .map_err(|error| error.to_string())?;
        let why = match client.send(request, TIMEOUT).await {
            Ok(status) if status.is_success() => return Ok(()),
            Ok(status) if !passes(status) => return Err(format!("answered {status}")),
            Ok(status) => format!("answered {status}"),
            Err(why) => why,
        };
        if tries == TRIES {
            return Err(why);
        }
        tries += 1;
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// The answers after which the OTLP specification allows another try.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// `ExportTraceServiceRequest`.
fn encode(spans: &[Span]) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            attribute("service.name", &json!("amends")),
            attribute("service.version", &json!(env!("CARGO_PKG_VERSION"))),
        ] },
        "scopeSpans": [{
            "scope": { "name": "amends", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

fn span(span: &Span) -> Value {
    let attributes: Vec<Value> =
        span.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    let mut encoded = json!({
        "traceId": span.context.trace_id(),
        "spanId": span.context.span_id(),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.began_ns.to_string(),
        "endTimeUnixNano": span.ended_ns.to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = span.parent {
        encoded["parentSpanId"] = json!(parent.span_id());
    }
    if let Some(error) = &span.error {
        encoded["status"] = json!({ "code": 2, "message": error });
    }
    encoded
}

/// A number is `intValue`, which the mapping writes as text; anything else here is text.
fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    };
    json!({ "key": key, "value": value })
}
