//! The services of one saga as models of the service kit: what each remembers, does, answers and reports. The states
//! and answers follow the table in `crates/service/src/history.rs`.
//!
//! INVARIANT: no way leads from a request that was undone or fenced to an effect.

mod steps;

use crate::choices::{Choices, Meanwhile};
use crate::fault::{Fault, FaultKind};
use crate::flow::Flow;
use crate::story::Story;
use amends_protocol::{Evidence, HistoryState, Outcome, Report, ReportData, SagaId, StepId};
use amends_rulebook::{ActionClass, Example, Rulebook};
use amends_workbench::is_silent;
use serde_json::Map;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a caller repeats a call without answer to an action that only has to be retried.
const REPEATS: u32 = 5;

/// The code of a failure that follows from a failed call.
const DOWNSTREAM: &str = "downstream";

/// What a service knows of one request, and what is really there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) state: Option<HistoryState>,
    /// Somebody is at work on it.
    running: bool,
    /// The effect is there, whatever the History says.
    pub(crate) effect: bool,
    /// The report about its failure.
    report: Option<usize>,
    /// What its caller knows of it.
    pub(crate) call: Option<HistoryState>,
}

/// What is still to come after the saga's own run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// A report waits in its service's outbox.
    Report(usize),
    /// A crashed service is back and looks at its unfinished requests.
    Sweep(usize),
    /// A late request arrives.
    Arrive(usize),
    /// Slow work goes on after so many calls.
    Resume(usize, usize),
    /// A caller repeats a call that it got no answer to.
    Repeat(usize, u32),
}

/// What a report says beside the History.
#[derive(Clone, Copy)]
struct Why<'w> {
    code: &'w str,
    fields: Option<&'w Example>,
    cause: Option<usize>,
}

/// What a caller gets.
enum Reply {
    Ok,
    /// `unsure`: it may have had an effect.
    Failed {
        report: Option<usize>,
        unsure: bool,
    },
    Fenced,
    Nothing,
}

/// All services of one saga.
pub(crate) struct ModelServices<'a> {
    book: &'a Rulebook,
    flow: &'a Flow,
    faults: Vec<Fault>,
    pub(crate) choices: Choices,
    pub(crate) rows: Vec<Row>,
    fences: Vec<bool>,
    pub(crate) corrected: Vec<bool>,
    remembered: BTreeMap<StepId, Outcome>,
    pub(crate) reports: Vec<Arc<Report>>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) story: Story,
    /// A retry step runs: a failure is its answer and no report.
    rerun: Option<usize>,
    /// Reports say neither where the saga began nor who called.
    pub(crate) nameless: bool,
}

impl<'a> ModelServices<'a> {
    pub(crate) fn new(
        book: &'a Rulebook,
        flow: &'a Flow,
        faults: &[Fault],
        choices: Choices,
        story: Story,
    ) -> Self {
        Self {
            book,
            flow,
            faults: faults.to_vec(),
            choices,
            rows: vec![Row::default(); flow.nodes.len()],
            fences: vec![false; book.actions().len()],
            corrected: vec![false; book.actions().len()],
            remembered: BTreeMap::new(),
            reports: Vec::new(),
            pending: Vec::new(),
            story,
            rerun: None,
            nameless: false,
        }
    }

    /// Begins the saga.
    pub(crate) fn begin(&mut self) {
        self.arrive(0);
    }

    /// Lets something happen that was still to come. Gives the report that is to go to the supervisor, if that is what
    /// it was.
    pub(crate) fn happen(&mut self, pending: Pending) -> Option<usize> {
        match pending {
            Pending::Report(report) => return Some(report),
            Pending::Sweep(node) => return self.sweep(node),
            Pending::Arrive(node) => drop(self.arrive(node)),
            Pending::Resume(node, after) => {
                if self.rows[node].state == Some(HistoryState::Started) {
                    self.tell(node, |name| format!("{name} goes on with its slow work"));
                }
                self.run(node, after);
            }
            Pending::Repeat(node, times) => self.repeat(node, times),
        }
        None
    }

    fn name(&self, node: usize) -> String {
        self.book.get(self.flow.nodes[node].action).name.to_string()
    }

    fn tell(&mut self, node: usize, line: impl FnOnce(String) -> String) {
        let name = &self.book.get(self.flow.nodes[node].action).name;
        self.story.tell(|| line(name.to_string()));
    }

    fn service_of(&self, node: usize) -> &'a str {
        &self.book.get(self.flow.nodes[node].action).name.service
    }

    /// Takes the fault that strikes here, if any is left.
    fn strike(&mut self, node: usize, fits: impl Fn(&Fault) -> bool) -> Option<FaultKind> {
        let fault = self.faults.iter_mut().find(|f| f.node == node && f.times > 0 && fits(f))?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }

    // ---- forward ----

    fn arrive(&mut self, node: usize) -> Reply {
        let fenced = self.fences[self.flow.nodes[node].action.0 as usize];
        match self.rows[node].state {
            None if fenced => {
                self.tell(node, |name| format!("{name} is refused: the saga is being undone"));
                Reply::Fenced
            }
            None => {
                self.rows[node].state = Some(HistoryState::Started);
                self.run(node, 0)
            }
            Some(HistoryState::Started) => Reply::Nothing,
            Some(HistoryState::Succeeded) => Reply::Ok,
            Some(state @ (HistoryState::Failed | HistoryState::Unknown)) => Reply::Failed {
                report: self.rows[node].report,
                unsure: state == HistoryState::Unknown,
            },
            Some(HistoryState::Compensated | HistoryState::Fenced) => Reply::Fenced,
        }
    }

    /// Works on a request that is `started`, from the point where so many of its calls are made.
    fn run(&mut self, node: usize, from: usize) -> Reply {
        self.rows[node].running = true;
        let calls = self.flow.nodes[node].calls.len();
        let own_effect = self.flow.own_effect(self.book, node);
        let mut is_a_place = true;
        let mut after = from;
        while after <= calls {
            if is_a_place && let Some(reply) = self.own_work(node, after) {
                return reply;
            }
            if own_effect == Some(after) && self.rows[node].state == Some(HistoryState::Started) {
                self.rows[node].effect = true;
            }
            let together = self.made_together(node, after);
            if !together.is_empty() {
                is_a_place = true;
                after += together.len();
                if let Some(reply) = self.call_together(node, together) {
                    return reply;
                }
                continue;
            }
            if after < calls {
                let call = self.flow.nodes[node].calls[after];
                // Behind a call that is left out nothing is different from before it.
                is_a_place = self.choices.makes(self.flow, call) && !self.is_broken_off(node, call);
                if is_a_place && let Some(reply) = self.call(node, call) {
                    return reply;
                }
            }
            after += 1;
        }
        self.commit(node)
    }

    /// The action's own work between two calls; an answer if it ends there.
    fn own_work(&mut self, node: usize, after: usize) -> Option<Reply> {
        let here = |f: &Fault| {
            f.after == after
                && matches!(
                    f.kind,
                    FaultKind::Fails { .. } | FaultKind::Crashes { .. } | FaultKind::Slow
                )
        };
        match self.strike(node, here)? {
            FaultKind::Fails { code, fields, half_done } => {
                let why = Why { code: code.as_str(), fields: Some(&fields), cause: None };
                Some(self.fail(node, why, half_done))
            }
            FaultKind::Crashes { half_done } => {
                let row = &mut self.rows[node];
                row.running = false;
                row.effect |= half_done && row.state == Some(HistoryState::Started);
                self.pending.push(Pending::Sweep(node));
                let done = if half_done { ", its effect done" } else { "" };
                let service = self.service_of(node);
                self.tell(node, |name| format!("{service} crashes at work on {name}{done}"));
                Some(Reply::Nothing)
            }
            _ => {
                self.pending.push(Pending::Resume(node, after));
                self.tell(node, |name| format!("{name} is slow; its caller stops waiting"));
                Some(Reply::Nothing)
            }
        }
    }

    /// Whether a call is the rest of a tolerated way of which a call before it failed.
    fn is_broken_off(&self, node: usize, call: usize) -> bool {
        let way = |n: usize| self.flow.nodes[n].slot.way;
        let is_tolerated =
            |n: usize| self.flow.call_of(self.book, n).is_some_and(|call| !call.is_strict());
        let failed = |n: &usize| {
            let known = self.rows[*n].call;
            matches!(known, Some(HistoryState::Failed | HistoryState::Unknown))
        };
        let calls = &self.flow.nodes[node].calls;
        let before = calls.iter().take_while(|n| **n != call);
        way(call).is_some()
            && is_tolerated(call)
            && before.filter(|n| way(**n) == way(call)).any(failed)
    }

    /// The calls that are made at once after so many calls.
    fn made_together(&self, node: usize, after: usize) -> Vec<usize> {
        let calls = &self.flow.nodes[node].calls[after..];
        let group = |n: &usize| self.flow.nodes[*n].slot.together;
        let number = calls.first().and_then(group);
        calls.iter().copied().take_while(|n| number.is_some() && group(n) == number).collect()
    }

    /// Calls that are made at once. While the one fails that is struck, another one has ended, is under way, or was
    /// never begun.
    fn call_together(&mut self, node: usize, mut calls: Vec<usize>) -> Option<Reply> {
        calls.retain(|n| self.choices.makes(self.flow, *n));
        let is_above = |n: usize, mut below: usize| loop {
            if n == below {
                return true;
            }
            match self.flow.nodes[below].parent {
                Some(parent) => below = parent,
                None => return false,
            }
        };
        let is_struck = |n: &usize| self.faults.iter().any(|f| f.times > 0 && is_above(*n, f.node));
        let Some(struck) = calls.iter().copied().find(|n| is_struck(n)) else {
            return calls.into_iter().find_map(|call| self.call(node, call));
        };
        let (mut waiting, mut under_way) = (Vec::new(), Vec::new());
        for call in calls.into_iter().filter(|n| *n != struck) {
            match self.choices.meanwhile(self.flow, call) {
                Meanwhile::Ends => {
                    if let Some(reply) = self.call(node, call) {
                        return Some(reply);
                    }
                }
                Meanwhile::IsUnderWay => {
                    self.rows[call].call = Some(HistoryState::Started);
                    under_way.push(call);
                }
                Meanwhile::NeverBegins => waiting.push(call),
            }
        }
        let reply = self.call(node, struck);
        if reply.is_some() {
            self.pending.extend(under_way.into_iter().map(Pending::Arrive));
            return reply;
        }
        under_way.into_iter().chain(waiting).find_map(|call| self.call(node, call))
    }

    /// One call; an answer if the caller ends with it.
    fn call(&mut self, node: usize, call: usize) -> Option<Reply> {
        if self.rows[node].state != Some(HistoryState::Started) {
            self.rows[node].running = false;
            return Some(Reply::Fenced);
        }
        self.rows[call].call = Some(HistoryState::Started);
        let how = self.flow.call_of(self.book, call);
        if how.is_some_and(|call| call.is_event()) {
            self.send(call);
            return None;
        }
        let reply = self.deliver(call);
        let state = match reply {
            Reply::Ok => HistoryState::Succeeded,
            Reply::Failed { unsure: false, .. } | Reply::Fenced => HistoryState::Failed,
            Reply::Failed { .. } | Reply::Nothing => HistoryState::Unknown,
        };
        self.rows[call].call = Some(state);
        if how.is_some_and(|call| !call.is_strict()) {
            return None; // tolerated
        }
        if self.only_retried(call) {
            if matches!(reply, Reply::Nothing) {
                self.pending.push(Pending::Repeat(call, REPEATS));
            }
            return None;
        }
        let report = match reply {
            Reply::Ok => return None,
            Reply::Failed { report, .. } => report,
            Reply::Fenced | Reply::Nothing => None,
        };
        Some(self.fail(node, Why { code: DOWNSTREAM, fields: None, cause: report }, false))
    }

    /// A failure of such a call doesn't concern its caller: the action is run again until it is done.
    fn only_retried(&self, node: usize) -> bool {
        self.book.get(self.flow.nodes[node].action).on_failure_retry
    }

    fn deliver(&mut self, node: usize) -> Reply {
        let lost = |f: &Fault| matches!(f.kind, FaultKind::RequestLost | FaultKind::RequestLate);
        match self.strike(node, lost) {
            Some(FaultKind::RequestLate) => {
                self.pending.push(Pending::Arrive(node));
                self.tell(node, |name| format!("the request of {name} is under way for long"));
                Reply::Nothing
            }
            Some(_) => {
                self.tell(node, |name| format!("the request of {name} is lost"));
                Reply::Nothing
            }
            None => self.arrive(node),
        }
    }

    /// A message that nobody waits for: it arrives at some time, or never.
    fn send(&mut self, node: usize) {
        self.rows[node].call = Some(HistoryState::Unknown);
        match self.strike(node, |f| f.kind == FaultKind::RequestLost) {
            Some(_) => self.tell(node, |name| format!("the message {name} is lost")),
            None => self.pending.push(Pending::Arrive(node)),
        }
    }

    fn repeat(&mut self, node: usize, times: u32) {
        let caller = self.flow.nodes[node].parent.and_then(|p| self.rows[p].state);
        if caller != Some(HistoryState::Succeeded) || times == 0 {
            return;
        }
        self.tell(node, |name| format!("{name} is called again"));
        match self.deliver(node) {
            Reply::Ok => self.rows[node].call = Some(HistoryState::Succeeded),
            Reply::Failed { unsure: true, .. } => {}
            Reply::Failed { .. } | Reply::Fenced => {
                self.rows[node].call = Some(HistoryState::Failed);
            }
            Reply::Nothing => self.pending.push(Pending::Repeat(node, times - 1)),
        }
    }

    /// The end of the work: the effect and its mark in History, in one go, unless a fence came first.
    fn commit(&mut self, node: usize) -> Reply {
        self.rows[node].running = false;
        if self.rows[node].state != Some(HistoryState::Started) {
            self.tell(node, |name| format!("{name} may not take effect any more"));
            return Reply::Fenced;
        }
        self.rows[node].state = Some(HistoryState::Succeeded);
        self.rows[node].effect = true;
        self.tell(node, |name| format!("{name} takes effect"));
        match self.strike(node, |f| f.kind == FaultKind::AnswerLost) {
            Some(_) => {
                self.tell(node, |name| format!("the answer of {name} is lost"));
                Reply::Nothing
            }
            None => Reply::Ok,
        }
    }

    fn fail(&mut self, node: usize, why: Why<'_>, half: bool) -> Reply {
        self.rows[node].running = false;
        if self.rows[node].state != Some(HistoryState::Started) {
            return Reply::Fenced;
        }
        // What it did before its calls stands.
        let half =
            half || (self.rows[node].effect && self.flow.own_effect(self.book, node).is_some());
        let state = if half { HistoryState::Unknown } else { HistoryState::Failed };
        self.rows[node].state = Some(state);
        self.rows[node].effect |= half;
        let done = if half { ", its effect done" } else { "" };
        self.tell(node, |name| format!("{name} fails ({}){done}", why.code));
        let service = self.book.get(self.flow.nodes[node].action).service;
        let is_untold = why.code == DOWNSTREAM && is_silent(self.book, service);
        if self.rerun == Some(node) || is_untold {
            return Reply::Failed { report: self.rows[node].report, unsure: half };
        }
        let report = self.publish(node, why);
        self.pending.push(Pending::Report(report));
        Reply::Failed { report: Some(report), unsure: half }
    }

    fn sweep(&mut self, node: usize) -> Option<usize> {
        if self.rows[node].state != Some(HistoryState::Started) || self.rows[node].running {
            return None;
        }
        self.rows[node].state = Some(HistoryState::Unknown);
        let service = self.service_of(node);
        self.tell(node, |name| format!("{service} is back and finds {name} unfinished"));
        match self.rows[node].report {
            Some(_) => None, // it was reported when it failed first
            None => Some(self.publish(node, Why { code: "crashed", fields: None, cause: None })),
        }
    }

    fn publish(&mut self, node: usize, why: Why<'_>) -> usize {
        let index = self.reports.len();
        let name = &self.book.get(self.flow.nodes[node].action).name;
        let mut history = self.own_requests(self.service_of(node), false);
        history.extend(self.own_calls(self.service_of(node)).map(|mut call| {
            if call.state == HistoryState::Started {
                call.state = HistoryState::Unknown; // nobody waits for its answer any more
            }
            call
        }));
        let (named, caller) = (!self.nameless, self.flow.nodes[node].parent);
        self.reports.push(Arc::new(Report {
            id: format!("report-{index}"),
            source: name.service.to_string(),
            saga_id: saga(),
            time: None,
            traceparent: None,
            data: ReportData {
                code: why.code.to_owned(),
                action: Some(name.action.to_string()),
                request_id: Some(request_id(node)),
                caused_by: why.cause.iter().map(|n| format!("report-{n}")).collect(),
                history,
                entry: named.then(|| self.name(0)),
                caller: caller.filter(|_| named).map(|caller| self.name(caller)),
                message: why.fields.and_then(|f| f.message.clone()),
                data: why.fields.map_or_else(Map::new, |f| f.data.clone()),
            },
        }));
        self.rows[node].report = Some(index);
        index
    }

    // ---- what a History says ----

    fn own_requests(&self, service: &str, with_undone: bool) -> Vec<Evidence> {
        (0..self.rows.len())
            .filter(|n| self.service_of(*n) == service)
            .filter_map(|n| Some((n, self.rows[n].state?)))
            .filter(|(_, state)| {
                with_undone || !matches!(state, HistoryState::Compensated | HistoryState::Fenced)
            })
            .map(|(n, state)| self.evidence(n, state))
            .collect()
    }

    fn own_calls<'s>(&'s self, service: &'s str) -> impl Iterator<Item = Evidence> + 's {
        (0..self.rows.len())
            .filter(move |n| {
                self.flow.nodes[*n].parent.is_some_and(|p| self.service_of(p) == service)
            })
            .filter_map(|n| Some(self.evidence(n, self.rows[n].call?)))
    }

    fn evidence(&self, node: usize, state: HistoryState) -> Evidence {
        let name = &self.book.get(self.flow.nodes[node].action).name;
        Evidence::new(&*name.service, &*name.action, request_id(node), state)
    }

    /// The answer to a walk.
    pub(crate) fn history(&self, service: &str) -> Vec<Evidence> {
        let mut all = self.own_requests(service, true);
        all.extend(self.own_calls(service));
        all
    }

    /// The class of a request's action.
    pub(crate) fn class(&self, node: usize) -> ActionClass {
        self.book.get(self.flow.nodes[node].action).class
    }

    /// The name of a request's action.
    pub(crate) fn action_name(&self, node: usize) -> String {
        self.name(node)
    }
}

/// The one saga of a run.
pub(crate) fn saga() -> SagaId {
    // A constant that is valid; the fallback can't be reached.
    SagaId::new("saga-1").unwrap_or_else(|_| unreachable!("a valid saga id"))
}

pub(super) fn request_id(node: usize) -> String {
    format!("request-{node}")
}
