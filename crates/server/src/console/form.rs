//! Forms that a browser sends: only from our own pages, within limits, and with a name for who acts.

use crate::http::{ApiError, check_actor, check_reason, one_actor, read_body};
use amends_protocol::headers::AMENDS_ACTOR;
use amends_protocol::wire::percent;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

/// Longest form, in bytes: a rulebook of the largest size, percent-encoded, still fits.
const FORM_LIMIT: usize = 24 << 20;
/// The cookie that remembers who acts.
const COOKIE: &str = "amends-actor";
/// How long it is remembered, in seconds: a month.
const COOKIE_AGE: u32 = 30 * 86_400;

/// Who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    /// The name, if known.
    pub(super) name: String,
    /// A proxy in front says so; the form does not ask.
    pub(super) told: bool,
}

impl Who {
    /// From the header of a proxy that authenticates, or from the cookie of the last act.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let told = headers.get(AMENDS_ACTOR).and_then(|v| v.to_str().ok()).map(str::trim);
        if let Some(name) = told.filter(|name| !name.is_empty()) {
            return Self { name: name.to_owned(), told: true };
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let ours = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == COOKIE)
            .and_then(|(_, value)| percent::decode(value));
        Self { name: ours.unwrap_or_default(), told: false }
    }
}

/// A form.
pub(super) struct Form {
    pub(super) headers: HeaderMap,
    pairs: Vec<(String, String)>,
}

impl<T: Send + Sync> FromRequest<T> for Form {
    type Rejection = super::page::PageError;

    async fn from_request(request: Request, _state: &T) -> Result<Self, Self::Rejection> {
        let (head, body) = request.into_parts();
        let bytes = read_body(&head, body, FORM_LIMIT).await?;
        let pairs = form_urlencoded::parse(&bytes).into_owned().collect();
        Ok(Self { headers: head.headers, pairs })
    }
}

impl Form {
    /// A field; empty if it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.trim())
    }

    /// What a person typed: every field but those that only steer.
    pub(super) fn typed(&self) -> Vec<(String, String)> {
        let steers = |name: &str| {
            matches!(name, "act" | "actor" | "path" | "base") || name.starts_with("filter.")
        };
        let typed =
            self.pairs.iter().filter(|(name, value)| !steers(name) && !value.trim().is_empty());
        typed.cloned().collect()
    }

    /// All values of a field that are not empty.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.pairs
            .iter()
            .filter(move |(n, v)| n == name && !v.trim().is_empty())
            .map(|(_, v)| v.trim())
    }

    /// Fields whose names begin with `prefix` and that are not empty, without the prefix.
    pub(super) fn under<'f>(&'f self, prefix: &'f str) -> impl Iterator<Item = (&'f str, &'f str)> {
        self.pairs
            .iter()
            .filter(|(_, value)| !value.trim().is_empty())
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.trim())))
    }

    /// Two fields that stand in turn, as pairs.
    pub(super) fn pairs<'f>(
        &'f self,
        first: &'f str,
        second: &'f str,
    ) -> impl Iterator<Item = (&'f str, &'f str)> {
        let of = |name: &'f str| {
            self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
        };
        of(first).zip(of(second))
    }

    /// A whole number, if the field is not empty.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::invalid(format!("`{name}` is `{text}`; write a whole number, or nothing"))
            }),
        }
    }

    /// Why; never empty.
    pub(super) fn reason(&self) -> Result<String, ApiError> {
        let reason = self.text("reason");
        check_reason(reason)?;
        Ok(reason.to_owned())
    }

    /// Who acts: a proxy's word before the form's.
    pub(super) fn who(&self) -> Result<String, ApiError> {
        one_actor(&self.headers)?;
        let known = Who::of(&self.headers);
        let name = if known.told { known.name.as_str() } else { self.text("actor") };
        check_actor(name)?;
        Ok(name.to_owned())
    }

    /// Remembers who acted for the next form.
    pub(super) fn remember(&self, mut answer: Response) -> Response {
        if let Ok(name) = self.who()
            && !Who::of(&self.headers).told
        {
            let name = percent::strict(&name);
            let cookie =
                format!("{COOKIE}={name}; Path=/; Max-Age={COOKIE_AGE}; HttpOnly; SameSite=Strict");
            answer
                .headers_mut()
                .extend(HeaderValue::from_str(&cookie).ok().map(|c| (header::SET_COOKIE, c)));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn a_proxy_names_who_acts_before_a_cookie_does() {
        let cookie = ("cookie", "a=b; amends-actor=J%C3%B6rg%20M; c=d");
        let remembered = Who::of(&headers(&[cookie]));
        assert_eq!((remembered.name.as_str(), remembered.told), ("Jörg M", false));
        let told = Who::of(&headers(&[cookie, ("amends-actor", "ann")]));
        assert_eq!((told.name.as_str(), told.told), ("ann", true));
    }
}
