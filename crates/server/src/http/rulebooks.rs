//! Rulebooks: `GET /v1/rulebooks`, `GET` and `PUT /v1/rulebooks/{name}`, `GET /v1/rulebooks/{name}/versions/{hash}`,
//! `GET /v1/rulebooks/{name}/verdict`, `POST /v1/rulebooks:check`.

use super::answers::{Rows, Set};
use super::body::{Actor, check_reason, is_json, object, read_body, told_of_bodies};
use super::filters::{Asked, questions};
use super::openapi::{JSON, Taken, Told};
use super::parameters::Wait;
use super::path::{Id, Pair};
use super::verdicts::Depth;
use super::{ApiError, App};
use crate::access::Caller;
use crate::books::{diagnostics, views};
use crate::dispatch::AllowedHosts;
use amends_api::{
    DiagnosticView, FindingSeverity, RulebookCheck, RulebookSources, RulebookVerdict, RulebookView,
    SourceView,
};
use amends_protocol::{Problem, ProblemCode};
use amends_rulebook::{
    Loaded, Rulebook, Severity, SourceFile, check_together, load_sources, render, sources_together,
};
use amends_store::{RulebookRow, Store};
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde_json::json;
use std::sync::Arc;

/// Longest body with sources, in bytes: a root of the largest size and its imports.
const SOURCES_LIMIT: usize = 16 << 20;
/// Versions that the list shows.
const LISTED: usize = 64;
/// Content types of YAML that people use; `application/yaml` is RFC 9512's. Not `text/plain`: any web site may let a
/// browser send that without asking first.
const YAML: [&str; 4] = ["application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml"];

/// `GET /v1/rulebooks`: the active versions first, then the newest others.
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    _: Asked<()>,
) -> Result<Rows<RulebookView>, ApiError> {
    let mut rows = app.supervisor.store().rulebooks().await?;
    rows.retain(|row| caller.reads(Some(&row.name)));
    rows.sort_by(|a, b| {
        (b.active, b.stored_at).cmp(&(a.active, a.stored_at)).then_with(|| a.name.cmp(&b.name))
    });
    let mut all = Vec::with_capacity(rows.len().min(LISTED));
    for row in rows.into_iter().take(LISTED) {
        all.push(view(&app, row, false).await?);
    }
    Ok(Rows(all))
}

/// `GET /v1/rulebooks/{name}`: the active version.
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
) -> Result<Json<RulebookView>, ApiError> {
    active(&app, &name).await.map(Json)
}

/// `GET /v1/rulebooks/{name}/versions/{hash}`
pub(crate) async fn version<S: Store>(
    State(app): State<App<S>>,
    Pair(name, hash): Pair<String, String>,
) -> Result<Json<RulebookView>, ApiError> {
    match app.supervisor.store().rulebook(hash.as_str().into()).await? {
        Some(row) if *row.name == *name => view(&app, row, true).await.map(Json),
        _ => Err(ApiError::not_found(format!("there is no version `{hash}` of rulebook `{name}`"))),
    }
}

/// `POST /v1/rulebooks:check`: what a `PUT` of the same would say; nothing is stored.
pub(crate) async fn check<S: Store>(
    State(app): State<App<S>>,
    Asked(why): Asked<Why>,
    sources: SourcesSent,
) -> Result<Json<RulebookCheck>, ApiError> {
    let Sent { judged, depth, .. } = judge_sent(&app, why, sources).await?;
    let verdict = match &judged.rulebook {
        Some(book) => Some(app.verdicts.of(&app.workshop, book, depth).await?.view(book)),
        None => None,
    };
    Ok(Json(RulebookCheck {
        verdict,
        valid: judged.is_valid(),
        name: judged.rulebook.as_ref().map(|b| b.name().to_owned()),
        hash: judged.rulebook.as_ref().map(|b| b.hash().to_owned()),
        diagnostics: judged.findings,
        rendered: judged.rendered,
    }))
}

/// `PUT /v1/rulebooks/{name}`: stores a version and makes it the active one. With `?proof=wait` every failure is played
/// first, and a version that is found to leave something behind is refused.
pub(crate) async fn put<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Asked(why): Asked<Why>,
    Actor(actor): Actor,
    sources: SourcesSent,
) -> Result<Set<Json<RulebookView>>, ApiError> {
    let Sent { reason, judged, depth } = judge_sent(&app, why, sources).await?;
    let is_valid = judged.is_valid();
    let Some(book) = judged.rulebook else {
        return Err(rejected(&judged.rendered));
    };
    if book.name() != name {
        let detail =
            format!("the rulebook calls itself `{}`; put it to `/v1/rulebooks/{0}`", book.name());
        return Err(ApiError::invalid(detail));
    }
    if !is_valid {
        return Err(rejected(&judged.rendered_beside));
    }
    let verdict = app.verdicts.of(&app.workshop, &book, depth).await?;
    if depth == Depth::Whole && verdict.is_bad() {
        return Err(rejected(&verdict.rendered(&book)));
    }
    let late = app.supervisor.activate(Arc::clone(&book), &actor, &reason).await?;
    app.verdicts.became_active(&book);
    // By its hash: another version may have become active meanwhile.
    let put = match app.supervisor.store().rulebook(book.hash().into()).await? {
        Some(row) => view(&app, row, true).await?,
        None => active(&app, &name).await?,
    };
    Ok(Set(late, Json(RulebookView { verdict: Some(verdict.view(&book)), ..put })))
}

questions! {
    /// Why a rulebook is sent, and what is waited for.
    pub(crate) struct Why {
        /// Why, for the audit.
        reason: Option<String>,
        /// `wait`: until every failure has been played; else what is known now.
        proof: Option<Wait>,
    }

    /// What of a verdict is waited for.
    pub(crate) struct OfVerdict {
        /// `wait`: until every failure has been played; else what is known now.
        proof: Option<Wait>,
    }
}

/// Files of a rulebook, on their way: their kind is known, and nothing has been read.
pub(crate) struct SourcesSent {
    kind: Kind,
    head: Parts,
    body: Body,
}

impl<T: Send + Sync> FromRequest<T> for SourcesSent {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &T) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        Ok(Self { kind: Kind::of(&head.headers)?, head, body })
    }
}

impl Taken for SourcesSent {
    fn told(told: &mut Told) {
        // As YAML it is one file, whatever it says: what is wrong with it is found, with its place.
        for kind in YAML {
            told.body(kind, json!({ "description": "A rulebook; docs/reference/rulebook.md tells its language." }));
        }
        let sources = told.schema::<RulebookSources>();
        told.body(JSON, sources);
        told_of_bodies(told);
    }
}

/// `GET /v1/rulebooks/{name}/verdict`: on the active version.
pub(crate) async fn verdict<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Asked(OfVerdict { proof }): Asked<OfVerdict>,
) -> Result<Json<RulebookVerdict>, ApiError> {
    let book = active_book(&app, &name)?;
    let asked = depth(proof, Depth::Begun);
    Ok(Json(app.verdicts.of(&app.workshop, &book, asked).await?.view(&book)))
}

/// How much of a verdict is asked for, as `?proof=` says it; `otherwise` if it says nothing.
fn depth(proof: Option<Wait>, otherwise: Depth) -> Depth {
    proof.map_or(otherwise, |Wait| Depth::Whole)
}

/// A rulebook that somebody sent, looked at, with what came along.
struct Sent {
    reason: String,
    judged: Judged,
    /// How much of its verdict is asked for.
    depth: Depth,
}

/// Reads sources and looks at the rulebook.
async fn judge_sent<S: Store>(
    app: &App<S>,
    Why { reason: in_query, proof }: Why,
    SourcesSent { kind, head, body }: SourcesSent,
) -> Result<Sent, ApiError> {
    let bytes = read_body(&head, body, SOURCES_LIMIT).await?;
    let others = app.supervisor.active_books();
    let allow_hosts = app.allow_hosts.clone();
    let work = move || {
        let given = sources(kind, &bytes, in_query)?;
        drop(bytes);
        check_reason(&given.reason)?;
        Ok::<_, ApiError>((given.reason, judge(given.files, others, &allow_hosts)))
    };
    let (reason, judged) = app.workshop.run(work).await??;
    Ok(Sent { reason, judged, depth: depth(proof, Depth::Known) })
}

/// A rulebook that somebody sent, looked at.
pub(crate) struct Judged {
    /// None if it can't be used.
    pub(crate) rulebook: Option<Arc<Rulebook>>,
    /// All findings, those beside the other active rulebooks included.
    pub(crate) findings: Vec<DiagnosticView>,
    /// The same for people.
    pub(crate) rendered: String,
    /// Only those beside the others.
    pub(crate) rendered_beside: String,
}

impl Judged {
    /// Whether it may become active.
    pub(crate) fn is_valid(&self) -> bool {
        let is_error = |d: &DiagnosticView| d.severity == FindingSeverity::Error;
        self.rulebook.is_some() && !self.findings.iter().any(is_error)
    }
}

/// Looks at a rulebook by itself, by where its services are, and beside the active ones that it does not replace. May
/// take seconds.
pub(crate) fn judge(
    files: Vec<SourceFile>,
    active: Vec<Arc<Rulebook>>,
    allow_hosts: &AllowedHosts,
) -> Judged {
    let Loaded { mut rulebook, diagnostics: mut found, sources } = load_sources(files);
    let beyond = rulebook.as_ref().map(|book| allow_hosts.findings(book)).unwrap_or_default();
    if beyond.iter().any(|finding| finding.severity == Severity::Error) {
        rulebook = None;
    }
    found.extend(beyond);
    let mut findings = diagnostics(&found, &sources);
    let mut rendered = render(&found, &sources, false);
    let mut rendered_beside = String::new();
    if let Some(book) = &rulebook {
        let mut books = active;
        books.retain(|b| b.name() != book.name());
        books.push(Arc::clone(book));
        let together = check_together(&books);
        if !together.is_empty() {
            let all = sources_together(&books);
            findings.extend(diagnostics(&together, &all));
            rendered_beside = render(&together, &all, false);
            rendered.push_str(&rendered_beside);
        }
    }
    Judged { rulebook, findings, rendered, rendered_beside }
}

struct Given {
    files: Vec<SourceFile>,
    reason: String,
}

/// How the files are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One file, as it is.
    Yaml,
    /// Several, in JSON.
    Json,
}

impl Kind {
    /// By the content type, before the body is read.
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let kind = content_type(headers);
        if is_json(kind) {
            return Ok(Self::Json);
        }
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if YAML.iter().any(|y| y.eq_ignore_ascii_case(essence)) {
            return Ok(Self::Yaml);
        }
        let detail = format!(
            "`{kind}` is not understood; send `application/yaml`, or `application/json` with `sources`"
        );
        Err(Problem::new(ProblemCode::UnsupportedMediaType, detail).into())
    }
}

/// Files of a rulebook, from a YAML body (one file) or a JSON body (several). `?reason=` is for both.
fn sources(kind: Kind, bytes: &[u8], in_query: Option<String>) -> Result<Given, ApiError> {
    if kind == Kind::Json {
        let given: RulebookSources = object(bytes).map_err(|error| {
            let wrong = error.into_problem().detail.unwrap_or_default();
            ApiError::invalid(format!("{wrong}; send `{{\"sources\": […]}}`"))
        })?;
        if given.sources.is_empty() {
            return Err(ApiError::invalid(
                "`sources` is empty; the first file is the rulebook itself",
            ));
        }
        let files = given
            .sources
            .into_iter()
            .map(|s| SourceFile { path: s.path, text: s.text.into() })
            .collect();
        let reason = in_query.or(given.reason).unwrap_or_else(default_reason);
        return Ok(Given { files, reason });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| ApiError::invalid(format!("the body is not UTF-8: {e}")))?;
    let files = vec![SourceFile { path: "rulebook.yaml".to_owned(), text: text.into() }];
    Ok(Given { files, reason: in_query.unwrap_or_else(default_reason) })
}

fn default_reason() -> String {
    "put over the API".to_owned()
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// One entry of `errors` per finding, as `render` draws them.
fn rejected(rendered: &str) -> ApiError {
    let mut problem = Problem::new(
        ProblemCode::RulebookInvalid,
        "the rulebook has errors and was not stored; the active version stays. `POST /v1/rulebooks:check` gives them as data",
    );
    problem.errors = rendered
        .split("\n\n")
        .map(str::trim_end)
        .filter(|e| !e.is_empty())
        .map(str::to_owned)
        .collect();
    problem.into()
}

async fn active<S: Store>(app: &App<S>, name: &str) -> Result<RulebookView, ApiError> {
    let book = active_book(app, name)?;
    match app.supervisor.store().rulebook(book.hash().into()).await? {
        Some(row) => view(app, row, true).await,
        None => Err(none_active(name)),
    }
}

fn active_book<S: Store>(app: &App<S>, name: &str) -> Result<Arc<Rulebook>, ApiError> {
    let active = app.supervisor.active_books().into_iter().find(|book| book.name() == name);
    active.ok_or_else(|| none_active(name))
}

fn none_active(name: &str) -> ApiError {
    ApiError::not_found(format!("there is no active rulebook `{name}`"))
}

async fn view<S: Store>(
    app: &App<S>,
    row: RulebookRow,
    with_sources: bool,
) -> Result<RulebookView, ApiError> {
    let book = app.versions.get(&app.supervisor, &app.workshop, &row.hash).await?;
    let sources = row.sources.into_iter().map(|(path, text)| SourceView { path, text });
    Ok(RulebookView {
        rejected: if row.active { views(&app.rejections, &row.name) } else { Vec::new() },
        differs_from_file: row.active && app.rejections.differs(&row.name, &row.hash),
        holds: app.supervisor.rule_holds(Some(&row.name)),
        verdict: None,
        name: row.name.to_string(),
        hash: row.hash.to_string(),
        active: row.active,
        stored_at: row.stored_at,
        services: book.as_ref().map_or(0, |b| b.services().len()),
        rules: book.as_ref().map_or(0, |b| b.rules().len()),
        sources: if with_sources { sources.collect() } else { Vec::new() },
    })
}
