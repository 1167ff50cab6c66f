//! Requests of the supervisor's own, to a collector or a web hook: the same connector as for services, one try, no
//! redirect. Reads no answer but its status.

use super::connect::{Connector, connector, innermost};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// A pooled client; clones share the pool.
#[derive(Clone, Debug)]
pub(crate) struct WebClient(Client<Connector, Full<Bytes>>);

impl WebClient {
    /// A client without a connection yet.
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        Self(Client::builder(TokioExecutor::new()).build(connector(connect_timeout)))
    }

    /// Sends once.
    ///
    /// # Errors
    /// Says in words why no answer came; the request may have arrived all the same.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<StatusCode, String> {
        match tokio::time::timeout(timeout, self.0.request(request)).await {
            Ok(Ok(answer)) => Ok(answer.status()),
            Ok(Err(error)) => Err(innermost(&error)),
            Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
        }
    }
}
