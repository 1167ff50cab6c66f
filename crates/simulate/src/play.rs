//! Plays one schedule of a flow from the saga's begin to the end of its case.

use crate::business::{ModelServices, Pending};
use crate::choices::Choices;
use crate::flow::Flow;
use crate::schedule::{Disturbance, Schedule, Spacing};
use crate::story::Story;
use crate::supervisor::ModelSupervisor;
use crate::verdict::{Finding, judge};
use amends_engine::{Effect, HistoryResult, Input, ReportRole, StepReading, StepResult, StepState};
use amends_protocol::Timestamp;
use amends_rulebook::{ActionId, Rule, Rulebook, Target};
use std::sync::Arc;

/// Effects, ticks and events of one run. The longest honest run is a retry that backs off for a day at five minutes
/// each, about 300; what needs ten times that never ends.
const TURNS_LIMIT: u32 = 3_000;

/// With [`Spacing::Apart`], how long the supervisor gets between two events: longer than any pause that it makes by
/// itself (cause wait, quiet time with their defaults), short against a day of retries.
const APART_MS: u64 = 600_000;

/// The same in a proof, which asks for what is left behind alone: what never ends is known to wait for a person.
const PROOF_TURNS_LIMIT: u32 = 600;

/// Effects after which what is late comes at last: a step may be tried again and again for want of it.
const LATE_LIMIT: usize = 40;

/// How one schedule went.
#[derive(Debug)]
pub(crate) struct Played {
    /// What is wrong at the end, if anything is.
    pub(crate) finding: Option<Finding>,
    /// What came in after the saga's own run.
    pub(crate) events: usize,
    /// Effects of the supervisor.
    pub(crate) effects: usize,
    /// What each of them was about.
    pub(crate) asked: Vec<Asked>,
    /// Something was still under way that is no report.
    pub(crate) late: bool,
    /// Calls that were met and about which nothing was decided.
    pub(crate) met: Vec<usize>,
    /// A rule asked for a retry that it gives up at some point.
    pub(crate) gives_up: bool,
    pub(crate) rules: Vec<String>,
    pub(crate) story: Vec<String>,
}

/// What an effect is about: a History of a service, or a step of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    History(Arc<str>),
    Step(ActionId),
}

/// Plays `schedule`; the story is only told if asked for.
pub(crate) fn play(
    book: &Arc<Rulebook>,
    flow: &Flow,
    schedule: &Schedule,
    telling: bool,
) -> Played {
    play_at_most(TURNS_LIMIT, book, flow, schedule, Choices::default(), telling)
}

/// The same where it is decided which of the flow's open calls are made.
pub(crate) fn play_with(
    book: &Arc<Rulebook>,
    flow: &Flow,
    schedule: &Schedule,
    choices: Choices,
    telling: bool,
) -> Played {
    play_at_most(PROOF_TURNS_LIMIT, book, flow, schedule, choices, telling)
}

fn play_at_most(
    turns: u32,
    book: &Arc<Rulebook>,
    flow: &Flow,
    schedule: &Schedule,
    choices: Choices,
    telling: bool,
) -> Played {
    let story = if telling { Story::telling() } else { Story::default() };
    let mut stage = Stage {
        business: ModelServices::new(book, flow, &schedule.faults, choices, story),
        supervisor: ModelSupervisor::new(book),
        book,
        disturbance: schedule.disturbance,
        effects: 0,
        asked: Vec::new(),
        turns_left: turns,
    };
    stage.business.nameless = schedule.nameless;
    stage.business.begin();
    let late = stage.business.pending.iter().any(|p| !matches!(p, Pending::Report(_)));
    let events = stage.aftermath(schedule);
    Played { late, ..stage.end(events, flow) }
}

/// Takes what is no report out of the queue, to be held back until the supervisor has run so many effects.
fn hold_back(after: Option<usize>, queue: &mut Vec<Pending>) -> Option<(usize, Vec<Pending>)> {
    let after = after?;
    let is_report = |pending: &Pending| matches!(pending, Pending::Report(_));
    let (reports, late) = std::mem::take(queue).into_iter().partition(is_report);
    *queue = reports;
    Some((after, late))
}

struct Stage<'a> {
    business: ModelServices<'a>,
    supervisor: ModelSupervisor,
    book: &'a Arc<Rulebook>,
    disturbance: Option<Disturbance>,
    effects: usize,
    asked: Vec<Asked>,
    turns_left: u32,
}

impl Stage<'_> {
    /// Everything that comes in after the saga's own run, in the schedule's order. Gives the number of events.
    fn aftermath(&mut self, schedule: &Schedule) -> usize {
        let mut queue = schedule.order.apply(std::mem::take(&mut self.business.pending));
        let events = queue.len();
        let mut late = hold_back(schedule.late_after, &mut queue);
        let until = |now: Timestamp| now.plus_ms(APART_MS);
        loop {
            while !queue.is_empty() && self.has_turns() {
                let pending = queue.remove(0);
                self.come_in(pending, schedule.twice);
                match schedule.spacing {
                    Spacing::Together => {}
                    Spacing::OneEffect => self.run_effect(),
                    Spacing::Apart => self.work(until(self.supervisor.now)),
                }
                queue.append(&mut self.business.pending);
            }
            if let Some((after, events)) = late.take() {
                self.work_effects(after);
                queue.extend(events);
                continue;
            }
            let end = Timestamp(i64::MAX);
            self.work(if schedule.spacing == Spacing::Apart {
                until(self.supervisor.now)
            } else {
                end
            });
            queue.append(&mut self.business.pending);
            if queue.is_empty() {
                self.work(end);
                queue.append(&mut self.business.pending);
            }
            if queue.is_empty() || !self.has_turns() {
                return events;
            }
        }
    }

    /// The supervisor works until it has run so many effects, or the case is at rest.
    fn work_effects(&mut self, count: usize) {
        let count = count.min(LATE_LIMIT);
        while self.effects < count && self.has_turns() && self.business.pending.is_empty() {
            self.supervisor.approve();
            if !self.supervisor.effects.is_empty() {
                self.run_effect();
            } else if self.supervisor.is_at_rest()
                || !self.supervisor.pass_time(Timestamp(i64::MAX))
            {
                return;
            }
        }
    }

    fn has_turns(&mut self) -> bool {
        self.turns_left = self.turns_left.saturating_sub(1);
        self.turns_left > 0
    }

    fn come_in(&mut self, pending: Pending, twice: bool) {
        // Whoever declares a quiet time says that nothing is longer under way than that.
        if !matches!(pending, Pending::Report(_)) && self.supervisor.is_quiet_time_over() {
            self.business
                .story
                .tell(|| "what is late has come by then: the quiet time is over".to_owned());
            return;
        }
        let Some(index) = self.business.happen(pending) else { return };
        let report = Arc::clone(&self.business.reports[index]);
        self.supervisor.report(&report);
        if twice {
            self.supervisor.report(&report);
        }
        let role = self.supervisor.reports().find(|r| r.report.id == report.id);
        let answered = match role.map(|r| r.role) {
            Some(ReportRole::Rule(n) | ReportRole::RuleHeld(n)) => {
                format!("rule `{}` answers", self.book.rules()[n as usize].index_label)
            }
            Some(ReportRole::Derived) => "derived, its cause is answered".to_owned(),
            Some(ReportRole::AwaitsRoot(_)) => "derived, its cause has not come yet".to_owned(),
            Some(ReportRole::Unmatched | ReportRole::ByHand | ReportRole::Excess) | None => {
                "no rule answers".to_owned()
            }
        };
        let kind = format!("{}/{}", report.service(), report.data.code);
        self.business.story.tell(|| format!("{kind} is reported: {answered}"));
    }

    /// Effects, then time, until the case is at rest, something else comes up, or it is `until`.
    fn work(&mut self, until: Timestamp) {
        loop {
            if !self.has_turns() || !self.business.pending.is_empty() {
                return;
            }
            self.supervisor.approve();
            if !self.supervisor.effects.is_empty() {
                self.run_effect();
            } else if self.supervisor.is_at_rest() || !self.supervisor.pass_time(until) {
                return;
            }
        }
    }

    fn run_effect(&mut self) {
        let number = self.effects;
        if self.disturbance == Some(Disturbance::Restart(number)) {
            self.disturbance = None;
            self.business.story.tell(|| "the supervisor dies and starts again".to_owned());
            self.supervisor.restart();
        }
        let Some(effect) = self.supervisor.effects.pop_front() else { return };
        self.effects += 1;
        self.asked.push(match &effect {
            Effect::ReadHistory(walk) => Asked::History(Arc::clone(&walk.service)),
            Effect::Send(send) => Asked::Step(send.action_id),
            Effect::Poll(poll) => Asked::History(Arc::clone(&poll.action.service)),
        });
        let not_sent = self.disturbance == Some(Disturbance::NotSent(number));
        let lost = self.disturbance == Some(Disturbance::AnswerLost(number));
        let input = match effect {
            Effect::ReadHistory(walk) => {
                let result = if not_sent || lost {
                    let message = "no answer".to_owned();
                    HistoryResult::Failed { message, unreachable: true, retry_after_ms: None }
                } else {
                    self.walk(&walk.service)
                };
                Input::HistoryEnded { case: walk.case, service: walk.service, result }
            }
            Effect::Send(send) => {
                let (mut answer, mut history) = (StepReading::NotSent, Vec::new());
                if !not_sent {
                    (answer, history) = self.business.perform(
                        send.step,
                        send.verb,
                        send.action_id,
                        &send.request_ids,
                    );
                    if lost {
                        (answer, history) = (StepReading::Unknown, Vec::new());
                    }
                }
                if self.is_mapped(send.action_id) {
                    history.clear();
                }
                self.business.story.tell(|| {
                    format!("the supervisor asks: {} {}: {}", send.verb, send.action, said(&answer))
                });
                let result = StepResult::new(answer, None).telling(history);
                let service = Arc::clone(&send.action.service);
                Input::StepEnded { step: send.step, attempt: send.attempt, service, result }
            }
            Effect::Poll(poll) => {
                let answer = StepReading::Unknown; // no model answers 202
                let result = StepResult::new(answer, None);
                let service = Arc::clone(&poll.action.service);
                Input::StepEnded { step: poll.step, attempt: poll.attempt, service, result }
            }
        };
        self.supervisor.input(input);
    }

    fn is_mapped(&self, action: ActionId) -> bool {
        let endpoints = &self.book.get(action).endpoints;
        endpoints.compensate.is_some() || endpoints.retry.is_some() || endpoints.notify.is_some()
    }

    fn walk(&mut self, service: &str) -> HistoryResult {
        if !self.book.service(service).is_some_and(|id| self.book.keeps_history(id)) {
            return HistoryResult::NoHistory;
        }
        HistoryResult::Told(self.business.history(service).into())
    }

    fn end(self, events: usize, flow: &Flow) -> Played {
        let finding = judge(self.book, flow, &self.business, &self.supervisor);
        let gives_up = self.supervisor.reports().any(|r| match r.role {
            ReportRole::Rule(n) | ReportRole::RuleHeld(n) => {
                let rule = &self.book.rules()[n as usize];
                rule.give_up.is_some() || (!rule.implied && retries_for_good(self.book, rule))
            }
            _ => false,
        });
        let rules = self.supervisor.rules();
        let mut story = self.business.story.into_lines();
        if !story.is_empty() {
            story.extend(plan_lines(&self.supervisor));
        }
        let (effects, asked) = (self.effects, self.asked);
        let met = self.business.choices.into_met();
        Played { finding, events, effects, asked, late: false, met, gives_up, rules, story }
    }
}

/// Whether a rule runs something again that would otherwise be undone: then its failing for good has to be played too.
fn retries_for_good(book: &Rulebook, rule: &Rule) -> bool {
    let named = rule.demand.stages.iter().flat_map(|stage| &stage.retry);
    named.into_iter().any(|target| match target {
        Target::Action(id) => {
            let action = book.get(*id);
            action.compensation.is_some() && !action.on_failure_retry
        }
        Target::Tag(_) | Target::Recorded | Target::All | Target::Downstream => false,
    })
}

fn said(answer: &StepReading) -> String {
    match answer {
        StepReading::Done(outcome) => outcome.to_string(),
        StepReading::Refused => "refused".to_owned(),
        StepReading::NotSent => "nobody there".to_owned(),
        StepReading::Busy { .. } => "not now".to_owned(),
        _ => "no answer".to_owned(),
    }
}

/// How the case has ended, and what is not done.
pub(crate) fn plan_lines(supervisor: &ModelSupervisor) -> Vec<String> {
    let unfinished: Vec<String> = supervisor
        .steps()
        .filter(|s| !matches!(s.state, StepState::Done(_) | StepState::Superseded))
        .map(|s| format!("{} {} is {}", s.verb, s.action, s.state.name()))
        .collect();
    let state = supervisor.case().map_or_else(
        || "there is no case".to_owned(),
        |case| match case.closed_on {
            Some(word) => format!("{} ({})", case.state.as_str(), word.as_str()),
            None => case.state.as_str().to_owned(),
        },
    );
    let mut lines = vec![format!("in the end the case is: {state}")];
    lines.extend(unfinished);
    lines
}
