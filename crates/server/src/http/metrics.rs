//! Numbers for Prometheus: `GET /metrics`.

use super::App;
use super::openapi::{Answered, Told};
use crate::clock::{Clock, SystemClock};
use crate::telemetry::Standing;
use amends_store::Store;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The format that is written; Prometheus reads it since 2.5.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`; also while the store is away, when they are needed most.
pub(crate) async fn scrape<S: Store>(State(app): State<App<S>>) -> Exposition {
    let now = SystemClock.now();
    let overview = app.supervisor.own_overview(now).await.ok();
    let nodes = app.nodes.view().await.ok();
    let books = app.supervisor.active_books();
    let standing = Standing {
        overview: overview.as_ref(),
        nodes: nodes.as_ref().map(|view| (view, now)),
        queued_inputs: app.supervisor.queued_inputs(),
        files_rejected: app.rejections.count(),
        files_differing: books
            .iter()
            .filter(|book| app.rejections.differs(book.name(), book.hash()))
            .count(),
    };
    app.supervisor.metrics().clock_ahead(app.supervisor.on_the_wall().ahead_ms);
    app.supervisor.metrics().memory(&app.supervisor.shared().memory);
    Exposition(app.supervisor.metrics().scrape(&standing))
}

/// Numbers in the OpenMetrics text format.
pub(crate) struct Exposition(String);

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, OPEN_METRICS)], self.0).into_response()
    }
}

impl Answered for Exposition {
    fn told(told: &mut Told) {
        told.answer(200, "application/openmetrics-text", json!({ "type": "string" }));
    }
}
