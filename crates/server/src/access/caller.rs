//! Who asks, as handlers see them.

use super::{Peer, Stay};
use crate::networks::one_peer;
use amends_api::access::{Principal, PrincipalKind, Right, Within, may, scope_for};
use amends_engine::Actor;
use amends_protocol::{Problem, ProblemCode, Timestamp};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::sync::Arc;

/// Who asks: an extension of every request that has come through the gate.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Known beyond doubt, or `anybody` while access is not controlled, or none.
    pub(crate) principal: Option<Principal>,
    /// The name for the audit: the principal's, or what somebody trusted says.
    pub(crate) actor: String,
    /// Whether it was told, so that no form needs to ask.
    pub(crate) is_told: bool,
    /// When the token or the session ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// The session's public id.
    pub(crate) session: Option<String>,
    /// How long they may stay.
    pub(crate) stay: Option<Stay>,
    /// Where the request came from.
    pub(crate) peer: Peer,
}

impl Caller {
    /// Whether they may.
    pub(crate) fn may(&self, right: Right<'_>, within: Within<'_>) -> bool {
        self.principal.as_ref().is_some_and(|principal| may(principal, right, within))
    }

    /// Whether they may read what belongs to a rulebook; of what belongs to none, who reads everything.
    pub(crate) fn reads(&self, rulebook: Option<&str>) -> bool {
        self.may(Right::Read, rulebook.map_or(Within::Everywhere, Within::Rulebook))
    }

    /// That they may for each of these rulebooks; for all there are, if none is named.
    ///
    /// # Errors
    /// As [`must`](Self::must).
    pub(crate) fn must_for(
        &self,
        right: Right<'_>,
        rulebooks: &[String],
    ) -> Result<(), Box<Problem>> {
        if rulebooks.is_empty() {
            return self.must(right, Within::Everywhere);
        }
        rulebooks.iter().try_for_each(|name| self.must(right, Within::Rulebook(name)))
    }

    /// The rulebooks among which they may look, where these are asked for: the same, or all of theirs where none is
    /// named; none if they may look everywhere.
    ///
    /// # Errors
    /// As [`must`](Self::must), if one is not theirs.
    pub(crate) fn narrowed(
        &self,
        right: Right<'_>,
        mut rulebooks: Vec<String>,
    ) -> Result<Vec<String>, Box<Problem>> {
        let own = self.principal.as_ref().and_then(|principal| principal.only_for(right));
        if rulebooks.is_empty() {
            rulebooks.extend(own.into_iter().flatten().map(str::to_owned));
        }
        self.must_for(right, &rulebooks)?;
        Ok(rulebooks)
    }

    /// Whether they may see business data of everything.
    pub(crate) fn sees_data(&self) -> bool {
        self.may(Right::ReadData, Within::Everywhere)
    }

    /// Who sends late outcomes, for the line that they wait in: whoever is known, else an address.
    pub(crate) fn sender(&self) -> Arc<str> {
        match self.principal.as_ref().filter(|_| self.is_known()) {
            Some(who) => who.name.as_str().into(),
            None => {
                self.peer.address.map(one_peer).map(|at| at.to_string()).unwrap_or_default().into()
            }
        }
    }

    /// Who acts, for the audit: under which name, let in as whom, from where.
    pub(crate) fn acts_as(&self) -> Actor {
        self.acts_under(&self.actor)
    }

    /// The same under a name that a form says.
    pub(crate) fn acts_under(&self, name: &str) -> Actor {
        let known = self.principal.as_ref().filter(|_| self.is_known());
        let address = self.peer.address.map(|address| address.to_canonical().to_string().into());
        let principal = known.map(|who| who.name.as_str().into());
        Actor { name: name.into(), principal, address }
    }

    /// Whether access is controlled, and they are known.
    pub(crate) fn is_known(&self) -> bool {
        self.principal.as_ref().is_some_and(|p| p.kind != PrincipalKind::Anybody)
    }

    /// That they may.
    ///
    /// # Errors
    /// `unauthorized` if it is not known who they are, else `forbidden`, with what is missing.
    pub(crate) fn must(&self, right: Right<'_>, within: Within<'_>) -> Result<(), Box<Problem>> {
        if self.may(right, within) {
            return Ok(());
        }
        let Some(principal) = &self.principal else {
            return Err(super::shown::unauthorized(
                "show a token: `Authorization: Bearer amends_…`; `amends token create` makes one",
            ));
        };
        let of = match within {
            Within::Somewhere => String::new(),
            Within::Rulebook(name) => format!(" for rulebook `{name}`"),
            Within::Everywhere => match principal.only_for(right) {
                Some(some) if !some.is_empty() => {
                    let some = some.into_iter().map(|name| format!("`{name}`"));
                    format!(" for all rulebooks, not only {}", some.collect::<Vec<_>>().join(", "))
                }
                _ => String::new(),
            },
        };
        let scope = scope_for(right);
        let detail = format!("`{}` needs the scope `{scope}`{of} for this", principal.name);
        Err(Box::new(Problem::new(ProblemCode::Forbidden, detail)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Nothing comes past the gate; without it nobody is known, and nothing is allowed.
        let nobody = || Self {
            principal: None,
            actor: String::new(),
            is_told: false,
            expires_at: None,
            session: None,
            stay: None,
            peer: Peer::default(),
        };
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(nobody))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn senders_are_told_apart_by_what_they_show_or_else_by_where_they_are() {
        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        let Ok(nobody) = Caller::from_request_parts(&mut parts, &()).await;
        let at = |address: &str| Caller {
            peer: Peer::at(address.parse().expect("an address")),
            ..nobody.clone()
        };
        let with = |name: &str| Caller {
            principal: Some(Principal {
                name: name.to_owned(),
                kind: PrincipalKind::Token,
                grants: Vec::new(),
            }),
            ..at("192.0.2.7")
        };
        assert_eq!(at("192.0.2.7").sender(), at("::ffff:192.0.2.7").sender());
        assert_ne!(at("192.0.2.7").sender(), at("192.0.2.8").sender());
        assert_ne!(with("token:payment").sender(), with("token:coupon").sender());
        assert_eq!(&*with("token:payment").sender(), "token:payment");
        assert_eq!(&*nobody.sender(), "");
    }
}
