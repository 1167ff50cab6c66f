//! Lets in what was sent to one of our names. A web site whose name is made to point at this machine (DNS rebinding) has
//! our pages and our API for its own, whatever their origin says; only the name in `Host` gives it away. Browsers don't
//! always say that they are browsers, so every request is looked at.

use super::own_names::OwnNames;
use super::{ApiError, App};
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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
    let said = || first.and_then(|host| host.to_str().ok());
    let Some(said) = uri.authority().map(Authority::as_str).or_else(said) else {
        return Some(ApiError::invalid("the request names no host; send the header `Host`"));
    };
    let Some(name) = name_in(said) else {
        let detail = "the request names no host that could be one; send a name or an address, and perhaps a port";
        return Some(ApiError::invalid(detail));
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    (!own.has(name)).then(|| {
        let detail = format!(
            "`{name}` is not a name of this supervisor; if it is reached by that name, add it to `hosts` of the configuration"
        );
        Problem::new(ProblemCode::Forbidden, detail).into()
    })
}

/// The name in host and port; none if it could not be one (RFC 9112, section 3.2). Who asks does not stand there.
fn name_in(said: &str) -> Option<String> {
    if said.is_empty() {
        return Some(String::new());
    }
    let authority = said.parse::<Authority>().ok().filter(|_| !said.contains('@'))?;
    let name = authority.host();
    // A name that begins with an address in brackets is read as that address.
    let port = said.strip_prefix(name)?;
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| name.to_owned())
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
    fn what_is_no_host_is_not_taken_for_one() {
        for wrong in [
            "a b",
            "[::1",
            "[::1].evil.example",
            "[::1]evil.example:80",
            "::1",
            "user:pass@localhost",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost:7100:80",
            "localhost/evil.example",
            "localhost#.evil.example",
            "localhost, evil.example",
        ] {
            assert_eq!(answered(&[wrong], "/"), Some(StatusCode::BAD_REQUEST), "{wrong}");
        }
        let userinfo = answered(&["localhost"], "http://user:pass@localhost/");
        assert_eq!(userinfo, Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(answered(&[], "/"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(answered(&["localhost", "localhost"], "/"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(answered(&[], "http://localhost/"), None, "as a proxy asks");
        let told = answered(&["localhost"], "http://evil.example/");
        assert_eq!(told, Some(StatusCode::FORBIDDEN), "the target counts, not the header");
    }
}
