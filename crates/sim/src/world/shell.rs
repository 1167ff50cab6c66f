//! The supervisor's process around the node core: a store that fails, a clock that jumps, and crashes at every point.
//! It does what the server's shell does, with a queue of events in place of a runtime.

use super::nodes::Nodes;
use super::process::options;
use super::state::World;
use crate::check::Seen;
use crate::event::WorldEvent;
use crate::node_event::Asked;
use crate::scenario::{CrashPoint, HEALED_MS, StoreTrouble};
use amends_engine::{Batch, Committed, Input, Write};
use amends_node::{Done, EffectId, EffectResult, Need, Node, Released, StoreFault};
use amends_protocol::{CaseId, Timestamp};

impl World<'_> {
    pub(super) fn start(&mut self, node: usize) {
        self.look_at(node);
        if self.shell.node.is_some() {
            return; // it has been started already
        }
        self.shell.process = self.next_process();
        let options = options(self.scenario.seed, self.shell.process, self.nodes.is_some());
        self.shell.node = Some(Node::new(options));
        let stored = self.store.rows.load().clock;
        self.shell.begin_line(self.queue.now(), stored);
        self.shell.wake_at = None;
        self.story.tell(|| "the supervisor starts".to_owned());
        self.seen(&Seen::Started);
        self.turn();
    }

    pub(super) fn next_process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    /// Hands an input to the supervisor. False if it is down, or has too much to do.
    pub(super) fn take(&mut self, input: Input) -> bool {
        if self.shell.suspended(self.queue.now()).is_some() {
            return false;
        }
        let taken = self.shell.node.as_mut().is_some_and(|node| node.take(input).is_ok());
        self.turn();
        taken
    }

    /// Hands the result of an effect to the supervisor.
    pub(super) fn hand_in(&mut self, effect: EffectId, result: Option<EffectResult>) {
        if let Some(node) = &mut self.shell.node {
            match result {
                Some(result) => node.ended(effect, result),
                None => node.lost(effect),
            }
        }
        self.turn();
    }

    /// Goes on with the loop until it waits for the store or for time.
    pub(super) fn turn(&mut self) {
        if self.shell.asked.is_some() {
            return;
        }
        let moment = self.shell.moment(self.queue.now());
        loop {
            let Some(node) = &mut self.shell.node else { return };
            match node.need(moment) {
                Need::Load => return self.ask(Asked::Load),
                Need::Settings => return self.ask(Asked::Settings),
                Need::Adopt(lease) => return self.ask(Asked::Adopt(lease)),
                Need::Letters(wanted) => return self.ask(Asked::Letters(wanted)),
                Need::Open(partition, after, most) => {
                    return self.ask(Asked::Open(partition, after, most));
                }
                Need::GiveBack(partitions) => self.give_back(&partitions),
                Need::Lookup(request) => return self.ask(Asked::Lookup(request)),
                Need::Commit(batch) => return self.ask(Asked::Commit(batch)),
                Need::Release(released) => self.release(released),
                Need::TurnAway(turned) => {
                    self.story.tell(|| format!("turned away: {}", turned.fault));
                    turned.tickets.into_iter().for_each(|ticket| self.turned_away(ticket));
                }
                Need::Sleep { until } => return self.rest(until),
                Need::End { .. } => return,
            }
        }
    }

    fn ask(&mut self, asked: Asked) {
        let late = match self.store_trouble(|t| matches!(t, StoreTrouble::Late(_))) {
            Some(StoreTrouble::Late(ms)) => ms,
            _ => 0,
        };
        let process = self.shell.process;
        if self.nodes.is_some() {
            return self.ask_shared(process, asked, late);
        }
        self.shell.asked = Some(asked);
        self.queue.after(late, WorldEvent::StoreDone { process });
    }

    /// What was asked for is not known any more once it is under way: it goes on without whoever has asked.
    fn ask_shared(&mut self, process: u64, asked: Asked, late_ms: u64) {
        let (node, late_ms) = (self.shell.name, late_ms + self.takes_ms());
        let is_commit = matches!(asked, Asked::Commit(_));
        let begun = self.nodes.as_mut().filter(|_| is_commit).map(Nodes::begin_commit);
        self.shell.asked = Some(Asked::Load);
        self.shell.asked_in = self.shell.last_beat.1;
        let works = WorldEvent::Works { process, node, asked: Box::new(asked), commit: begun };
        self.queue.after(late_ms, works);
        if let Some(ms) = self.shell.stops_in_a_commit.filter(|_| is_commit) {
            self.shell.stops_in_a_commit = None;
            if self.queue.now() < HEALED_MS {
                self.suspend(ms);
            }
        }
    }

    /// Nothing is to be done before this moment.
    fn rest(&mut self, at: Option<Timestamp>) {
        let now = self.shell.moment(self.queue.now()).now;
        let engine = self.shell.node.as_ref().and_then(Node::engine);
        // What checkers say of memory and time is of one supervisor.
        if self.nodes.is_some() {
            self.node_rests();
        } else if let Some(engine) = engine {
            self.store.quarantined = engine.quarantined().iter().map(|q| q.case.id).collect();
            let at = (self.queue.now(), at);
            let seen = Seen::Rest { engine, at: at.0, next: at.1 };
            self.checks.see(at.0, now, &seen, &self.store);
        }
        let Some(at) = at else { return };
        let at = self.queue.now().saturating_add_unsigned(at.ms_since(now));
        if self.shell.wake_at.is_none_or(|wake| at < wake) {
            self.shell.wake_at = Some(at);
            self.queue.at(at, WorldEvent::Wake { process: self.shell.process });
        }
    }

    pub(super) fn store_done(&mut self, process: u64) {
        if process != self.shell.process {
            return;
        }
        let Some(asked) = self.shell.asked.take() else { return };
        if self.nodes.is_some() {
            let (told, moment) = (self.shell.told.take(), self.shell.moment(self.queue.now()));
            if let Some((node, done)) = self.shell.node.as_mut().zip(told) {
                node.done(moment, done);
            }
            return self.turn();
        }
        let broken = || StoreFault::Failed("the disk is away".to_owned());
        let done = match asked {
            Asked::Load => {
                let fails = self.store_trouble(|t| t == StoreTrouble::LoadFails).is_some();
                if !fails {
                    self.seen(&Seen::Loaded);
                }
                Done::Loaded(if fails { Err(broken()) } else { Ok(self.store.rows.load()) })
            }
            Asked::Open(partition, after, most) => {
                Done::Open(Ok(self.store.rows.open(partition, after, most)))
            }
            // Only of a store that nodes share.
            Asked::Settings | Asked::Adopt(_) | Asked::Letters(..) => return,
            Asked::Lookup(request) => {
                let fails = self.store_trouble(|t| t == StoreTrouble::LookupFails).is_some();
                let found = self.store.rows.find(&request);
                Done::Found(if fails { Err(broken()) } else { Ok(found) })
            }
            Asked::Commit(batch) => match self.commit(batch) {
                Some(result) => Done::Committed(result),
                None => return, // the process died of it
            },
        };
        let moment = self.shell.moment(self.queue.now());
        if let Some(node) = &mut self.shell.node {
            node.done(moment, done);
        }
        self.turn();
    }

    fn commit(&mut self, batch: Batch) -> Option<Result<Committed, StoreFault>> {
        let crash = self.crash();
        if let Some((CrashPoint::BeforeCommit, down_ms)) = crash {
            self.die("before the commit", down_ms);
            return None;
        }
        let fails = |t| {
            matches!(
                t,
                StoreTrouble::CommitFails | StoreTrouble::CommitEndUnknown | StoreTrouble::Conflict
            )
        };
        let trouble = self.store_trouble(fails);
        if let Some(trouble) = trouble {
            let writes = batch.writes().count();
            self.story.tell(|| format!("the store: {trouble:?} ({writes} writes)"));
        }
        let mut result = match trouble {
            None => self.refusal(&batch).map(|()| Committed::default()),
            Some(StoreTrouble::Conflict) => {
                Err(StoreFault::Conflict { why: "by mistake".to_owned(), case: None })
            }
            Some(_) => Err(StoreFault::Failed("the disk is away".to_owned())),
        };
        let refused = self.refusal(&batch).is_err();
        if !refused && matches!(trouble, None | Some(StoreTrouble::CommitEndUnknown)) {
            let writes: Vec<Write> = batch.writes().cloned().collect();
            self.seen(&Seen::Commit { writes: &writes });
            if let Err(conflict) = self.store.rows.commit(batch) {
                result = Err(StoreFault::Conflict { why: conflict.row, case: conflict.case });
            } else {
                self.count(writes.len() as u64);
                self.note_settled(&writes);
                let at = self.queue.now();
                self.seen(&Seen::Committed { writes: &writes, at });
            }
        }
        if let Some((CrashPoint::AfterCommit, down_ms)) = crash {
            self.die("after the commit", down_ms);
            return None;
        }
        self.shell.crash = crash.filter(|_| result.is_ok());
        Some(result)
    }

    /// What the store says of a case whose rows it does not take.
    fn refusal(&self, batch: &Batch) -> Result<(), StoreFault> {
        let case = batch.writes().find_map(|write| match write {
            Write::Case(row) => Some(row.id),
            Write::Step(row) => Some(row.id.case),
            _ => None,
        });
        let refused = |case: &CaseId| self.refused.contains(case);
        match case.filter(refused) {
            None => Ok(()),
            Some(case) => Err(StoreFault::Conflict {
                why: format!("the rows of {case} contradict each other"),
                case: Some(case),
            }),
        }
    }

    fn release(&mut self, released: Released) {
        let Released { replies, mut effects, answered, .. } = released;
        for (letter, answer) in &answered {
            self.seen(&Seen::LetterJudged { letter: *letter, answer });
        }
        self.answered(answered);
        for (ticket, answer) in replies {
            self.replied(ticket, answer);
        }
        let crash = self.shell.crash.take();
        match crash {
            Some((CrashPoint::BeforeEffects, down_ms)) => {
                return self.die("after its replies, before its effects", down_ms);
            }
            Some((CrashPoint::AmongEffects, _)) => effects.truncate(1),
            _ => {}
        }
        for effect in effects {
            self.send(effect);
        }
        if let Some((_, down_ms)) = crash {
            self.die("after its effects went out", down_ms);
        }
    }

    pub(super) fn die(&mut self, when: &str, down_ms: u64) {
        self.story.tell(|| format!("the supervisor dies {when}"));
        self.shell.node = None;
        self.shell.line = None;
        self.shell.asked = None;
        self.shell.told = None;
        self.shell.has_loaded = false;
        self.shell.crash = None;
        self.shell.process = self.next_process();
        self.seen(&Seen::Died);
        self.nobody_answers();
        let node = self.shell.number;
        self.queue.after(down_ms, WorldEvent::Start { node });
    }

    pub(super) fn seen(&mut self, seen: &Seen<'_>) {
        let now = self.shell.moment(self.queue.now()).now;
        self.checks.see(self.queue.now(), now, seen, &self.store);
    }
}
