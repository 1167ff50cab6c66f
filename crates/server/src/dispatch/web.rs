//! Requests of the supervisor's own, to a collector, a web hook or an identity provider: the same connector as for
//! services, one try, no redirect.

use super::connect::{Connector, innermost};
use super::options::HttpOptions;
use bytes::Bytes;
use http::uri::Authority;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// A pooled client; clones share the pool.
#[derive(Clone)]
pub(crate) struct WebClient {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
}

/// What came back, and its body within the limit.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
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

    /// Sends once, and reads at most `limit` bytes of the answer.
    ///
    /// # Errors
    /// Says in words why no answer came.
    pub(crate) async fn fetch(
        &self,
        mut request: Request<Full<Bytes>>,
        timeout: Duration,
        limit: usize,
    ) -> Result<Fetched, String> {
        self.connector.authorize(&mut request)?;
        let whole = async {
            let answer = self.client.request(request).await.map_err(|e| innermost(&e))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, limit).collect().await.map_err(|e| match e
                .is::<LengthLimitError>(
            ) {
                true => format!("the answer is longer than {limit} bytes"),
                false => format!("the answer broke off: {}", innermost(e.as_ref())),
            })?;
            Ok(Fetched { status: head.status, body: body.to_bytes() })
        };
        match tokio::time::timeout(timeout, whole).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
        }
    }

    /// The value of a secret of the configuration for a request to this host.
    ///
    /// # Errors
    /// There is no such secret, or it may not go there.
    pub(crate) fn secret(&self, name: &str, host: &Authority) -> Result<String, String> {
        self.connector.secret(name, host)
    }
}
