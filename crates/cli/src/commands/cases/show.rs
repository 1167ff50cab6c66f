//! `amends cases show`: the story of one case: what was reported, what is asked for, how far it has come, who decided what.

use super::progress;
use super::which::WhichCase;
use crate::client::Client;
use crate::commands::rules::stage_text;
use crate::complete;
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::Printing;
use amends_api::signs::Signed;
use amends_api::{AttemptView, CaseDetail, CaseErasure, CaseSummary, ReportView, StepView};
use amends_api::{CaseState, ClosedOn, StepStateName, amounts_in_words};
use amends_protocol::Timestamp;
use clap_complete::ArgValueCompleter;

/// Options of `cases show`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends cases show c-17\n  amends cases show order-4711\n  amends cases show c-17 --watch"
)]
pub struct ShowOptions {
    /// Which case: its id, e.g. c-17, or its saga's
    #[arg(value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: WhichCase,
    /// With every try of every step
    #[arg(long)]
    attempts: bool,
    #[command(flatten)]
    printing: Printing,
}

pub(super) async fn run(client: &Client, options: ShowOptions) -> Outcome {
    let path = format!("/v1/cases/{}", options.case.id(client).await?);
    let read = async || client.get::<CaseDetail>(&path).await;
    options.printing.one(read, |case| tell(case, options.attempts)).await
}

fn tell(case: &CaseDetail, with_attempts: bool) -> Outcome {
    let now = now();
    output::line(&header(case, now))?;
    if !case.may_still_stand.is_empty() {
        output::line("\nMay still stand")?;
        super::left_behind(&case.may_still_stand)?;
    }
    reports(case, now)?;
    plan(case, now)?;
    if with_attempts {
        attempts(case)?;
    }
    walks(case)?;
    questions(case)?;
    notes_and_acts(case)
}

/// What is in doubt, and what people said about it.
fn questions(case: &CaseDetail) -> Outcome {
    if !case.questions.is_empty() {
        output::line("\nQuestions")?;
    }
    for question in &case.questions {
        let sign = question.kind.sign();
        output::line(&format!(
            "{}  {} {}: {}",
            question.id, sign.shape, sign.word, question.sentence
        ))?;
    }
    if let Some(first) = case.questions.first() {
        output::line(&format!("to answer: amends questions show {}", first.id))?;
    }
    if !case.answers.is_empty() {
        output::line("\nAnswered questions")?;
    }
    for answer in &case.answers {
        let outcome = answer.outcome.map_or(String::new(), |outcome| format!(" {outcome}"));
        output::line(&format!(
            "{}  {} {}{outcome}: {} ({})",
            clock(answer.at),
            answer.by,
            answer.act,
            answer.sentence,
            answer.reason
        ))?;
    }
    Ok(())
}

/// The first lines: where the case stands, in words.
pub(super) fn header(case: &CaseDetail, now: Timestamp) -> String {
    let s = &case.summary;
    let book = s.rulebook.as_deref().map_or(String::new(), |b| format!(", rulebook {b}"));
    let mut lines = vec![format!(
        "{} is {}: {} of saga {}, opened {}{book}",
        s.id,
        s.state,
        s.report,
        s.saga_id,
        relative(s.opened_at, now)
    )];
    lines.push(s.sentence.clone());
    lines.extend(business(s));
    lines.extend(s.erasure.as_ref().map(erased));
    lines.push(match (s.state, s.settled_at) {
        (CaseState::Settled, Some(at)) => {
            let word = s.closed_on.map_or(String::new(), |closed| format!(", {}", closed.sign().word));
            format!("settled {}{word}: {}", relative(at, now), evidence(case))
        }
        (CaseState::Unmatched, _) => {
            "no rule answers it; pick steps with `amends cases plan`, or close it with `amends cases settle`".to_owned()
        }
        _ => progress(&s.steps),
    });
    if let (true, Some(at)) = (s.state == CaseState::Open, case.quiet_at) {
        lines.push(format!("settles {} if nothing more happens", relative(at, now)));
    }
    lines.join("\n")
}

/// That its business data went, or will.
pub(super) fn erased(erasure: &CaseErasure) -> String {
    let CaseErasure { id, by, done_at, fields, .. } = erasure;
    match done_at {
        Some(at) => format!(
            "its business data were erased {}: {fields} values ({id}, asked for by {by})",
            clock(*at)
        ),
        None => format!("its business data go as soon as it is settled ({id}, asked for by {by})"),
    }
}

/// Whom it concerns, what, and how much; none if nothing is known.
fn business(case: &CaseSummary) -> Option<String> {
    let customer = case.customer.as_ref().map(|customer| format!("customer {customer}"));
    let key = case.key.as_ref().map(|key| format!("key {key}"));
    let amount = Some(amounts_in_words(&case.amounts)).filter(|words| !words.is_empty());
    let all: Vec<String> = [customer, key, amount].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn evidence(case: &CaseDetail) -> &'static str {
    let only_watched =
        !case.plan.is_empty() && case.plan.iter().all(|s| s.state == StepStateName::Shadow);
    match case.summary.closed_on {
        Some(ClosedOn::Forward | ClosedOn::Quiet) if only_watched => {
            "nothing was sent, since the rule that answered only watches (mode `shadow`)"
        }
        Some(closed_on) => closed_on.meaning(),
        None => "without stated evidence",
    }
}

fn reports(case: &CaseDetail, now: Timestamp) -> Outcome {
    output::line("\nReports")?;
    let mut grid = Grid::new(&["received", "report", "answered by", "caused by", "message"]);
    for report in &case.reports {
        grid.row(vec![
            relative(report.received_at, now),
            format!("{}/{}", report.service, report.data.code),
            answer(report),
            if report.data.caused_by.is_empty() {
                "-".to_owned()
            } else {
                report.data.caused_by.join(", ")
            },
            report.data.message.clone().unwrap_or_default(),
        ]);
    }
    grid.print()
}

fn answer(report: &ReportView) -> String {
    match (&report.rule, report.role.as_str()) {
        (Some(rule), _) => format!("rule {rule}"),
        (None, "derived") => "its cause's rule".to_owned(),
        (None, "awaits_root") => "nothing yet: waits for its cause".to_owned(),
        (None, "unmatched") => "no rule".to_owned(),
        (None, "excess") => "no rule: the case was full".to_owned(),
        (None, role) => role.replace('_', " "),
    }
}

fn plan(case: &CaseDetail, now: Timestamp) -> Outcome {
    if case.plan.is_empty() {
        return output::line("\nThe plan is empty");
    }
    output::line("\nPlan")?;
    let mut grid = Grid::new(&["step", "stage", "asks", "state", "tries", "next", "message"]);
    for step in &case.plan {
        let asks = format!("{} {}", step.asks(), step.action);
        grid.row(step_row(step, stage_text(step.stage), asks, now));
        for part in several(step) {
            let asks = format!("  request {}", part.request_id.as_deref().unwrap_or("?"));
            grid.row(step_row(part, String::new(), asks, now));
        }
    }
    grid.print()
}

fn step_row(step: &StepView, stage: String, asks: String, now: Timestamp) -> Vec<String> {
    vec![
        step.id.to_string(),
        stage,
        asks,
        state(step),
        step.attempts.to_string(),
        step.due_at.map_or("-".to_owned(), |at| relative(at, now)),
        step.message.clone().unwrap_or_default(),
    ]
}

/// The parts of a step, where it has more than one.
fn several(step: &StepView) -> &[StepView] {
    if step.parts.len() > 1 { &step.parts } else { &[] }
}

/// The outcome of what has ended, the reason of what is stuck, else the state.
pub(super) fn state(step: &StepView) -> String {
    let by = step.decided_by.as_deref().map_or(String::new(), |who| format!(" by {who}"));
    match (step.recorded.or(step.outcome), step.reason) {
        (Some(outcome), _) => format!("{outcome}{by}"),
        (None, Some(reason)) => format!("{}: {}", step.state, reason.as_str().replace('_', " ")),
        (None, None) if step.awaits_callback => format!("{}, tells when done", step.state),
        (None, None) => step.state.to_string(),
    }
}

fn attempts(case: &CaseDetail) -> Outcome {
    output::line("\nTries")?;
    let mut grid = Grid::new(&["step", "try", "sent", "result", "status", "message"]);
    let asked = case.plan.iter().flat_map(|step| match several(step) {
        [] => std::slice::from_ref(step),
        parts => parts,
    });
    for step in asked {
        let request = step.request_id.as_ref().map_or(String::new(), |id| format!(" {id}"));
        for one in &step.log {
            grid.row(vec![
                format!("{} {}{request}", step.asks(), step.action),
                one.attempt.to_string(),
                clock(one.sent_at),
                result(one),
                one.status.map_or("-".to_owned(), |s| s.to_string()),
                one.message.clone().unwrap_or_default(),
            ]);
        }
    }
    grid.print()
}

fn result(one: &AttemptView) -> String {
    if one.called_back { format!("called back: {}", one.result) } else { one.result.to_string() }
}

fn walks(case: &CaseDetail) -> Outcome {
    if case.histories.is_empty() {
        return Ok(());
    }
    output::line("\nHistories asked")?;
    let mut grid = Grid::new(&["service", "answer", "tries", "message"]);
    for walk in &case.histories {
        let entries: Vec<_> = walk
            .entries
            .iter()
            .map(|e| format!("{}.{} {}", e.service, e.action, e.state))
            .collect();
        let answer = match (walk.answered, entries.is_empty()) {
            (false, _) if walk.unavailable_since.is_some() => "unavailable".to_owned(),
            (false, _) => walk.cause.map_or("none yet", |cause| cause.sign().word).to_owned(),
            (true, true) => "nothing of this saga".to_owned(),
            (true, false) => entries.join(", "),
        };
        grid.row(vec![
            walk.service.clone(),
            answer,
            walk.attempts.to_string(),
            walk.message.clone().unwrap_or_default(),
        ]);
    }
    grid.print()
}

fn notes_and_acts(case: &CaseDetail) -> Outcome {
    if !case.notes.is_empty() {
        output::line("\nNotes")?;
    }
    for note in &case.notes {
        output::line(&format!("{}  {}", clock(note.at), note.text))?;
    }
    if !case.acts.is_empty() {
        output::line("\nActs")?;
    }
    for act in &case.acts {
        let step = act.step_id.map_or(String::new(), |s| format!(" {s}"));
        output::line(&format!(
            "{}  {} {}{step}: {}",
            clock(act.at),
            act.actor,
            act.act,
            act.reason
        ))?;
    }
    Ok(())
}
