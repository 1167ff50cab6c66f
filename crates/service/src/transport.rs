//! Outgoing HTTP: one pooled client, HTTP/1.1, bounded in time and size; with the feature `tls` also `https://`. No
//! redirects, no repetitions.

use crate::certificates::Certificates;
#[cfg(feature = "tls")]
use crate::secured::Connector;
use amends_protocol::causes;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// Longest answer that is read; the same limit as for what comes in.
pub(crate) const ANSWER_LIMIT: usize = 1024 * 1024;

/// Time for a TCP connection; a service in the same network that takes longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A pooled HTTP client; clones share the pool.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: Client<Connector, Full<Bytes>>,
}

#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Transport {
    pub(crate) fn new(certificates: &Certificates) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self {
            client: Client::builder(TokioExecutor::new()).build(secured(connector, certificates)),
        }
    }

    /// Posts and waits for the whole answer.
    ///
    /// # Errors
    /// Says in words why there is no whole answer; the request may have arrived all the same.
    pub(crate) async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Reply, String> {
        let mut request =
            Request::post(uri).body(Full::new(body)).map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        let exchange = async {
            let answer =
                self.client.request(request).await.map_err(|error| causes::in_one_line(&error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT)
                .collect()
                .await
                .map_err(|error| format!("the answer broke off: {error}"))?;
            Ok(Reply { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
        }
    }
}

#[cfg(feature = "tls")]
fn secured(tcp: HttpConnector, certificates: &Certificates) -> Connector {
    Connector::new(tcp, certificates.clone())
}

#[cfg(not(feature = "tls"))]
fn secured(tcp: HttpConnector, _: &Certificates) -> Connector {
    tcp
}
