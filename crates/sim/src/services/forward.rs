//! The sagas' own way forward: requests arrive, work, call each other, fail, die, and answer their callers. Nobody here
//! knows of a supervisor.

use super::model::{Around, Services};
use crate::event::{Forward, Reply, WorldEvent};
use crate::scenario::MailTrouble;
use amends_protocol::HistoryState;
use amends_rulebook::{ActionClass, ActionId};
use amends_simulate::{Code, FaultKind, SeededRng};
use std::sync::Arc;

/// How long it takes at most until a caller hears of a charge that was said to have failed.
const HEARS_MS: u64 = 600_000;

/// How long a caller waits for an answer.
const CALL_TIMEOUT_MS: u64 = 3_000;

/// How often a caller repeats a call without answer to an action that only has to be retried.
const REPEATS: u32 = 5;

/// When a service looks again whether it can forget a saga in which something is at work.
const FORGET_AGAIN_MS: u64 = 3_600_000;

/// Pause between two of these.
const REPEAT_AFTER_MS: u64 = 2_000;

impl Services {
    pub(crate) fn happen(&mut self, event: Forward, around: &mut Around<'_>) {
        match event {
            Forward::Begin { saga } => {
                let id = self.sagas[saga].plan.id.clone();
                around.story.tell(|| format!("saga {id} begins"));
                self.arrive(saga, 0, around);
            }
            Forward::Arrive { saga, node } => self.arrive(saga, node, around),
            Forward::Work { saga, node, run, after } => self.work(saga, node, run, after, around),
            Forward::Answer { saga, node, caller_run, reply } => {
                self.answered(saga, node, caller_run, reply, around);
            }
            Forward::Stop { saga, node, caller_run } => {
                self.answered(saga, node, caller_run, Reply::Nothing, around);
            }
            Forward::Sweep { saga, node, run } => self.sweep(saga, node, run, around),
            Forward::Repeat { saga, node, times } => self.repeat(saga, node, times, around),
            Forward::CleanUp { saga, node } => self.clean_up(saga, node, around),
            Forward::Hears { saga, node } => self.hears(saga, node, around),
            Forward::Forget { saga, service } => self.forget(saga, &service, around),
            Forward::Accepted { call, calls_back } => self.accepted(call, calls_back, around),
        }
    }

    /// A number for one moment of one request, from 0 to `bound`.
    fn pause(&self, saga: usize, node: usize, what: u64, bound: u64) -> u64 {
        SeededRng::of(self.seed, &[2, saga as u64, node as u64, what]).between(1, bound)
    }

    fn arrive(&mut self, saga: usize, node: usize, around: &mut Around<'_>) {
        let fenced = self.sagas[saga].fences[self.action_of(saga, node).0 as usize]
            || self.sagas[saga].requests[node].barred;
        let reads = self.book.get(self.action_of(saga, node)).class == ActionClass::Free;
        let reply = match self.sagas[saga].requests[node].state {
            // What changes nothing is done as often as it is asked for.
            Some(state) if reads && state != HistoryState::Started => {
                self.start(saga, node, around);
                return;
            }
            None if fenced => {
                let name = self.name_of(saga, node);
                around.story.tell(|| format!("{name} is refused: the saga is being undone"));
                Reply::Fenced
            }
            None => {
                self.start(saga, node, around);
                return;
            }
            Some(HistoryState::Started) => return, // nobody answers it twice
            Some(HistoryState::Succeeded) => Reply::Ok,
            // It does not know what became of it.
            Some(HistoryState::Unknown)
                if self.is_mapped(self.action_of(saga, node))
                    && !self.sagas[saga].requests[node].unheard_of =>
            {
                Reply::Nothing
            }
            Some(HistoryState::Failed | HistoryState::Unknown) => {
                Reply::Failed { report: self.sagas[saga].requests[node].report }
            }
            Some(HistoryState::Compensated | HistoryState::Fenced) => Reply::Fenced,
        };
        self.reply(saga, node, reply, around);
    }

    /// A request enters `started`, in a new run.
    pub(super) fn start(&mut self, saga: usize, node: usize, around: &mut Around<'_>) {
        let request = &mut self.sagas[saga].requests[node];
        request.state = Some(HistoryState::Started);
        request.running = true;
        request.run += 1;
        request.waits_for = None;
        let run = request.run;
        let pause = self.pause(saga, node, u64::from(run), 40);
        around.queue.after(pause, WorldEvent::Forward(Forward::Work { saga, node, run, after: 0 }));
    }

    fn is_at_work(&self, saga: usize, node: usize, run: u32) -> bool {
        let request = &self.sagas[saga].requests[node];
        request.run == run && request.running
    }

    /// The action's own work before its next call, and the call; or its end.
    fn work(&mut self, saga: usize, node: usize, run: u32, after: usize, around: &mut Around<'_>) {
        if !self.is_at_work(saga, node, run) {
            return;
        }
        let here = |f: &amends_simulate::Fault| {
            f.after == after
                && matches!(
                    f.kind,
                    FaultKind::Fails { .. } | FaultKind::Crashes { .. } | FaultKind::Slow
                )
        };
        match self.strike(saga, node, here) {
            Some(FaultKind::Fails { code, fields, half_done }) => {
                let code = match &code {
                    Code::Named(code) => &**code,
                    Code::Unnamed => "failed",
                };
                return self.fail(saga, node, code, Some(&fields), None, half_done, around);
            }
            Some(FaultKind::Crashes { half_done }) => {
                return self.crash(saga, node, half_done, around);
            }
            Some(_) => {
                let late = self.pause(saga, node, 7, 10_000) + CALL_TIMEOUT_MS;
                let name = self.name_of(saga, node);
                around.story.tell(|| format!("{name} is slow, by {late} ms"));
                let work = Forward::Work { saga, node, run, after };
                return around.queue.after(late, WorldEvent::Forward(work));
            }
            None => {}
        }
        if self.sagas[saga].requests[node].state != Some(HistoryState::Started) {
            return self.end(saga, node, Reply::Fenced, around);
        }
        match self.sagas[saga].plan.flow.nodes[node].calls.get(after).copied() {
            Some(callee) => self.call(saga, node, callee, around),
            None => self.commit(saga, node, around),
        }
    }

    fn call(&mut self, saga: usize, node: usize, callee: usize, around: &mut Around<'_>) {
        let caller_run = self.sagas[saga].requests[node].run;
        self.sagas[saga].requests[node].waits_for = Some(callee);
        self.sagas[saga].requests[callee].call = Some(HistoryState::Started);
        let stop = Forward::Stop { saga, node: callee, caller_run };
        around.queue.after(CALL_TIMEOUT_MS, WorldEvent::Forward(stop));
        self.deliver(saga, callee, around);
    }

    fn deliver(&mut self, saga: usize, node: usize, around: &mut Around<'_>) {
        let lost = |f: &amends_simulate::Fault| {
            matches!(f.kind, FaultKind::RequestLost | FaultKind::RequestLate)
        };
        let way = self.pause(saga, node, 3, 10);
        let arrive = WorldEvent::Forward(Forward::Arrive { saga, node });
        match self.strike(saga, node, lost) {
            Some(FaultKind::RequestLate) => {
                let late = self.pause(saga, node, 4, 10_000) + CALL_TIMEOUT_MS;
                let name = self.name_of(saga, node);
                around.story.tell(|| format!("the request of {name} is late by {late} ms"));
                around.queue.after(late, arrive);
            }
            Some(_) => {
                let name = self.name_of(saga, node);
                around.story.tell(|| format!("the request of {name} is lost"));
            }
            None if self.is_away(
                around.queue.now(),
                self.service_of(saga, node),
                &[saga as u64, node as u64],
            ) =>
            {
                let name = self.name_of(saga, node);
                around.story.tell(|| format!("the request of {name} finds nobody"));
                self.reply(saga, node, Reply::Nothing, around);
            }
            None => around.queue.after(way, arrive),
        }
    }

    /// Sends the answer of a request to its caller.
    fn reply(&mut self, saga: usize, node: usize, reply: Reply, around: &mut Around<'_>) {
        let Some(caller) = self.sagas[saga].plan.flow.nodes[node].parent else {
            if matches!(reply, Reply::Ok) && !self.sagas[saga].succeeded {
                self.sagas[saga].succeeded = true;
                if self.sagas[saga].plan.deadline_ms.is_some() {
                    around.queue.after(5, WorldEvent::Ended { saga });
                }
            }
            return;
        };
        let caller_run = self.sagas[saga].requests[caller].run;
        let way = self.pause(saga, node, 5, 10);
        let answer = Forward::Answer { saga, node, caller_run, reply };
        around.queue.after(way, WorldEvent::Forward(answer));
    }

    /// A caller has its answer, or stops waiting for it.
    fn answered(
        &mut self,
        saga: usize,
        node: usize,
        run: u32,
        reply: Reply,
        around: &mut Around<'_>,
    ) {
        let Some(caller) = self.sagas[saga].plan.flow.nodes[node].parent else { return };
        let waits = self.sagas[saga].requests[caller].waits_for == Some(node);
        if !waits || !self.is_at_work(saga, caller, run) {
            return;
        }
        self.sagas[saga].requests[caller].waits_for = None;
        let state = match reply {
            Reply::Ok => HistoryState::Succeeded,
            Reply::Failed { .. } | Reply::Fenced => HistoryState::Failed,
            Reply::Nothing => HistoryState::Unknown,
        };
        self.sagas[saga].requests[node].call = Some(state);
        if self.sagas[saga].requests[caller].state != Some(HistoryState::Started) {
            return self.end(saga, caller, Reply::Fenced, around);
        }
        let only_retried = self.book.get(self.action_of(saga, node)).on_failure_retry;
        match reply {
            Reply::Failed { report } if !only_retried => {
                self.fail(saga, caller, "downstream", None, report, false, around);
            }
            Reply::Fenced | Reply::Nothing if !only_retried => {
                self.fail(saga, caller, "downstream", None, None, false, around);
            }
            _ => {
                if only_retried && matches!(reply, Reply::Nothing) {
                    let repeat = Forward::Repeat { saga, node, times: REPEATS };
                    around.queue.after(REPEAT_AFTER_MS, WorldEvent::Forward(repeat));
                }
                let calls = &self.sagas[saga].plan.flow.nodes[caller].calls;
                let after = calls.iter().position(|c| *c == node).map_or(calls.len(), |n| n + 1);
                let pause = self.pause(saga, caller, 100 + after as u64, 20);
                let work = Forward::Work { saga, node: caller, run, after };
                around.queue.after(pause, WorldEvent::Forward(work));
            }
        }
    }

    fn repeat(&mut self, saga: usize, node: usize, times: u32, around: &mut Around<'_>) {
        let flow = &self.sagas[saga].plan.flow;
        let caller = flow.nodes[node].parent.and_then(|p| self.sagas[saga].requests[p].state);
        let unknown = self.sagas[saga].requests[node].call == Some(HistoryState::Unknown);
        if !unknown || caller != Some(HistoryState::Succeeded) || times == 0 {
            return;
        }
        match self.sagas[saga].requests[node].state {
            Some(HistoryState::Succeeded) => {
                self.sagas[saga].requests[node].call = Some(HistoryState::Succeeded);
            }
            Some(HistoryState::Started) => {}
            Some(_) => self.sagas[saga].requests[node].call = Some(HistoryState::Failed),
            None => self.deliver(saga, node, around),
        }
        let again = Forward::Repeat { saga, node, times: times - 1 };
        around.queue.after(REPEAT_AFTER_MS, WorldEvent::Forward(again));
    }

    /// The end of the work: the effect and its mark in History, in one go, unless a fence came first.
    fn commit(&mut self, saga: usize, node: usize, around: &mut Around<'_>) {
        self.sagas[saga].requests[node].state = Some(HistoryState::Succeeded);
        self.take_effect(saga, node, around);
        let name = self.name_of(saga, node);
        let id = self.sagas[saga].plan.id.clone();
        around.story.tell(|| format!("{name} of {id} takes effect"));
        let lost = self.strike(saga, node, |f| f.kind == FaultKind::AnswerLost).is_some();
        if lost {
            around.story.tell(|| format!("the answer of {name} is lost"));
        }
        self.end(saga, node, if lost { Reply::Nothing } else { Reply::Ok }, around);
    }

    fn take_effect(&mut self, saga: usize, node: usize, around: &Around<'_>) {
        let now = around.queue.now();
        let action = self.action_of(saga, node);
        let request = &mut self.sagas[saga].requests[node];
        request.effect = Some(now);
        // Where it was undone and nothing bars it, nobody asks again.
        request.unheard_of |= request.removed;
        self.sagas[saga].effects.push((action, now));
    }

    /// It takes effect and is said to have failed, which only a History corrects, or whoever called it once he hears of
    /// it.
    fn take_half_effect(&mut self, saga: usize, node: usize, around: &mut Around<'_>) {
        let tells = self.reports(&self.service_of(saga, node).clone());
        self.take_effect(saga, node, around);
        if self.is_mapped(self.action_of(saga, node)) {
            self.sagas[saga].requests[node].unheard_of = true;
            let late = self.pause(saga, node, 9, HEARS_MS);
            around.queue.after(late, WorldEvent::Forward(Forward::Hears { saga, node }));
        } else {
            self.sagas[saga].lied_to |= !tells;
        }
    }

    /// A caller learns, e.g. from a statement of its bank, that what was declined has been charged, and reports it.
    fn hears(&mut self, saga: usize, node: usize, around: &mut Around<'_>) {
        let request = &self.sagas[saga].requests[node];
        let Some(caller) = self.sagas[saga].plan.flow.nodes[node].parent else { return };
        let is_known = self.sagas[saga].requests[caller].state.is_some();
        let tells = self.reports(&self.service_of(saga, caller).clone());
        if request.effect.is_none() || request.removed || !is_known || !tells {
            return;
        }
        self.sagas[saga].requests[node].call = Some(HistoryState::Succeeded);
        let name = self.name_of(saga, node);
        around.story.tell(|| format!("its caller hears that {name} was charged all the same"));
        let report = self.publish(saga, caller, "late-charge", None, None, around);
        let trouble = self.sagas[saga].mail.get(&report);
        let is_lost = trouble.is_some_and(|all| all.contains(&MailTrouble::Lost));
        self.sagas[saga].requests[node].unheard_of = is_lost;
    }

    #[allow(clippy::too_many_arguments)] // one failure has that many parts
    fn fail(
        &mut self,
        saga: usize,
        node: usize,
        code: &str,
        fields: Option<&amends_rulebook::Example>,
        cause: Option<usize>,
        half_done: bool,
        around: &mut Around<'_>,
    ) {
        let request = &mut self.sagas[saga].requests[node];
        if request.state != Some(HistoryState::Started) {
            return self.end(saga, node, Reply::Fenced, around);
        }
        request.state = Some(if half_done { HistoryState::Unknown } else { HistoryState::Failed });
        if half_done {
            self.take_half_effect(saga, node, around);
        }
        let tells = self.reports(&self.service_of(saga, node).clone());
        let name = self.name_of(saga, node);
        let done = if half_done { ", its effect done" } else { "" };
        around.story.tell(|| format!("{name} fails ({code}){done}"));
        if tells && self.sagas[saga].requests[node].rerun.is_none() {
            let report = self.publish(saga, node, code, fields, cause, around);
            self.sagas[saga].requests[node].report = Some(report);
        }
        let report = self.sagas[saga].requests[node].report;
        self.end(saga, node, Reply::Failed { report }, around);
    }

    /// The run is over: whoever waits for it hears of it.
    fn end(&mut self, saga: usize, node: usize, reply: Reply, around: &mut Around<'_>) {
        let request = &mut self.sagas[saga].requests[node];
        request.running = false;
        request.waits_for = None;
        if let Some(call) = request.rerun.take() {
            self.rerun_ended(call, reply, around);
        }
        if !matches!(reply, Reply::Nothing) {
            self.reply(saga, node, reply, around);
        }
    }

    fn crash(&mut self, saga: usize, node: usize, half_done: bool, around: &mut Around<'_>) {
        let request = &mut self.sagas[saga].requests[node];
        request.running = false;
        request.waits_for = None;
        request.rerun = None;
        let run = request.run;
        if half_done && request.state == Some(HistoryState::Started) {
            self.take_effect(saga, node, around);
        }
        let back = self.pause(saga, node, 6, 10_000);
        let name = self.name_of(saga, node);
        let done = if half_done { ", its effect done" } else { "" };
        around.story.tell(|| format!("the service of {name} dies at work on it{done}"));
        around.queue.after(back, WorldEvent::Forward(Forward::Sweep { saga, node, run }));
    }

    fn sweep(&mut self, saga: usize, node: usize, run: u32, around: &mut Around<'_>) {
        let request = &mut self.sagas[saga].requests[node];
        if request.state != Some(HistoryState::Started) || request.running || request.run != run {
            return;
        }
        request.state = Some(HistoryState::Unknown);
        let known = request.report.is_some();
        let tells = self.reports(&self.service_of(saga, node).clone());
        let name = self.name_of(saga, node);
        around.story.tell(|| format!("the service of {name} is back and finds it unfinished"));
        if tells && !known {
            let report = self.publish(saga, node, "crashed", None, None, around);
            self.sagas[saga].requests[node].report = Some(report);
        }
    }

    /// A service removes what it knows of an old saga, as soon as nothing is at work in it. What has taken effect
    /// stays.
    fn forget(&mut self, saga: usize, service: &Arc<str>, around: &mut Around<'_>) {
        let nodes = self.sagas[saga].requests.len();
        let own: Vec<usize> = (0..nodes).filter(|n| self.service_of(saga, *n) == service).collect();
        if own.iter().any(|n| self.sagas[saga].requests[*n].state == Some(HistoryState::Started)) {
            let again = Forward::Forget { saga, service: Arc::clone(service) };
            return around.queue.after(FORGET_AGAIN_MS, WorldEvent::Forward(again));
        }
        around.story.tell(|| format!("{service} forgets saga {saga}"));
        for node in own {
            self.sagas[saga].requests[node].state = None;
            for callee in self.sagas[saga].plan.flow.nodes[node].calls.clone() {
                self.sagas[saga].requests[callee].call = None;
            }
        }
        let of_service = |action: ActionId| *self.book.get(action).name.service == **service;
        let saga = &mut self.sagas[saga];
        for (action, fence) in (0_u32..).map(ActionId).zip(&mut saga.fences) {
            *fence &= !of_service(action);
        }
        saga.steps.retain(|(action, _), _| !of_service(*action));
    }

    fn clean_up(&mut self, saga: usize, node: usize, around: &mut Around<'_>) {
        let action = self.action_of(saga, node);
        let request = &mut self.sagas[saga].requests[node];
        let compensable = self.book.get(action).compensation.is_some();
        if request.state == Some(HistoryState::Succeeded) && compensable {
            request.state = Some(HistoryState::Compensated);
            request.effect = None;
            let name = self.name_of(saga, node);
            around.story.tell(|| format!("the service of {name} undoes it by itself"));
        }
    }
}
