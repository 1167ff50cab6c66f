//! Whether a saga ended as all or nothing: what is really there, against what a person would expect.

use crate::business::ModelServices;
use crate::flow::Flow;
use crate::supervisor::ModelSupervisor;
use amends_api::{CaseState, Cause};
use amends_engine::{StepRow, StepState};
use amends_protocol::HistoryState;
use amends_rulebook::{ActionClass, ActionId, Past, Pivot, Rulebook};
use serde::{Deserialize, Serialize};

/// What is wrong at the end of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The saga was undone in part: these effects are still there.
    LeftBehind {
        /// What is left.
        leftovers: Vec<Leftover>,
    },
    /// The saga went forward in part: these actions are missing.
    Incomplete {
        /// `service.action` of each.
        missing: Vec<String>,
        /// What it would have taken: callers had failed because of what was run again, and nobody ran them again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wanted: Vec<String>,
    },
    /// Everything happened and stays, yet a correction went out.
    WronglyCorrected {
        /// `service.action` of the messages that were corrected.
        corrected: Vec<String>,
    },
    /// No rule answers a report; the case waits for a person.
    Unmatched {
        /// `service/code` of the reports without a rule.
        reports: Vec<String>,
    },
    /// What is known leaves in doubt whether something still stands, and a person must say.
    InQuestion {
        /// What is in doubt, a sentence each.
        questions: Vec<String>,
    },
    /// The case never comes to its end by itself.
    NeverSettles {
        /// Steps that are not done, each with its state.
        steps: Vec<String>,
    },
}

/// One effect that nobody undid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// `service.action`.
    pub action: String,
    /// What it would have taken, e.g. `compensate rider.match`.
    pub wanted: String,
}

impl Finding {
    /// Whether the saga has come to an end that is neither all nor nothing, and nobody is told.
    #[must_use]
    pub const fn is_left_behind(&self) -> bool {
        match self {
            Self::LeftBehind { .. } | Self::Incomplete { .. } | Self::WronglyCorrected { .. } => {
                true
            }
            Self::Unmatched { .. } | Self::InQuestion { .. } | Self::NeverSettles { .. } => false,
        }
    }
}

/// Looks at the end of a run.
pub(crate) fn judge(
    book: &Rulebook,
    flow: &Flow,
    business: &ModelServices<'_>,
    supervisor: &ModelSupervisor,
) -> Option<Finding> {
    if let Some(case) = supervisor.case().filter(|_| !supervisor.is_settled()) {
        return Some(unsettled(case.state, supervisor));
    }
    let left_out = business.choices.left_out(flow);
    let passed = Passed::of(book, flow, business, supervisor);
    let ids = (0..flow.nodes.len()).filter(|n| !left_out[*n]);
    let there = |n: &usize| business.rows[*n].effect;
    let corrected = |n: usize| is_corrected(flow, business, n);
    let mut leftovers: Vec<Leftover> = ids
        .clone()
        .filter(there)
        .filter_map(|n| {
            let action = book.get(flow.nodes[n].action);
            if passed.keeps(flow.nodes[n].action) {
                return None;
            }
            let wanted = match (action.class, action.correction) {
                (ActionClass::Pivot, _) if passed.lacks(flow, business, flow.nodes[n].action) => {
                    "to keep what came before it, or to ask a person".to_owned()
                }
                (ActionClass::Compensable, _) => format!("compensate {}", action.name),
                (_, Some(correction)) if !corrected(n) => {
                    format!("notify {}", book.get(correction).name)
                }
                _ => return None,
            };
            Some(Leftover { action: action.name.to_string(), wanted })
        })
        .collect();
    if leftovers.is_empty() {
        return None; // nothing of it happened
    }
    let excused = spared(book, flow, business);
    let missing: Vec<String> = ids
        .clone()
        .filter(|n| !there(n) && !excused[*n] && business.class(*n) != ActionClass::Free)
        .map(|n| business.action_name(n))
        .collect();
    let mut wrongly: Vec<String> = ids
        .filter(|n| there(n) && corrected(*n) && !excused[*n])
        .map(|n| business.action_name(n))
        .collect();
    if missing.is_empty() && wrongly.is_empty() {
        return None; // all of it happened
    }
    if missing.is_empty() {
        wrongly.dedup();
        return Some(Finding::WronglyCorrected { corrected: wrongly });
    }
    let undone = supervisor
        .steps()
        .any(|s| s.verb == amends_protocol::Verb::Compensate && s.state != StepState::Shadow);
    let went_forward = supervisor.steps().any(|s| s.verb == amends_protocol::Verb::Retry);
    if went_forward && !undone {
        let wanted = callers_to_run_again(flow, business, supervisor);
        return Some(Finding::Incomplete { missing, wanted });
    }
    leftovers.sort();
    leftovers.dedup();
    Some(Finding::LeftBehind { leftovers })
}

/// The pivots that took effect, and what the rules that answered say of what came before them.
struct Passed<'b> {
    pivots: Vec<&'b Pivot>,
    past: Past,
}

impl<'b> Passed<'b> {
    fn of(
        book: &'b Rulebook,
        flow: &Flow,
        business: &ModelServices<'_>,
        supervisor: &ModelSupervisor,
    ) -> Self {
        let took_effect = |pivot: &&Pivot| {
            let mut nodes = (0..flow.nodes.len()).filter(|n| business.rows[*n].effect);
            nodes.any(|n| flow.nodes[n].action == pivot.action)
        };
        let pivots: Vec<&Pivot> = book.pivots().iter().filter(took_effect).collect();
        let past = if pivots.is_empty() { Past::Undo } else { supervisor.past() };
        Self { pivots, past }
    }

    /// Whether an action stays by its rule.
    fn keeps(&self, action: ActionId) -> bool {
        self.past == Past::Keep && self.pivots.iter().any(|pivot| pivot.before.contains(&action))
    }

    /// Whether a pivot stands of which something that came before it was undone, and no rule wants it so.
    fn lacks(&self, flow: &Flow, business: &ModelServices<'_>, action: ActionId) -> bool {
        let pivot = self.pivots.iter().find(|pivot| pivot.action == action);
        let is_undone = |n: usize| business.rows[n].state == Some(HistoryState::Compensated);
        self.past != Past::Undo
            && pivot.is_some_and(|pivot| {
                let mut nodes = (0..flow.nodes.len()).filter(|n| is_undone(*n));
                nodes.any(|n| pivot.before.contains(&flow.nodes[n].action))
            })
    }
}

/// Requests without which a saga is whole all the same: those of calls whose failure their caller bears, where nothing
/// of them stands that could be taken back. What a message said stands unless it is corrected because the call failed.
fn spared(book: &Rulebook, flow: &Flow, business: &ModelServices<'_>) -> Vec<bool> {
    let mut below: Vec<Below> =
        (0..flow.nodes.len()).map(|n| Below::of(book, flow, business, n)).collect();
    for n in (0..flow.nodes.len()).rev() {
        if let Some(parent) = flow.nodes[n].parent {
            below[parent] = below[parent].with(below[n]);
        }
    }
    let mut spared = vec![false; flow.nodes.len()];
    for n in 0..flow.nodes.len() {
        let above = flow.nodes[n].parent.is_some_and(|parent| spared[parent]);
        let is_loose = flow.call_of(book, n).is_some_and(|call| !call.is_strict());
        spared[n] = above || (is_loose && !below[n].stands());
    }
    spared
}

/// What is there of a request and all those below it.
#[derive(Clone, Copy)]
struct Below {
    /// Something that could be undone or corrected, and was not.
    effect: bool,
    corrected: bool,
    failed: bool,
}

impl Below {
    fn of(book: &Rulebook, flow: &Flow, business: &ModelServices<'_>, node: usize) -> Self {
        let row = &business.rows[node];
        let action = book.get(flow.nodes[node].action);
        let can_be_undone = action.class == ActionClass::Compensable || action.correction.is_some();
        let corrected = row.effect && is_corrected(flow, business, node);
        let failed = row.state.is_some_and(|state| state != HistoryState::Succeeded);
        Self { effect: row.effect && can_be_undone && !corrected, corrected, failed }
    }

    const fn with(self, other: Self) -> Self {
        Self {
            effect: self.effect || other.effect,
            corrected: self.corrected || other.corrected,
            failed: self.failed || other.failed,
        }
    }

    const fn stands(self) -> bool {
        self.effect || (self.corrected && !self.failed)
    }
}

/// Whether the message that a request sent was followed by its correction.
fn is_corrected(flow: &Flow, business: &ModelServices<'_>, node: usize) -> bool {
    business.corrected[flow.nodes[node].action.0 as usize]
}

/// Callers of what was run again that failed because of it and are not there, from the inside out.
fn callers_to_run_again(
    flow: &Flow,
    business: &ModelServices<'_>,
    supervisor: &ModelSupervisor,
) -> Vec<String> {
    let retried = |n: &usize| {
        supervisor.steps().any(|s| {
            s.verb == amends_protocol::Verb::Retry
                && s.action.to_string() == business.action_name(*n)
        })
    };
    let mut wanted: Vec<String> = Vec::new();
    for node in (0..flow.nodes.len()).filter(retried) {
        let mut at = node;
        while let Some(caller) = flow.nodes[at].parent {
            let step = format!("retry {}", business.action_name(caller));
            if !business.rows[caller].effect && !retried(&caller) && !wanted.contains(&step) {
                wanted.push(step);
            }
            at = caller;
        }
    }
    wanted
}

fn unsettled(state: CaseState, supervisor: &ModelSupervisor) -> Finding {
    if state == CaseState::Unmatched {
        let mut reports: Vec<String> = supervisor
            .reports()
            .filter(|r| r.role == amends_engine::ReportRole::Unmatched)
            .map(|r| format!("{}/{}", r.report.service(), r.report.data.code))
            .collect();
        reports.sort();
        reports.dedup();
        return Finding::Unmatched { reports };
    }
    let steps: Vec<&StepRow> = supervisor.steps().filter(|s| !s.state.is_terminal()).collect();
    let questions = supervisor.questions();
    // A step that is stuck by its data's conflict has the same to say, and later stages wait for what is held.
    let is_held = |s: &&StepRow| {
        s.cause() == Some(Cause::Question) || (s.state == StepState::Waiting && s.cause().is_none())
    };
    if !questions.is_empty() && steps.iter().all(is_held) {
        return Finding::InQuestion { questions };
    }
    Finding::NeverSettles { steps: steps.into_iter().map(standing).collect() }
}

/// Where a step stands, or that part of it which is about one request.
fn standing(step: &StepRow) -> String {
    let asks = if step.extra.fence { "fence" } else { step.verb.as_str() };
    let of = step.request().map_or_else(String::new, |request| format!(" (request {request})"));
    format!("{asks} {}{of} is {}", step.action, step.state.name())
}
