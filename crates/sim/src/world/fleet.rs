//! Several supervisors on one store, each with a process and a clock of its own: they take partitions and lose them,
//! are stopped, killed and drained, and leave letters for each other. What one process does is in `shell.rs`.

use super::nodes::Nodes;
use super::process::Shell;
use super::state::World;
use crate::check::Seen;
use crate::event::WorldEvent;
use crate::node_event::{Asked, NodeFault, Word};
use crate::scenario::{CrashPoint, HEALED_MS, StoreTrouble};
use amends_engine::{
    Answer, Batch, Committed, HistoryResult, LetterId, Partition, StepReading, StepResult, Ticket,
    Write,
};
use amends_node::{Done, EffectResult, LaunchedEffect, StoreFault};

/// Time between two signs of life, in milliseconds.
const BEAT_MS: i64 = 1_000;

/// How long whoever came to the wrong node waits for the right one's word, in milliseconds.
const DOOR_MS: u64 = 1_000;

/// How long a word takes from one node to another, in milliseconds.
const WORD_MS: u64 = 3;

/// Of 100 words so many get lost.
const WORDS_LOST: usize = 30;

/// Of 100 signs of life so many come with a look into the inboxes, whether or not a word has come.
const LOOKS: usize = 12;

/// Of 100 moments with commits so many meet a line that breaks.
const LINES_BREAK: usize = 2;

/// A commit of unknown end lands so much later at most, in milliseconds.
const LATEST_MS: u64 = 1_500;

impl World<'_> {
    /// What happens to the nodes of this run.
    pub(super) fn plan_nodes(&mut self) {
        let Some(nodes) = &self.nodes else { return };
        let mut rng = nodes.draw(&[1]);
        let (count, are_calm) = (nodes.count(), nodes.are_calm());
        self.queue.at(0, WorldEvent::Beats);
        for node in 1..count {
            let at = rng.between(0, 20_000).cast_signed();
            self.queue.at(at, WorldEvent::Start { node });
        }
        for _ in 0..rng.below(7) {
            let at = rng.between(2_000, HEALED_MS.unsigned_abs() / 3).cast_signed();
            let fault = match rng.below(3) {
                _ if are_calm => NodeFault::IsDrained(rng.between(1_000, 60_000)),
                0 => NodeFault::Stops(rng.between(500, 40_000)),
                1 => NodeFault::Dies(rng.between(100, 30_000)),
                _ => NodeFault::IsDrained(rng.between(1_000, 60_000)),
            };
            self.queue.at(at, WorldEvent::Node { node: rng.below(count), fault });
        }
    }

    pub(super) fn node_fault(&mut self, node: usize, fault: NodeFault) {
        self.look_at(node);
        self.story.tell(|| format!("node {node}: {fault:?}"));
        match fault {
            NodeFault::Stops(ms) => self.suspend(ms),
            NodeFault::Dies(ms) if self.shell.node.is_some() => self.die("as it is killed", ms),
            NodeFault::Dies(_) => {}
            NodeFault::IsDrained(ms) => {
                self.set_leaving(node, true);
                let fault = NodeFault::TakesAgain;
                self.queue.after(ms, WorldEvent::Node { node, fault });
            }
            NodeFault::TakesAgain => self.set_leaving(node, false),
        }
    }

    fn set_leaving(&mut self, node: usize, leaving: bool) {
        if let Some(nodes) = &mut self.nodes {
            nodes.set_leaving(node, leaving);
        }
    }

    /// All that run show themselves. While nothing is to change, the next time is when something happens.
    pub(super) fn beats(&mut self) {
        let now = self.queue.now();
        let Some(nodes) = &self.nodes else { return };
        let count = nodes.count();
        let is_calm = self.is_calm(now);
        let next = match self.queue.next_at() {
            None if is_calm => None,
            Some(at) if is_calm => Some(at.max(now + BEAT_MS)),
            _ => Some(now + BEAT_MS),
        };
        for node in 0..count {
            self.look_at(node);
            if self.shell.node.is_some() && self.shell.suspended(now).is_none() {
                self.beat(node, now, next.unwrap_or(now));
            }
        }
        if let Some(at) = next {
            self.queue.at(at, WorldEvent::Beats);
        }
    }

    fn is_calm(&mut self, now: i64) -> bool {
        let Some(nodes) = &self.nodes else { return true };
        if !nodes.is_settled(now) || nodes.with_letters().next().is_some() {
            return false;
        }
        let is_at_rest = |shell: &Shell| {
            shell.suspended(now).is_none()
                && shell.node.as_ref().is_some_and(|node| node.is_ready())
        };
        let version = self.store.rows.settings_version();
        let goes_by_it =
            |shell: &Shell| shell.node.as_ref().is_some_and(|node| node.settings_seen() == version);
        let mut shells = self.others.iter().chain([&self.shell]);
        shells.all(|shell| is_at_rest(shell) && goes_by_it(shell))
    }

    /// What keeps several nodes from their rest, for people.
    pub(super) fn restless(&self) -> String {
        let Some(nodes) = &self.nodes else { return String::new() };
        let mut told = String::new();
        for (partition, kind) in nodes.waiting() {
            told.push_str(&format!("; a letter `{}` waits for {partition}", kind.as_str()));
        }
        let version = self.store.rows.settings_version();
        for shell in self.others.iter().chain([&self.shell]) {
            let seen = shell.node.as_ref().map(|node| (node.settings_seen(), node.is_ready()));
            if seen != Some((version, true)) {
                told.push_str(&format!("; node {} is at {seen:?} of {version}", shell.number));
            }
        }
        told
    }

    fn beat(&mut self, node: usize, now: i64, until: i64) {
        let highest = self.store.rows.highest_sequence();
        let Some(nodes) = &mut self.nodes else { return };
        let beaten = nodes.beat(node, now, until);
        let looks = nodes.draw(&[7, node as u64, now.unsigned_abs()]).chance(LOOKS);
        let mail: Vec<Partition> = nodes.with_letters().filter(|_| looks).collect();
        self.shell.last_beat = (until, beaten.lives);
        let version = self.store.rows.settings_version();
        let Some(of_node) = &mut self.shell.node else { return };
        let seen = of_node.settings_seen();
        of_node.settings_stand(version);
        of_node.claimed(beaten.leases);
        beaten.above.into_iter().for_each(|partition| of_node.hand_over(partition));
        mail.into_iter().for_each(|partition| of_node.mail(partition));
        of_node.raise_numbers(highest);
        self.seen(&Seen::Beats { settings: seen });
        self.turn();
    }

    /// The store does what a process has asked of it, whether or not that still lives.
    pub(super) fn works(&mut self, process: u64, node: usize, asked: Asked) {
        self.look_at(node);
        let is_there = self.shell.process == process && self.shell.node.is_some();
        let done = match asked {
            Asked::Commit(batch) => match self.commit_of(node, batch, is_there) {
                Some(result) => Done::Committed(result),
                None => return,
            },
            _ if !is_there => return,
            Asked::Load => {
                let fails = self.store_trouble(|t| t == StoreTrouble::LoadFails).is_some();
                if std::mem::replace(&mut self.shell.has_loaded, true) {
                    self.seen(&Seen::Loaded);
                }
                let shared = self.nodes.as_mut().map(|nodes| nodes.raise(node)).unwrap_or_default();
                match fails {
                    true => Done::Loaded(Err(is_away())),
                    false => Done::Loaded(Ok(self.store.rows.load_shared(shared))),
                }
            }
            Asked::Settings => {
                let fails = self.store_trouble(|t| t == StoreTrouble::LoadFails).is_some();
                let settings = self.store.rows.settings();
                Done::Settings(if fails { Err(is_away()) } else { Ok(settings) })
            }
            Asked::Adopt(lease) => {
                let orderly =
                    self.nodes.as_ref().is_some_and(|nodes| nodes.is_orderly(lease.partition));
                Done::Adopted(Ok(self.store.rows.adopt(lease.partition, orderly)))
            }
            Asked::Letters(partition, after, most) => {
                let read = self.nodes.as_ref().map(|nodes| nodes.letters(partition, after, most));
                Done::Letters(read.ok_or_else(is_away))
            }
            Asked::Open(partition, after, most) => {
                Done::Open(Ok(self.store.rows.open(partition, after, most)))
            }
            Asked::Lookup(request) => {
                let fails = self.store_trouble(|t| t == StoreTrouble::LookupFails).is_some();
                let found = self.store.rows.find(&request);
                Done::Found(if fails { Err(is_away()) } else { Ok(found) })
            }
        };
        if self.shell.process == process {
            self.shell.told = Some(done);
            self.queue.after(0, WorldEvent::StoreDone { process });
        }
    }

    /// A commit of which nobody knew the end lands now, if its partitions are still held as they were.
    pub(super) fn lands(&mut self, node: usize, batch: Batch) {
        self.story.tell(|| format!("a commit of node {node} lands late"));
        let _ = self.put(node, batch);
    }

    /// None if the process dies of it.
    fn commit_of(
        &mut self,
        node: usize,
        batch: Batch,
        is_there: bool,
    ) -> Option<Result<Committed, StoreFault>> {
        let crash = if is_there { self.crash() } else { None };
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
        let trouble = self.store_trouble(fails).or_else(|| self.line_breaks(node));
        let result = match trouble {
            None => self.put(node, batch),
            Some(StoreTrouble::Conflict) => {
                Err(StoreFault::Conflict { why: "by mistake".to_owned(), case: None })
            }
            Some(StoreTrouble::CommitEndUnknown) => {
                let at = self.queue.now().unsigned_abs();
                let late = self.nodes.as_ref().map(|nodes| nodes.draw(&[2, node as u64, at]));
                let late = late.map_or(0, |mut rng| rng.between(0, LATEST_MS));
                self.queue.after(late, WorldEvent::Lands { node, batch: Box::new(batch) });
                Err(is_away())
            }
            Some(_) => Err(is_away()),
        };
        if let Some((CrashPoint::AfterCommit, down_ms)) = crash {
            self.die("after the commit", down_ms);
            return None;
        }
        self.shell.crash = crash.filter(|_| result.is_ok());
        Some(result)
    }

    /// A line may break while a commit is under way.
    fn line_breaks(&self, node: usize) -> Option<StoreTrouble> {
        let now = self.queue.now();
        let nodes = self.nodes.as_ref().filter(|nodes| now < HEALED_MS / 3 && !nodes.are_calm())?;
        let breaks = nodes.draw(&[5, node as u64, now.unsigned_abs()]).chance(LINES_BREAK);
        breaks.then_some(StoreTrouble::CommitEndUnknown)
    }

    /// What is held becomes durable.
    fn put(&mut self, node: usize, batch: Batch) -> Result<Committed, StoreFault> {
        let Some(nodes) = &self.nodes else { return Err(is_away()) };
        let (held, lost) = nodes.judge(node, &batch);
        if !lost.is_empty() {
            self.story.tell(|| format!("node {node} has lost {lost:?}"));
        }
        if self.store.rows.is_outdated(&batch) || lost.contains(&Partition::SEAT) {
            self.story.tell(|| format!("node {node}: what it has planned is outdated"));
            return Err(StoreFault::Outdated);
        }
        let writes: Vec<Write> = held.iter().flat_map(|share| &share.writes).cloned().collect();
        self.seen(&Seen::Commit { writes: &writes });
        let rest = Batch { shares: held.clone(), letters: Vec::new(), ..batch.clone() };
        let done = match self.store.rows.commit(rest) {
            Ok(done) => done,
            Err(conflict) => {
                return Err(StoreFault::Conflict { why: conflict.row, case: conflict.case });
            }
        };
        self.count(writes.len() as u64);
        self.note_settled(&writes);
        if let Some(nodes) = &mut self.nodes {
            nodes.post(&held, &batch.letters);
        }
        for letter in &batch.letters {
            self.send_word(letter.id, WorldEvent::Notify { partition: letter.partition });
        }
        let at = self.queue.now();
        self.seen(&Seen::Committed { writes: &writes, at });
        if let Some(version) = done.settings {
            self.tell_settings(version);
        }
        Ok(Committed { lost, ..done })
    }

    /// Every node may hear of it.
    fn tell_settings(&mut self, version: u64) {
        let count = self.nodes.as_ref().map_or(0, Nodes::count);
        for node in 0..count {
            let word = LetterId(u128::from(version) << 8 | node as u128);
            self.send_word(word, WorldEvent::SettingsStand { node, version });
        }
    }

    pub(super) fn settings_stand(&mut self, node: usize, version: u64) {
        self.look_at(node);
        if self.shell.suspended(self.queue.now()).is_some() {
            return;
        }
        if let Some(of_node) = &mut self.shell.node {
            of_node.settings_stand(version);
            self.turn();
        }
    }

    /// A word from node to node may get lost.
    fn send_word(&mut self, letter: LetterId, event: WorldEvent) {
        let Some(nodes) = &self.nodes else { return };
        let at = self.queue.now().unsigned_abs();
        if !nodes.draw(&[3, letter.0 as u64, at]).chance(WORDS_LOST) {
            self.queue.after(WORD_MS, event);
        }
    }

    pub(super) fn notify(&mut self, partition: Partition) {
        let Some(node) = self.nodes.as_ref().and_then(|nodes| nodes.owner(partition)) else {
            return;
        };
        self.look_at(node);
        if self.shell.suspended(self.queue.now()).is_some() {
            return;
        }
        if let Some(of_node) = &mut self.shell.node {
            of_node.mail(partition);
            self.turn();
        }
    }

    pub(super) fn give_back(&mut self, partitions: &[Partition]) {
        let node = self.shell.number;
        self.story.tell(|| format!("node {node} gives back {partitions:?}"));
        if let Some(nodes) = &mut self.nodes {
            nodes.release(node, partitions);
        }
    }

    /// What became of letters is told where they were left.
    pub(super) fn answered(&mut self, answered: Vec<(LetterId, Answer)>) {
        for (letter, answer) in answered {
            self.send_word(letter, WorldEvent::Answered(Box::new(Word { letter, answer })));
        }
    }

    /// Somebody waits for what becomes of a letter.
    pub(super) fn posted(&mut self, ticket: Ticket, letter: LetterId) {
        if let Some(nodes) = &mut self.nodes {
            nodes.doors.insert(letter, ticket);
            self.queue.after(DOOR_MS, WorldEvent::DoorCloses { letter });
        }
    }

    pub(super) fn word_came(&mut self, word: Word) {
        let ticket = self.nodes.as_mut().and_then(|nodes| nodes.answer_to(word.letter));
        if let Some(ticket) = ticket {
            self.replied(ticket, word.answer);
        }
    }

    /// No word came: what was left is taken all the same, and that is what whoever waits is told.
    pub(super) fn door_closes(&mut self, letter: LetterId) {
        let ticket = self.nodes.as_mut().and_then(|nodes| nodes.answer_to(letter));
        if let Some(ticket) = ticket {
            self.accepted(ticket);
        }
    }

    /// Whether a request may be written now. By the time that a process goes on that stood still, its partitions may be
    /// another's.
    pub(super) fn may_send(&self) -> bool {
        let shell = &self.shell;
        let now = self.queue.now();
        self.nodes.is_none() || Nodes::may_send(now, shell.last_beat, shell.asked_in)
    }

    /// A request that was not written.
    pub(super) fn not_sent(effect: &LaunchedEffect) -> EffectResult {
        match effect.effect.step() {
            Some(_) => EffectResult::Step(StepResult::new(StepReading::NotSent, None)),
            None => EffectResult::History(HistoryResult::Failed {
                message: "it was not sent".to_owned(),
                unreachable: true,
                retry_after_ms: None,
            }),
        }
    }

    /// Looks at another of the machines.
    pub(super) fn look_at(&mut self, node: usize) {
        if self.shell.number == node {
            return;
        }
        if let Some(other) = self.others.iter_mut().find(|shell| shell.number == node) {
            std::mem::swap(&mut self.shell, other);
            self.seen(&Seen::At { node });
        }
    }

    /// Looks at the machine of a process; false if that is gone.
    pub(super) fn look_at_process(&mut self, process: u64) -> bool {
        if self.shell.process != process
            && let Some(other) = self.others.iter_mut().find(|shell| shell.process == process)
        {
            std::mem::swap(&mut self.shell, other);
            let node = self.shell.number;
            self.seen(&Seen::At { node });
        }
        self.shell.process == process
    }
}

fn is_away() -> StoreFault {
    StoreFault::Failed("the disk is away".to_owned())
}
