//! Everything that can go wrong with one request, and every place where it can.

use crate::choices::Choices;
use crate::flow::Flow;
use amends_rulebook::{Action, ActionClass, ActionId, CodePattern, Example, Field, Rule, Rulebook};
use amends_workbench::Place;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// The action's own work fails, and the service reports it.
    Fails {
        /// The code that it reports.
        code: Code,
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

/// The code of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// One that the rulebook may name.
    Named(Arc<str>),
    /// Any other: no rule and no report of any rulebook can name it.
    Unnamed,
}

impl Code {
    /// As the report says it. No name of a rulebook holds or begins with anything but ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Named(code) => code,
            Self::Unnamed => "\u{2026}",
        }
    }
}

/// What a code is tried to be that only has to begin in some way.
const LIKELY: &str = "failed";

/// What services report when a call failed or they died: other faults lead to these.
const NOT_OWN: [&str; 2] = ["crashed", "downstream"];

/// Conditional rules tried per code, each where its conditions hold; a rulebook with more of them for one code has
/// made a table of its rules. Those beyond are listed as never reached.
const CONDITIONAL_LIMIT: usize = 32;

/// Of these the first so many are tried at both ends of their conditions.
const BOTH_ENDS_LIMIT: usize = 2;

/// The position of a conditional rule, and reports that it accepts.
type Conditional = (usize, Vec<Arc<Example>>);

/// Codes that no report declares, tried per action; each is tried in every place, so many make many faults.
const UNDECLARED_LIMIT: usize = 32;

/// What services may report: the declared reports of each action, codes that only rules know, and fields that rules
/// with conditions look at.
pub(crate) struct Declared<'b> {
    book: &'b Rulebook,
    by_action: Vec<Vec<(Place, &'b Arc<str>)>>,
    /// By action, what it may report from anywhere in its work.
    undeclared: Vec<Vec<Code>>,
    /// By service.
    fields: BTreeMap<&'b str, Vec<Conditional>>,
    limits: Limits,
}

/// How many of them are tried.
#[derive(Clone, Copy)]
struct Limits {
    conditional: usize,
    undeclared: usize,
}

impl<'b> Declared<'b> {
    /// As much as a run through samples tries.
    pub(crate) fn of(book: &'b Rulebook) -> Self {
        Self::within(book, Limits { conditional: CONDITIONAL_LIMIT, undeclared: UNDECLARED_LIMIT })
    }

    /// All of it.
    pub(crate) fn without_limits(book: &'b Rulebook) -> Self {
        Self::within(book, Limits { conditional: usize::MAX, undeclared: usize::MAX })
    }

    fn within(book: &'b Rulebook, limits: Limits) -> Self {
        let mut by_action: Vec<Vec<(Place, &Arc<str>)>> = Vec::new();
        by_action.resize_with(book.actions().len(), Vec::new);
        for report in book.reports() {
            if let (Some(action), Some(place)) = (report.action, Place::of_report(book, report)) {
                by_action[action.0 as usize].push((place, &report.code));
            }
        }
        let mut fields: BTreeMap<&str, Vec<Conditional>> = BTreeMap::new();
        for (n, rule) in written(book).filter(|(_, r)| !r.when.is_empty()) {
            let examples: Vec<_> = book.examples_of(rule.id, 2).into_iter().map(Arc::new).collect();
            for service in book.services().iter().map(|s| &*s.name) {
                if rule.pattern.service.as_deref().is_none_or(|s| s == service) {
                    fields.entry(service).or_default().push((n, examples.clone()));
                }
            }
        }
        let undeclared = book.actions().iter();
        let undeclared = undeclared.map(|a| self::undeclared(book, a, limits.undeclared)).collect();
        Self { book, by_action, undeclared, fields, limits }
    }

    /// What a service can report when a request failed after so many of its calls; each code without fields, and with
    /// those that rules for it look at.
    fn reports(&self, flow: &Flow, at: Spot<'_>) -> Vec<(Code, Arc<Example>)> {
        let node = at.node;
        let mut all = Vec::new();
        for code in self.codes(flow, at) {
            all.push((code.clone(), Arc::default()));
            let fields = self.fields_for(flow.nodes[node].action, code.as_str());
            all.extend(fields.into_iter().map(|fields| (code.clone(), fields)));
        }
        all
    }

    /// One example for each conditional rule, and the other end for the first few.
    fn fields_for(&self, action: ActionId, code: &str) -> Vec<Arc<Example>> {
        let name = &self.book.get(action).name;
        let fits = |example: &&Arc<Example>| {
            example.action.as_ref().is_none_or(|a| **a == *name.action)
                && (example.message.is_some() || !example.data.is_empty())
        };
        let rules = self.fields.get(&*name.service).map_or(&[][..], Vec::as_slice);
        let ends = rules
            .iter()
            .filter(|(rule, _)| self.book.rules()[*rule].pattern.covers(&name.service, code))
            .map(|(_, examples)| examples.iter().filter(fits))
            .filter(|ends| ends.clone().next().is_some());
        let mut all = Vec::new();
        for (n, ends) in ends.take(self.limits.conditional).enumerate() {
            all.extend(ends.take(if n < BOTH_ENDS_LIMIT { 2 } else { 1 }).cloned());
        }
        all
    }

    /// The codes declared for that very point, then those that nobody declared and that may come from anywhere.
    fn codes(&self, flow: &Flow, at: Spot<'_>) -> Vec<Code> {
        let (made, next) = at.choices.progress(flow, at.node, at.after);
        let index = flow.nodes[at.node].action.0 as usize;
        let here =
            self.by_action[index].iter().filter(|(place, _)| place.admits(self.book, &made, &next));
        let declared = here.map(|(_, code)| Code::Named(Arc::clone(code)));
        declared.chain(self.undeclared[index].iter().cloned()).collect()
    }
}

/// The rules that somebody wrote, with their positions.
fn written(book: &Rulebook) -> impl Iterator<Item = (usize, &Rule)> {
    book.rules().iter().enumerate().filter(|(_, r)| !r.implied)
}

/// Codes that an action may report though no report declares them: one that nobody names, one for each rule that
/// answers many codes, and the code of each rule that answers one.
fn undeclared(book: &Rulebook, action: &Action, limit: usize) -> Vec<Code> {
    let service = &*action.name.service;
    let mut codes = vec![Code::Unnamed];
    for (_, rule) in written(book) {
        let pattern = &rule.pattern;
        if pattern.service.as_deref().is_some_and(|s| s != service) || !may_be(rule, action) {
            continue;
        }
        let code = match &pattern.code {
            CodePattern::Prefix(prefix) => code_that_begins(book, service, prefix),
            CodePattern::Exact(code) => {
                let placed = book.report(service, code).is_some_and(|r| r.action.is_some());
                (!placed && !NOT_OWN.contains(&&**code)).then(|| Code::Named(Arc::clone(code)))
            }
        };
        if let Some(code) = code.filter(|code| !codes.contains(code)) {
            codes.push(code);
        }
        if codes.len() == limit {
            break;
        }
    }
    codes
}

/// Whether the rule's conditions let a report be about this action.
fn may_be(rule: &Rule, action: &Action) -> bool {
    let name = Some(action.name.action.to_string());
    let report = Example { action: name, ..Example::default() };
    let mut about = rule.when.iter().filter(|c| c.field == Field::Action);
    about.all(|c| c.holds(&report.facts("", "")))
}

/// A code with this prefix that no report declares and no closer rule answers.
fn code_that_begins(book: &Rulebook, service: &str, prefix: &str) -> Option<Code> {
    if prefix.is_empty() {
        return Some(Code::Unnamed);
    }
    let closer = |code: &str| {
        written(book).any(|(_, r)| {
            r.pattern.service.as_deref() == Some(service)
                && match &r.pattern.code {
                    CodePattern::Exact(exact) => **exact == *code,
                    CodePattern::Prefix(p) => p.len() > prefix.len() && code.starts_with(&**p),
                }
        })
    };
    let likely = LIKELY.starts_with(prefix).then(|| LIKELY.to_owned());
    let others = ('a'..='z').rev().map(|letter| format!("{prefix}{letter}"));
    let mut codes = likely.into_iter().chain(others);
    let free = codes.find(|code| book.report(service, code).is_none() && !closer(code));
    free.map(|code| Code::Named(code.into()))
}

/// Every fault that a flow can have, in the order of its requests.
#[must_use]
pub fn faults_of(book: &Rulebook, flow: &Flow) -> Vec<Fault> {
    faults(book, &Declared::of(book), flow)
}

/// The same with what is declared at hand.
pub(crate) fn faults(book: &Rulebook, declared: &Declared<'_>, flow: &Flow) -> Vec<Fault> {
    let choices = Choices::default();
    let mut all = Vec::new();
    for node in 0..flow.nodes.len() {
        let places = 0..=flow.nodes[node].calls.len();
        for after in places.filter(|after| !flow.is_awaiting(node, *after)) {
            faults_at(book, declared, flow, Spot { node, after, choices: &choices }, &mut all);
        }
        if node > 0 {
            faults_of_request(flow, node, &mut all);
        }
    }
    all
}

/// A place in the work of one request of a flow.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'c> {
    pub(crate) node: usize,
    /// After how many of its calls.
    pub(crate) after: usize,
    /// Which calls were made before.
    pub(crate) choices: &'c Choices,
}

/// What can strike a request at its work in one place.
pub(crate) fn faults_at(
    book: &Rulebook,
    declared: &Declared<'_>,
    flow: &Flow,
    at: Spot<'_>,
    all: &mut Vec<Fault>,
) {
    let Spot { node, after, .. } = at;
    let has_effect = book.get(flow.nodes[node].action).class != ActionClass::Free;
    let halves: &[bool] = if has_effect { &[false, true] } else { &[false] };
    let mut add = |kind| all.push(Fault { node, after, kind, times: 1 });
    for (code, fields) in declared.reports(flow, at) {
        for &half_done in halves {
            let (code, fields) = (code.clone(), Arc::clone(&fields));
            add(FaultKind::Fails { code, fields, half_done });
        }
    }
    for &half_done in halves {
        add(FaultKind::Crashes { half_done });
    }
    if node > 0 {
        add(FaultKind::Slow);
    }
}

/// What can strike a request or its answer on the way.
pub(crate) fn faults_of_request(flow: &Flow, node: usize, all: &mut Vec<Fault>) {
    let mut add = |after, kind| all.push(Fault { node, after, kind, times: 1 });
    add(flow.nodes[node].calls.len(), FaultKind::AnswerLost);
    add(0, FaultKind::RequestLost);
    add(0, FaultKind::RequestLate);
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
                let fields = match fields.to_json() {
                    fields if fields == serde_json::json!({}) => None,
                    fields => Some(fields.to_string()),
                };
                let with = match (code, fields) {
                    (Code::Unnamed, None) => String::new(),
                    (Code::Unnamed, Some(fields)) => format!(" with {fields}"),
                    (Code::Named(code), fields) => {
                        let and = fields.map_or_else(String::new, |f| format!(" and {f}"));
                        // The way out, if the code never comes from this place.
                        let undeclared = match book.report(&name.service, code) {
                            Some(_) => "",
                            None => {
                                " (which `reports:` doesn't declare, so it may come from anywhere)"
                            }
                        };
                        format!(" with code {code}{and}{undeclared}")
                    }
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
