//! Requests of the supervisor's own, to a collector or a web hook: the same connector as for services, one try, no
//! redirect. Reads no answer but its status.

use super::connect::{Connector, innermost};
use super::options::HttpOptions;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// A pooled client; clones share the pool.
#[derive(Clone)]
pub(crate) struct WebClient {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
}

impl WebClient {
    /// A client without a connection yet, for addresses of the configuration.
    pub(crate) fn new(options: &HttpOptions, own: &[Uri]) -> Self {
        let connector = Connector::of_configuration(options, own);
        let client = Client::builder(TokioExecutor::new()).build(connector.clone());
        Self { client, connector }
    }

    /// Sends once.
    ///
    /// # Errors
    /// Says in words why no answer came; the request may have arrived all the same.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<StatusCode, String> {
        self.connector.authorize(&mut request)?;
        match tokio::time::timeout(timeout, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer.status()),
            Ok(Err(error)) => Err(innermost(&error)),
            Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
        }
    }
}
