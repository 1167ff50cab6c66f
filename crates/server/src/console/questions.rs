//! `/questions`: what evidence leaves in doubt, who says what, and what a person can say about it.

use super::cases::Filter;
use super::form::Form;
use super::page::{Frame, PageError, Part, see, show};
use super::visitor::{Visitor, tell_late};
use super::words::{date_and_time, relative};
use crate::all_nodes::OfAll;
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App, Query, found_questions, found_strangers, question_filter};
use amends_api::signs::Signed;
use amends_api::{
    QuestionAct, QuestionActName, QuestionId, QuestionKind, QuestionView, StrangerAct,
    StrangerActName, StrangerView,
};
use amends_protocol::{ActionName, Verb};
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use std::collections::BTreeSet;

#[derive(Template)]
#[template(path = "questions.html")]
struct ListPage {
    frame: Frame,
    /// Not all are listed.
    is_narrow: bool,
    questions: Vec<QuestionView>,
    /// How many hold their cases, by kind.
    kinds: Vec<(QuestionKind, u64)>,
    /// How many are only shown.
    noted: u64,
    next: Option<String>,
    accept_all: String,
    /// Names that rulebooks don't know.
    strangers: Vec<StrangerView>,
}

/// `GET /questions`, with the filter of `GET /v1/questions`.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/questions");
    let mut query = Query::of(&uri).map_err(wrong)?;
    let wanted = question_filter(&mut query).map_err(wrong)?;
    let rulebooks = wanted.rulebooks.clone();
    let page = query.page().map_err(wrong)?;
    query.finish().map_err(wrong)?;
    let OfAll { what: found, silent } =
        found_questions(&app, wanted, &page).await.map_err(wrong)?;
    // Counts are of everything; they are for who may see everything.
    let all = match visitor.caller.reads(None) {
        true => Some(app.supervisor.all_work(SystemClock.now()).await?.work.survey),
        false => None,
    };
    let counted = all.iter().flat_map(|survey| &survey.questions);
    let filter = Filter::of(&uri);
    let itself = uri.path_and_query().map_or("/questions", |path| path.as_str()).to_owned();
    let mut frame = Frame::live(&app, Part::Questions, "Questions", itself, &visitor);
    frame.silent = silent;
    let next = found.next.map(|cursor| filter.address("/questions", &[("cursor", &cursor)]));
    let accept_all = filter.address("/bulk/new", &[("act", "accept")]);
    Ok(show(&ListPage {
        frame,
        is_narrow: !filter.pairs().is_empty(),
        questions: found.items,
        kinds: counted.map(|(kind, count)| (*kind, *count)).collect(),
        noted: all.iter().flat_map(|survey| survey.noted.values()).sum(),
        next,
        accept_all,
        strangers: found_strangers(&app, &rulebooks).await.map_err(wrong)?.what,
    }))
}

/// `POST /strangers/{rulebook}/{action}/acts`: `ignore`, `declare` or `reconsider`.
pub(super) async fn act_on_stranger<S: Store>(
    State(app): State<App<S>>,
    Path((rulebook, action)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/questions").sent(&form);
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    let action: ActionName =
        action.parse().map_err(|e| wrong(ApiError::not_found(format!("{e}"))))?;
    let word = form.text("act").parse::<StrangerActName>();
    let act = match word.map_err(|e| wrong(ApiError::invalid(e.to_string())))? {
        StrangerActName::Ignore => StrangerAct::Ignore { reason },
        StrangerActName::Declare => StrangerAct::Declare { reason },
        StrangerActName::Reconsider => StrangerAct::Reconsider { reason },
    };
    let acted = app.supervisor.act_on_stranger(&rulebook, action, act, &who).await;
    let late = acted.map_err(|problem| wrong(problem.into()))?;
    Ok(form.remember(tell_late(&late, see("/questions#strangers"))))
}

/// `POST /questions/{id}/acts`: `accept`, `record` or `ask_again`.
pub(super) async fn act<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let unknown = |e| PageError::from(ApiError::not_found(format!("{e}"))).back("/questions");
    let id: QuestionId = id.parse().map_err(unknown)?;
    let back = format!("/cases/{}", id.case);
    let wrong = |error: ApiError| PageError::from(error).back(&back).sent(&form);
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    let act = read(&form, reason).map_err(wrong)?;
    let acted = app.supervisor.act_on_question(id, act, &who).await;
    acted.map_err(|problem| wrong(problem.into()))?;
    Ok(form.remember(see(&back)))
}

fn read(form: &Form, reason: String) -> Result<QuestionAct, ApiError> {
    let word = form.text("act").parse::<QuestionActName>();
    Ok(match word.map_err(|e| ApiError::invalid(e.to_string()))? {
        QuestionActName::Accept => QuestionAct::Accept { reason },
        QuestionActName::AskAgain => {
            QuestionAct::AskAgain { reason, may_have_run: !form.text("mayHaveRun").is_empty() }
        }
        QuestionActName::Ignore => QuestionAct::Ignore { reason },
        QuestionActName::Declare => QuestionAct::Declare { reason },
        QuestionActName::Choose => {
            let value = serde_json::from_str(form.text("value"));
            let value = value.map_err(|e| ApiError::invalid(format!("`value`: {e}")))?;
            QuestionAct::Choose { reason, value }
        }
        QuestionActName::Record => {
            let outcome = form.text("outcome").parse();
            let outcome = outcome.map_err(|e| ApiError::invalid(format!("`outcome`: {e}")))?;
            QuestionAct::Record { reason, outcome }
        }
    })
}

/// What the field of a data conflict was said to be, each value once, as JSON text.
pub(super) fn values_of(question: &QuestionView) -> BTreeSet<&str> {
    let told = question.statements.iter().filter(|statement| statement.value.is_some());
    told.map(|statement| statement.says.as_str()).collect()
}

/// What the button of an act on a stranger says.
fn stranger_act_word(act: &StrangerActName) -> &'static str {
    match act {
        StrangerActName::Ignore => "Ignore it",
        StrangerActName::Declare => "It will be declared",
        StrangerActName::Reconsider => "Take it back",
    }
}
