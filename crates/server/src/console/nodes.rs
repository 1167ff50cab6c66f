//! `/nodes`: which nodes share the store, what each holds, and how one gives it to the others.

use super::form::Form;
use super::page::{Frame, PageError, Part, see, show};
use super::visitor::Visitor;
use super::words::{date_and_time, millis, relative};
use crate::faults::store_problem;
use crate::http::{ApiError, App};
use crate::nodes::CLOCK_OFF_LIMIT_MS;
use amends_api::signs::Signed;
use amends_api::{NodeState, NodeView, NodesView};
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

#[derive(Template)]
#[template(path = "nodes.html")]
struct Page {
    frame: Frame,
    view: NodesView,
}

impl Page {
    /// Whether nobody else would take what this one gives back.
    fn is_last(&self, node: &NodeView) -> bool {
        let works = |one: &NodeView| one.state == NodeState::Alive;
        !self.view.nodes.iter().any(|one| one.name != node.name && works(one))
    }

    /// Whether programs of two versions share the store.
    fn is_mixed(&self) -> bool {
        let living = self.view.nodes.iter().filter(|node| node.state != NodeState::Silent);
        let mut versions = living.map(|node| node.version);
        versions.next().is_some_and(|first| versions.any(|other| other != first))
    }
}

/// `GET /nodes`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let view = app.nodes.view().await.map_err(store_problem)?;
    let frame = Frame::live(&app, Part::Nodes, "Nodes", "/nodes".to_owned(), &visitor);
    Ok(show(&Page { frame, view }))
}

/// `POST /nodes/{name}/acts`: `drain` or `resume`.
pub(super) async fn act<S: Store>(
    State(app): State<App<S>>,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/nodes");
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    let last = form.text("last") == "yes";
    let told = match form.text("act") {
        "drain" => app.nodes.drain(&app.supervisor, &name, last, &who, &reason).await,
        "resume" => app.nodes.resume(&app.supervisor, &name, &who, &reason).await,
        other => return Err(wrong(ApiError::invalid(format!("`{other}` is no act of this form")))),
    };
    told.map_err(|problem| PageError::from(problem).back("/nodes"))?;
    Ok(form.remember(see(&format!("/nodes#node-{name}"))))
}

/// Letters are taken within a second; whoever should have taken these does not.
fn is_long(waited_ms: &u64) -> bool {
    *waited_ms > 10_000
}

/// A node that comes with such a clock is not let in.
fn is_far_off(ms: &i64) -> bool {
    ms.unsigned_abs() > CLOCK_OFF_LIMIT_MS
}

/// How far a clock is off, with its sign: `+12 ms`.
fn off(ms: &i64) -> String {
    format!("{ms:+} ms")
}

/// Parts in runs: `0–21, 40`.
fn runs(parts: &[u16]) -> String {
    let mut told: Vec<(u16, u16)> = Vec::new();
    for part in parts {
        match told.last_mut() {
            Some((_, last)) if *last + 1 == *part => *last = *part,
            _ => told.push((*part, *part)),
        }
    }
    let told = told.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_in_runs() {
        assert_eq!(runs(&[]), "");
        assert_eq!(runs(&[3]), "3");
        assert_eq!(runs(&[0, 1, 2, 7, 9, 10]), "0–2, 7, 9–10");
    }
}
