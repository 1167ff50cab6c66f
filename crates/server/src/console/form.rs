//! Forms that a browser sends: only from our own pages, within limits, and with a name for who acts.

use super::visitor::{Visitor, remember};
use crate::http::{ApiError, check_actor, check_reason, read_body};
use amends_engine::Actor;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;

/// Most fields of a form: each takes far more memory than its `&`, and the longest selection has ten thousand.
const MOST_FIELDS: usize = 20_000;
/// Longest form, in bytes: a rulebook of the largest size, percent-encoded, still fits.
const FORM_LIMIT: usize = 24 << 20;
/// A form.
pub(super) struct Form {
    pub(super) visitor: Visitor,
    pairs: Vec<(String, String)>,
}

impl<T: Send + Sync> FromRequest<T> for Form {
    type Rejection = super::page::PageError;

    async fn from_request(request: Request, _state: &T) -> Result<Self, Self::Rejection> {
        let (mut head, body) = request.into_parts();
        let Ok(visitor) = Visitor::from_request_parts(&mut head, &()).await;
        let bytes = read_body(&head, body, FORM_LIMIT).await?;
        if bytes.iter().filter(|byte| **byte == b'&').count() >= MOST_FIELDS {
            let detail = format!("the form has more than {MOST_FIELDS} fields");
            return Err(ApiError::invalid(detail).into());
        }
        let pairs = form_urlencoded::parse(&bytes).into_owned().collect();
        Ok(Self { visitor, pairs })
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

    /// Who acts: what is known before what the form says.
    pub(super) fn who(&self) -> Result<Actor, ApiError> {
        let known = &self.visitor.who;
        let name = if known.told { known.name.as_str() } else { self.text("actor") };
        check_actor(name)?;
        Ok(self.visitor.caller.acts_under(name))
    }

    /// Remembers who acted for the next form.
    pub(super) fn remember(&self, answer: Response) -> Response {
        match self.who() {
            Ok(name) if !self.visitor.who.told => remember(&name.name, answer),
            _ => answer,
        }
    }
}
