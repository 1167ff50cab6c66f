//! Whether the process lives and is ready, and what there is: `/livez`, `/readyz`, `/healthz`, `/v1`.

use super::query::Query;
use super::{ApiError, App};
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// How long the store may take to show that it can be written; a probe's own limit is commonly a second or more.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// `GET /livez`: answering is the proof. Never asks the store.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: started, not stopping, and the store can be written. No destination is asked.
pub(crate) async fn ready<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
) -> Result<String, ApiError> {
    let mut query = Query::of(&uri)?;
    let verbose = uri
        .query()
        .is_some_and(|q| q.split('&').any(|p| p == "verbose" || p.starts_with("verbose=")));
    let _ = query.many::<String>("verbose")?;
    query.finish()?;
    let started = if app.supervisor.is_ready() {
        Ok(())
    } else {
        Err("not started yet, or not working".to_owned())
    };
    let serving = if *app.stopping.borrow() { Err("told to stop".to_owned()) } else { Ok(()) };
    let store =
        match tokio::time::timeout(STORE_TIMEOUT, app.supervisor.store().check_writable()).await {
            Ok(written) => written.map_err(|e| e.to_string()),
            Err(_) => Err(format!("can't be written within {} s", STORE_TIMEOUT.as_secs())),
        };
    let checks = [("supervisor", started), ("serving", serving), ("store", store)];
    let mut lines = String::new();
    for (name, found) in &checks {
        let _ = match found {
            Ok(()) => writeln!(lines, "[+] {name} ok"),
            Err(why) => writeln!(lines, "[-] {name}: {why}"),
        };
    }
    match checks.iter().find_map(|(name, found)| found.as_ref().err().map(|why| (name, why))) {
        Some((name, why)) => {
            let mut problem = Problem::new(ProblemCode::Unavailable, format!("{name}: {why}"));
            problem.errors =
                if verbose { lines.lines().map(str::to_owned).collect() } else { Vec::new() };
            Err(problem.into())
        }
        None => Ok(if verbose { lines } else { "ok\n".to_owned() }),
    }
}

/// `GET /v1`: what there is.
pub(crate) async fn index() -> Json<Value> {
    Json(json!({
        "name": "amends",
        "version": env!("CARGO_PKG_VERSION"),
        "links": {
            "console": "/",
            "reports": "/v1/reports",
            "cases": "/v1/cases",
            "steps": "/v1/steps",
            "rulebooks": "/v1/rulebooks",
            "services": "/v1/services",
            "acts": "/v1/acts",
            "overview": "/v1/overview",
            "groups": "/v1/groups",
            "bulk": "/v1/bulk",
            "events": "/v1/events",
            "openapi": "/openapi.json",
            "ready": "/readyz",
        }
    }))
}
