//! What all pages share: the frame around them, the headers that keep a browser to this host, and how a failure looks.

use super::assets::{ADDRESSES, Addresses};
use super::form::Form;
use super::visitor::{Visitor, Who};
use crate::access::Caller;
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App};
use amends_api::SilentNodeView;
use amends_api::sentence::silent_sentence;
use amends_protocol::{Problem, ProblemCode, Timestamp};
use amends_store::Store;
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Everything comes from this host, nothing is written into a page that runs, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The parts of the console, as its navigation names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Overview,
    Cases,
    Questions,
    Quarantine,
    Rejected,
    Rules,
    Services,
    Nodes,
    Bulk,
    Audit,
}

impl Part {
    pub(super) const ALL: [(Self, &'static str, &'static str); 10] = [
        (Self::Overview, "/", "Overview"),
        (Self::Cases, "/cases", "Cases"),
        (Self::Questions, "/questions", "Questions"),
        (Self::Quarantine, "/quarantine", "Quarantine"),
        (Self::Rejected, "/rejected", "Rejected reports"),
        (Self::Rules, "/rules", "Rules"),
        (Self::Services, "/services", "Services"),
        (Self::Nodes, "/nodes", "Nodes"),
        (Self::Bulk, "/bulk", "Bulk acts"),
        (Self::Audit, "/audit", "Audit"),
    ];
}

/// What stands around a page.
pub(super) struct Frame {
    pub(super) part: Part,
    pub(super) title: String,
    /// When the page was made: relative times count from here.
    pub(super) now: Timestamp,
    /// The page's own address, where news are fetched from; none for a page that has no news.
    pub(super) itself: Option<String>,
    /// Which events are news for it, as the query of `/live`.
    pub(super) watches: String,
    /// Who acts, if it is known.
    pub(super) who: Who,
    /// Who looks at it: what they may not do is not offered. None on a page of which that is not known.
    pub(super) caller: Option<Caller>,
    /// What is not secure by somebody's word.
    pub(super) insecure: Option<Arc<str>>,
    /// Whether there is something that can't be worked on: else that part is not offered.
    pub(super) has_quarantined: bool,
    /// Whether messages lie there that could not be taken: else that part is not offered.
    pub(super) has_rejected: bool,
    /// Which of the nodes we are that share the store; none if there can be no others, and then that part is not
    /// offered.
    pub(super) node: Option<String>,
    /// It works on a part of the sagas alone.
    pub(super) is_by_part: bool,
    /// Nodes that did not answer when the page was made: what they work on is missing on it, or old.
    pub(super) silent: Vec<SilentNodeView>,
    /// Nodes that have yet to read what this visitor has set a moment ago.
    pub(super) not_seen_by: String,
}

impl Frame {
    /// The frame of a page that fetches news from `itself` when something happens.
    pub(super) fn live<S: Store>(
        app: &App<S>,
        part: Part,
        title: impl Into<String>,
        itself: String,
        visitor: &Visitor,
    ) -> Self {
        Self { itself: Some(itself), ..Self::still(app, part, title, visitor) }
    }

    /// The frame of a page that does not change.
    pub(super) fn still<S: Store>(
        app: &App<S>,
        part: Part,
        title: impl Into<String>,
        visitor: &Visitor,
    ) -> Self {
        let has_quarantined = app.supervisor.has_quarantined();
        let has_rejected = app.supervisor.rejected_shown() > 0;
        let node = app.nodes.me().map(str::to_owned);
        let is_by_part = app.nodes.one_of_several().is_some();
        let (who, caller) = (visitor.who.clone(), Some(visitor.caller.clone()));
        let insecure = app.access.insecure.clone();
        Self {
            has_quarantined,
            has_rejected,
            node,
            is_by_part,
            who,
            caller,
            insecure,
            not_seen_by: visitor.not_seen_by.clone(),
            ..Self::bare(part, title)
        }
    }

    /// The frame of a page that knows nothing of the supervisor.
    fn bare(part: Part, title: impl Into<String>) -> Self {
        Self {
            part,
            title: title.into(),
            now: SystemClock.now(),
            itself: None,
            watches: String::new(),
            who: Who::default(),
            caller: None,
            insecure: None,
            has_quarantined: false,
            has_rejected: false,
            node: None,
            is_by_part: false,
            silent: Vec::new(),
            not_seen_by: String::new(),
        }
    }

    /// Whether its navigation names a part.
    pub(super) fn offers(&self, part: &Part) -> bool {
        let is_there = match part {
            Part::Quarantine => self.has_quarantined,
            Part::Rejected => self.has_rejected,
            Part::Nodes => self.node.is_some(),
            _ => true,
        };
        let is_there = is_there || self.part == *part;
        is_there && self.may_see(*part)
    }

    /// What is missing on it, or old, in a sentence for each node that did not answer.
    pub(super) fn told_of_silent(&self) -> Vec<String> {
        self.silent.iter().map(|node| silent_sentence(node, self.now)).collect()
    }

    pub(super) fn assets(&self) -> &'static Addresses {
        &ADDRESSES
    }

    pub(super) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// Draws a page.
pub(super) fn show(page: &impl Template) -> Response {
    show_as(StatusCode::OK, page)
}

/// Draws a page with another status than 200.
pub(super) fn show_as(status: StatusCode, page: &impl Template) -> Response {
    let body = match page.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a page could not be drawn");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be drawn\n")
                .into_response();
        }
    };
    let mut answer = (status, body).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "cookie"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// To another page, which is then fetched.
pub(super) fn see(address: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(address) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// A failure as a page.
#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    frame: Frame,
    problem: Problem,
    back: String,
    /// Fields of the form, so that nothing that was typed is lost.
    sent: Vec<(String, String)>,
}

/// What went wrong, for people.
pub(super) struct PageError {
    problem: Box<Problem>,
    back: Option<String>,
    sent: Vec<(String, String)>,
}

impl<E: Into<ApiError>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self { problem: Box::new(error.into().into_problem()), back: None, sent: Vec::new() }
    }
}

impl PageError {
    /// With the address that one came from.
    pub(super) fn back(mut self, address: impl Into<String>) -> Self {
        self.back = Some(address.into());
        self
    }

    /// With what was typed into a form.
    pub(super) fn sent(mut self, form: &Form) -> Self {
        self.sent = form.typed();
        self
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let problem = *self.problem;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(code = problem.code, detail = problem.detail, "a page failed");
        }
        let frame = Frame::bare(Part::Overview, problem.title.clone());
        let back = self.back.unwrap_or_else(|| "/".to_owned());
        show_as(status, &FailurePage { frame, problem, back, sent: self.sent })
    }
}

/// A page that somebody may not see.
pub(crate) fn refusal(error: ApiError) -> Response {
    PageError::from(error).into_response()
}

/// An address that names nothing.
pub(crate) fn nothing_at(path: &str) -> Response {
    let detail = format!("there is no page `{path}`");
    PageError::from(Problem::new(ProblemCode::NotFound, detail)).into_response()
}
