//! Whether the process lives and is ready, and what there is: `/livez`, `/readyz`, `/healthz`, `/v1`.

use super::query::Query;
use super::{ApiError, App};
use crate::heartbeat::LONGEST_TURN;
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

/// `GET /livez`: answering is the proof, and that the loop turns. Never asks the store.
pub(crate) async fn live<S: Store>(State(app): State<App<S>>) -> Result<&'static str, ApiError> {
    turns(app.supervisor.shared().heartbeat.age())?;
    Ok("ok\n")
}

/// Whether a loop whose turn is so old is well.
fn turns(age: Duration) -> Result<(), ApiError> {
    if age <= LONGEST_TURN {
        return Ok(());
    }
    let detail = format!(
        "the loop has not ended its turn for {} s, more than {} s; what was acknowledged is in the store: start the process again",
        age.as_secs(),
        LONGEST_TURN.as_secs()
    );
    Err(Problem::new(ProblemCode::Unavailable, detail).into())
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
            "quarantine": "/v1/quarantine",
            "bulk": "/v1/bulk",
            "events": "/v1/events",
            "openapi": "/openapi.json",
            "ready": "/readyz",
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_is_told_of() {
        assert!(turns(Duration::ZERO).is_ok() && turns(LONGEST_TURN).is_ok());
        let stands = turns(LONGEST_TURN + Duration::from_secs(1)).expect_err("it stands");
        assert_eq!(stands.status(), 503);
        assert!(stands.into_problem().detail.is_some_and(|text| text.contains("61 s")));
    }
}
