//! `/login` and `/logout`: a browser shows a token once and is known by a session from then on.

use super::page::{Frame, PageError, Part, see, show};
use super::visitor::Visitor;
use crate::access::{LOCAL_COOKIE, NewSession, SECURE_COOKIE};
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App, read_body};
use amends_protocol::{Problem, ProblemCode, Timestamp};
use amends_store::Store;
use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;

/// Longest form of a login, in bytes: whoever sends it is not known.
const LOGIN_LIMIT: usize = 32 << 10;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    /// Where to go then.
    next: String,
    /// Whether anybody has to.
    is_required: bool,
}

/// `GET /login`
pub(super) async fn ask<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Response {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let next = pairs.into_iter().find(|(name, _)| name == "next").map(|(_, value)| value);
    let next = local(&next.unwrap_or_default());
    let frame = Frame::still(&app, Part::Overview, "Log in", &visitor);
    show(&LoginPage { frame, next, is_required: app.access.is_required })
}

/// `POST /login`: a token begins a session.
pub(super) async fn begin<S: Store>(
    State(app): State<App<S>>,
    request: Request,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/login");
    let (mut head, body) = request.into_parts();
    let Ok(visitor) = Visitor::from_request_parts(&mut head, &()).await;
    let bytes = read_body(&head, body, LOGIN_LIMIT).await.map_err(wrong)?;
    let fields: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.trim());
    let now = SystemClock.now();
    let known = app
        .access
        .keys
        .token(field("token"), now)
        .map_err(|why| wrong(Problem::new(ProblemCode::Unauthorized, why.sentence()).into()))?;
    let millis =
        |length: std::time::Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    let end = Timestamp(now.0.saturating_add(millis(app.access.session_end)));
    let session = NewSession {
        principal: known.principal,
        address: visitor.caller.peer.address,
        browser: browser(&head.headers),
        token: known.token,
        ends_at: known.expires_at.map_or(end, |at| at.min(end)),
        idle: millis(app.access.session_idle),
        note: None,
    };
    let begun = app.access.keys.begin_session(app.supervisor.store(), session, now).await;
    let shown = begun.map_err(|mistake| wrong(mistake.into()))?;
    let is_secure = app.access.is_secure(&visitor.caller.peer);
    Ok(with_cookie(see(&local(field("next"))), is_secure, &shown, app.access.session_end.as_secs()))
}

/// `POST /logout`: the session is over.
pub(super) async fn end<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    if let Some(id) = &visitor.caller.session {
        app.access.keys.end_session(app.supervisor.store(), id).await?;
    }
    let is_secure = app.access.is_secure(&visitor.caller.peer);
    Ok(with_cookie(see("/login"), is_secure, "", 0))
}

/// The address of the login that comes back to a page.
pub(crate) fn login_for(uri: &Uri) -> Response {
    let next = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    see(&format!("/login?{}", query.finish()))
}

/// An address of our own, whatever was given: nobody is led elsewhere by a link to our login.
fn local(next: &str) -> String {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let is_plain = next.bytes().all(|b| b.is_ascii_graphic());
    if is_path && is_plain { next.to_owned() } else { "/".to_owned() }
}

fn browser(headers: &HeaderMap) -> Option<String> {
    headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// Neither scripts nor other sites' forms have it; a link from a mail or a chat does.
fn with_cookie(mut answer: Response, is_secure: bool, value: &str, age: u64) -> Response {
    let (name, secure) = if is_secure { (SECURE_COOKIE, "; Secure") } else { (LOCAL_COOKIE, "") };
    let cookie = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    let cookie = HeaderValue::from_str(&cookie).ok().map(|cookie| (header::SET_COOKIE, cookie));
    answer.headers_mut().extend(cookie);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_our_own_pages_only() {
        for own in ["/", "/cases?state=stuck", "/cases/c-1"] {
            assert_eq!(local(own), own);
        }
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "cases",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/a b",
        ] {
            assert_eq!(local(other), "/", "{other}");
        }
    }
}
