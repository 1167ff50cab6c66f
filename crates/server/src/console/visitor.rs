//! Who looks at a page, and as whom they act.

use crate::access::Caller;
use amends_protocol::wire::percent;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use std::convert::Infallible;

/// The cookie that remembers who acts, where nobody has to log in.
const COOKIE: &str = "amends-actor";
/// How long it is remembered, in seconds: a month.
const COOKIE_AGE: u32 = 30 * 86_400;

/// Who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    /// The name, if known.
    pub(super) name: String,
    /// It is known beyond doubt, or a proxy in front says so; the form does not ask.
    pub(super) told: bool,
}

/// Who looks at a page.
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) who: Who,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let who = if caller.is_told {
            Who { name: caller.actor.clone(), told: true }
        } else {
            Who { name: remembered(&parts.headers), told: false }
        };
        Ok(Self { caller, who })
    }
}

/// The name of the last act of this browser.
fn remembered(headers: &HeaderMap) -> String {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let ours = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .and_then(|(_, value)| percent::decode(value));
    ours.unwrap_or_default()
}

/// Remembers who acted for the next form.
pub(super) fn remember(name: &str, mut answer: Response) -> Response {
    let name = percent::strict(name);
    let cookie =
        format!("{COOKIE}={name}; Path=/; Max-Age={COOKIE_AGE}; HttpOnly; SameSite=Strict");
    answer
        .headers_mut()
        .extend(HeaderValue::from_str(&cookie).ok().map(|c| (header::SET_COOKIE, c)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_remembers_who_acted() {
        let cookie = HeaderValue::from_static("a=b; amends-actor=J%C3%B6rg%20M; c=d");
        let headers = [(header::COOKIE, cookie)].into_iter().collect();
        assert_eq!(remembered(&headers), "Jörg M");
        assert_eq!(remembered(&HeaderMap::new()), "");
    }
}
