//! The REST API: one file per resource. Each handler reads the request, asks the supervisor or the store, and writes
//! the answer; none decides. Every failure is `application/problem+json`.

mod acts;
mod app;
mod backup_folder;
mod backups;
mod bodies;
mod body;
mod bulk;
mod cases;
mod doubts;
mod events;
mod export;
mod groups;
pub(crate) mod hosts;
mod limits;
mod metrics;
mod openapi;
mod overview;
mod own_names;
mod path;
mod probes;
mod problems;
mod quarantine;
mod query;
mod questions;
mod reports;
mod rulebooks;
mod sagas;
mod secrets;
mod services;
mod steps;
mod strangers;
mod targets;
pub(crate) mod unread;
mod versions;
mod workshop;

pub use app::App;
pub(crate) use body::{check_actor, check_reason, one_actor, read_body};
pub(crate) use bulk::BulkId;
pub(crate) use cases::{
    Looked, active_for, case_proof, detail as case_detail, told_in_full, within_bounds,
};
pub(crate) use doubts::Doubts;
pub use limits::HttpLimits;
pub use openapi::openapi_json;
pub(crate) use problems::ApiError;
pub(crate) use quarantine::{mend, quarantine, rows as raw_rows};
pub(crate) use query::{Query, case_filter, question_filter};
pub(crate) use questions::found as found_questions;
pub(crate) use rulebooks::judge;
pub(crate) use secrets::summaries;
pub(crate) use strangers::found as found_strangers;
pub(crate) use targets::{Selection, resolve_targets};

use amends_store::Store;
use axum::Router;
use axum::routing::{get, post};

/// The routes of the REST API.
pub(crate) fn router<S: Store>() -> Router<App<S>> {
    Router::new()
        .route("/v1", get(probes::index))
        .route("/v1/cases", get(cases::list::<S>))
        .route("/v1/cases:export", get(export::cases::<S>))
        .route("/v1/cases/{id}", get(cases::show::<S>))
        .route("/v1/cases/{id}/acts", post(cases::act::<S>))
        .route("/v1/cases/{id}/proof", get(cases::proof::<S>))
        .route("/v1/cases/{id}/reports/{position}", get(cases::report::<S>))
        .route("/v1/steps", get(steps::list::<S>))
        .route("/v1/steps:act", post(steps::act_on_many::<S>))
        .route("/v1/bulk", get(bulk::list::<S>).post(bulk::make::<S>))
        .route("/v1/bulk/{id}", get(bulk::show::<S>))
        .route("/v1/bulk/{id}/start", post(bulk::start::<S>))
        .route("/v1/bulk/{id}/stop", post(bulk::stop::<S>))
        .route("/v1/steps/{id}", get(steps::show::<S>))
        .route("/v1/steps/{id}/acts", post(steps::act::<S>))
        .route("/v1/steps/{id}/outcome", post(steps::call_back::<S>))
        .route("/v1/sagas", post(sagas::begin::<S>))
        .route("/v1/sagas/{id}", get(sagas::show::<S>))
        .route("/v1/sagas/{id}/end", post(sagas::end::<S>))
        .route("/v1/reports", post(reports::receive::<S>).options(reports::handshake))
        .route("/v1/reports:batch", post(reports::receive_batch::<S>).options(reports::handshake))
        .route("/v1/rulebooks", get(rulebooks::list::<S>))
        .route("/v1/rulebooks:check", post(rulebooks::check::<S>))
        .route("/v1/rulebooks/{name}", get(rulebooks::show::<S>).put(rulebooks::put::<S>))
        .route("/v1/rulebooks/{name}/questions", get(doubts::show::<S>))
        .route("/v1/rulebooks/{name}/versions/{hash}", get(rulebooks::version::<S>))
        .route("/v1/services", get(services::list::<S>))
        .route("/v1/services/{name}/pause", post(services::pause::<S>))
        .route("/v1/services/{name}/resume", post(services::resume::<S>))
        .route("/v1/services/{name}/limits", post(services::limit::<S>))
        .route("/v1/acts", get(acts::list::<S>))
        .route("/v1/groups", get(groups::list::<S>))
        .route("/v1/questions", get(questions::list::<S>))
        .route("/v1/questions/{id}", get(questions::show::<S>))
        .route("/v1/questions/{id}/acts", post(questions::act::<S>))
        .route("/v1/strangers", get(strangers::list::<S>))
        .route("/v1/strangers/{rulebook}/{action}/acts", post(strangers::act::<S>))
        .route("/v1/quarantine", get(quarantine::list::<S>))
        .route("/v1/quarantine/{id}", get(quarantine::export::<S>))
        .route("/v1/quarantine/{id}/acts", post(quarantine::act::<S>))
        .route("/v1/overview", get(overview::show::<S>))
        .route("/v1/events", get(events::stream::<S>))
        .route("/v1/backups", post(backups::make::<S>))
        .route("/metrics", get(metrics::scrape::<S>))
        .route("/livez", get(probes::live::<S>))
        .route("/readyz", get(probes::ready::<S>))
        .route("/healthz", get(probes::ready::<S>))
        .route("/openapi.json", get(openapi::serve))
}

#[cfg(test)]
mod tests;
