//! What a store that nodes share does with what it is asked: reads, and commits that are judged share by share.

use super::nodes::Nodes;
use super::state::World;
use crate::check::Seen;
use crate::event::WorldEvent;
use crate::node_event::Asked;
use crate::scenario::{CrashPoint, HEALED_MS, StoreTrouble};
use amends_engine::{
    Batch, Committed, Effect, Lease, LetterId, LettersWanted, LookupResult, Partition, Share, Write,
};
use amends_node::{Done, Node, StoreFault};

/// Of 100 moments with commits so many meet a line that breaks.
const LINES_BREAK: usize = 2;

/// A commit of unknown end lands so much later at most, in milliseconds.
const LATEST_MS: u64 = 1_500;

/// Of 100 things that the store is asked so many take their time, and how long at most, in milliseconds.
const SLOW: usize = 3;
const SLOW_MS: u64 = 2_500;

/// The same for the node that the store is slow for, and until when.
const SLOW_FOR_ONE: usize = 40;
const SLOW_UNTIL_MS: i64 = 60_000;

impl World<'_> {
    /// How long the store takes for what it is asked now.
    pub(super) fn takes_ms(&self) -> u64 {
        let now = self.queue.now();
        let Some(nodes) = self.nodes.as_ref().filter(|_| now < HEALED_MS) else { return 0 };
        let number = self.shell.number;
        let is_slow = now < SLOW_UNTIL_MS && nodes.slow_one() == Some(number);
        let mut rng = nodes.draw(&[9, number as u64, now.unsigned_abs()]);
        let is_late = rng.chance(if is_slow { SLOW_FOR_ONE } else { SLOW });
        if is_late { rng.between(1, SLOW_MS) } else { 0 }
    }

    /// The store does what a process has asked of it, whether or not that still lives.
    pub(super) fn works(&mut self, process: u64, node: usize, asked: Asked, commit: Option<i64>) {
        if !self.look_at_process(process) {
            self.look_at(node);
        }
        let is_there = self.shell.process == process && self.shell.node.is_some();
        let done = match asked {
            Asked::Commit(batch) => match self.commit_of(node, batch, commit, is_there) {
                Some(result) => Done::Committed(result),
                None => return,
            },
            _ if !is_there => return,
            asked if self.fails_to_read(node, &asked) => failed(&asked),
            asked => self.read(node, asked),
        };
        if self.shell.process == process {
            self.shell.told = Some(done);
            self.queue.after(0, WorldEvent::StoreDone { process });
        }
    }

    fn fails_to_read(&mut self, node: usize, asked: &Asked) -> bool {
        let now = self.queue.now();
        if self.nodes.as_ref().is_none_or(|nodes| !nodes.reaches(node, now)) {
            return true;
        }
        let kind = match asked {
            Asked::Load | Asked::Settings => StoreTrouble::LoadFails,
            Asked::Lookup(_) => StoreTrouble::LookupFails,
            Asked::Adopt(_) | Asked::Letters(..) | Asked::Open(..) | Asked::Commit(_) => {
                return false;
            }
        };
        self.store_trouble(|trouble| trouble == kind).is_some()
    }

    /// What is asked for, but for a commit.
    fn read(&mut self, node: usize, asked: Asked) -> Done {
        match asked {
            // Another process has its name: the store tells it nothing more, and it ends.
            Asked::Load if self.shell.is_replaced() => {
                self.end_replaced();
                failed(&asked)
            }
            Asked::Load => {
                if std::mem::replace(&mut self.shell.has_loaded, true) {
                    self.seen(&Seen::Loaded);
                }
                let now = self.queue.now();
                let shared = self.nodes.as_mut().map(|nodes| nodes.raise(node, now));
                Done::Loaded(Ok(self.store.rows.load_shared(shared.unwrap_or_default())))
            }
            Asked::Settings => Done::Settings(Ok(self.store.rows.settings())),
            Asked::Adopt(lease) => self.adopted(node, lease),
            Asked::Letters(wanted) => self.letters_of(&wanted),
            Asked::Open(partition, after, most) => {
                Done::Open(Ok(self.store.rows.open(partition, after, most)))
            }
            Asked::Lookup(request) => {
                let minutes = self.nodes.as_ref().filter(|_| request.rule_minutes);
                let rule_minutes = minutes.map(|nodes| nodes.rule_minutes(self.queue.now()));
                let found = self.store.rows.find(&request);
                Done::Found(Ok(LookupResult { rule_minutes, ..found }))
            }
            Asked::Commit(_) => failed(&asked),
        }
    }

    pub(super) fn end_replaced(&mut self) {
        self.story.tell(|| "a process ends whose name another one has".to_owned());
        self.shell.node = None;
        self.shell.process = self.next_process();
        self.nobody_answers();
    }

    fn adopted(&mut self, node: usize, lease: Lease) -> Done {
        let Some(nodes) = self.nodes.as_ref().filter(|nodes| nodes.holds(node, lease)) else {
            return Done::NotHeld;
        };
        let orderly = nodes.is_orderly(lease.partition);
        Done::Adopted(Ok(self.store.rows.adopt(lease.partition, orderly)))
    }

    fn letters_of(&mut self, wanted: &[LettersWanted]) -> Done {
        let mut all = Vec::new();
        for one in wanted {
            let Some(nodes) = &self.nodes else { return Done::Letters(Err(is_away())) };
            let wanted = LettersWanted { most: one.most.min(nodes.page()), ..*one };
            let (read, there) = (nodes.letters(wanted), nodes.inbox(one.partition));
            let told: Vec<LetterId> = read.letters.iter().map(|letter| letter.id).collect();
            let (process, partition) = (self.shell.process, one.partition);
            let (is_anew, ended, told, there) =
                (one.after.is_none(), read.ended, &told[..], &there);
            self.seen(&Seen::InboxRead { process, partition, is_anew, told, ended, there });
            all.push(read);
        }
        Done::Letters(Ok(all))
    }

    /// A commit of which nobody knew the end lands now, if its partitions are still held as they were.
    pub(super) fn lands(&mut self, node: usize, batch: Batch, commit: Option<i64>) {
        let now = self.queue.now();
        let is_away = self.nodes.as_ref().is_none_or(|nodes| nodes.is_away(now));
        if !is_away {
            self.story.tell(|| format!("a commit of node {node} lands late"));
            let _ = self.put(node, batch, commit);
        }
        self.end_commit(commit);
    }

    fn end_commit(&mut self, commit: Option<i64>) {
        if let Some((nodes, commit)) = self.nodes.as_mut().zip(commit) {
            nodes.end_commit(commit);
        }
    }

    /// None if the process dies of it.
    fn commit_of(
        &mut self,
        node: usize,
        batch: Batch,
        commit: Option<i64>,
        is_there: bool,
    ) -> Option<Result<Committed, StoreFault>> {
        let crash = if is_there { self.crash() } else { None };
        if let Some((CrashPoint::BeforeCommit, down_ms)) = crash {
            self.end_commit(commit);
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
        let lease = |share: &Share| Lease { partition: share.partition, epoch: share.epoch };
        let leases: Vec<Lease> = batch.shares.iter().map(lease).collect();
        let result = match trouble {
            None => self.put(node, batch, commit).inspect(|done| {
                let is_lost = |lease: &Lease| done.lost.contains(&lease.partition);
                self.shell.lost = leases.into_iter().filter(is_lost).collect();
            }),
            Some(StoreTrouble::Conflict) => {
                Err(StoreFault::Conflict { why: "by mistake".to_owned(), case: None })
            }
            Some(StoreTrouble::CommitEndUnknown) => {
                let at = self.queue.now().unsigned_abs();
                let late = self.nodes.as_ref().map(|nodes| nodes.draw(&[2, node as u64, at]));
                let late = late.map_or(0, |mut rng| rng.between(0, LATEST_MS));
                let batch = Box::new(batch);
                self.queue.after(late, WorldEvent::Lands { node, batch, commit });
                Err(is_away())
            }
            Some(_) => Err(is_away()),
        };
        if trouble != Some(StoreTrouble::CommitEndUnknown) {
            self.end_commit(commit);
        }
        if let Some((CrashPoint::AfterCommit, down_ms)) = crash {
            self.die("after the commit", down_ms);
            return None;
        }
        self.shell.crash = crash.filter(|_| result.is_ok());
        Some(result)
    }

    /// A line may break while a commit is under way, and nothing becomes durable in a store that is away.
    fn line_breaks(&self, node: usize) -> Option<StoreTrouble> {
        let now = self.queue.now();
        let nodes = self.nodes.as_ref()?;
        if nodes.is_away(now) {
            return Some(StoreTrouble::CommitFails);
        }
        let breaks = !nodes.reaches(node, now)
            || (now < HEALED_MS / 3
                && !nodes.are_calm()
                && nodes.draw(&[5, node as u64, now.unsigned_abs()]).chance(LINES_BREAK));
        breaks.then_some(StoreTrouble::CommitEndUnknown)
    }

    /// What is held becomes durable.
    fn put(
        &mut self,
        node: usize,
        batch: Batch,
        commit: Option<i64>,
    ) -> Result<Committed, StoreFault> {
        let Some(nodes) = &self.nodes else { return Err(is_away()) };
        let (held, lost) = nodes.judge(node, &batch);
        if !lost.is_empty() {
            self.story.tell(|| format!("node {node} has lost {lost:?}"));
        }
        if self.store.rows.is_outdated(&batch) || lost.contains(&Partition::SEAT) {
            self.story.tell(|| format!("node {node}: what it has planned is outdated"));
            return Err(StoreFault::Outdated);
        }
        let at = self.queue.now();
        if !self.nodes.as_mut().is_some_and(|nodes| nodes.count_rules(&held, at)) {
            self.story.tell(|| format!("node {node}: others have used a rule's limit up"));
            return Err(StoreFault::Outdated);
        }
        let writes: Vec<Write> = held.iter().flat_map(|share| &share.writes).cloned().collect();
        if batch.change_of_settings().is_some() {
            self.seen(&Seen::Sets { version: batch.settings });
        }
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
            nodes.post(&held, &batch.letters, commit.unwrap_or_default());
        }
        let taken: Vec<LetterId> = held.iter().flat_map(|share| &share.taken).copied().collect();
        self.seen(&Seen::Letters { left: &batch.letters, taken: &taken });
        let refused = held.iter().flat_map(|share| &share.refused);
        refused.for_each(|refused| self.see_refused(&refused.letter));
        for letter in &batch.letters {
            self.send_word(letter.id, WorldEvent::Notify { partition: letter.partition });
        }
        let minutes = self.nodes.as_ref().map(|nodes| nodes.rule_minutes(at));
        self.seen(&Seen::Minutes { minutes: &minutes.unwrap_or_default() });
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

    pub(super) fn give_back(&mut self, partitions: &[Partition]) {
        let node = self.shell.name;
        self.story.tell(|| format!("node {node} gives back {partitions:?}"));
        let process = self.shell.process;
        let is_of_them = |effect: &Effect| partitions.contains(&Partition::of(effect.saga()));
        let mut under_way = self.outside.under_way.values();
        let is_under_way = under_way.any(|one| one.process == process && is_of_them(&one.asked));
        let engine = self.shell.node.as_ref().and_then(Node::engine);
        let is_kept =
            engine.is_some_and(|engine| partitions.iter().any(|one| engine.holds_partition(*one)));
        self.seen(&Seen::GivenBack { is_under_way, is_kept });
        if let Some(nodes) = self.nodes.as_mut().filter(|_| !self.shell.is_replaced()) {
            nodes.release(node, partitions);
        }
    }
}

/// What was asked was not done.
fn failed(asked: &Asked) -> Done {
    match asked {
        Asked::Load => Done::Loaded(Err(is_away())),
        Asked::Settings => Done::Settings(Err(is_away())),
        Asked::Adopt(_) => Done::Adopted(Err(is_away())),
        Asked::Letters(..) => Done::Letters(Err(is_away())),
        Asked::Open(..) => Done::Open(Err(is_away())),
        Asked::Lookup(_) => Done::Found(Err(is_away())),
        Asked::Commit(_) => Done::Committed(Err(is_away())),
    }
}

fn is_away() -> StoreFault {
    StoreFault::Failed("the disk is away".to_owned())
}
