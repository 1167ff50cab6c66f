//! The two pictures of a case: the calls of its saga with what happened and what was undone, and the timeline of reports,
//! tries and ends. The rulebook draws the calls; the timeline is laid out here, its
//! template draws and escapes.

use super::words::{date_and_time, millis};
use amends_api::signs::{Sign, Tone};
use amends_api::{CaseDetail, CaseState, StepView};
use amends_protocol::{Evidence, HistoryState, Timestamp};
use amends_rulebook::{ActionId, Rulebook};
use amends_workbench::{Annotate, Chart, ChartNode, Note};
use askama::Template;
use std::collections::{BTreeMap, BTreeSet};

/// Actions of a graph; a larger saga is told by its tables.
const NODES: usize = 60;
/// Rows of a timeline; more are no picture.
const ROWS: usize = 120;
/// Tries that are drawn of one step; the table has all.
const TRIES: usize = 200;

/// The calls of a saga and what became of each action, as a picture. None when there is nothing to show: no action, or too
/// many for a picture.
pub(super) fn graph(case: &CaseDetail, book: &Rulebook) -> Option<String> {
    let actions = reach(case, book);
    if actions.is_empty() || actions.len() > NODES {
        return None;
    }
    let title = format!("calls of {}", case.summary.saga_id);
    let mut chart = Chart::of_actions(book, title, &actions);
    let mut tones = BTreeMap::new();
    for node in &mut chart.nodes {
        let sign = became(case, book, node.action);
        node.note = format!("{} {}", sign.shape, sign.word);
        tones.insert(node.action, sign.tone);
    }
    Some(chart.to_svg(&Tones(tones)))
}

/// All calls of a rulebook, and how each action is undone.
pub(super) fn graph_of_calls(book: &Rulebook) -> Option<String> {
    let chart = Chart::of_calls(book);
    (1..=NODES).contains(&chart.nodes.len()).then(|| chart.to_svg(&()))
}

/// The colour of what became of each action.
struct Tones(BTreeMap<ActionId, Tone>);

impl Annotate for Tones {
    fn node(&self, node: &ChartNode) -> Note {
        let class = self.0.get(&node.action).map(|tone| tone.as_str().to_owned());
        Note { class, ..Note::default() }
    }
}

fn reach(case: &CaseDetail, book: &Rulebook) -> Vec<ActionId> {
    let reported = case.reports.iter().map(|r| book.action(&r.service, r.data.action.as_deref()?));
    let planned = case.plan.iter().filter_map(|s| book.action(&s.action.service, &s.action.action));
    about(book, &reported.collect::<Vec<_>>(), planned)
}

/// The actions that a case is about: where all its failures lie below calls that are tolerated, what lies there and
/// what is planned; else all that the saga can have come to, by its reports and its plan; all, if neither names one.
fn about(
    book: &Rulebook,
    reported: &[Option<ActionId>],
    planned: impl Iterator<Item = ActionId>,
) -> Vec<ActionId> {
    let whole = |id: ActionId| book.saga_reach(id).iter().copied();
    let reached: BTreeSet<ActionId> = match book.concerned_by(reported.iter().copied()) {
        Some(concerned) => concerned.into_iter().chain(planned).collect(),
        None => reported.iter().copied().flatten().chain(planned).flat_map(whole).collect(),
    };
    let all = (0..book.actions().len()).filter_map(|n| u32::try_from(n).ok()).map(ActionId);
    // A correction stands with its message.
    all.filter(|id| reached.is_empty() || reached.contains(id))
        .filter(|id| book.get(*id).correction_of.is_none())
        .collect()
}

/// What became of an action: what its step says, else what is known of it.
fn became(case: &CaseDetail, book: &Rulebook, id: ActionId) -> Sign {
    let action = book.get(id);
    let is_about = |step: &&StepView| {
        book.action(&step.action.service, &step.action.action)
            .is_some_and(|of| of == id || book.get(of).correction_of == Some(id))
    };
    // A compensation says more than a retry that it has replaced.
    let step =
        case.plan.iter().filter(is_about).max_by_key(|s| s.outcome.is_some() || s.reason.is_some());
    if let Some(step) = step {
        return step.sign();
    }
    let is_reporter = case.reports.iter().any(|r| {
        r.service == *action.name.service && r.data.action.as_deref() == Some(&*action.name.action)
    });
    if is_reporter {
        return Sign { word: "failed here", shape: "✗", tone: Tone::Bad };
    }
    let of_action =
        |e: &&Evidence| e.service == *action.name.service && e.action == *action.name.action;
    let told = case.reports.iter().flat_map(|r| &r.data.history);
    let walked = case.histories.iter().flat_map(|w| &w.entries);
    let states: Vec<HistoryState> = told.chain(walked).filter(of_action).map(|e| e.state).collect();
    if states.iter().any(|s| s.may_have_effect()) {
        let sure = states.contains(&HistoryState::Succeeded);
        let word = if sure { "happened, stays" } else { "may have happened" };
        return Sign { word, shape: "●", tone: if sure { Tone::Going } else { Tone::Waiting } };
    }
    if states.is_empty() {
        Sign { word: "not heard of", shape: "·", tone: Tone::Quiet }
    } else {
        Sign { word: "took no effect", shape: "○", tone: Tone::Quiet }
    }
}

const LABELS: i64 = 250;
/// Letters that fit into them.
const LABEL_LETTERS: usize = 36;
const PLOT: i64 = 640;
const LINE: i64 = 26;
const TOP: i64 = 30;

/// When what happened.
#[derive(Template)]
#[template(path = "timeline.svg.html")]
pub(super) struct Timeline {
    width: i64,
    height: i64,
    ticks: Vec<(i64, String)>,
    rows: Vec<Row>,
    /// Rows beyond the limit.
    omitted: usize,
}

struct Row {
    y: i64,
    label: String,
    /// From when to when something was on its way.
    line: Option<(i64, i64)>,
    marks: Vec<Mark>,
}

struct Mark {
    x: i64,
    width: i64,
    tone: &'static str,
    title: String,
}

struct Scale {
    from: Timestamp,
    length_ms: u64,
}

impl Scale {
    fn x(&self, at: Timestamp) -> i64 {
        let part = i64::try_from(at.ms_since(self.from).min(self.length_ms)).unwrap_or_default();
        let length = i64::try_from(self.length_ms).unwrap_or(i64::MAX).max(1);
        LABELS + part.saturating_mul(PLOT) / length
    }
}

impl Timeline {
    pub(super) fn of(case: &CaseDetail, now: Timestamp) -> Self {
        let from = case.summary.opened_at;
        let ends = case.plan.iter().filter_map(|s| s.ended_at).chain(case.summary.settled_at);
        let is_open = case.summary.state != CaseState::Settled;
        let until = ends.chain(is_open.then_some(now)).max().unwrap_or(from);
        let scale = Scale { from, length_ms: until.ms_since(from).max(1) };
        let mut rows = Vec::new();
        for report in &case.reports {
            let title = format!(
                "report {}/{}, {}",
                report.service,
                report.data.code,
                date_and_time(report.received_at)
            );
            rows.push(Row {
                y: 0,
                label: shortened(format!("report {}/{}", report.service, report.data.code)),
                line: None,
                marks: vec![mark(&scale, report.received_at, report.received_at, Tone::Bad, title)],
            });
        }
        rows.extend(case.plan.iter().map(|step| row(step, &scale, until)));
        let omitted = rows.len().saturating_sub(ROWS);
        rows.truncate(ROWS);
        for (n, row) in rows.iter_mut().enumerate() {
            row.y = TOP + LINE * i64::try_from(n).unwrap_or_default();
        }
        let ticks = (0..=4_u64)
            .map(|n| {
                let at = from.plus_ms(scale.length_ms * n / 4);
                (
                    scale.x(at),
                    if n == 0 { "0".to_owned() } else { elapsed(scale.length_ms * n / 4) },
                )
            })
            .collect();
        let height = TOP + LINE * i64::try_from(rows.len()).unwrap_or_default() + 6;
        Self { width: LABELS + PLOT + 70, height, ticks, rows, omitted }
    }
}

fn elapsed(ms: u64) -> String {
    if ms < 10_000 { format!("+{ms} ms") } else { format!("+{}", millis(&ms)) }
}

fn row(step: &StepView, scale: &Scale, until: Timestamp) -> Row {
    let mut marks: Vec<Mark> = step
        .log
        .iter()
        .take(TRIES)
        .map(|a| {
            let ended =
                a.status.map_or(a.result.to_string(), |status| format!("{} ({status})", a.result));
            let what = if a.called_back { "called back after try" } else { "try" };
            let title = format!("{what} {}: {ended}, {}", a.attempt, date_and_time(a.sent_at));
            mark(scale, a.sent_at, a.ended_at, Tone::Waiting, title)
        })
        .collect();
    let sign = step.sign();
    if let (Some(at), Some(last)) = (step.ended_at, marks.last_mut()) {
        last.tone = sign.tone.as_str();
        last.title = format!("{}, {}: {}", sign.word, date_and_time(at), last.title);
    } else if let Some(at) = step.ended_at {
        marks.push(mark(scale, at, at, sign.tone, format!("{}, {}", sign.word, date_and_time(at))));
    }
    Row {
        y: 0,
        label: shortened(format!("{} {} {}", sign.shape, step.asks(), step.action)),
        line: Some((scale.x(step.planned_at), scale.x(step.ended_at.unwrap_or(until)))),
        marks,
    }
}

/// A label that fits before the bars.
fn shortened(label: String) -> String {
    if label.chars().count() <= LABEL_LETTERS {
        return label;
    }
    label.chars().take(LABEL_LETTERS - 1).chain(['…']).collect()
}

fn mark(scale: &Scale, from: Timestamp, to: Timestamp, tone: Tone, title: String) -> Mark {
    let x = scale.x(from);
    Mark { x, width: (scale.x(to) - x).max(5), tone: tone.as_str(), title }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_below_a_tolerated_call_is_drawn_without_the_rest_of_its_saga() {
        let book = Rulebook::from_yaml(
            "
rulebook: shop
services:
  order:
    url: http://order
    actions: { place: { compensation: cancel, calls: [payment.pay, { call: mail.send, tolerate: true }] } }
  payment: { url: http://payment, actions: { pay: { compensation: refund } } }
  mail: { url: http://mail, actions: { send: { compensation: recall, calls: [render.page] } } }
  render: { url: http://render, actions: { page: { compensation: drop } } }
rules:
  - { on: '*/*', compensate: recorded }
",
        )
        .expect("valid");
        let id = |service: &str, action: &str| book.action(service, action).expect("known");
        let drawn = |reported: &[Option<ActionId>], planned: &[ActionId]| {
            let all = about(&book, reported, planned.iter().copied());
            all.into_iter().map(|id| book.get(id).name.to_string()).collect::<Vec<_>>()
        };
        let render = id("render", "page");
        assert_eq!(drawn(&[Some(render)], &[]), ["mail.send", "render.page"]);
        let pay = id("payment", "pay");
        assert_eq!(drawn(&[Some(render)], &[pay]), ["payment.pay", "mail.send", "render.page"]);
        assert_eq!(drawn(&[Some(render), Some(pay)], &[]).len(), 4);
        assert_eq!(
            drawn(&[Some(render), None], &[]).len(),
            4,
            "nobody knows what the other failed at"
        );
    }

    #[test]
    fn a_moment_outside_stays_on_the_picture() {
        let scale = Scale { from: Timestamp(1_000), length_ms: 100 };
        assert_eq!(scale.x(Timestamp(0)), LABELS);
        assert_eq!(scale.x(Timestamp(1_050)), LABELS + PLOT / 2);
        assert_eq!(scale.x(Timestamp(9_000)), LABELS + PLOT);
        assert_eq!(elapsed(9_999), "+9999 ms");
        assert_eq!(elapsed(61_000), "+1m 1s");
    }
}
