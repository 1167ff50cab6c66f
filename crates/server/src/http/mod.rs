//! The REST API: one file per resource. Each handler reads the request, asks the supervisor or the store, and writes
//! the answer; none decides. Every failure is `application/problem+json`.

mod access;
mod acts;
mod answers;
mod app;
mod backup_folder;
mod backups;
mod bodies;
mod body;
mod bulk;
mod cases;
mod document;
mod doubts;
mod erasing_anywhere;
mod erasures;
mod events;
mod export;
mod filters;
mod groups;
pub(crate) mod hosts;
mod letters;
mod limits;
mod metrics;
mod nodes;
pub(crate) mod openapi;
mod operations;
mod overview;
mod own_names;
mod parameters;
mod path;
mod probes;
mod problems;
mod quarantine;
mod query;
mod questions;
mod rejected;
mod reports;
mod rule_holds;
mod rulebooks;
mod sagas;
mod secrets;
mod services;
mod steps;
mod strangers;
mod targets;
pub(crate) mod unread;
mod verdicts;
mod versions;
mod workshop;

pub(crate) use access::within_case;
pub use app::App;
pub(crate) use body::{actor_told, check_actor, check_reason, read_body};
pub(crate) use bulk::BulkId;
pub(crate) use cases::{
    Behind, Looked, active_for, case_proof, detail as case_detail, may_lead_to, told_in_full,
    within_bounds,
};
pub use document::openapi_json;
pub(crate) use doubts::Doubts;
pub(crate) use erasures::{
    ErasureId, carry_out as erase, detail as erasure_detail, found as erasable_sagas,
    listed as listed_erasures,
};
pub(crate) use filters::{case_filter, question_filter};
pub use limits::HttpLimits;
pub(crate) use problems::ApiError;
pub(crate) use quarantine::{mend, rows as raw_rows};
pub(crate) use query::Query;
pub(crate) use questions::found as found_questions;
pub(crate) use rejected::{rejected, rejected_message};
pub(crate) use rulebooks::judge;
pub(crate) use secrets::{found_cases, may_search};
pub(crate) use strangers::found as found_strangers;
pub(crate) use targets::{Selection, may_act_on, resolve_targets, within_bulk};
pub(crate) use verdicts::{Depth, Verdict};

use amends_store::Store;
use axum::Router;

/// The routes of the REST API.
pub(crate) fn router<S: Store>() -> Router<App<S>> {
    openapi::router(document::operations())
}

#[cfg(test)]
mod tests;
