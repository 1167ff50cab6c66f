//! Whether the process lives and is ready, and what there is: `/livez`, `/readyz`, `/healthz`, `/v1`.

use super::filters::{Asked, questions};
use super::openapi::{Answered, PLAIN, Told};
use super::parameters::Flag;
use super::{ApiError, App};
use crate::heartbeat::LONGEST_TURN;
use amends_api::Index;
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

/// How long the store may take to show that it can be written; a probe's own limit is commonly a second or more.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

questions! {
    /// How much is told.
    pub(crate) struct Detail {
        /// List each check.
        verbose: Flag,
    }
}

/// `GET /livez`: answering is the proof, and that the loop turns. Never asks the store.
pub(crate) async fn live<S: Store>(State(app): State<App<S>>) -> Result<Lines, ApiError> {
    turns(app.supervisor.shared().heartbeat.age())?;
    Ok(Lines("ok\n".to_owned()))
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
    Asked(Detail { verbose: Flag(verbose) }): Asked<Detail>,
) -> Result<Lines, ApiError> {
    let started = if app.supervisor.is_ready() {
        Ok(())
    } else {
        Err("not started yet, or not working".to_owned())
    };
    let serving = if *app.stopping.borrow() { Err("told to stop".to_owned()) } else { Ok(()) };
    let store =
        match tokio::time::timeout(STORE_TIMEOUT, app.supervisor.store().check_writable()).await {
            Ok(Err(error)) => Err(error.to_string()),
            // What is written to find out is small, and may have room where nothing else has.
            Ok(Ok(())) => {
                let shared = app.supervisor.shared();
                shared.store_fault.why(shared.heartbeat.elapsed()).map_or(Ok(()), Err)
            }
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
    let failed = checks.iter().filter_map(|(name, found)| Some((name, found.as_ref().err()?)));
    let failed: Vec<String> = failed.map(|(name, why)| format!("{name}: {why}")).collect();
    if failed.is_empty() {
        return Ok(Lines(if verbose { lines } else { "ok\n".to_owned() }));
    }
    let mut problem = Problem::new(ProblemCode::Unavailable, failed.join("; "));
    problem.errors = if verbose { lines.lines().map(str::to_owned).collect() } else { Vec::new() };
    Err(problem.into())
}

/// `GET /v1`: what there is.
pub(crate) async fn index() -> Json<Index> {
    let links = LINKS.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned()));
    Json(Index {
        name: "amends".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        links: links.collect(),
    })
}

/// Where to begin.
const LINKS: &[(&str, &str)] = &[
    ("console", "/"),
    ("reports", "/v1/reports"),
    ("cases", "/v1/cases"),
    ("steps", "/v1/steps"),
    ("questions", "/v1/questions"),
    ("rulebooks", "/v1/rulebooks"),
    ("services", "/v1/services"),
    ("acts", "/v1/acts"),
    ("overview", "/v1/overview"),
    ("groups", "/v1/groups"),
    ("quarantine", "/v1/quarantine"),
    ("bulk", "/v1/bulk"),
    ("events", "/v1/events"),
    ("openapi", "/openapi.json"),
    ("ready", "/readyz"),
];

/// Lines of plain text.
pub(crate) struct Lines(String);

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl Answered for Lines {
    fn told(told: &mut Told) {
        told.answer(200, PLAIN, json!({ "type": "string" }));
    }
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
