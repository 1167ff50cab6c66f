//! What a request shows to be known: at most one bearer token, or the cookie of a session.

use amends_protocol::wire::bearer;
use amends_protocol::{Problem, ProblemCode};
use axum::http::{HeaderMap, header};

/// The cookie of a session. Browsers take one with this prefix only over TLS, from this very host, for all paths.
pub(crate) const SECURE_COOKIE: &str = "__Host-amends";
/// The same where there is no TLS: on this machine.
pub(crate) const LOCAL_COOKIE: &str = "amends-session";

/// What is shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// `Authorization: Bearer …`
    Token(&'a str),
    /// A session's cookie.
    Session(&'a str),
    Nothing,
}

/// Reads it. A token counts before a cookie: who shows one means it.
pub(crate) fn shown(headers: &HeaderMap, secure: bool) -> Result<Shown<'_>, Box<Problem>> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (Some(_), Some(_)) => Err(invalid("the request has two `Authorization` headers; send one")),
        (Some(one), None) => token(one.to_str().unwrap_or_default()).map(Shown::Token),
        (None, _) => Ok(session(headers, secure)?.map_or(Shown::Nothing, Shown::Session)),
    }
}

fn token(text: &str) -> Result<&str, Box<Problem>> {
    match bearer::shown(text) {
        Some(token) => token.map_err(|_| unauthorized("what follows `Bearer` is no token")),
        None => Err(unauthorized("`Authorization` must be `Bearer` and a token")),
    }
}

fn session(headers: &HeaderMap, secure: bool) -> Result<Option<&str>, Box<Problem>> {
    let wanted = if secure { SECURE_COOKIE } else { LOCAL_COOKIE };
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut found = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == wanted)
        .map(|(_, value)| value);
    let first = found.next();
    if found.next().is_some() {
        // One of them is somebody's who would like to be taken for another.
        return Err(invalid(format!("the request has two cookies `{wanted}`")));
    }
    Ok(first)
}

/// Who comes is not known.
pub(crate) fn unauthorized(detail: impl Into<String>) -> Box<Problem> {
    Box::new(Problem::new(ProblemCode::Unauthorized, detail))
}

fn invalid(detail: impl Into<String>) -> Box<Problem> {
    Box::new(Problem::new(ProblemCode::InvalidRequest, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v))).collect()
    }

    #[track_caller]
    fn reads(pairs: &[(&'static str, &'static str)], secure: bool, expected: &str) {
        let headers = headers(pairs);
        let said = match shown(&headers, secure) {
            Ok(shown) => format!("{shown:?}"),
            Err(problem) => problem.status.to_string(),
        };
        assert_eq!(said, expected, "{pairs:?}");
    }

    #[test]
    fn one_token_is_read() {
        reads(&[("authorization", "Bearer amends_a_b-c")], true, "Token(\"amends_a_b-c\")");
        reads(&[("authorization", "bEARER   x.y.z  ")], true, "Token(\"x.y.z\")");
        reads(&[], true, "Nothing");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for wrong in
            ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer a,b", "Bearer\ta", "x"]
        {
            reads(&[("authorization", wrong)], true, "401");
        }
        reads(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], true, "400");
    }

    #[test]
    fn a_cookie_counts_by_its_own_name_only() {
        reads(&[("cookie", "a=b; __Host-amends=s")], true, "Session(\"s\")");
        reads(&[("cookie", "amends-session=s")], true, "Nothing");
        reads(&[("cookie", "amends-session=s")], false, "Session(\"s\")");
        reads(&[("cookie", "__Host-amends=a; __Host-amends=b")], true, "400");
        reads(
            &[("cookie", "__Host-amends=a"), ("authorization", "Bearer t")],
            true,
            "Token(\"t\")",
        );
    }
}
