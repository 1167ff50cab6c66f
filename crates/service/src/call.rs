//! The kit's own client: one recorded call as JSON over HTTP, repeated under its id while the callee is still at it.

use crate::failure::CallFailed;
use crate::recorded::{Reading, RecordedCall, judge};
use crate::saga_context::put;
use crate::store::HistoryStore;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before a call is repeated that the callee says is still running: short against the call's time limit, long
/// against the callee's work of asking its History.
const STILL_RUNNING_PAUSE: Duration = Duration::from_millis(50);

impl<S: HistoryStore> RecordedCall<S> {
    /// Makes the call: `POST {base_url}/{action}`.
    pub(crate) async fn post(&self, base_url: &str, body: &Value) -> Result<Value, CallFailed> {
        let address = format!("{}/{}", base_url.trim_end_matches('/'), self.row.action);
        let uri: Uri = address
            .parse()
            .map_err(|error| self.not_sent(format!("`{address}` is not a URL: {error}")))?;
        self.begin().await?;
        let (value, reading) = match self.exchange(uri, body).await {
            Ok(value) => (value, Ok(())),
            Err(bad) => (Value::Null, Err(bad)),
        };
        self.end(&reading).await;
        match reading {
            Ok(()) => Ok(value),
            Err(bad) => Err(self.failed(bad)),
        }
    }

    async fn exchange(&self, uri: Uri, body: &Value) -> Result<Value, Reading> {
        let mut sent = HeaderMap::new();
        self.write_context(&mut sent);
        put(&mut sent, "content-type", "application/json");
        let bytes = Bytes::from(body.to_string());
        let deadline = Instant::now() + self.context.inner.call_timeout();
        let transport = &self.context.inner.transport;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let reply = transport
                .post(uri.clone(), sent.clone(), bytes.clone(), left)
                .await
                .map_err(Reading::none)?;
            let bad = match judge(reply.status, &reply.headers, &reply.body) {
                Ok(()) => return Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null)),
                Err(bad) => bad,
            };
            if !bad.is_still_running() || Instant::now() + STILL_RUNNING_PAUSE >= deadline {
                return Err(bad);
            }
            tokio::time::sleep(STILL_RUNNING_PAUSE).await;
        }
    }
}
