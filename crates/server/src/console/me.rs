//! `/me`: who I am here, what I may do, and my sessions, each of which I can end.

use super::page::{Frame, PageError, Part, see, show};
use super::visitor::Visitor;
use super::words::{date_and_time, relative};
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App};
use amends_api::access::{Principal, PrincipalKind, SessionView};
use amends_protocol::Timestamp;
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

#[derive(Template)]
#[template(path = "me.html")]
struct Page {
    frame: Frame,
    name: String,
    kind: &'static str,
    grants: Vec<String>,
    expires_at: Option<Timestamp>,
    sessions: Vec<SessionView>,
}

impl Page {
    fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.current)
    }
}

/// `GET /me`
pub(super) async fn show_me<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let frame = Frame::still(&app, Part::Overview, "Who I am", &visitor);
    let Principal { name, kind, grants } = known(&visitor)?.clone();
    let sessions = own(&app, &name, visitor.caller.session.as_deref());
    let kind = match kind {
        PrincipalKind::Anybody => "Nobody has to be known here: access is not controlled.",
        PrincipalKind::Token => "Known by a token.",
        PrincipalKind::Service => "Known as a service, by the word of its platform.",
        PrincipalKind::Person => "Known by the word of the identity provider.",
    };
    let grants = grants.iter().map(ToString::to_string).collect();
    let expires_at = visitor.caller.expires_at;
    Ok(show(&Page { frame, name, kind, grants, expires_at, sessions }))
}

/// `POST /me/sessions/{id}/end`
pub(super) async fn end_one<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let name = &known(&visitor)?.name;
    if !own(&app, name, None).iter().any(|session| session.id == id) {
        let error = ApiError::not_found("you have no such session; it may be over already");
        return Err(PageError::from(error).back("/me"));
    }
    end(&app, &id).await?;
    Ok(see("/me"))
}

/// `POST /me/sessions/end-others`
pub(super) async fn end_others<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let name = &known(&visitor)?.name;
    let all = own(&app, name, visitor.caller.session.as_deref());
    for session in all.iter().filter(|session| !session.current) {
        end(&app, &session.id).await?;
    }
    Ok(see("/me"))
}

async fn end<S: Store>(app: &App<S>, id: &str) -> Result<(), PageError> {
    let ended = app.access.keys.end_session(app.supervisor.store(), id).await;
    ended.map(drop).map_err(|error| PageError::from(ApiError::from(error)).back("/me"))
}

fn own<S: Store>(app: &App<S>, name: &str, current: Option<&str>) -> Vec<SessionView> {
    app.access.keys.sessions(Some(name), current, SystemClock.now())
}

fn known(visitor: &Visitor) -> Result<&Principal, PageError> {
    let unknown = || PageError::from(ApiError::not_found("nobody is logged in")).back("/login");
    visitor.caller.principal.as_ref().ok_or_else(unknown)
}
