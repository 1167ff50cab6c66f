//! Everything that can go wrong with one request, and every place where it can.

use crate::flow::Flow;
use amends_rulebook::{ActionClass, ActionId, Example, ReportDecl, Rulebook};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// The action's own work fails, and the service reports it.
    Fails {
        /// The code that it reports.
        code: Arc<str>,
        /// The message and business fields that the report carries.
        fields: Arc<Example>,
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
#[derive(Clone, Debug, PartialEq)]
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

/// Fields tried per code, beside none: both ends of the conditions of two rules.
const FIELDS_LIMIT: usize = 4;

/// What services may report: the declared reports of each action, and fields that rules with conditions look at.
pub(crate) struct Declared<'b> {
    book: &'b Rulebook,
    by_action: Vec<Vec<&'b ReportDecl>>,
    /// By service, examples with the position of their rule.
    fields: BTreeMap<&'b str, Vec<(usize, Arc<Example>)>>,
}

impl<'b> Declared<'b> {
    pub(crate) fn of(book: &'b Rulebook) -> Self {
        let mut by_action = vec![Vec::new(); book.actions().len()];
        for report in book.reports() {
            if let Some(action) = report.action {
                by_action[action.0 as usize].push(report);
            }
        }
        let mut fields: BTreeMap<&str, Vec<(usize, Arc<Example>)>> = BTreeMap::new();
        let conditional =
            book.rules().iter().enumerate().filter(|(_, r)| !r.implied && !r.when.is_empty());
        for (n, rule) in conditional {
            for example in book.examples_of(rule.id, 2).into_iter().map(Arc::new) {
                let of = |service| rule.pattern.service.as_deref().is_none_or(|s| s == service);
                for service in book.services().iter().map(|s| &*s.name).filter(|s| of(*s)) {
                    fields.entry(service).or_default().push((n, Arc::clone(&example)));
                }
            }
        }
        Self { book, by_action, fields }
    }

    /// What a service can report when a request failed after so many of its calls: the codes declared for that very
    /// point, else the plain one; each without fields, and with those that rules for it look at.
    fn reports(&self, flow: &Flow, node: usize, after: usize) -> Vec<(Arc<str>, Arc<Example>)> {
        let mut all = Vec::new();
        for code in self.codes(flow, node, after) {
            all.push((Arc::clone(&code), Arc::default()));
            all.extend(
                self.fields_for(flow.nodes[node].action, &code)
                    .map(|fields| (Arc::clone(&code), fields)),
            );
        }
        all
    }

    fn fields_for(&self, action: ActionId, code: &str) -> impl Iterator<Item = Arc<Example>> {
        let name = &self.book.get(action).name;
        let examples = self.fields.get(&*name.service).map_or(&[][..], Vec::as_slice);
        examples
            .iter()
            .filter(move |(rule, example)| {
                self.book.rules()[*rule].pattern.covers(&name.service, code)
                    && example.action.as_ref().is_none_or(|a| **a == *name.action)
                    && (example.message.is_some() || !example.data.is_empty())
            })
            .map(|(_, example)| Arc::clone(example))
            .take(FIELDS_LIMIT)
    }

    fn codes(&self, flow: &Flow, node: usize, after: usize) -> Vec<Arc<str>> {
        let declared = &self.by_action[flow.nodes[node].action.0 as usize];
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
            for (code, fields) in declared.reports(flow, node, after) {
                for &half_done in halves {
                    let (code, fields) = (Arc::clone(&code), Arc::clone(&fields));
                    add(after, FaultKind::Fails { code, fields, half_done });
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
            FaultKind::Fails { code, fields, half_done } => {
                let with = match fields.to_json() {
                    fields if **code == *PLAIN && fields == serde_json::json!({}) => String::new(),
                    fields if fields == serde_json::json!({}) => format!(" with code {code}"),
                    fields => format!(" with code {code} and {fields}"),
                };
                format!("{name} fails {place}{with}{}{often}", effect(half_done))
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
