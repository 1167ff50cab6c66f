//! `/login/provider` and `/login/callback`: to the identity provider of people, and back with who they are.

use super::page::{PageError, see};
use super::session::{self, LoggedIn};
use super::visitor::Visitor;
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App};
use crate::identity::{LoginError, Person, Provider};
use amends_api::access::{Principal, PrincipalKind};
use amends_protocol::Problem;
use amends_store::Store;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// `GET /login/provider?next=…`
pub(super) async fn go<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let provider = provider(&app)?;
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let next = pairs.into_iter().find(|(name, _)| name == "next").map(|(_, value)| value);
    let begun = provider.begin(&next.unwrap_or_default(), SystemClock.now()).await;
    let begun = begun.map_err(failed)?;
    Ok(session::keep_login(&app, &visitor.caller, see(&begun.address), &begun.keeps))
}

/// `GET /login/callback`: a session begins, or a page says why not. The login is over in any case.
pub(super) async fn come_back<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let kept = session::kept_login(&app, &visitor.caller, &headers);
    let query = uri.query().unwrap_or_default();
    let answer = match finish(&app, query, kept.as_deref(), &headers, &visitor).await {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    };
    session::forget_login(&app, &visitor.caller, answer)
}

async fn finish<S: Store>(
    app: &App<S>,
    query: &str,
    kept: Option<&str>,
    headers: &HeaderMap,
    visitor: &Visitor,
) -> Result<Response, PageError> {
    let provider = provider(app)?;
    let person = provider.finish(query, kept, SystemClock.now()).await.map_err(failed)?;
    let Person { name, subject, grants, next } = person;
    let name = format!("person:{name}");
    tracing::info!(who = name, subject, "a person has logged in");
    let logged_in = LoggedIn {
        principal: Principal { name, kind: PrincipalKind::Person, grants },
        token: None,
        ends_at: None,
        provider: Some(provider.issuer().to_owned()),
    };
    let begun = session::begin(app, headers, &visitor.caller, logged_in, &next).await;
    begun.map_err(|error| PageError::from(error).back("/login"))
}

fn provider<S: Store>(app: &App<S>) -> Result<Arc<Provider>, PageError> {
    app.access.believed.people.clone().ok_or_else(|| {
        let detail = "no identity provider is set up (`[access.oidc]`); log in with a token";
        PageError::from(ApiError::not_found(detail)).back("/login")
    })
}

fn failed(error: LoginError) -> PageError {
    tracing::warn!(%error, "a login has failed");
    PageError::from(Problem::from(error)).back("/login")
}
