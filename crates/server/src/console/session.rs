//! The session that a login begins: its cookies, and where it leads.

use super::page::see;
use crate::access::{Caller, LOCAL_COOKIE, NewSession, SECURE_COOKIE};
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App};
use crate::identity::LOGIN_S;
use amends_api::access::{Principal, Right, Within, may};
use amends_protocol::Timestamp;
use amends_store::Store;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use std::time::Duration;

/// The cookie of a login that is under way; the second where there is no TLS: on this machine.
const LOGIN_COOKIES: [&str; 2] = ["__Host-amends-login", "amends-login"];

/// Whose session begins, and by what.
pub(super) struct LoggedIn {
    pub(super) principal: Principal,
    /// The token that was shown, by its id.
    pub(super) token: Option<String>,
    /// When it ends at the latest.
    pub(super) ends_at: Option<Timestamp>,
    /// The provider that told who it is, where the session may be ended too.
    pub(super) provider: Option<String>,
}

/// Begins a session and leads to a page of ours. The one that the browser had before is over: whoever planted it, or is
/// still looking at it, has nothing of the new one.
pub(super) async fn begin<S: Store>(
    app: &App<S>,
    headers: &HeaderMap,
    caller: &Caller,
    logged_in: LoggedIn,
    next: &str,
) -> Result<Response, ApiError> {
    let now = SystemClock.now();
    if let Some(before) = &caller.session {
        app.access.keys.end_session(app.supervisor.store(), before).await?;
    }
    let end = Timestamp(now.0.saturating_add(millis(app.access.session_end)));
    let browser = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok());
    let session = NewSession {
        principal: logged_in.principal.clone(),
        address: caller.peer.address,
        browser: browser.map(str::to_owned),
        token: logged_in.token,
        ends_at: logged_in.ends_at.map_or(end, |at| at.min(end)),
        idle: millis(app.access.session_idle),
        note: logged_in.provider,
    };
    let shown = app.access.keys.begin_session(app.supervisor.store(), session, now).await?;
    let age = app.access.session_end.as_secs();
    Ok(keep(see(&first_page(&logged_in.principal, next)), is_secure(app, caller), &shown, age))
}

/// Where somebody begins who asked for no page: the overview is for who sees everything.
fn first_page(principal: &Principal, next: &str) -> String {
    let sees = |within| may(principal, Right::Read, within);
    let first = match next {
        "/" if sees(Within::Everywhere) => "/",
        "/" if sees(Within::Somewhere) => "/cases",
        "/" => "/me",
        next => next,
    };
    first.to_owned()
}

/// Takes the session's cookie out of the browser.
pub(super) fn forget<S: Store>(app: &App<S>, caller: &Caller, answer: Response) -> Response {
    keep(answer, is_secure(app, caller), "", 0)
}

/// Neither scripts nor other sites' forms have it; a link from a mail or a chat does.
fn keep(answer: Response, is_secure: bool, value: &str, age: u64) -> Response {
    let name = if is_secure { SECURE_COOKIE } else { LOCAL_COOKIE };
    with_cookie(answer, name, is_secure, value, age)
}

/// Leaves a login that begins in the browser. The provider's answer comes from another site, by a link: a stricter
/// cookie would not come along.
pub(super) fn keep_login<S: Store>(
    app: &App<S>,
    caller: &Caller,
    answer: Response,
    kept: &str,
) -> Response {
    let is_secure = is_secure(app, caller);
    with_cookie(answer, login_cookie(is_secure), is_secure, kept, LOGIN_S.unsigned_abs())
}

/// Takes it out again.
pub(super) fn forget_login<S: Store>(app: &App<S>, caller: &Caller, answer: Response) -> Response {
    let is_secure = is_secure(app, caller);
    with_cookie(answer, login_cookie(is_secure), is_secure, "", 0)
}

/// The login that this browser has begun; none if it shows two.
pub(super) fn kept_login<S: Store>(
    app: &App<S>,
    caller: &Caller,
    headers: &HeaderMap,
) -> Option<String> {
    let wanted = login_cookie(is_secure(app, caller));
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one.to_owned()),
        _ => None,
    }
}

fn login_cookie(is_secure: bool) -> &'static str {
    if is_secure { LOGIN_COOKIES[0] } else { LOGIN_COOKIES[1] }
}

fn with_cookie(
    mut answer: Response,
    name: &str,
    is_secure: bool,
    value: &str,
    age: u64,
) -> Response {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

fn is_secure<S: Store>(app: &App<S>, caller: &Caller) -> bool {
    app.access.is_secure(&caller.peer)
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
