//! `/cases/{id}`: one page that tells the story of a case, and the acts on it and on its steps.

use super::form::Form;
use super::page::{Frame, PageError, Part, see, show};
use super::questions::values_of;
use super::story::{Timeline, graph};
use super::visitor::Visitor;
use super::words::{between, case_sign, date_and_time, relative, upcoming};
use crate::access::Caller;
use crate::dispatch::{ShownRoutes, Try, redacted, shown_request, unredacted};
use crate::http::{
    ApiError, App, Behind, Looked, active_for, case_detail, may_lead_to, told_in_full,
    within_bounds, within_case,
};
use amends_api::access::Right;
use amends_api::plain::escaped_json;
use amends_api::remedies::Remedied;
use amends_api::signs::{self, Signed};
use amends_api::{
    ActView, AttemptView, CaseAct, CaseActName, CaseDetail, CaseState, HistoryView,
    QuestionActName, QuestionKind, ReportStanding, ReportView, StepAct, StepActName, StepStateName,
    StepView, StuckReason, amounts_in_words,
};
use amends_engine::{Asked, LastTry, plannable};
use amends_protocol::{ActionName, CaseId, Evidence, StepId, Timestamp, Verb};
use amends_rulebook::{Considered, Rulebook};
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

/// Steps whose request is shown; of a longer plan, `GET /v1/steps/{id}` tells the rest.
const REQUESTS: usize = 100;
/// Reports that are shown; the API has all.
const REPORTS: usize = 50;
/// Entries of one History that are shown; the API has all.
const ENTRIES: usize = 100;
/// Tries of one step that are shown, the last ones; the API has all.
const TRIES: usize = 50;
/// Bytes of requests, and of data to be edited, that one page holds.
const REQUEST_BYTES: usize = 2 << 20;
/// Rules of which is told why they did or did not answer a report.
const CONSIDERED: usize = 30;

#[derive(Template)]
#[template(path = "case.html")]
struct Page {
    frame: Frame,
    case: CaseDetail,
    /// The store takes none of its writes.
    is_quarantined: bool,
    book: Option<Arc<Rulebook>>,
    /// The version that a plan by hand takes its steps from.
    planning: Option<Arc<Rulebook>>,
    /// By step: the request of its last try, and of the next.
    requests: BTreeMap<StepId, Requests>,
    /// By step that may be edited: the data of its request, as far as the page has room for it.
    edits: BTreeMap<StepId, String>,
    graph: Option<String>,
    timeline: Timeline,
    /// By report, the rules that were looked at for it.
    looked: Looked,
}

/// `GET /cases/{id}`
pub(super) async fn show_case<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let id: CaseId = known(&id)?;
    let is_quarantined = app.supervisor.is_quarantined(id);
    let (case, Behind { looked, asked }) =
        match told_in_full(&app, &visitor.caller, id, REPORTS).await {
            Err(_) if is_quarantined => return Ok(see(&format!("/quarantine/{id}"))),
            found => found.map_err(|e| PageError::from(e).back("/cases"))?,
        };
    let mut frame =
        Frame::live(&app, Part::Cases, format!("Case {id}"), format!("/cases/{id}"), &visitor);
    frame.watches = format!("?case={id}");
    let book = match case.rulebook_hash.as_deref() {
        Some(hash) => app.versions.get(&app.supervisor, &app.workshop, hash).await.ok().flatten(),
        None => None,
    };
    let plan = by_parts(case.plan.clone());
    let requests = match &book {
        Some(book) => {
            let routes = ShownRoutes::of(book, app.callbacks.clone());
            requests_of(&plan, (&case, &asked), (book, &routes), frame.now).await
        }
        None => BTreeMap::new(),
    };
    let edits = edits_of(&plan, &case);
    let planning = book.clone().or_else(|| {
        let summary = &case.summary;
        let active = app.supervisor.active_books();
        active_for(summary.rulebook.as_deref(), &summary.report, None, &active)
    });
    let graph = book.as_ref().and_then(|book| graph(&case, book));
    let timeline = Timeline::of(&case, frame.now);
    // Only now, since all of it was needed for the pictures and requests.
    let mut case = within_bounds(case);
    case.plan = by_parts(case.plan);
    Ok(show(&Page {
        frame,
        case,
        is_quarantined,
        book,
        planning,
        requests,
        edits,
        graph,
        timeline,
        looked,
    }))
}

/// What is shown of a plan: where a step has several parts, each by itself.
fn by_parts(plan: Vec<StepView>) -> Vec<StepView> {
    let each = plan.into_iter().map(|mut step| match step.parts.len() {
        0 | 1 => vec![step],
        _ => std::mem::take(&mut step.parts),
    });
    each.flatten().collect()
}

/// The requests of a step; of each try why there is none, if there is none.
struct Requests {
    /// Of the last try, which has been sent.
    sent: Option<Result<String, String>>,
    /// Of the next; none of a step that has ended.
    next: Option<Result<String, String>>,
}

impl Requests {
    fn bytes(&self) -> usize {
        let of = |request: &Option<Result<String, String>>| match request {
            Some(Ok(text)) => text.len(),
            _ => 0,
        };
        of(&self.sent) + of(&self.next)
    }
}

/// The requests of the first steps, as far as the page has room for them.
async fn requests_of(
    plan: &[StepView],
    (case, asked): (&CaseDetail, &BTreeMap<StepId, Asked>),
    (book, routes): (&Arc<Rulebook>, &ShownRoutes),
    now: Timestamp,
) -> BTreeMap<StepId, Requests> {
    let (mut all, mut room) = (BTreeMap::new(), REQUEST_BYTES);
    for step in plan.iter().take(REQUESTS) {
        let Some(Asked { row, requests, last }) = asked.get(&step.id) else { continue };
        let sent = match last {
            LastTry::None => None,
            LastTry::Replaced => {
                Some(Err("what it was made of has been replaced since, or was not kept".to_owned()))
            }
            LastTry::Kept { attempt, at, requests } => {
                let requests = requests.clone();
                let sent = Try { step: *row, attempt: *attempt, requests, at: *at };
                Some(shown_request(step, case, book, routes, sent).await)
            }
        };
        let goes_on = step.state.is_unfinished() || step.state == StepStateName::Shadow;
        let attempt = step.attempts.saturating_add(1);
        let next = Try { step: *row, attempt, requests: requests.clone(), at: now };
        let next = match goes_on {
            true => Some(shown_request(step, case, book, routes, next).await),
            false => None,
        };
        let shown = Requests { sent, next };
        let Some(left) = room.checked_sub(shown.bytes()) else { break };
        room = left;
        all.insert(step.id, shown);
    }
    all
}

/// The data that a form offers, as far as the page has room for it.
fn edits_of(plan: &[StepView], case: &CaseDetail) -> BTreeMap<StepId, String> {
    let (mut edits, mut room) = (BTreeMap::new(), REQUEST_BYTES);
    for step in plan.iter().filter(|step| step.may.contains(&StepActName::Edit)) {
        let data = Value::Object(request_data(case, step));
        let text = serde_json::to_string_pretty(&redacted(data)).unwrap_or_default();
        let text = escaped_json(&text).into_owned();
        let Some(left) = room.checked_sub(text.len()) else { break };
        room = left;
        edits.insert(step.id, text);
    }
    edits
}

/// `POST /cases/{id}/acts`
pub(super) async fn act_on_case<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id: CaseId = known(&id)?;
    let back = format!("/cases/{id}");
    let wrong = |error: ApiError| PageError::from(error).back(&back).sent(&form);
    let (act, who) = (case_act(&form).map_err(wrong)?, form.who().map_err(wrong)?);
    may_lead_to(&form.visitor.caller, &act).map_err(wrong)?;
    app.supervisor.act_on_case(id, act, &who).await.map_err(|e| wrong(e.into()))?;
    Ok(form.remember(see(&back)))
}

/// `POST /steps/{id}/acts`
pub(super) async fn act_on_step<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id: StepId = known(&id)?;
    let back = format!("/cases/{}#{id}", id.case);
    let wrong = |error: ApiError| PageError::from(error).back(&back).sent(&form);
    let (mut act, who) = (step_act(&form).map_err(wrong)?, form.who().map_err(wrong)?);
    if let StepAct::Edit { data, .. } = &mut act {
        *data = with_secrets(&app, &form.visitor.caller, id, std::mem::take(data))
            .await
            .map_err(wrong)?;
    }
    app.supervisor.act_on_step(id, act, &who).await.map_err(|e| wrong(e.into()))?;
    Ok(form.remember(see(&back)))
}

fn known<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, PageError> {
    text.parse().map_err(|e| PageError::from(ApiError::not_found(format!("{e}"))).back("/cases"))
}

fn case_act(form: &Form) -> Result<CaseAct, ApiError> {
    let reason = form.reason()?;
    let actions = |field| form.all(field).map(parsed::<ActionName>).collect::<Result<Vec<_>, _>>();
    Ok(match parsed(form.text("act"))? {
        CaseActName::Retry => CaseAct::Retry { reason },
        CaseActName::Replan => {
            let rulebook = Some(form.text("rulebook")).filter(|name| !name.is_empty());
            CaseAct::Replan { reason, rulebook: rulebook.map(str::to_owned) }
        }
        CaseActName::Settle => CaseAct::Settle { reason },
        CaseActName::Plan => CaseAct::Plan {
            reason,
            compensate: actions("compensate")?,
            retry: actions("retry")?,
            notify: actions("notify")?,
        },
    })
}

fn step_act(form: &Form) -> Result<StepAct, ApiError> {
    let reason = form.reason()?;
    let ticked = |name: &str| !form.text(name).is_empty();
    Ok(match parsed(form.text("act"))? {
        StepActName::Retry => StepAct::Retry {
            reason,
            new_key: ticked("new_key"),
            may_have_run: ticked("may_have_run"),
        },
        StepActName::Waive => StepAct::Waive { reason },
        StepActName::Approve => StepAct::Approve { reason },
        StepActName::Record => StepAct::Record { reason, outcome: parsed(form.text("outcome"))? },
        StepActName::Edit => {
            let data = serde_json::from_str(form.text("data")).map_err(|e| {
                ApiError::invalid(format!(
                    "the data is no JSON object: {e}; write e.g. {{\"amount\": 12}}"
                ))
            })?;
            StepAct::Edit { reason, data, may_have_run: ticked("may_have_run") }
        }
    })
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|e| ApiError::invalid(format!("{e}")))
}

impl Page {
    /// Steps that need a person, first those that are not only waiting for approval.
    fn needy(&self) -> Vec<&StepView> {
        let mut needy: Vec<_> =
            self.case.plan.iter().filter(|s| s.state == StepStateName::Stuck).collect();
        needy.sort_by_key(|s| s.reason == Some(StuckReason::AwaitsApproval));
        needy
    }

    /// What a person may add to the plan, by verb: `service.action`.
    fn plannable(&self, wanted: &Verb) -> Vec<String> {
        let Some(book) = &self.planning else { return Vec::new() };
        let is_planned = |verb: Verb, name: &ActionName| {
            let mut same = self.case.plan.iter().filter(|s| s.verb == verb && s.action == *name);
            same.any(|step| step.state != StepStateName::Shadow)
        };
        plannable(book, is_planned)
            .filter(|(verb, _)| verb == wanted)
            .map(|(_, id)| book.get(id).name.to_string())
            .collect()
    }

    fn rule_link(&self, label: &str) -> Option<String> {
        let (name, hash) =
            (self.case.summary.rulebook.as_ref()?, self.case.rulebook_hash.as_ref()?);
        let rule = self.book.as_ref()?.rules().iter().find(|r| r.index_label == label)?;
        Some(format!("/rules/{name}/versions/{hash}#rule-{}", rule.id.0))
    }

    /// Which rules were looked at for a report, and why each did or did not answer it.
    fn considered(&self, report: &ReportView) -> Vec<(String, &'static str, String)> {
        let Some(book) = &self.book else { return Vec::new() };
        let is_looked_at = matches!(
            report.role,
            ReportStanding::Rule | ReportStanding::RuleHeld | ReportStanding::Unmatched
        );
        if report.cut || !is_looked_at {
            return Vec::new();
        }
        let position = self.case.reports.iter().position(|other| std::ptr::eq(other, report));
        let looked = position.and_then(|position| self.looked.get(position));
        let told = |considered: &Considered| {
            let label = book.rule(considered.rule).index_label.clone();
            let verdict = match (considered.chosen, considered.matches) {
                (true, _) => "✓ answers it: the most specific that matches",
                (false, true) => "○ matches too, and is less specific",
                (false, false) => "– does not match",
            };
            let checks = considered.checks.iter().map(|check| {
                let found = check.found.as_deref().unwrap_or("absent");
                let held = if check.holds { "holds" } else { "does not hold" };
                format!("{} {} (found {found}): {held}", check.field, check.wanted)
            });
            (label, verdict, checks.collect::<Vec<_>>().join("; "))
        };
        looked.into_iter().flatten().take(CONSIDERED).map(told).collect()
    }

    /// The acts on a step that are one press: what helps first, what is not possible now with the reason.
    fn buttons(&self, step: &StepView) -> Vec<Button> {
        let of = |act: &StepActName| Button::of(*act, step);
        let mut buttons: Vec<Button> =
            [StepActName::Approve, StepActName::Retry, StepActName::Waive]
                .iter()
                .filter_map(of)
                .collect();
        buttons.sort_by_key(|button| !button.is_main);
        buttons
    }

    fn requests(&self, step: &StepView) -> Option<&Requests> {
        self.requests.get(&step.id)
    }

    fn edit_data(&self, step: &StepView) -> Option<&String> {
        self.edits.get(&step.id)
    }

    /// Reports that are shown.
    fn reports(&self) -> &[ReportView] {
        &self.case.reports[..self.case.reports.len().min(REPORTS)]
    }

    fn more_reports(&self) -> usize {
        self.case.reports.len().saturating_sub(REPORTS)
    }
}

/// What the button of an act on a case says.
fn case_act_word(act: &CaseActName) -> &'static str {
    match act {
        CaseActName::Retry => "Retry all",
        CaseActName::Replan => "Replan",
        CaseActName::Plan => "Add steps",
        CaseActName::Settle => "Settle by hand",
    }
}

/// A button of a form.
struct Button {
    act: StepActName,
    word: &'static str,
    /// It is what helps most likely.
    is_main: bool,
    why_not: Option<String>,
}

impl Button {
    /// None where nobody would look for it.
    fn of(act: StepActName, step: &StepView) -> Option<Self> {
        let why_not = step.may_not.get(&act).cloned();
        if act == StepActName::Approve && why_not.is_some() {
            return None; // its rule does not ask, or has been answered
        }
        let word = match act {
            StepActName::Approve => "Approve",
            StepActName::Retry if step.state == StepStateName::Done => "Take back, and try it",
            StepActName::Retry => "Retry now",
            StepActName::Edit => "Edit and retry",
            StepActName::Waive => "Waive",
            StepActName::Record => "Record outcome",
        };
        Some(Self { act, word, is_main: helping(step) == Some(act), why_not })
    }

    fn class(&self) -> &'static str {
        match (self.is_main, self.act) {
            (true, _) => "main",
            (false, StepActName::Waive) => "careful",
            (false, _) => "",
        }
    }
}

/// Of the acts that are possible on a step, the one that helps most likely.
fn helping(step: &StepView) -> Option<StepActName> {
    let remedies = match (step.reason, step.outcome) {
        (Some(reason), _) => reason.remedies(),
        (None, Some(outcome)) => outcome.remedies(),
        (None, None) => step.state.remedies(),
    };
    remedies.iter().filter_map(|remedy| remedy.on_step()).find(|act| step.may.contains(act))
}

/// Whether what helps is below the fold, so that it is open.
fn helps_below(step: &StepView) -> bool {
    let is_below = |act| matches!(act, StepActName::Edit | StepActName::Record);
    step.reason == Some(StuckReason::Refused) || helping(step).is_some_and(is_below)
}

/// The class of a button of an act on a step.
fn class_of(step: &StepView, act: StepActName) -> &'static str {
    if helping(step) == Some(act) { "main" } else { "" }
}

/// The data of a step's request: an operator's, or that of the report that demands it.
fn request_data(case: &CaseDetail, step: &StepView) -> Map<String, Value> {
    let of_report = || {
        let wanted = step.because.first();
        let report = case.reports.iter().find(|r| wanted == Some(&r.id));
        report.or_else(|| case.reports.first()).map(|r| r.data.data.clone())
    };
    step.edited.clone().or_else(|| step.request_data.clone()).or_else(of_report).unwrap_or_default()
}

/// Edited data with the values that the form did not show.
async fn with_secrets<S: Store>(
    app: &App<S>,
    caller: &Caller,
    id: StepId,
    edited: Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    // Who can't see data would put something else in its place without knowing what.
    within_case(app, caller, Right::ReadData, id.case).await?;
    let case = case_detail(app, caller, id.case).await?;
    let parts = case.plan.iter().flat_map(|step| std::iter::once(step).chain(&step.parts));
    let step = parts.clone().find(|step| step.id == id);
    let before = step.map(|step| request_data(&case, step)).unwrap_or_default();
    Ok(match unredacted(Value::Object(edited), &Value::Object(before)) {
        Value::Object(data) => data,
        _ => Map::new(),
    })
}

fn awaits_yes(step: &StepView) -> bool {
    step.reason == Some(StuckReason::AwaitsApproval)
}

/// Why there is no step, in a sentence.
fn no_plan(case: &CaseDetail) -> &'static str {
    let is_read = |walk: &HistoryView| walk.answered;
    match case.summary.state {
        CaseState::Unmatched => "Nothing is planned, since no rule answers the report.",
        CaseState::Stuck => "Nothing is planned; a question waits for an answer.",
        CaseState::Open if !case.histories.iter().all(is_read) => {
            "Nothing is planned yet: Histories are being read."
        }
        CaseState::Open | CaseState::Settled if !case.answers.is_empty() => {
            "No service was asked for anything; what people said stands under the answered questions."
        }
        CaseState::Open | CaseState::Settled => "Nothing has to be done.",
    }
}

fn stage_word(stage: &u16) -> String {
    if *stage == u16::MAX { "last".to_owned() } else { (u32::from(*stage) + 1).to_string() }
}

/// The entries of a History that are shown.
fn entries(walk: &HistoryView) -> &[Evidence] {
    &walk.entries[..walk.entries.len().min(ENTRIES)]
}

/// The tries that are shown.
fn tries(step: &StepView) -> &[AttemptView] {
    &step.log[step.log.len().saturating_sub(TRIES)..]
}

fn took(attempt: &AttemptView) -> String {
    between(attempt.sent_at, attempt.ended_at)
}

fn act_detail(act: &ActView) -> String {
    redacted(act.detail.clone()).to_string()
}

fn report_json(report: &ReportView) -> String {
    let data = serde_json::to_value(&report.data).unwrap_or_default();
    let json = serde_json::to_string_pretty(&redacted(data)).unwrap_or_default();
    escaped_json(&json).into_owned()
}

fn role_word(role: &ReportStanding) -> &'static str {
    match role {
        ReportStanding::Rule => "answered by a rule",
        ReportStanding::RuleHeld => "answered by a rule whose steps wait for approval",
        ReportStanding::ByHand => "answered by hand",
        ReportStanding::Derived => {
            "follows from another report of this case; needs no rule of its own"
        }
        ReportStanding::AwaitsRoot => "names a cause that has not come yet",
        ReportStanding::Unmatched => "no rule answers it",
        ReportStanding::Excess => {
            "came when the case was full; asks for nothing, what it tells of requests counts"
        }
    }
}
