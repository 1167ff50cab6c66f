//! `/login` and `/logout`: a browser shows a token once, or comes back from the identity provider, and is known by a
//! session from then on.

use super::page::{Frame, PageError, Part, see, show, show_as};
use super::session::{self, LoggedIn};
use super::visitor::Visitor;
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App, read_body};
use crate::identity::local_path;
use amends_api::AuditActName;
use amends_store::Store;
use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::json;

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
    /// The identity provider.
    provider: Option<String>,
    /// Why it did not work.
    wrong: Option<String>,
    /// Whether they have just logged out.
    is_out: bool,
    /// Where they end their session at the provider.
    end_there: Option<String>,
}

/// `GET /login`
pub(super) async fn ask<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let parameter = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let people = app.access.believed.people.clone();
    let is_out = parameter("out").is_some();
    let end_there = match &people {
        Some(provider) if is_out => provider.logout_address().await,
        _ => None,
    };
    let next = local_path(&parameter("next").unwrap_or_default()).unwrap_or_else(home);
    show(&LoginPage { is_out, end_there, ..LoginPage::of(&app, &visitor, next) })
}

impl LoginPage {
    fn of<S: Store>(app: &App<S>, visitor: &Visitor, next: String) -> Self {
        let people = app.access.believed.people.as_ref();
        Self {
            frame: Frame::still(app, Part::Overview, "Log in", visitor),
            next,
            is_required: app.access.is_required,
            provider: people.map(|provider| provider.issuer().to_owned()),
            wrong: None,
            is_out: false,
            end_there: None,
        }
    }
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
    let next = local_path(field("next")).unwrap_or_else(home);
    let known = match app.access.keys.token(field("token"), now) {
        Ok(known) => known,
        Err(why) => {
            app.supervisor.metrics().access_refused(401);
            let page = LoginPage::of(&app, &visitor, next);
            let page = LoginPage { wrong: Some(why.sentence()), ..page };
            return Ok(show_as(StatusCode::UNAUTHORIZED, &page));
        }
    };
    if known.break_glass {
        let (who, peer) = (known.principal.name.as_str(), &visitor.caller.peer);
        app.supervisor.alerts().break_glass(now, who, peer.address);
        let detail = json!({ "token": known.token, "address": peer.address });
        let reason = "logged in with a token that is kept for emergencies";
        // What is not in the audit does not happen.
        app.supervisor
            .audit(AuditActName::BreakGlass, who, reason, detail)
            .await
            .map_err(|problem| wrong(problem.into()))?;
    }
    let logged_in = LoggedIn {
        principal: known.principal,
        token: known.token,
        ends_at: known.expires_at,
        provider: None,
    };
    let begun = session::begin(&app, &head.headers, &visitor.caller, logged_in, &next).await;
    begun.map_err(wrong)
}

/// `POST /logout`: the session is over.
pub(super) async fn end<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    if let Some(id) = &visitor.caller.session {
        app.access.keys.end_session(app.supervisor.store(), id).await?;
    }
    Ok(session::forget(&app, &visitor.caller, see("/login?out=1")))
}

fn home() -> String {
    "/".to_owned()
}

/// The address of the login that comes back to a page.
pub(crate) fn login_for(uri: &Uri) -> Response {
    let next = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    see(&format!("/login?{}", query.finish()))
}
