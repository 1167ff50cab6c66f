//! `/rules`: the rulebooks at a glance, with what they have answered lately; their versions and how they differ; and a
//! new version, looked at before it is activated.

use super::form::Form;
use super::hits::{CASES, Hits};
use super::page::{Frame, PageError, Part, see, show, show_as};
use super::story::graph_of_calls;
use super::visitor::{Visitor, tell_late};
use super::words::{date_and_time, relative};
use crate::http::{ApiError, App, Depth, Verdict, found_strangers, judge};
use amends_api::access::{Right, Within};
use amends_api::signs::{self, Signed};
use amends_api::{DiagnosticView, ProofState, RuleHoldView, RulebookQuestions, StrangerView};
use amends_engine::HoldScope;
use amends_protocol::Timestamp;
use amends_rulebook::{ActionId, Rule, Rulebook, SourceFile, length_of_time};
use amends_store::{RulebookRow, Store};
use amends_workbench::{Annotate, Comparison, Matrix, Note, Row, compare};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

/// What is news for these pages: hits are counted again every 20 s, since they cost some hundred reads.
const RULEBOOKS: &str = "?kind=rulebook";
/// What a new rulebook begins with.
const EXAMPLE: &str = "rulebook: my-business\nservices:\n  payment:\n    url: http://127.0.0.1:7201\n    actions:\n      pay: { compensation: refund }\nrules:\n  - on: \"*/*\"\n    compensate: recorded\n";

#[derive(Template)]
#[template(path = "rules.html")]
struct ListPage {
    frame: Frame,
    /// Each with what is wrong with its file, whether it differs from that, and how much of it is held.
    books: Vec<(Arc<Rulebook>, Vec<DiagnosticView>, bool, usize)>,
}

#[derive(Template)]
#[template(path = "rulebook.html")]
struct BookPage {
    frame: Frame,
    book: Arc<Rulebook>,
    is_active: bool,
    matrix: Matrix,
    hits: Hits,
    /// What its newest cases leave in doubt.
    doubts: RulebookQuestions,
    verdict: Arc<Verdict>,
    /// What people hold of it.
    holds: Vec<RuleHoldView>,
    graph: Option<String>,
    rejected: Vec<DiagnosticView>,
    versions: Vec<RulebookRow>,
    comparison: Option<Comparison>,
    /// Names that it declares and that cases of earlier versions have waited for.
    waiting: Vec<StrangerView>,
}

#[derive(Template)]
#[template(path = "rules_edit.html")]
struct EditPage {
    frame: Frame,
    name: String,
    files: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "rules_preview.html")]
struct PreviewPage {
    frame: Frame,
    files: Vec<(String, String)>,
    /// None if it cannot be used.
    book: Option<Arc<Rulebook>>,
    comparison: Option<Comparison>,
    /// Hash of the version that it was compared with.
    base: String,
    rendered: String,
    warnings: usize,
}

/// `GET /rules`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let mut frame = Frame::live(&app, Part::Rules, "Rules", "/rules".to_owned(), &visitor);
    RULEBOOKS.clone_into(&mut frame.watches);
    let books = app.supervisor.active_books();
    let books = books
        .into_iter()
        .filter(|book| visitor.caller.reads(Some(book.name())))
        .map(|book| {
            let rejected = crate::books::views(&app.rejections, book.name());
            let differs = app.rejections.differs(book.name(), book.hash());
            let holds = app.supervisor.rule_holds(Some(book.name())).len();
            (book, rejected, differs, holds)
        })
        .collect();
    Ok(show(&ListPage { frame, books }))
}

/// `GET /rules/{name}`: the active version.
pub(super) async fn show_active<S: Store>(
    State(app): State<App<S>>,
    Path(name): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let book = active(&app, &name)
        .ok_or_else(|| unknown(&format!("there is no active rulebook `{name}`")))?;
    page(&app, book, format!("/rules/{name}"), &visitor).await
}

/// `GET /rules/{name}/versions/{hash}`
pub(super) async fn show_version<S: Store>(
    State(app): State<App<S>>,
    Path((name, hash)): Path<(String, String)>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let book = version(&app, &name, &hash).await?;
    page(&app, book, format!("/rules/{name}/versions/{hash}"), &visitor).await
}

async fn page<S: Store>(
    app: &App<S>,
    book: Arc<Rulebook>,
    itself: String,
    visitor: &Visitor,
) -> Result<Response, PageError> {
    let mut frame =
        Frame::live(app, Part::Rules, format!("Rulebook {}", book.name()), itself, visitor);
    RULEBOOKS.clone_into(&mut frame.watches);
    let active = active(app, book.name());
    let is_active = active.as_ref().is_some_and(|a| a.hash() == book.hash());
    let active = active.filter(|_| !is_active);
    let mut versions = app.supervisor.store().rulebooks().await?;
    versions.retain(|row| *row.name == *book.name());
    let comparison = active.as_ref().map(|active| compare(active, &book));
    let mut waiting = found_strangers(app, &[book.name().to_owned()]).await?.what;
    waiting.retain(|one| is_active && one.declared && one.waiting > 0);
    let mut hits = Hits::of(app, &visitor.caller, &book).await?;
    // What an old version would leave behind is not worked out because somebody looks at it.
    let depth = if is_active { Depth::Begun } else { Depth::Known };
    let page = BookPage {
        matrix: Matrix::new(&book, None),
        doubts: std::mem::take(&mut hits.doubts).view(&book),
        verdict: app.verdicts.of(&app.workshop, &book, depth).await?,
        holds: app.supervisor.rule_holds(Some(book.name())),
        hits,
        graph: graph_of_calls(&book),
        rejected: if is_active {
            crate::books::views(&app.rejections, book.name())
        } else {
            Vec::new()
        },
        frame,
        book,
        is_active,
        versions,
        comparison,
        waiting,
    };
    Ok(show(&page))
}

/// `GET /rules/new`
pub(super) async fn begin<S: Store>(State(app): State<App<S>>, visitor: Visitor) -> Response {
    let files = vec![("rulebook.yaml".to_owned(), EXAMPLE.to_owned())];
    let frame = Frame::still(&app, Part::Rules, "Add a rulebook", &visitor);
    show(&EditPage { frame, name: String::new(), files })
}

/// `GET /rules/{name}/edit`: from the active version.
pub(super) async fn edit_active<S: Store>(
    State(app): State<App<S>>,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let book = active(&app, &name)
        .ok_or_else(|| unknown(&format!("there is no active rulebook `{name}`")))?;
    Ok(see(&format!("/rules/{name}/versions/{}/edit", book.hash())))
}

/// `GET /rules/{name}/versions/{hash}/edit`
pub(super) async fn edit<S: Store>(
    State(app): State<App<S>>,
    Path((name, hash)): Path<(String, String)>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let book = version(&app, &name, &hash).await?;
    let files = book.sources().iter().map(|s| (s.path.clone(), s.text.to_string())).collect();
    let frame = Frame::still(&app, Part::Rules, "A new version", &visitor);
    Ok(show(&EditPage { frame, name, files }))
}

/// `POST /rules/preview`: what a version would change. Nothing is stored.
pub(super) async fn preview<S: Store>(
    State(app): State<App<S>>,
    form: Form,
) -> Result<Response, PageError> {
    let files = files(&form);
    let (sources, books) = (sources(&files), app.supervisor.active_books());
    let allow_hosts = app.allow_hosts.clone();
    let look = move || {
        let judged = judge(sources, books.clone(), &allow_hosts);
        let errors = !judged.is_valid();
        let book = judged.rulebook.filter(|_| !errors);
        let active = book.as_ref().and_then(|book| books.iter().find(|b| b.name() == book.name()));
        let base = active.map(|book| book.hash().to_owned()).unwrap_or_default();
        let comparison = match (active, &book) {
            (Some(active), Some(book)) => Some(compare(active, book)),
            _ => None,
        };
        (book, base, comparison, judged.rendered, judged.findings.len())
    };
    let (book, base, comparison, mut rendered, mut warnings) = app.workshop.run(look).await?;
    if let Some(book) = &book {
        let verdict = app.verdicts.of(&app.workshop, book, Depth::Known).await?;
        rendered.push_str(&verdict.rendered(book));
        warnings += verdict.findings.len();
    }
    let frame = Frame::still(&app, Part::Rules, "What would change", &form.visitor);
    let status = if book.is_some() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show_as(status, &PreviewPage { frame, files, book, comparison, base, rendered, warnings }))
}

/// `POST /rules/activate`: stores the version; new cases are planned with it.
pub(super) async fn activate<S: Store>(
    State(app): State<App<S>>,
    form: Form,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/rules").sent(&form);
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    let (sources, books) = (sources(&files(&form)), app.supervisor.active_books());
    let allow_hosts = app.allow_hosts.clone();
    let look = move || judge(sources, books, &allow_hosts);
    let judged = app.workshop.run(look).await.map_err(wrong)?;
    let is_valid = judged.is_valid();
    let Some(book) = judged.rulebook else {
        let detail = judged.rendered;
        return Err(wrong(ApiError::invalid(format!("the rulebook has errors:\n{detail}"))));
    };
    if !is_valid {
        return Err(wrong(ApiError::invalid(judged.rendered_beside)));
    }
    let may = form.visitor.caller.must(Right::Rules, Within::Rulebook(book.name()));
    may.map_err(|problem| wrong(problem.into()))?;
    // What the person looked at; anything else that has become active meanwhile refuses it.
    let base = Some(form.text("base")).filter(|hash| !hash.is_empty());
    let compared = base.map(Into::into);
    let address = format!("/rules/{}", book.name());
    let activated = app.supervisor.activate_over(compared, Arc::clone(&book), &who, &reason).await;
    let late = activated.map_err(|problem| wrong(problem.into()))?;
    app.verdicts.became_active(&book);
    Ok(form.remember(tell_late(&late, see(&address))))
}

/// `POST /rules/{name}/holds`: `hold` or `release`, of a rule or of the whole rulebook.
pub(super) async fn hold<S: Store>(
    State(app): State<App<S>>,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let address = format!("/rules/{name}");
    let wrong = |error: ApiError| PageError::from(error).back(&address).sent(&form);
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    let held = match form.text("act") {
        "hold" => true,
        "release" => false,
        other => return Err(wrong(ApiError::invalid(format!("`{other}` is no act of this form")))),
    };
    let rule = Some(form.text("rule")).filter(|rule| !rule.is_empty()).map(Into::into);
    let scope = HoldScope { rulebook: name.as_str().into(), rule };
    let acted = app.supervisor.hold_rule(scope, held, &who, &reason).await;
    let late = acted.map_err(|problem| wrong(problem.into()))?;
    Ok(form.remember(tell_late(&late, see(&format!("{address}#holds")))))
}

fn active<S: Store>(app: &App<S>, name: &str) -> Option<Arc<Rulebook>> {
    app.supervisor.active_books().into_iter().find(|book| book.name() == name)
}

async fn version<S: Store>(
    app: &App<S>,
    name: &str,
    hash: &str,
) -> Result<Arc<Rulebook>, PageError> {
    let found = app.versions.get(&app.supervisor, &app.workshop, hash).await?;
    found
        .filter(|book| book.name() == name)
        .ok_or_else(|| unknown(&format!("there is no version `{hash}` of rulebook `{name}`")))
}

fn unknown(detail: &str) -> PageError {
    PageError::from(ApiError::not_found(detail)).back("/rules")
}

/// Files of the form, in their order: fields `path` and `text` in turn.
fn files(form: &Form) -> Vec<(String, String)> {
    // A browser ends lines with CR LF; a rulebook has the lines that were written.
    let text = |text: &str| text.replace("\r\n", "\n");
    form.pairs("path", "text").map(|(path, body)| (path.to_owned(), text(body))).collect()
}

fn sources(files: &[(String, String)]) -> Vec<SourceFile> {
    files
        .iter()
        .map(|(path, text)| SourceFile { path: path.clone(), text: text.as_str().into() })
        .collect()
}

impl BookPage {
    fn rendered_findings(&self) -> String {
        self.verdict.rendered(&self.book)
    }

    /// The hold of a rule itself, or of all of them.
    fn hold_of(&self, rule: Option<&Rule>) -> Option<&RuleHoldView> {
        let label = rule.map(|rule| rule.index_label.as_str());
        self.holds.iter().find(|hold| hold.rule.as_deref() == label)
    }

    /// The matrix, with what each row and each cell has seen lately.
    fn table(&self) -> String {
        self.matrix.to_html(&Lately { hits: &self.hits, book: &self.book, now: self.frame.now })
    }

    /// Line of a rule in the root file, from 1; rules of imports have none.
    fn line(&self, rule: &Rule) -> Option<usize> {
        let source = self.book.sources().get(rule.span.file)?;
        Some(source.text.get(..rule.span.start)?.matches('\n').count() + 1)
    }
}

/// The objective of a rule as it is written; empty if it has none.
fn objective(rule: &Rule) -> String {
    rule.objective_ms.map_or_else(String::new, length_of_time)
}

/// What the matrix tells beyond the rulebook.
struct Lately<'a> {
    hits: &'a Hits,
    book: &'a Rulebook,
    now: Timestamp,
}

impl Annotate for Lately<'_> {
    fn row(&self, row: &Row) -> Note {
        let text = match self.hits.row(row, self.book) {
            _ if row.given_up => None,
            (count, Some(at)) => Some(format!("{count}×, last {}", relative(at, self.now))),
            (_, None) => Some("never lately".to_owned()),
        };
        let href = row.rule.map(|rule| format!("#rule-{}", rule.0));
        Note { text, class: None, href }
    }

    fn cell(&self, row: &Row, action: ActionId) -> Note {
        self.hits.cell(row, action, self.book).map_or_else(Note::default, |f| Note::of(f.words()))
    }
}
