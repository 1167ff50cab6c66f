//! The two pictures of a case: the calls of its saga with what happened and what was undone, and the timeline of reports,
//! tries and ends. Lays out; the templates draw and escape.

use super::case::step_sign;
use super::words::{date_and_time, millis};
use amends_protocol::resources::{CaseDetail, StepView};
use amends_protocol::signs::{Sign, Tone};
use amends_protocol::{CaseState, Evidence, HistoryState, Timestamp};
use amends_rulebook::{ActionId, Chart, ChartNode, Rulebook};
use askama::Template;
use std::collections::BTreeMap;

/// Actions of a graph; a larger saga is told by its tables.
const NODES: usize = 60;
/// Tries that are drawn of one step; the table has all.
const TRIES: usize = 200;

const NODE_WIDTH: usize = 150;
/// Of a character in the picture's font, at the most.
const LETTER: usize = 7;
const NODE_HEIGHT: usize = 46;
const GAP: usize = 56;
const ROW: usize = NODE_HEIGHT + 18;
const EDGE: usize = 8;

/// The calls of a saga and what became of each action.
#[derive(Template)]
#[template(path = "graph.svg.html")]
pub(super) struct Graph {
    width: usize,
    height: usize,
    node_width: usize,
    nodes: Vec<Node>,
    calls: Vec<Call>,
}

struct Node {
    x: usize,
    y: usize,
    name: String,
    /// What stands below the name.
    note: String,
    tone: Tone,
}

struct Call {
    path: String,
    head: String,
    optional: bool,
}

impl Graph {
    /// What became of each action that the saga can have come to. None when there is nothing to show: no action, or too
    /// many for a picture.
    pub(super) fn of(case: &CaseDetail, book: &Rulebook) -> Option<Self> {
        let reach = reach(case, book);
        Self::new(
            book,
            |node| reach.contains(&node.action),
            |node| {
                let sign = became(case, book, node.action);
                (format!("{} {}", sign.shape, sign.word), sign.tone)
            },
        )
    }

    /// All calls of a rulebook, and how each action is undone.
    pub(super) fn of_calls(book: &Rulebook) -> Option<Self> {
        Self::new(book, |_| true, |node| (node.note.clone(), Tone::Quiet))
    }

    fn new(
        book: &Rulebook,
        is_shown: impl Fn(&ChartNode) -> bool,
        describe: impl Fn(&ChartNode) -> (String, Tone),
    ) -> Option<Self> {
        let chart = Chart::of_calls(book);
        let shown: Vec<usize> =
            (0..chart.nodes.len()).filter(|n| is_shown(&chart.nodes[*n])).collect();
        if shown.is_empty() || shown.len() > NODES {
            return None;
        }
        let base = shown.iter().map(|n| chart.nodes[*n].depth).min().unwrap_or_default();
        let told: Vec<(String, Tone)> = shown.iter().map(|n| describe(&chart.nodes[*n])).collect();
        let texts =
            shown.iter().map(|n| &chart.nodes[*n].name).chain(told.iter().map(|(note, _)| note));
        let longest = texts.map(|text| text.chars().count()).max().unwrap_or_default();
        let node_width = NODE_WIDTH.max(longest * LETTER + 20);
        let column_width = node_width + GAP;
        let mut filled: BTreeMap<usize, usize> = BTreeMap::new();
        let mut places: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut nodes = Vec::with_capacity(shown.len());
        for (n, (note, tone)) in shown.iter().zip(told) {
            let node = &chart.nodes[*n];
            let column = node.depth - base;
            let row = filled.entry(column).or_default();
            let (x, y) = (EDGE + column * column_width, EDGE + *row * ROW);
            *row += 1;
            places.insert(*n, (x, y));
            nodes.push(Node { x, y, name: node.name.clone(), note, tone });
        }
        let calls = chart
            .calls
            .iter()
            .filter_map(|(from, to, optional)| {
                Some(call(*places.get(from)?, *places.get(to)?, node_width, *optional))
            })
            .collect();
        let columns = filled.keys().last().map_or(1, |last| last + 1);
        let rows = filled.values().max().copied().unwrap_or(1);
        Some(Self {
            width: 2 * EDGE + (columns - 1) * column_width + node_width,
            height: 2 * EDGE + (rows - 1) * ROW + NODE_HEIGHT,
            node_width,
            nodes,
            calls,
        })
    }
}

/// The actions that the saga can have come to, by its reports and its plan; all, if neither names one.
fn reach(case: &CaseDetail, book: &Rulebook) -> Vec<ActionId> {
    let reported =
        case.reports.iter().filter_map(|r| book.action(&r.service, r.data.action.as_deref()?));
    let planned = case.plan.iter().filter_map(|s| book.action(&s.action.service, &s.action.action));
    let mut reach: Vec<ActionId> =
        reported.chain(planned).flat_map(|id| book.saga_reach(id).iter().copied()).collect();
    if reach.is_empty() {
        reach =
            (0..book.actions().len()).filter_map(|n| u32::try_from(n).ok()).map(ActionId).collect();
    }
    reach
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
        return step_sign(step);
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
    let walked = case.walks.iter().flat_map(|w| &w.entries);
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

fn call(from: (usize, usize), to: (usize, usize), node_width: usize, optional: bool) -> Call {
    let (x1, y1) = (from.0 + node_width, from.1 + NODE_HEIGHT / 2);
    let (x2, y2) = (to.0, to.1 + NODE_HEIGHT / 2);
    let middle = x1.midpoint(x2);
    let (tip, back) = (x2, x2.saturating_sub(8));
    Call {
        path: format!("M{x1} {y1} C{middle} {y1} {middle} {y2} {back} {y2}"),
        head: format!("{tip},{y2} {back},{} {back},{}", y2.saturating_sub(4), y2 + 4),
        optional,
    }
}

const LABELS: i64 = 250;
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
                label: format!("report {}/{}", report.service, report.data.code),
                line: None,
                marks: vec![mark(&scale, report.received_at, report.received_at, Tone::Bad, title)],
            });
        }
        rows.extend(case.plan.iter().map(|step| row(step, &scale, until)));
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
        Self { width: LABELS + PLOT + 70, height, ticks, rows }
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
                a.status.map_or(a.result.clone(), |status| format!("{} ({status})", a.result));
            let title = format!("try {}: {ended}, {}", a.attempt, date_and_time(a.sent_at));
            mark(scale, a.sent_at, a.ended_at, Tone::Waiting, title)
        })
        .collect();
    let sign = step_sign(step);
    if let (Some(at), Some(last)) = (step.ended_at, marks.last_mut()) {
        last.tone = sign.tone.as_str();
        last.title = format!("{}, {}: {}", sign.word, date_and_time(at), last.title);
    } else if let Some(at) = step.ended_at {
        marks.push(mark(scale, at, at, sign.tone, format!("{}, {}", sign.word, date_and_time(at))));
    }
    Row {
        y: 0,
        label: format!("{} {} {}", sign.shape, step.verb, step.action),
        line: Some((scale.x(step.planned_at), scale.x(step.ended_at.unwrap_or(until)))),
        marks,
    }
}

fn mark(scale: &Scale, from: Timestamp, to: Timestamp, tone: Tone, title: String) -> Mark {
    let x = scale.x(from);
    Mark { x, width: (scale.x(to) - x).max(5), tone: tone.as_str(), title }
}

#[cfg(test)]
mod tests {
    use super::*;

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
