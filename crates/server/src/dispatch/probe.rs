//! Asks whether somebody is at an address, by the very way that steps go there: allowed hosts, proxy, certificates.

use super::exchange::Exchange;
use super::options::HttpOptions;
use super::request::Outgoing;
use crate::outbound::Permit;
use http::{Uri, header};
use std::time::Duration;

/// Looks at services. Clones are not needed: one look is one request.
#[derive(Debug)]
pub struct Probe(Exchange);

impl Probe {
    /// By the supervisor's way out.
    #[must_use]
    pub fn new(options: &HttpOptions) -> Self {
        Self(Exchange::new(options))
    }

    /// The status of whatever answer, and its `Date`.
    ///
    /// # Errors
    /// Says in words why none came.
    pub async fn look(&self, url: &str, limit: Duration) -> Result<(u16, Option<String>), String> {
        let uri: Uri = url.parse().map_err(|e| format!("`{url}` is not a URL: {e}"))?;
        let mut request = Outgoing::default();
        *request.uri_mut() = uri;
        let agent = concat!("amends-doctor/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(header::USER_AGENT, header::HeaderValue::from_static(agent));
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let answered =
            self.0.ask(request, limit, &Permit::default()).await.map_err(|none| none.message)?;
        let date = answered.headers.get(header::DATE).and_then(|v| v.to_str().ok());
        Ok((answered.status, date.map(str::to_owned)))
    }
}
