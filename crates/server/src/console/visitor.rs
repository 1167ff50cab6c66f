//! Who looks at a page, and as whom they act.

use crate::access::Caller;
use crate::not_seen_by::NotSeenBy;
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
/// The cookie that names nodes which have yet to read what this browser has set, for the page after it alone.
const LATE: &str = "amends-not-seen-by";
/// How long it stays, in seconds: about as long as it is true.
const LATE_AGE: u32 = 5;

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
    /// Nodes that have yet to read what was set a moment ago, as a sentence has them; mostly none.
    pub(super) not_seen_by: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let who = if caller.is_told {
            Who { name: caller.actor.clone(), told: true }
        } else {
            Who { name: remembered(&parts.headers, COOKIE), told: false }
        };
        let not_seen_by = remembered(&parts.headers, LATE);
        Ok(Self { caller, who, not_seen_by })
    }
}

/// What a cookie of this browser says.
fn remembered(headers: &HeaderMap, cookie: &str) -> String {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let ours = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == cookie)
        .and_then(|(_, value)| percent::decode(value));
    ours.unwrap_or_default()
}

/// Remembers who acted for the next form.
pub(super) fn remember(name: &str, answer: Response) -> Response {
    keep((COOKIE, COOKIE_AGE), name, answer)
}

/// Has the next page name the nodes that have yet to read what was set, if there are any.
pub(super) fn tell_late(NotSeenBy(late): &NotSeenBy, answer: Response) -> Response {
    match late.is_empty() {
        true => answer,
        false => keep((LATE, LATE_AGE), &late.join(", "), answer),
    }
}

fn keep((cookie, age): (&str, u32), text: &str, mut answer: Response) -> Response {
    let text = percent::strict(text);
    let cookie = format!("{cookie}={text}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict");
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
        assert_eq!(remembered(&headers, COOKIE), "Jörg M");
        assert_eq!(remembered(&HeaderMap::new(), COOKIE), "");
    }

    #[test]
    fn the_next_page_names_the_nodes_that_have_yet_to_read_what_was_set() {
        let answer = || Response::new(axum::body::Body::empty());
        let late = NotSeenBy(vec!["b".to_owned(), "c".to_owned()]);
        let told = tell_late(&late, answer());
        let cookie = told.headers().get(header::SET_COOKIE).expect("a cookie").to_str();
        let pair = cookie.expect("text").split(';').next().expect("a pair").to_owned();
        let sent = HeaderValue::from_str(&pair).expect("a header");
        let headers = [(header::COOKIE, sent)].into_iter().collect();
        assert_eq!(remembered(&headers, LATE), "b, c");
        assert!(tell_late(&NotSeenBy::default(), answer()).headers().is_empty());
    }
}
