//! `/cases/{id}/proof`: what a case's closing word rests on: of each action, who said what and when.

use super::page::{Frame, PageError, Part, show};
use super::visitor::Visitor;
use super::words::{date_and_time, relative};
use crate::http::{ApiError, App, case_proof};
use amends_api::signs::{Sign, Signed, case_sign};
use amends_api::{CaseProof, Statement};
use amends_protocol::CaseId;
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

/// Statements about one action that are shown; the API has all.
const STATEMENTS: usize = 50;

#[derive(Template)]
#[template(path = "proof.html")]
struct Page {
    frame: Frame,
    proof: CaseProof,
}

/// `GET /cases/{id}/proof`
pub(super) async fn show_proof<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/cases");
    let id: CaseId = id.parse().map_err(|e| wrong(ApiError::not_found(format!("{e}"))))?;
    let proof = case_proof(&app, &visitor.caller, id).await.map_err(wrong)?;
    let itself = format!("/cases/{id}/proof");
    let mut frame = Frame::live(&app, Part::Cases, format!("Proof of {id}"), itself, &visitor);
    frame.watches = format!("?case={id}");
    Ok(show(&Page { frame, proof }))
}

impl Page {
    fn sign(&self) -> Sign {
        case_sign(self.proof.state, self.proof.closed_on)
    }
}

/// The statements that are shown.
fn shown(statements: &[Statement]) -> &[Statement] {
    &statements[..statements.len().min(STATEMENTS)]
}
