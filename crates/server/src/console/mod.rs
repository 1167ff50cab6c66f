//! The console: pages that a person sees in a browser. Each page is a file that reads what the supervisor and the store
//! tell and fills one template; acts go the way of the API's. It decides nothing, and needs no script but for news.

mod allowed;
mod assets;
mod audit;
mod bulk;
mod case;
mod cases;
mod erasures;
mod escape;
mod form;
mod hits;
mod live;
mod login;
mod me;
mod nodes;
mod overview;
mod page;
mod picture;
mod proof;
mod provider;
mod quarantine;
mod questions;
mod rejected;
mod rules;
mod services;
mod session;
mod story;
mod visitor;
mod words;

pub(crate) use login::login_for;
pub(crate) use page::{nothing_at, refusal};

use crate::http::App;
use amends_store::Store;
use axum::Router;
use axum::routing::{get, post};

/// The pages' routes.
pub(crate) fn router<S: Store>() -> Router<App<S>> {
    Router::new()
        .route("/", get(overview::show_overview::<S>))
        .route("/cases", get(cases::list::<S>))
        .route("/cases/{id}", get(case::show_case::<S>))
        .route("/cases/{id}/proof", get(proof::show_proof::<S>))
        .route("/cases/{id}/acts", post(case::act_on_case::<S>))
        .route("/cases/{id}/erasures", post(erasures::erase_case::<S>))
        .route("/steps/{id}/acts", post(case::act_on_step::<S>))
        .route("/questions", get(questions::list::<S>))
        .route("/questions/{id}/acts", post(questions::act::<S>))
        .route("/strangers/{rulebook}/{action}/acts", post(questions::act_on_stranger::<S>))
        .route("/quarantine", get(quarantine::list::<S>))
        .route("/quarantine/{id}", get(quarantine::show_one::<S>))
        .route("/quarantine/{id}/acts", post(quarantine::act::<S>))
        .route("/rejected", get(rejected::list::<S>))
        .route("/rejected/{id}", get(rejected::show_one::<S>))
        .route("/rejected/{id}/acts", post(rejected::act::<S>))
        .route("/services", get(services::list::<S>))
        .route("/services/{name}/acts", post(services::act::<S>))
        .route("/nodes", get(nodes::list::<S>))
        .route("/nodes/{name}/acts", post(nodes::act::<S>))
        .route("/rules", get(rules::list::<S>))
        .route("/rules/new", get(rules::begin::<S>))
        .route("/rules/preview", post(rules::preview::<S>))
        .route("/rules/activate", post(rules::activate::<S>))
        .route("/rules/{name}", get(rules::show_active::<S>))
        .route("/rules/{name}/versions/{hash}", get(rules::show_version::<S>))
        .route("/rules/{name}/holds", post(rules::hold::<S>))
        .route("/rules/{name}/edit", get(rules::edit_active::<S>))
        .route("/rules/{name}/versions/{hash}/edit", get(rules::edit::<S>))
        .route("/bulk", get(bulk::list::<S>).post(bulk::make::<S>))
        .route("/bulk/new", get(bulk::propose::<S>))
        .route("/bulk/{id}", get(bulk::show_one::<S>))
        .route("/bulk/{id}/acts", post(bulk::steer::<S>))
        .route("/audit", get(audit::list::<S>))
        .route("/erasures", get(erasures::list::<S>))
        .route("/erasures/{id}", get(erasures::show_one::<S>))
        .route("/login", get(login::ask::<S>).post(login::begin::<S>))
        .route("/login/provider", get(provider::go::<S>))
        .route("/login/callback", get(provider::come_back::<S>))
        .route("/logout", post(login::end::<S>))
        .route("/me", get(me::show_me::<S>))
        .route("/me/sessions/{id}/end", post(me::end_one::<S>))
        .route("/me/sessions/end-others", post(me::end_others::<S>))
        .route("/live", get(live::ticks::<S>))
        .route("/assets/{hash}/{name}", get(assets::serve))
}
