//! Numbers for Prometheus: `GET /metrics`.

use super::{ApiError, App};
use crate::clock::{Clock, SystemClock};
use crate::telemetry::Standing;
use amends_store::Store;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The format that is written; Prometheus reads it since 2.5.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`
pub(crate) async fn scrape<S: Store>(
    State(app): State<App<S>>,
) -> Result<impl IntoResponse, ApiError> {
    let overview = app.supervisor.overview(SystemClock.now()).await?;
    let written = app
        .supervisor
        .metrics()
        .scrape(&Standing { overview: &overview, queued_inputs: app.supervisor.queued_inputs() });
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], written))
}
