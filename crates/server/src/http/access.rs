//! Who asks, and by what they are known: `GET /v1/whoami`, tokens under `/v1/tokens`, sessions under `/v1/sessions`.

use super::answers::{Created, NoContent, Rows};
use super::body::{Sent, check_reason};
use super::openapi::{Taken, Told};
use super::parameters::Text;
use super::path::Id;
use super::{ApiError, App};
use crate::access::{Caller, NewToken, TokenMistake};
use crate::clock::{Clock, SystemClock};
use crate::faults::store_problem;
use amends_api::AuditActName;
use amends_api::access::{
    Principal, PrincipalKind, Right, SessionView, TokenMade, TokenView, TokenWanted, WhoAmI, Within,
};
use amends_protocol::{CaseId, Problem, ProblemCode};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// The public id of a token or a session.
pub(crate) struct CredentialId(String);

impl Text for CredentialId {
    fn read(text: &str) -> Result<Self, String> {
        let is_id =
            text.len() == 12 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then(|| Self(text.to_owned())).ok_or_else(|| {
            // Not the text itself: somebody may have sent a whole token.
            "there is no such id; it is the middle part of a token, `amends_<id>_…`".to_owned()
        })
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "pattern": "^[0-9a-f]{12}$", "example": "9f86d0818840" })
    }
}

impl From<TokenMistake> for ApiError {
    fn from(mistake: TokenMistake) -> Self {
        let text = mistake.to_string();
        match mistake {
            TokenMistake::Wrong(_) => Self::invalid(text),
            TokenMistake::Unknown(_) => Self::not_found(text),
            TokenMistake::TooMany => Problem::new(ProblemCode::Conflict, text).into(),
            TokenMistake::Random(_) => Problem::new(ProblemCode::Unavailable, text).into(),
            TokenMistake::Store(error) => store_problem(error).into(),
        }
    }
}

/// `GET /v1/whoami`
pub(crate) async fn who_am_i(caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    let expires_at = caller.expires_at;
    let Principal { name, kind, grants } = known(&caller)?.clone();
    Ok(Json(WhoAmI { name, kind, grants, expires_at }))
}

/// `GET /v1/tokens`: the newest first.
pub(crate) async fn tokens<S: Store>(State(app): State<App<S>>) -> Rows<TokenView> {
    Rows(app.access.keys.tokens())
}

/// `GET /v1/tokens/{id}`
pub(crate) async fn token<S: Store>(
    State(app): State<App<S>>,
    Id(CredentialId(id)): Id<CredentialId>,
) -> Result<Json<TokenView>, ApiError> {
    let unknown = || TokenMistake::Unknown(id.clone());
    Ok(Json(app.access.keys.token_of(&id).ok_or_else(unknown)?))
}

/// `POST /v1/tokens`: for no more than the caller holds.
pub(crate) async fn make_token<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Sent(wanted): Sent<TokenWanted>,
) -> Result<Created<TokenMade>, ApiError> {
    let reason = wanted.reason.unwrap_or_else(|| "asked over the API".to_owned());
    check_reason(&reason)?;
    let maker = known(&caller)?;
    if let Some(more) = wanted.grants.iter().find(|grant| !maker.covers(grant)) {
        let detail = format!("`{}` can't give away `{more}`: it does not hold that", maker.name);
        return Err(Problem::new(ProblemCode::Forbidden, detail).into());
    }
    let new = NewToken {
        name: wanted.name,
        grants: wanted.grants,
        expires_in: wanted.expires_in,
        break_glass: wanted.break_glass,
        made_by: caller.actor.clone(),
    };
    let made = app.access.keys.make_token(app.supervisor.store(), new, SystemClock.now()).await?;
    let detail = json!({
        "token": made.view.id, "name": made.view.name, "grants": made.view.grants,
        "expiresAt": made.view.expires_at,
    });
    if let Err(problem) =
        app.supervisor.audit(AuditActName::TokenMake, caller.acts_as(), &reason, detail).await
    {
        // Nobody holds it yet: what is not in the audit must not work.
        let now = SystemClock.now();
        app.access.keys.revoke(app.supervisor.store(), &made.view.id, now).await?;
        return Err(problem.into());
    }
    Ok(Created { location: Some(format!("/v1/tokens/{}", made.view.id)), body: made })
}

/// `DELETE /v1/tokens/{id}`: it works no more, and the sessions that it began are over.
pub(crate) async fn revoke_token<S: Store>(
    State(app): State<App<S>>,
    Id(CredentialId(id)): Id<CredentialId>,
    caller: Caller,
) -> Result<Json<TokenView>, ApiError> {
    let found = app.access.keys.token_of(&id).ok_or_else(|| TokenMistake::Unknown(id.clone()))?;
    let revoker = known(&caller)?;
    if let Some(more) = found.grants.iter().find(|grant| !revoker.covers(grant)) {
        let detail = format!(
            "the token allows `{more}`, which `{}` does not hold; who holds it revokes it",
            revoker.name
        );
        return Err(Problem::new(ProblemCode::Forbidden, detail).into());
    }
    let view = app.access.keys.revoke(app.supervisor.store(), &id, SystemClock.now()).await?;
    let detail = json!({ "token": view.id, "name": view.name });
    app.supervisor
        .audit(AuditActName::TokenRevoke, caller.acts_as(), "asked over the API", detail)
        .await?;
    Ok(Json(view))
}

/// `GET /v1/sessions`: one's own, or all for who administers.
pub(crate) async fn sessions<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
) -> Result<Rows<SessionView>, ApiError> {
    let name = known(&caller)?.name.as_str();
    let own = (!caller.may(Right::Admin, Within::Everywhere)).then_some(name);
    let current = caller.session.as_deref();
    Ok(Rows(app.access.keys.sessions(own, current, SystemClock.now())))
}

/// `DELETE /v1/sessions/{id}`: it is over.
pub(crate) async fn end_session<S: Store>(
    State(app): State<App<S>>,
    Id(CredentialId(id)): Id<CredentialId>,
    caller: Caller,
) -> Result<NoContent, ApiError> {
    let name = known(&caller)?.name.as_str();
    let own = (!caller.may(Right::Admin, Within::Everywhere)).then_some(name);
    let all = app.access.keys.sessions(own, None, SystemClock.now());
    if !all.iter().any(|session| session.id == id) {
        return Err(ApiError::not_found(format!("there is no session `{id}` of yours")));
    }
    app.access.keys.end_session(app.supervisor.store(), &id).await?;
    let detail = json!({ "session": id });
    app.supervisor
        .audit(AuditActName::SessionEnd, caller.acts_as(), "asked over the API", detail)
        .await?;
    Ok(NoContent)
}

fn known(caller: &Caller) -> Result<&Principal, ApiError> {
    caller.principal.as_ref().ok_or_else(|| {
        let detail = "it is not known who asks; show a token or log in";
        Problem::new(ProblemCode::Unauthorized, detail).into()
    })
}

/// That whoever asks is the service whose word this is.
///
/// # Errors
/// `forbidden`, with the scope that is missing.
pub(crate) fn speaks_for(caller: &Caller, service: &str) -> Result<(), ApiError> {
    let is_anybody = caller.principal.as_ref().is_some_and(|p| p.kind == PrincipalKind::Anybody);
    if is_anybody {
        Ok(())
    } else {
        Ok(caller.must(Right::Report(Some(service)), Within::Everywhere)?)
    }
}

/// That somebody has a right for a case.
pub(crate) async fn within_case<S: Store>(
    app: &App<S>,
    caller: &Caller,
    right: Right<'_>,
    case: CaseId,
) -> Result<(), ApiError> {
    within_cases(app, caller, right, vec![case]).await
}

/// The same for many, which are looked up at once.
pub(crate) async fn within_cases<S: Store>(
    app: &App<S>,
    caller: &Caller,
    right: Right<'_>,
    cases: Vec<CaseId>,
) -> Result<(), ApiError> {
    if caller.may(right, Within::Everywhere) {
        return Ok(());
    }
    let rulebooks = app.supervisor.store().rulebooks_of(cases.clone()).await?;
    for case in cases {
        // What is nobody's, or not there, is shown to who may see everything.
        let found = rulebooks.get(&case).and_then(Option::as_deref);
        let Some(rulebook) = found.filter(|name| caller.reads(Some(name))) else {
            return Err(ApiError::not_found(format!("there is no case `{case}` that you may see")));
        };
        caller.must(right, Within::Rulebook(rulebook))?;
    }
    Ok(())
}

impl Taken for Caller {
    fn told(_: &mut Told) {}
}
