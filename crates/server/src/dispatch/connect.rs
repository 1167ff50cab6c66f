//! The connections of all that goes out, and what is said when there is none.

use super::names::Names;
use amends_protocol::causes;
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error;
use std::io;
use std::time::Duration;

#[cfg(not(feature = "tls"))]
pub(super) type Connector = HttpConnector<Names>;
#[cfg(feature = "tls")]
pub(super) type Connector = hyper_rustls::HttpsConnector<HttpConnector<Names>>;

/// What really went wrong, e.g. `connection refused`; what is above it says only `client error`.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let cause = causes::innermost(error);
    match cause.downcast_ref::<io::Error>() {
        // `Connection refused (os error 111)`: the number helps nobody here, and the sentence goes on.
        Some(e) if e.raw_os_error().is_some() => {
            let text = e.to_string();
            let words = text.split(" (os error").next().unwrap_or_default();
            let (first, rest) = words.split_at_checked(1).unwrap_or_default();
            first.to_ascii_lowercase() + rest
        }
        // Ours, from `connect_timeout_ms`; its own words are about a deadline.
        Some(e) if e.kind() == io::ErrorKind::TimedOut => "no connection in time".to_owned(),
        _ => cause.to_string(),
    }
}

#[cfg(not(feature = "tls"))]
pub(super) fn connector(timeout: Duration) -> Connector {
    tcp(timeout)
}

/// Without root certificates (a bare container) only `https://` services are out of reach, so that is no reason not to
/// start.
#[cfg(feature = "tls")]
pub(super) fn connector(timeout: Duration) -> Connector {
    use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
    let mut http = tcp(timeout);
    http.enforce_http(false);
    let config = match rustls::ClientConfig::builder().with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no root certificates: `https://` services fail; install `ca-certificates`");
            rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        }
    };
    HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http)
}

fn tcp(timeout: Duration) -> HttpConnector<Names> {
    let mut http = HttpConnector::new_with_resolver(Names::new(timeout));
    http.set_connect_timeout(Some(timeout));
    // A step is one small request; waiting for more bytes to send would only add latency.
    http.set_nodelay(true);
    http
}
