//! Everything that can go wrong with one request, and every place where it can.

use crate::flow::Flow;
use amends_rulebook::{ActionClass, ActionId, ReportDecl, Rulebook};
use serde::Serialize;
use std::sync::Arc;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The action's own work fails, and the service reports it.
    Fails {
        /// The code that it reports.
        code: Arc<str>,
        /// Its effect took place all the same, outside of its transaction.
        half_done: bool,
    },
    /// The service dies at work on it and finds the request when it is back.
    Crashes {
        /// Its effect took place before.
        half_done: bool,
    },
    /// It takes effect, but the caller never gets the answer.
    AnswerLost,
    /// The request never arrives.
    RequestLost,
    /// The request arrives when nobody waits for it any more.
    RequestLate,
    /// The caller stops waiting; the work goes on later.
    Slow,
}

/// One thing that goes wrong in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which request of the flow.
    pub node: usize,
    /// After how many of its calls.
    pub after: usize,
    /// What.
    pub kind: FaultKind,
    /// How many runs of the request it hits.
    pub times: u32,
}

/// The code of a failure for which the rulebook declares no report at that point.
pub(crate) const PLAIN: &str = "failed";

/// The declared reports of each action.
pub(crate) struct Declared<'b>(Vec<Vec<&'b ReportDecl>>);

impl<'b> Declared<'b> {
    pub(crate) fn of(book: &'b Rulebook) -> Self {
        let mut by_action = vec![Vec::new(); book.actions().len()];
        for report in book.reports() {
            if let Some(action) = report.action {
                by_action[action.0 as usize].push(report);
            }
        }
        Self(by_action)
    }

    /// The codes with which a service can report that a request failed after so many of its calls: those declared for
    /// that very point, else the plain one.
    fn codes(&self, flow: &Flow, node: usize, after: usize) -> Vec<Arc<str>> {
        let declared = &self.0[flow.nodes[node].action.0 as usize];
        if declared.is_empty() {
            return vec![PLAIN.into()];
        }
        let made = flow.made_by(node, after);
        let before = after.checked_sub(1).map(|n| flow.made_by(node, n));
        let holds =
            |wanted: &[ActionId], made: &[ActionId]| wanted.iter().all(|a| made.contains(a));
        let at_last = |r: &ReportDecl| before.as_ref().is_none_or(|made| !holds(&r.after, made));
        let codes: Vec<Arc<str>> = declared
            .iter()
            .filter(|r| r.anywhere || (holds(&r.after, &made) && at_last(r)))
            .filter(|r| r.without.iter().all(|a| !made.contains(a)))
            .map(|r| Arc::clone(&r.code))
            .collect();
        if codes.is_empty() { vec![PLAIN.into()] } else { codes }
    }
}

/// Every fault that a flow can have, in the order of its requests.
pub(crate) fn faults(book: &Rulebook, declared: &Declared<'_>, flow: &Flow) -> Vec<Fault> {
    let mut all = Vec::new();
    for node in 0..flow.nodes.len() {
        let has_effect = book.get(flow.nodes[node].action).class != ActionClass::Free;
        let halves: &[bool] = if has_effect { &[false, true] } else { &[false] };
        let mut add = |after, kind| all.push(Fault { node, after, kind, times: 1 });
        for after in 0..=flow.nodes[node].calls.len() {
            for code in declared.codes(flow, node, after) {
                for &half_done in halves {
                    add(after, FaultKind::Fails { code: Arc::clone(&code), half_done });
                }
            }
            for &half_done in halves {
                add(after, FaultKind::Crashes { half_done });
            }
            if node > 0 {
                add(after, FaultKind::Slow);
            }
        }
        if node > 0 {
            add(flow.nodes[node].calls.len(), FaultKind::AnswerLost);
            add(0, FaultKind::RequestLost);
            add(0, FaultKind::RequestLate);
        }
    }
    all
}

impl Fault {
    /// In one sentence, e.g. ``payment.pay fails in its own work after its call of delivery.request``.
    #[must_use]
    pub fn describe(&self, book: &Rulebook, flow: &Flow) -> String {
        let invocation = &flow.nodes[self.node];
        let name = &book.get(invocation.action).name;
        let place = match self.after.checked_sub(1).and_then(|n| invocation.calls.get(n)) {
            Some(call) => format!("after its call of {}", book.get(flow.nodes[*call].action).name),
            None if invocation.calls.is_empty() => "at its own work".to_owned(),
            None => "before its first call".to_owned(),
        };
        let effect = |half: &bool| if *half { ", its effect done" } else { ", without effect" };
        let often = if self.times > 1 { ", again and again" } else { "" };
        match &self.kind {
            FaultKind::Fails { code, half_done } => {
                format!("{name} fails {place} with code {code}{}{often}", effect(half_done))
            }
            FaultKind::Crashes { half_done } => {
                format!("{} crashes in {name} {place}{}", name.service, effect(half_done))
            }
            FaultKind::AnswerLost => format!("the answer of {name} is lost"),
            FaultKind::RequestLost => format!("the request of {name} never arrives"),
            FaultKind::RequestLate => format!("the request of {name} arrives late"),
            FaultKind::Slow => format!("{name} is slow {place}, its caller stops waiting"),
        }
    }
}
