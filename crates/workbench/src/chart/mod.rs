//! The calls between actions as a picture; of one report, also what becomes of each action. Lays out and draws; decides
//! nothing.

mod notation;
mod svg;

use crate::check::answers;
use crate::matrix::PlaceOfRow;
use crate::{CellKind, Row};
use amends_rulebook::{
    ActionClass, ActionId, Call, Coupling, Demand, Flow, FlowStep, ReportDecl, RuleId, Rulebook,
    Times,
};
use serde_json::{Value, json};

/// An action in the picture.
#[derive(Clone, Debug)]
pub struct ChartNode {
    /// Which.
    pub action: ActionId,
    /// `service.action`.
    pub name: String,
    /// What can be done about it, e.g. `undone by refund`.
    pub note: String,
    /// What becomes of it; none in a picture without a report.
    pub kind: Option<CellKind>,
    /// How far it is from the entry actions.
    pub depth: usize,
}

/// A call in the picture; the numbers are positions in its nodes.
#[derive(Clone, Copy, Debug)]
pub struct ChartCall {
    /// The caller.
    pub from: usize,
    /// What is called.
    pub to: usize,
    /// Not every saga makes it.
    pub optional: bool,
    /// What else is to be said of it, e.g. `event`; nothing of a plain call.
    pub how: &'static str,
}

/// Calls between actions.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What the picture shows.
    pub title: String,
    /// Every action that is part of a saga; with a report, those of its sagas.
    pub nodes: Vec<ChartNode>,
    /// The calls between them, as often as they are written.
    pub calls: Vec<ChartCall>,
}

impl Chart {
    /// The whole rulebook.
    #[must_use]
    pub fn of_calls(book: &Rulebook) -> Self {
        Self::new(book, format!("calls of {}", book.name()), &all_actions(book), None)
    }

    /// Some actions, in this order within each distance from the entry actions, and the calls between them.
    #[must_use]
    pub fn of_actions(book: &Rulebook, title: String, actions: &[ActionId]) -> Self {
        Self::new(book, title, actions, None)
    }

    /// One declared report, under the first rule that can answer it, or the rule given.
    ///
    /// # Errors
    /// Says that there is no such report.
    pub fn of_report(book: &Rulebook, name: &str, rule: Option<RuleId>) -> Result<Self, String> {
        let (service, code) = name
            .split_once('/')
            .ok_or_else(|| format!("`{name}` is not a report; it is written `service/code`"))?;
        let report = book.report(service, code).ok_or_else(|| {
            let known: Vec<_> = (0..book.reports().len())
                .take(20)
                .map(|n| format!("`{}`", book.report_name(n)))
                .collect();
            format!(
                "no report `{name}` is declared; declared are: {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )
        })?;
        let rule = rule.or_else(|| answers(book, service, code, report.action).0.first().copied());
        let demand = rule.map(|id| &book.rule(id).demand);
        let by =
            rule.map_or("no rule".to_owned(), |id| format!("rule {}", book.rule(id).index_label));
        Ok(Self::of(book, format!("{name}, answered by {by}"), Some(report), demand))
    }

    /// One row of the matrix of this rulebook: what becomes of each action of the sagas that the row is about.
    #[must_use]
    pub fn of_row(book: &Rulebook, row: &Row) -> Self {
        let rule = row.rule.and_then(|id| book.rules().get(id.0 as usize));
        let demand = match rule {
            Some(rule) if row.given_up => rule.give_up.as_ref().map(|g| &g.then),
            other => other.map(|r| &r.demand),
        };
        let report = row.report.and_then(|n| book.reports().get(n));
        let by = rule.map_or("no rule".to_owned(), |r| format!("rule {}", r.index_label));
        Self::of(book, format!("{}, answered by {by}", row.label), report, demand)
    }

    fn of(
        book: &Rulebook,
        title: String,
        report: Option<&ReportDecl>,
        demand: Option<&Demand>,
    ) -> Self {
        let actions = match report.and_then(|r| r.action) {
            Some(action) => book.saga_reach(action).to_vec(),
            None => all_actions(book),
        };
        let cells = PlaceOfRow::new(book, report).cells(book, &actions, demand);
        let kinds: Vec<CellKind> = cells.iter().map(|c| c.kind).collect();
        Self::new(book, title, &actions, Some(&kinds))
    }

    /// As data: `title`, `nodes` with what can be done about each and what becomes of it, and `calls`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|n| json!({ "action": n.name, "note": n.note, "kind": n.kind.map(CellKind::as_str) }))
            .collect();
        let name = |n: usize| self.nodes[n].name.as_str();
        let call = |call: &ChartCall| {
            let ChartCall { from, to, optional, how } = call;
            json!({ "from": name(*from), "to": name(*to), "optional": optional, "how": how })
        };
        let calls: Vec<_> = self.calls.iter().map(call).collect();
        json!({ "title": self.title, "nodes": nodes, "calls": calls })
    }

    fn new(
        book: &Rulebook,
        title: String,
        actions: &[ActionId],
        kinds: Option<&[CellKind]>,
    ) -> Self {
        let mut position = vec![usize::MAX; book.actions().len()];
        for (n, id) in actions.iter().enumerate() {
            position[id.0 as usize] = n;
        }
        let depths = depths(book);
        let nodes = actions
            .iter()
            .enumerate()
            .map(|(n, id)| ChartNode {
                action: *id,
                name: book.get(*id).name.to_string(),
                note: note(book, *id),
                kind: kinds.and_then(|k| k.get(n)).copied(),
                depth: depths[id.0 as usize],
            })
            .collect();
        let mut calls = Vec::new();
        for (n, id) in actions.iter().enumerate() {
            let flow = &book.get(*id).calls;
            for (at, call) in flow.iter().enumerate() {
                let to = position[call.action.0 as usize];
                if to != usize::MAX {
                    let how = how(flow, at, call);
                    calls.push(ChartCall { from: n, to, optional: call.optional, how });
                }
            }
        }
        Self { title, nodes, calls }
    }
}

fn all_actions(book: &Rulebook) -> Vec<ActionId> {
    book.action_ids().filter(|id| book.get(*id).correction_of.is_none()).collect()
}

/// What a picture says of a call: what its answer means, else how it hangs together with others, else how often it is
/// made.
fn how(flow: &Flow, at: usize, call: &Call) -> &'static str {
    match (call.coupling, flow.step_of(at), call.times) {
        (Coupling::Event { .. }, ..) => "event",
        (Coupling::Tolerated, ..) => "tolerated",
        (_, Some(FlowStep::OneOf(_)), _) => "one of",
        (_, Some(FlowStep::Parallel(_)), _) => "at once",
        (.., Times::AnyNumber | Times::AtLeastOnce) => "many times",
        _ => "",
    }
}

fn note(book: &Rulebook, id: ActionId) -> String {
    let action = book.get(id);
    let mut parts = Vec::new();
    if let Some(compensation) = &action.compensation {
        parts.push(format!("undone by {compensation}"));
    }
    if let Some(correction) = action.correction {
        parts.push(format!("corrected by {}", book.get(correction).name.action));
    }
    if action.class == ActionClass::Pivot {
        parts.push("pivot: nothing undoes it".to_owned());
    }
    if action.on_failure_retry {
        parts.push("run again if it fails".to_owned());
    }
    if parts.is_empty() { action.class.as_str().to_owned() } else { parts.join(", ") }
}

/// By action: the longest way from an entry action.
fn depths(book: &Rulebook) -> Vec<usize> {
    let mut depths = vec![0; book.actions().len()];
    for id in book.callees_first().into_iter().rev() {
        for call in &book.get(id).calls {
            let below = depths[id.0 as usize] + 1;
            let depth = &mut depths[call.action.0 as usize];
            *depth = below.max(*depth);
        }
    }
    depths
}
