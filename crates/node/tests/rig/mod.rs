//! A node with a store in memory that fails when the test says so, and a clock that is a number. No threads, no sleeps.

#![allow(dead_code)] // each test file uses its own part

pub mod nodes;

use amends_engine::{
    Answer, Effect, Event, HistoryResult, Input, Loaded, LookupRequest, LookupResult, Memory,
    RulebookRow, StepReading, StepResult, Ticket,
};
use amends_node::{
    Done, EffectId, EffectResult, LaunchedEffect, Need, Node, NodeOptions, NotTaken, StoreFault,
    TurnedAway,
};
use amends_protocol::{
    Evidence, HistoryState, Outcome, Report, ReportData, SagaId, Timestamp, Verb,
};
use amends_rulebook::Rulebook;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub const TWO: &str = "
rulebook: two
settle: { quiet: 50ms }
services:
  a: { url: \"http://a\", concurrency: 1, actions: { x: { compensation: undo, calls: [b.y] } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
rules: [{ on: \"*/*\", compensate: [a.x, b.y] }]
";

/// What a store does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Fine,
    /// Fails, and has done nothing.
    Fails,
    /// Has written it, and fails before it says so.
    FailsAfterwards,
    /// Calls it contradictory.
    Refuses,
    /// Could not read it again.
    CannotRead,
}

pub struct Rig {
    pub node: Node,
    pub now: Timestamp,
    pub memory: Memory,
    /// What the store does with the next requests of each kind; fine when empty.
    pub loads: VecDeque<Mood>,
    pub lookups: VecDeque<Mood>,
    pub commits: VecDeque<Mood>,
    /// Commits that contain this report are refused as contradictory.
    pub bad_report: Option<&'static str>,
    /// Commits that write this case fail so.
    pub refused_case: Option<(amends_protocol::CaseId, StoreFault)>,
    /// No version of a rulebook can be understood.
    pub broken_rulebooks: bool,
    pub answers: BTreeMap<Ticket, Answer>,
    pub turned_away: Vec<TurnedAway>,
    /// Who was told at once that the store is away.
    pub not_taken: Vec<Ticket>,
    pub under_way: Vec<LaunchedEffect>,
    /// `verb service.action` in the order of their release.
    pub sent: Vec<String>,
    pub events: Vec<Event>,
    /// Inputs of each released turn.
    pub turns: Vec<usize>,
    /// How often each kind of request was made.
    pub asked: BTreeMap<&'static str, usize>,
    pub ended: Option<usize>,
    ticket: Ticket,
}

pub fn options() -> NodeOptions {
    NodeOptions {
        queue: 100,
        resident_bytes: usize::MAX,
        open_page: 2,
        batch: 10,
        grace_ms: 25_000,
        letters_from: 0,
    }
}

impl Rig {
    pub fn new() -> Self {
        Self::with(options())
    }

    pub fn with(options: NodeOptions) -> Self {
        let mut rig = Self::unloaded(options);
        rig.run();
        rig
    }

    /// Nothing has happened yet.
    pub fn unloaded(options: NodeOptions) -> Self {
        let mut memory = Memory::default();
        let book = Rulebook::from_yaml(TWO).unwrap_or_else(|found| panic!("{found:#?}"));
        memory.put_active(&book, Timestamp(0));
        Self {
            node: Node::new(options),
            now: Timestamp(1_700_000_000_000),
            memory,
            loads: VecDeque::new(),
            lookups: VecDeque::new(),
            commits: VecDeque::new(),
            bad_report: None,
            refused_case: None,
            broken_rulebooks: false,
            answers: BTreeMap::new(),
            turned_away: Vec::new(),
            not_taken: Vec::new(),
            under_way: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            turns: Vec::new(),
            asked: BTreeMap::new(),
            ended: None,
            ticket: 0,
        }
    }

    /// Does what the node needs until it sleeps or has ended; says until when it sleeps.
    pub fn run(&mut self) -> Option<Timestamp> {
        for _ in 0..10_000 {
            match self.one() {
                Some(Need::Sleep { until }) => return until,
                Some(Need::End { under_way }) => {
                    self.ended = Some(under_way);
                    return None;
                }
                _ => {}
            }
        }
        panic!("the node never comes to rest");
    }

    /// Does one thing that the node needs; gives back what ends a run.
    pub fn one(&mut self) -> Option<Need> {
        match self.node.need(self.now) {
            Need::Load => {
                self.count("load");
                let loaded = self.load();
                self.node.done(self.now, Done::Loaded(loaded));
            }
            Need::Open(partition, after, most) => {
                let page = self.memory.open(partition, after, most);
                self.node.done(self.now, Done::Open(Ok(page)));
            }
            Need::Lookup(request) => {
                self.count("lookup");
                let found = self.find(&request);
                self.node.done(self.now, Done::Found(found));
            }
            Need::Commit(batch) => {
                self.count("commit");
                let bad = self.bad_report.is_some_and(|id| {
                    batch.writes().any(|write| {
                        matches!(write, amends_engine::Write::Report(row) if row.report.id == id)
                    })
                });
                if let Some((case, fault)) = &self.refused_case
                    && batch
                        .writes()
                        .any(|w| matches!(w, amends_engine::Write::Case(row) if row.id == *case))
                {
                    self.node.done(self.now, Done::Committed(Err(fault.clone())));
                    return None;
                }
                let mood = if bad { Some(Mood::Refuses) } else { self.commits.pop_front() };
                let committed = match mood.unwrap_or(Mood::Fine) {
                    Mood::Fine => self
                        .memory
                        .commit(batch)
                        .map_err(|c| StoreFault::Conflict { why: c.row, case: c.case }),
                    mood => {
                        if mood == Mood::FailsAfterwards {
                            self.memory.commit(batch).expect("no conflict");
                        }
                        Err(fault(mood))
                    }
                };
                self.node.done(self.now, Done::Committed(committed));
            }
            Need::Release(released) => {
                self.turns.push(released.inputs);
                self.answers.extend(released.replies);
                self.events.extend(released.events);
                for effect in released.effects {
                    if let Effect::Send(send) = &effect.effect {
                        self.sent.push(format!("{} {}", send.verb, send.action));
                    }
                    self.under_way.push(effect);
                }
            }
            Need::TurnAway(turned_away) => self.turned_away.push(turned_away),
            Need::Settings | Need::Adopt(_) | Need::Letters(..) | Need::GiveBack(_) => {
                panic!("only of a store that nodes share")
            }
            end @ (Need::Sleep { .. } | Need::End { .. }) => return Some(end),
        }
        None
    }

    fn load(&mut self) -> Result<Loaded, StoreFault> {
        match self.loads.pop_front().unwrap_or(Mood::Fine) {
            Mood::Fine => {
                let mut loaded = self.memory.load();
                self.spoil(&mut loaded.settings.rulebooks);
                Ok(loaded)
            }
            mood => Err(fault(mood)),
        }
    }

    fn find(&mut self, request: &LookupRequest) -> Result<LookupResult, StoreFault> {
        match self.lookups.pop_front().unwrap_or(Mood::Fine) {
            Mood::Fine => {
                let mut found = self.memory.find(request);
                self.spoil(&mut found.rulebooks);
                Ok(found)
            }
            mood => Err(fault(mood)),
        }
    }

    fn spoil(&self, rulebooks: &mut [RulebookRow]) {
        for row in rulebooks.iter_mut().filter(|_| self.broken_rulebooks) {
            row.sources[0].1 = "rulebook: [".to_owned();
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.asked.entry(what).or_default() += 1;
    }

    pub fn ticket(&mut self) -> Ticket {
        self.ticket += 1;
        self.ticket
    }

    /// Hands in a report and lets nothing happen yet.
    pub fn hand_in(&mut self, saga: &str, id: &str) -> Ticket {
        let ticket = self.ticket();
        let report = Arc::new(report(saga, id));
        match self.node.take(Input::Report { report, known_in: None, ticket }) {
            Ok(()) => {}
            Err(NotTaken::StoreAway) => self.not_taken.push(ticket),
            Err(NotTaken::Overloaded) => panic!("there is room"),
        }
        ticket
    }

    /// Hands in a report and runs.
    pub fn report(&mut self, saga: &str, id: &str) -> Option<Answer> {
        let ticket = self.hand_in(saga, id);
        self.run();
        self.answers.remove(&ticket)
    }

    /// Lets the oldest effect for a service succeed, and runs.
    pub fn answer(&mut self, service: &str) {
        let position = self.under_way.iter().position(|e| &**e.effect.service() == service);
        let effect = self.under_way.remove(position.expect("under way"));
        let result = success(&effect);
        self.node.ended(effect.id, result);
        self.run();
    }

    /// Lets everything succeed and passes time until nothing is left to do.
    pub fn settle(&mut self) {
        // A day of ages, with the clock kept once a minute.
        for _ in 0..10_000 {
            let until = self.run();
            match (self.under_way.pop(), until) {
                (Some(effect), _) => self.node.ended(effect.id, success(&effect)),
                (None, Some(at)) => self.now = self.now.max(at),
                (None, None) => return,
            }
        }
        panic!("it never settles");
    }

    pub fn of_service(&self, service: &str) -> Vec<EffectId> {
        let of = self.under_way.iter().filter(|e| &**e.effect.service() == service);
        of.map(|e| e.id).collect()
    }
}

fn fault(mood: Mood) -> StoreFault {
    match mood {
        Mood::Refuses => {
            StoreFault::Conflict { why: "the test calls it contradictory".to_owned(), case: None }
        }
        Mood::CannotRead => {
            StoreFault::Unstorable { why: "it would not read back".to_owned(), case: None }
        }
        Mood::Fine | Mood::Fails | Mood::FailsAfterwards => {
            StoreFault::Failed("the disk is gone".to_owned())
        }
    }
}

pub fn success(effect: &LaunchedEffect) -> EffectResult {
    let outcome = match &effect.effect {
        Effect::Send(send) => match send.verb {
            Verb::Compensate => Outcome::Compensated,
            Verb::Retry => Outcome::Retried,
            Verb::Notify => Outcome::Notified,
        },
        Effect::Poll(poll) => panic!("{} was never accepted", poll.step),
        Effect::ReadHistory(_) => return EffectResult::History(HistoryResult::Told(vec![].into())),
    };
    let answer = StepReading::Done(outcome);
    EffectResult::Step(StepResult::new(answer, Some(200)).telling(vec![]))
}

pub fn report(saga: &str, id: &str) -> Report {
    Report {
        id: id.to_owned(),
        source: "a".to_owned(),
        saga_id: SagaId::new(saga).expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData {
            code: "broken".to_owned(),
            action: Some("x".to_owned()),
            history: vec![Evidence::new("a", "x", "r", HistoryState::Succeeded)],
            ..ReportData::default()
        },
    }
}

pub fn received(answer: Option<Answer>) -> bool {
    match answer {
        Some(Answer::Received { duplicate, .. }) => !duplicate,
        other => panic!("{other:?}"),
    }
}

pub fn name(text: &str) -> Arc<str> {
    text.into()
}
