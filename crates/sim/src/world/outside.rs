//! What goes between the supervisor and everybody else: reports, announcements, callbacks and acts with those who wait
//! for their answers; effects with their results.

use super::nodes::CLOCK_OFF_MS;
use super::state::World;
use super::under_way::{UnderWay, Waiter};
use crate::check::Seen;
use crate::event::{BEGINNING, Callback, Letter, StepCall, WorldEvent};
use crate::scenario::{ORDER, PAYMENT};
use crate::services::{order_id, request_of};
use amends_engine::{
    Activation, Answer, Effect, HistoryResult, Input, Partition, PollStep, Replaces, SendStep,
    StepReading, StepResult, Ticket,
};
use amends_node::{EffectResult, LaunchedEffect};
use amends_protocol::{
    ActionName, CaseId, SagaBegin, SagaId, StepId, Testimony, Timestamp, digest,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When a client that got no answer tries again.
const AGAIN_MS: u64 = 1_000;

/// So long before its deadline a client says at the earliest that its saga has ended, if it does so late.
const SAYS_LATE_MS: u64 = 3_000;

/// An effect takes so long to its service.
const WAY_MS: u64 = 5;

/// How often a callback is sent again; a client gives up at some point.
const CALLBACKS: u32 = 200;

impl World<'_> {
    /// Hands an input to the supervisor; if it is down, whoever sends it tries again as after a lost answer.
    pub(super) fn offer(&mut self, waiter: Waiter, input: impl FnOnce(Ticket) -> Input) {
        self.outside.tickets += 1;
        let ticket = self.outside.tickets;
        if let Some(nodes) = &self.nodes {
            let node = nodes.draw(&[4, ticket]).below(nodes.count());
            self.look_at(node);
        }
        let at = self.shell.number;
        self.outside.waiters.insert(ticket, (at, waiter));
        if !self.take(input(ticket)) {
            self.turned_away(ticket);
        }
    }

    /// Whoever waits is told that nothing was taken.
    pub(super) fn turned_away(&mut self, ticket: Ticket) {
        if let Some((_, waiter)) = self.outside.waiters.remove(&ticket) {
            self.unavailable(waiter);
        }
    }

    /// Whoever waits hears that what it brought was taken, and nothing more.
    pub(super) fn accepted(&mut self, ticket: Ticket) {
        let Some((_, waiter)) = self.outside.waiters.remove(&ticket) else { return };
        self.count(ticket);
        match waiter {
            Waiter::Report(letter) => {
                let report = Arc::clone(&self.services.sagas[letter.saga].reports[letter.report]);
                self.story.tell(|| format!("{} ({}) is accepted", report.source, report.id));
                self.seen(&Seen::Accepted { report: &report });
            }
            // Whether it will be believed nobody can tell yet.
            Waiter::Callback(callback) if callback.forged => self.believed(callback.step),
            Waiter::Callback(callback) => {
                let (step, said, answer) = (callback.step, &callback.said, &Answer::Kept);
                self.seen(&Seen::CalledBack { step, said, answer });
            }
            Waiter::Announce { saga } => drop(self.outside.announced.insert(saga)),
            Waiter::Ended { saga } => self.was_told_of_end(saga),
            Waiter::Sets { undo, for_ms } => self.undoes_later(undo, for_ms),
            Waiter::Activate { .. } | Waiter::Person | Waiter::Undo(_) => {}
        }
    }

    /// It was taken that a saga has ended.
    pub(super) fn was_told_of_end(&mut self, saga: usize) {
        if let Some(saga) = self.in_time(saga) {
            self.seen(&Seen::EndTaken { saga: &saga });
        }
    }

    /// Whoever says that a saga has ended is told that nobody knows of it.
    fn end_refused(&mut self, saga: usize) {
        if let Some(saga) = self.in_time(saga) {
            self.seen(&Seen::EndRefused { saga: &saga });
        }
    }

    /// A saga of which something comes in time by every clock.
    fn in_time(&self, saga: usize) -> Option<SagaId> {
        let plan = &self.services.sagas[saga].plan;
        let deadline = plan.at.saturating_add_unsigned(plan.deadline_ms?);
        (self.queue.now() + 2 * CLOCK_OFF_MS <= deadline).then(|| plan.id.clone())
    }

    pub(super) fn replied(&mut self, ticket: Ticket, answer: Answer) {
        if let Answer::Posted(letter) = answer {
            return self.posted(ticket, letter);
        }
        let Some((_, waiter)) = self.outside.waiters.remove(&ticket) else { return };
        self.count(ticket);
        match (&waiter, &answer) {
            (Waiter::Announce { saga }, _) => drop(self.outside.announced.insert(*saga)),
            (Waiter::Ended { saga }, Answer::Done) if self.nodes.is_some() => {
                self.was_told_of_end(*saga);
            }
            (Waiter::Ended { saga }, Answer::NotFound(_)) if self.nodes.is_some() => {
                self.end_refused(*saga);
            }
            (Waiter::Report(letter), Answer::Received { case, duplicate }) => {
                let report = Arc::clone(&self.services.sagas[letter.saga].reports[letter.report]);
                let (case, duplicate) = (*case, *duplicate);
                self.story.tell(|| {
                    let again = if duplicate { " again" } else { "" };
                    format!(
                        "{}/{} ({}) is acknowledged{again}: {case}",
                        report.source, report.data.code, report.id
                    )
                });
                self.seen(&Seen::Acknowledged { report: &report, case });
            }
            (Waiter::Callback(callback), answer) => {
                let (step, said) = (callback.step, &callback.said);
                self.seen(&Seen::CalledBack { step, said, answer });
                if callback.forged && matches!(answer, Answer::Done | Answer::Kept) {
                    self.believed(step);
                }
                self.story
                    .tell(|| format!("the callback for {} is answered {answer:?}", callback.step));
            }
            (Waiter::Person | Waiter::Undo(_) | Waiter::Sets { .. }, answer) => {
                self.story.tell(|| format!("the person is answered {answer:?}"));
            }
            _ => {}
        }
        if let Waiter::Sets { undo, for_ms } = waiter {
            self.undoes_later(undo, for_ms);
        }
        self.seen(&Seen::Replied { ticket, answer: &answer });
    }

    /// Whoever waited got no answer.
    fn unavailable(&mut self, waiter: Waiter) {
        let again = match waiter {
            Waiter::Report(letter) => WorldEvent::Mail(letter),
            Waiter::Callback(callback) if callback.tries < CALLBACKS => {
                WorldEvent::Callback(Callback { tries: callback.tries + 1, ..callback })
            }
            Waiter::Announce { saga } => WorldEvent::Announce { saga },
            Waiter::Ended { saga } => WorldEvent::Ended { saga },
            Waiter::Undo(undo) => WorldEvent::Undo(undo),
            Waiter::Sets { undo, for_ms } => return self.undoes_later(undo, for_ms),
            Waiter::Activate { version } => {
                let wanted = |item: &crate::scenario::Item| matches!(item, crate::scenario::Item::Activate { version: v, .. } if *v == version);
                match self.scenario.items.iter().position(wanted) {
                    Some(item) => WorldEvent::Item(item),
                    None => return,
                }
            }
            Waiter::Person | Waiter::Callback(_) => return,
        };
        let tries = self.outside.tickets;
        let mut rng = self.nodes.as_ref().map(|nodes| nodes.draw(&[14, tries]));
        let after_ms = rng.as_mut().map_or(AGAIN_MS, |rng| rng.between(AGAIN_MS / 20, AGAIN_MS));
        self.queue.after(after_ms, again);
    }

    /// The process is gone, and with it everybody's connection.
    pub(super) fn nobody_answers(&mut self) {
        let gone = self.shell.number;
        let (left, stay) = std::mem::take(&mut self.outside.waiters)
            .into_iter()
            .partition(|(_, (at, _))| *at == gone);
        self.outside.waiters = stay;
        let left: BTreeMap<Ticket, (usize, Waiter)> = left;
        left.into_values().for_each(|(_, waiter)| self.unavailable(waiter));
    }

    // ---- what comes in ----

    pub(super) fn mail(&mut self, letter: Letter) {
        let report = Arc::clone(&self.services.sagas[letter.saga].reports[letter.report]);
        let sky = self.services.sky(self.queue.now(), &report.source, &[5, letter.report as u64]);
        if sky == Some(crate::scenario::Sky::Down) {
            return self.queue.after(AGAIN_MS, WorldEvent::Mail(letter)); // it waits in the outbox
        }
        self.offer(Waiter::Report(letter), |ticket| Input::Report {
            report,
            known_in: None,
            ticket,
        });
    }

    pub(super) fn announce(&mut self, saga: usize) {
        let plan = &self.services.sagas[saga].plan;
        let entry = &self.services.book.get(plan.flow.nodes[0].action).name;
        let deadline = Timestamp(BEGINNING.0 + plan.at).plus_ms(plan.deadline_ms.unwrap_or(0));
        let begin = SagaBegin {
            saga_id: plan.id.clone(),
            service: entry.service.to_string(),
            action: Some(entry.action.to_string()),
            deadline,
            data: [(ORDER.to_owned(), order_id(saga).into())].into_iter().collect(),
        };
        self.offer(Waiter::Announce { saga }, |ticket| Input::SagaBegan { begin, ticket });
    }

    pub(super) fn ended(&mut self, saga: usize) {
        // At two nodes the second word could overtake the first, so nobody says it before that is answered.
        if self.nodes.is_some() && !self.outside.announced.contains(&saga) {
            return self.queue.after(AGAIN_MS, WorldEvent::Ended { saga });
        }
        if let Some(at) = self.says_late(saga) {
            return self.queue.at(at, WorldEvent::Ended { saga });
        }
        let id = self.services.sagas[saga].plan.id.clone();
        self.offer(Waiter::Ended { saga }, |ticket| Input::SagaEnded { saga: id, ticket });
    }

    /// When a client says that its saga has ended if it keeps that to itself until shortly before the deadline: where
    /// there are several nodes, some do.
    fn says_late(&mut self, saga: usize) -> Option<i64> {
        let mut rng = self.nodes.as_ref()?.draw(&[13, saga as u64]);
        let plan = &self.services.sagas[saga].plan;
        let deadline = plan.at.saturating_add_unsigned(plan.deadline_ms?);
        let at = deadline - rng.between(0, SAYS_LATE_MS).cast_signed();
        let is_first = self.outside.says_late.insert(saga);
        (is_first && rng.chance(60) && at > self.queue.now()).then_some(at)
    }

    pub(super) fn call_back(&mut self, callback: Callback) {
        let (step, said) = (callback.step, callback.said.clone());
        self.story.tell(|| format!("a callback for {step} says {}", said.outcome));
        self.offer(Waiter::Callback(callback), |ticket| Input::StepCalledBack {
            step,
            callback: said,
            ticket,
        });
    }

    /// A lie about a step was believed: what its saga comes to is not the supervisor's to prove.
    fn believed(&mut self, step: StepId) {
        let saga = self.store.rows.cases().find(|case| case.id == step.case);
        if let Some(saga) = saga.and_then(|case| self.services.saga_number(&case.saga)) {
            self.services.sagas[saga].lied_to = true;
        }
    }

    pub(super) fn activate(&mut self, version: usize) {
        let rulebook = Arc::clone(&self.scenario.versions[version]);
        self.story.tell(|| format!("version {version} of the rulebook is to become active"));
        self.offer(Waiter::Activate { version }, |ticket| Input::Activate {
            activation: Box::new(Activation {
                rulebook,
                actor: "kim".into(),
                reason: "a new version".into(),
                from_file: false,
                replaces: Replaces::Any,
            }),
            ticket,
        });
    }

    // ---- what goes out ----

    pub(super) fn send(&mut self, effect: LaunchedEffect) {
        let unsent = (!self.may_send()).then(|| Self::not_sent(&effect));
        let LaunchedEffect { id, effect: asked } = effect;
        self.outside.effects += 1;
        let effect = self.outside.effects;
        let process = self.shell.process;
        let service = Arc::clone(asked.service());
        let timeout = match &asked {
            Effect::Send(send) => send.rulebook.get(send.action_id).retry.timeout_ms,
            Effect::Poll(poll) => poll.rulebook.get(poll.action_id).retry.timeout_ms,
            Effect::ReadHistory(_) => 10_000,
        };
        if let Some((step, attempt)) = asked.step() {
            self.count(step.tag ^ u64::from(attempt));
        }
        if let Some(done) = unsent {
            self.outside.under_way.insert(effect, UnderWay { process, id, asked });
            return self.queue.after(0, WorldEvent::Result { effect, done });
        }
        self.story.tell(|| tell(&asked));
        let owner = self.nodes.as_ref().and_then(|n| n.owner(Partition::of(asked.saga())));
        self.seen(&Seen::Writes { owner });
        self.seen(&Seen::Effect { number: effect, effect: &asked, service: &service });
        self.outside.under_way.insert(effect, UnderWay { process, id, asked });
        self.queue.after(WAY_MS, WorldEvent::Reaches { effect });
        self.queue.after(timeout, WorldEvent::TimesOut { effect });
    }

    pub(super) fn reaches(&mut self, effect: u64) {
        let Some(under_way) = self.outside.under_way.get(&effect) else { return };
        let asked = under_way.asked.clone();
        let saga = match &asked {
            Effect::Send(send) => &send.saga,
            Effect::Poll(poll) => &poll.saga,
            Effect::ReadHistory(walk) => &walk.saga,
        };
        let Some(saga) = self.services.saga_number(saga) else { return };
        if let Effect::Send(send) = &asked {
            self.services.proofs.insert(send.step, send.proof.clone());
        }
        let book = &self.services.book;
        let action = |name: &ActionName| book.action(&name.service, &name.action);
        match &asked {
            Effect::Send(send) => {
                let Some(action) = action(&send.action) else { return };
                let &SendStep { step, attempt, verb, .. } = &**send;
                let is_mapped = book.get(action).endpoints.get(verb).is_some();
                if is_mapped && send.digest().is_none() {
                    let done = EffectResult::Step(unsendable());
                    return self.queue.after(0, WorldEvent::Result { effect, done });
                }
                let key = digest_of(send.key.as_deref(), step);
                let request = asked_about(send).filter(|(of, _)| *of == saga).map(|(_, node)| node);
                let call = StepCall { effect, step, attempt, saga, action, verb, key, request };
                self.in_services(|services, around| services.ask(call, around));
            }
            Effect::Poll(poll) => {
                let Some(action) = action(&poll.action) else { return };
                let &PollStep { step, attempt, verb, .. } = &**poll;
                let (key, request) = (digest_of(poll.key.as_deref(), step), None);
                let call = StepCall { effect, step, attempt, saga, action, verb, key, request };
                self.in_services(|services, around| services.look(call, around));
            }
            Effect::ReadHistory(walk) => self.in_services(|services, around| {
                services.read_history(effect, saga, &walk.service, around);
            }),
        }
    }

    /// An effect has ended: with a result, or because the supervisor stops waiting for one.
    pub(super) fn result(&mut self, effect: u64, done: Option<EffectResult>) {
        let Some(UnderWay { process, id, asked }) = self.outside.under_way.remove(&effect) else {
            return;
        };
        if process != self.shell.process {
            return; // nobody is there to take it
        }
        let service = Arc::clone(asked.service());
        let result = done.unwrap_or_else(|| match &asked {
            Effect::ReadHistory(_) => EffectResult::History(HistoryResult::Failed {
                message: "no answer".to_owned(),
                unreachable: true,
                retry_after_ms: None,
            }),
            Effect::Send(_) | Effect::Poll(_) => EffectResult::Step(
                StepResult::new(StepReading::Unknown, None).saying("no answer in time"),
            ),
        });
        self.story.tell(|| tell_result(&asked, &result));
        let seen =
            Seen::Result { number: effect, service: &service, effect: &asked, result: &result };
        self.seen(&seen);
        self.hand_in(id, Some(result));
    }

    pub(super) fn case_ids(&self) -> Vec<CaseId> {
        self.store.rows.cases().map(|c| c.id).collect()
    }
}

/// What a service knows a step by.
fn digest_of(key: Option<&str>, step: StepId) -> u64 {
    digest(&[&key.map_or_else(|| step.to_string(), str::to_owned)])
}

/// The one request that is asked about: by its payment where the endpoint takes that, else by its id.
fn asked_about(send: &SendStep) -> Option<(usize, usize)> {
    let endpoint = send.rulebook.get(send.action_id).endpoints.get(send.verb);
    if endpoint.is_some_and(|e| e.data_fields().any(|field| field == PAYMENT)) {
        return request_of(send.data().get(PAYMENT)?.as_str()?);
    }
    match send.request_ids.as_slice() {
        [one] => request_of(one),
        _ => None,
    }
}

fn unsendable() -> StepResult {
    StepResult {
        answer: StepReading::Unsendable,
        status: None,
        message: Some("a field is missing".to_owned()),
        history: Testimony::default(),
        sent_twice: false,
    }
}

fn tell(asked: &Effect) -> String {
    match asked {
        Effect::Send(send) => {
            format!(
                "{} asks: {} {} ({}, try {})",
                send.step.case, send.verb, send.action, send.step, send.attempt
            )
        }
        Effect::Poll(poll) => {
            format!("{} looks after {} ({})", poll.step.case, poll.action, poll.step)
        }
        Effect::ReadHistory(walk) => format!("{} reads the History of {}", walk.case, walk.service),
    }
}

fn tell_result(asked: &Effect, result: &EffectResult) -> String {
    match (asked, result) {
        (Effect::ReadHistory(walk), EffectResult::History(HistoryResult::Told(entries))) => {
            let told =
                |e: &amends_protocol::Evidence| format!("{}.{} {}", e.service, e.action, e.state);
            let entries: Vec<String> = entries.iter().map(told).collect();
            format!("the History of {} for {}: {}", walk.service, walk.case, entries.join(", "))
        }
        (Effect::ReadHistory(walk), other) => {
            format!("the History of {} for {}: {other:?}", walk.service, walk.case)
        }
        (_, EffectResult::Step(result)) => {
            let step = asked.step().map(|(step, _)| step.to_string()).unwrap_or_default();
            format!("{step} is answered {:?}", result.answer)
        }
        (_, other) => format!("{other:?}"),
    }
}
