//! By which names a browser may reach us. A web site whose name is made to point at this machine (DNS rebinding) has our
//! pages for its own, whatever their origin says; only the name in `Host` gives it away.

use super::{ApiError, App};
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Lets a request through unless a browser sent it to a name that is not ours. Programs name hosts as they like: no web
/// site steers them.
pub(crate) async fn check<S: Store>(
    State(app): State<App<S>>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(request.headers(), request.uri(), &app.public_url) {
        None => next.run(request).await,
        Some(error) => error.into_response(),
    }
}

fn refusal(headers: &HeaderMap, uri: &Uri, public_url: &str) -> Option<ApiError> {
    let is_browser = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if !is_browser {
        return None;
    }
    let of_header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = of_header.or_else(|| uri.host()).unwrap_or_default();
    let name = without_port(host);
    // An address of digits is nobody's to point elsewhere.
    let is_ours = name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || host_of(public_url).is_some_and(|public| name.eq_ignore_ascii_case(&public));
    (!is_ours).then(|| {
        let detail = format!(
            "`{name}` is not a name of this supervisor; if people reach it by that name, set `alerts.public_url` to its address"
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
    use axum::http::HeaderValue;

    fn is_let_through(host: &'static str, from: &[(&'static str, &'static str)]) -> bool {
        let pairs = from.iter().copied().chain([("host", host)]);
        let headers =
            pairs.map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v))).collect();
        refusal(&headers, &Uri::from_static("/"), "https://amends.example").is_none()
    }

    #[test]
    fn a_browser_reaches_us_by_our_names_only() {
        let browser = &[("sec-fetch-site", "same-origin")];
        for host in [
            "127.0.0.1:7100",
            "localhost",
            "LocalHost:80",
            "[::1]:7100",
            "10.0.0.7",
            "amends.example:443",
        ] {
            assert!(is_let_through(host, browser), "{host}");
        }
        for host in ["evil.example:7100", "127.0.0.1.evil.example", "", "amends.example.evil"] {
            assert!(!is_let_through(host, browser), "{host}");
            assert!(!is_let_through(host, &[("origin", "http://evil.example")]), "{host}");
        }
        assert!(is_let_through("amends.namespace.svc:7100", &[]), "services use any name");
    }

    #[test]
    fn the_public_address_names_a_host() {
        assert_eq!(host_of("https://amends.example:8443/x").as_deref(), Some("amends.example"));
        assert_eq!(host_of("http://[::1]:7100").as_deref(), Some("[::1]"));
        assert_eq!(host_of(""), None);
    }
}
