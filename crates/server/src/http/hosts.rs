//! By which names we may be reached. A web site whose name is made to point at this machine (DNS rebinding) has our pages
//! and our API for its own, whatever their origin says; only the name in `Host` gives it away. Browsers don't always say
//! that they are browsers, so every request is looked at.

use super::{ApiError, App};
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// Ends of names that nobody can register in the public DNS: those of a machine, of a cluster and of a private network
/// (RFC 6761 for `localhost`, ICANN's reserved `internal`, Kubernetes' service names).
const PRIVATE_ENDS: [&str; 4] = [".localhost", ".svc", ".cluster.local", ".internal"];

/// Our names besides those that nobody outside can have.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnNames(Arc<[String]>);

impl OwnNames {
    /// The names of the configuration, and the host of the address at which people reach the console.
    pub(crate) fn new(names: &[String], public_url: &str) -> Self {
        let given = names.iter().map(|name| without_port(name).to_owned());
        Self(given.chain(host_of(public_url)).collect())
    }

    fn has(&self, name: &str) -> bool {
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let lower = name.to_ascii_lowercase();
        let is_private = !lower.is_empty()
            && (!lower.contains('.') || PRIVATE_ENDS.iter().any(|end| lower.ends_with(end)));
        // An address of digits is nobody's to point elsewhere, and neither is a name that only this network knows.
        is_address || is_private || self.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Lets a request through if it names exactly one host, and that is us.
pub(crate) async fn check<S: Store>(
    State(app): State<App<S>>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(request.headers(), request.uri(), &app.own_names) {
        None => next.run(request).await,
        Some(error) => error.into_response(),
    }
}

fn refusal(headers: &HeaderMap, uri: &Uri, own: &OwnNames) -> Option<ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Some(ApiError::invalid("the request has two `Host` headers; send one"));
    }
    let Some(host) = uri.host().or_else(|| first.and_then(|host| host.to_str().ok())) else {
        return Some(ApiError::invalid("the request names no host; send the header `Host`"));
    };
    let name = without_port(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    (!own.has(name)).then(|| {
        let detail = format!(
            "`{name}` is not a name of this supervisor; if it is reached by that name, add it to `hosts` of the configuration"
        );
        Problem::new(ProblemCode::Forbidden, detail).into()
    })
}

/// The host of an address such as `https://amends.example:8443/path`; none if it has none.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(without_port(authority).to_owned()).filter(|host| !host.is_empty())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // In `[::1]` the last colon is the address's own.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, StatusCode};

    fn answered(hosts: &[&'static str], uri: &'static str) -> Option<StatusCode> {
        let headers = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host)));
        let own =
            OwnNames::new(&["supervisor.shop.example:7100".to_owned()], "https://amends.example");
        refusal(&headers.collect(), &Uri::from_static(uri), &own)
            .map(|error| error.into_response().status())
    }

    #[test]
    fn we_are_reached_by_our_names_only() {
        for host in [
            "127.0.0.1:7100",
            "localhost",
            "LocalHost:80",
            "[::1]:7100",
            "10.0.0.7",
            "amends.example:443",
            "AMENDS.example.",
            "supervisor.shop.example",
            "amends:7100",
            "amends.payments.svc:7100",
            "amends.payments.svc.cluster.local",
            "amends.corp.internal",
        ] {
            assert_eq!(answered(&[host], "/"), None, "{host}");
        }
        for host in [
            "evil.example:7100",
            "127.0.0.1.evil.example",
            "amends.example.evil",
            "notamends.example",
            "svc.evil.example",
            "",
            ":7100",
        ] {
            assert_eq!(answered(&[host], "/"), Some(StatusCode::FORBIDDEN), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(answered(&[], "/"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(answered(&["localhost", "localhost"], "/"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(answered(&[], "http://localhost/"), None, "as a proxy asks");
        let told = answered(&["localhost"], "http://evil.example/");
        assert_eq!(told, Some(StatusCode::FORBIDDEN), "the target counts, not the header");
    }

    #[test]
    fn the_public_address_names_a_host() {
        assert_eq!(host_of("https://amends.example:8443/x").as_deref(), Some("amends.example"));
        assert_eq!(host_of("http://[::1]:7100").as_deref(), Some("[::1]"));
        assert_eq!(host_of(""), None);
    }
}
