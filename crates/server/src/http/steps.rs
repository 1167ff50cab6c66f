//! Steps: `GET /v1/steps`, `GET /v1/steps/{id}`, `POST /v1/steps/{id}/acts`, `POST /v1/steps/{id}/outcome`,
//! `POST /v1/steps:act`.

use super::access::{speaks_for, within_case};
use super::body::{Sent, check_reason};
use super::filters::{Asked, OfGroup, OfSteps, Paging};
use super::openapi::{Answered, Told};
use super::path::Id;
use super::secrets::{found_steps, may_search_steps, sight_of};
use super::targets::{Selection, TargetAct, may_act_on, resolve_targets};
use super::{ApiError, App};
use crate::access::Caller;
use crate::bulk::Targets;
use crate::supervisor::CalledBack;
use crate::views::{self, Veiled};
use amends_api::access::Right;
use amends_api::{BulkAct, BulkFailure, BulkResult, Page, StepAct, StepView};
use amends_protocol::{Outcome, OutcomeCallback, StepId};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;

/// Acts of one bulk that wait at the same time: enough to fill one commit, few enough to leave the queue to reports.
const ACTS_AT_ONCE: usize = 256;
/// Ids and failures that an answer lists.
const LISTED: usize = 1_000;

/// `GET /v1/steps`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Asked((of, group, page)): Asked<(OfSteps, OfGroup, Paging)>,
) -> Result<Json<Page<StepView>>, ApiError> {
    let mut filter = of.filter();
    may_search_steps(&caller, &filter)?;
    if let Some(group) = group.id() {
        filter.members = Some(app.supervisor.members(group).await?.steps);
    }
    Ok(Json(found_steps(&app, &caller, filter, page.request()).await?))
}

/// `GET /v1/steps/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<StepId>,
) -> Result<Json<StepView>, ApiError> {
    view(&app, &caller, id).await.map(Json)
}

/// `POST /v1/steps/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<StepId>,
    Sent(act): Sent<StepAct>,
) -> Result<Json<StepView>, ApiError> {
    check_reason(act.reason())?;
    if matches!(act, StepAct::Edit { .. }) {
        // Who can't see data would put something else in its place without knowing what.
        within_case(&app, &caller, Right::ReadData, id.case).await?;
    }
    app.supervisor.act_on_step(id, act, caller.acts_as()).await?;
    view(&app, &caller, id).await.map(Json)
}

/// `POST /v1/steps/{id}/outcome`: a service tells how a step ended that it had taken with 202.
pub(crate) async fn call_back<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<StepId>,
    caller: Caller,
    Sent(callback): Sent<OutcomeCallback>,
) -> Result<Heard, ApiError> {
    if caller.is_known() || (caller.principal.is_none() && callback.proof.is_none()) {
        // Whoever is known answers for themselves only; anybody else needs the proof of the step's request.
        let step = app.supervisor.store().step(id).await?;
        let step = step.ok_or_else(|| ApiError::not_found(format!("there is no step `{id}`")));
        let service = match (step, &caller.principal) {
            (Ok(record), Some(_)) => record.listed.step.action.service.to_string(),
            (Err(missing), Some(_)) => return Err(missing),
            (_, None) => String::new(), // nothing is told to who is not known
        };
        speaks_for(&caller, &service)?;
    }
    if !callback.outcome.is_said_by_services() {
        return Err(ApiError::invalid(no_word_of_services(callback.outcome)));
    }
    app.supervisor.call_back(id, callback, caller.sender()).await.map(Heard).map_err(ApiError::from)
}

/// What became of a callback, as a status.
pub(crate) struct Heard(CalledBack);

impl IntoResponse for Heard {
    fn into_response(self) -> Response {
        match self.0 {
            CalledBack::Taken => StatusCode::NO_CONTENT,
            CalledBack::Kept => StatusCode::ACCEPTED,
        }
        .into_response()
    }
}

impl Answered for Heard {
    fn told(told: &mut Told) {
        told.empty(204);
        told.empty(202);
    }
}

/// What a service that says such an outcome may have meant.
fn no_word_of_services(outcome: Outcome) -> String {
    let whose = match outcome {
        Outcome::NotFenceable => {
            "the supervisor's conclusion about a service that puts up no fence: it answers the request with 404, 405 or 501, or says `refused`"
        }
        Outcome::Waived => "a person's decision, an act on the step",
        _ => "not said by services",
    };
    let said = Outcome::ALL.iter().filter(|outcome| outcome.is_said_by_services());
    let said: Vec<String> = said.map(|outcome| format!("`{outcome}`")).collect();
    format!("`{outcome}` is {whose}; a service says one of {}", said.join(", "))
}

/// `POST /v1/steps:act`: one act on many steps.
pub(crate) async fn act_on_many<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Sent(bulk): Sent<BulkAct>,
) -> Result<Json<BulkResult>, ApiError> {
    check_reason(bulk.act.reason())?;
    let selection = Selection::Steps(bulk.ids).or_filter(bulk.filter)?;
    let act = TargetAct::Step(bulk.act.name());
    let actor = &caller.acts_as();
    let found = resolve_targets(&app, &caller, act, selection).await?.targets;
    may_act_on(&app, &caller, &found).await?;
    let Targets::Steps(ids) = found else {
        return Err(ApiError::invalid("an act on steps is for steps"));
    };
    let mut result =
        BulkResult { matched: ids.len(), done: 0, failed: Vec::new(), ids: Vec::new() };
    if !bulk.dry_run {
        for some in ids.chunks(ACTS_AT_ONCE) {
            let each =
                some.iter().map(|id| app.supervisor.act_on_step(*id, bulk.act.clone(), actor));
            for (id, acted) in some.iter().zip(join_all(each).await) {
                match acted {
                    Ok(()) => result.done += 1,
                    Err(problem) if result.failed.len() < LISTED => {
                        let detail = problem.detail.unwrap_or(problem.title);
                        result.failed.push(BulkFailure { id: id.to_string(), detail });
                    }
                    Err(_) => {}
                }
            }
        }
    }
    result.ids = ids.into_iter().take(LISTED).collect();
    Ok(Json(result))
}

async fn view<S: Store>(app: &App<S>, caller: &Caller, id: StepId) -> Result<StepView, ApiError> {
    let record = app.supervisor.store().step(id).await?;
    let missing = || ApiError::not_found(format!("there is no step `{id}`"));
    let record = record.ok_or_else(missing)?;
    let sight = sight_of(app, caller, record.listed.rulebook.as_ref()).await;
    let record = Veiled::step(app.supervisor.on_the_wall().step(record), sight);
    Ok(views::step(record, &app.supervisor.kept_back()))
}
