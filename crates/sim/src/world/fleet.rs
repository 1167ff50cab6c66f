//! Several supervisors on one store, each with a process and a clock of its own: they take partitions and lose them,
//! are stopped, killed and drained, and leave letters for each other. What one process does is in `shell.rs`.

use super::nodes::Nodes;
use super::process::Shell;
use super::state::World;
use crate::check::Seen;
use crate::event::WorldEvent;
use crate::node_event::NodeFault;
use crate::scenario::HEALED_MS;
use amends_engine::{HistoryResult, Lease, Partition, StepReading, StepResult};
use amends_node::{EffectResult, LaunchedEffect};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Time between two signs of life, in milliseconds.
const BEAT_MS: i64 = 1_000;

/// The store takes no sign of life from a process as long as another one of its name counts as alive: so much later it
/// does, in milliseconds.
const STARTS_ANEW_MS: u64 = 6_500;

/// Of 100 signs of life so many come with a look into the inboxes, whether or not a word has come.
const LOOKS: usize = 12;

/// Of 100 signs of life so many do not come through.
const BEATS_LOST: usize = 5;

/// In which time much goes on, in many runs, in milliseconds.
const BUSY_MS: u64 = 20_000;

/// Of 100 things that happen to nodes so many meet people who set something, how often they do, and how long before and
/// after, in milliseconds: the seat may move then.
const SET_MEANWHILE: usize = 50;
const SETS: usize = 6;
const SET_BEFORE_MS: u64 = 1_500;
const SET_AFTER_MS: u64 = 9_000;

/// One rest of so many is looked at in full.
const RESTS: u64 = 8;

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
        let mut moves = Vec::new();
        for _ in 0..rng.below(7) {
            let at = rng.between(2_000, HEALED_MS.unsigned_abs() / 3).cast_signed();
            let fault = match rng.below(6) {
                _ if are_calm => NodeFault::IsDrained(rng.between(1_000, 60_000)),
                0 => NodeFault::Stops(rng.between(500, 40_000)),
                1 => NodeFault::Dies(rng.between(100, 30_000)),
                2 => NodeFault::StopsInACommit(rng.between(500, 40_000)),
                3 => NodeFault::IsCutOff(rng.between(500, 30_000)),
                4 => NodeFault::IsReplaced(rng.between(STARTS_ANEW_MS, 40_000)),
                _ => NodeFault::IsDrained(rng.between(1_000, 60_000)),
            };
            self.queue.at(at, WorldEvent::Node { node: rng.below(count), fault });
            moves.push(at);
        }
        if !are_calm && rng.chance(30) {
            let at = rng.between(2_000, 120_000).cast_signed();
            let fault = NodeFault::StoreIsAway(rng.between(500, 25_000));
            self.queue.at(at, WorldEvent::Node { node: 0, fault });
        }
        self.plan_settings();
        moves.into_iter().for_each(|at| self.plan_settings_around(at));
    }

    fn services_of_all(&self) -> Vec<Arc<str>> {
        self.services.book.services().iter().map(|service| Arc::clone(&service.name)).collect()
    }

    /// People set things while something happens to a node: it may have the seat.
    fn plan_settings_around(&mut self, moment: i64) {
        let Some(nodes) = &self.nodes else { return };
        let mut rng = nodes.draw(&[17, moment.unsigned_abs()]);
        if !rng.chance(SET_MEANWHILE) {
            return;
        }
        let services = self.services_of_all();
        for _ in 0..SETS {
            let Some(service) = rng.pick(&services).cloned() else { return };
            let after = rng.between(0, SET_BEFORE_MS + SET_AFTER_MS).cast_signed();
            let at = moment + after - SET_BEFORE_MS.cast_signed();
            let for_ms = rng.between(100, 3_000);
            self.queue.at(at.max(0), WorldEvent::Pause { service, for_ms });
        }
    }

    /// What belongs to no saga changes while much goes on.
    fn plan_settings(&mut self) {
        let Some(nodes) = &self.nodes else { return };
        let mut rng = nodes.draw(&[8]);
        let services = self.services_of_all();
        let busy_ms = if rng.chance(60) { BUSY_MS } else { 300_000 };
        for _ in 0..rng.below(5) {
            let at = rng.between(0, busy_ms).cast_signed();
            let Some(service) = rng.pick(&services).cloned() else { return };
            let for_ms = rng.between(500, 30_000);
            self.queue.at(at, WorldEvent::Pause { service, for_ms });
        }
        let versions = self.scenario.versions.len();
        for _ in 0..if versions > 1 { rng.below(5) } else { 0 } {
            let at = match rng.pick(&self.services.sagas).filter(|_| busy_ms == BUSY_MS) {
                // When its first report may come.
                Some(saga) => saga.plan.at + rng.between(0, 4_000).cast_signed(),
                None => rng.between(0, busy_ms).cast_signed(),
            };
            self.queue.at(at, WorldEvent::Activate { version: rng.below(versions) });
        }
    }

    pub(super) fn node_fault(&mut self, node: usize, fault: NodeFault) {
        self.look_at(node);
        self.story.tell(|| format!("node {node}: {fault:?}"));
        match fault {
            NodeFault::Stops(ms) => self.suspend(ms),
            NodeFault::IsReplaced(ms) => self.replace(ms),
            NodeFault::StopsInACommit(ms) => self.shell.stops_in_a_commit = Some(ms),
            NodeFault::IsCutOff(ms) => {
                let until = self.queue.now().saturating_add_unsigned(ms);
                self.nodes.iter_mut().for_each(|nodes| nodes.cut_off(node, until));
                self.seen(&Seen::CutOff);
            }
            NodeFault::StoreIsAway(ms) => {
                let until = self.queue.now().saturating_add_unsigned(ms);
                self.nodes.iter_mut().for_each(|nodes| nodes.go_away(until));
                self.seen(&Seen::CutOff);
            }
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

    /// Whoever starts processes takes one for dead that only stands still.
    fn replace(&mut self, for_ms: u64) {
        if self.shell.node.is_none() || self.shell.suspended(self.queue.now()).is_some() {
            return;
        }
        self.suspend(for_ms);
        let node = self.shell.number;
        let off_ms = self.nodes.as_ref().map(|nodes| nodes.clock_off_ms(node));
        let mut old = std::mem::replace(&mut self.shell, Shell::new(node, off_ms));
        old.number = self.nodes.as_ref().map_or(0, Nodes::count) + self.others.len();
        let waits = self.outside.waiters.values_mut().filter(|(at, _)| *at == node);
        waits.for_each(|(at, _)| *at = old.number);
        self.others.push(old);
        self.queue.after(STARTS_ANEW_MS, WorldEvent::Start { node });
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
        self.end_the_replaced(now);
        // Nobody is taken for dead because of one that is lost.
        let is_calm = self.is_calm(now) && (0..count).all(|node| self.comes_through(node, now));
        let next = match self.queue.next_at() {
            None if is_calm => None,
            Some(at) if is_calm => Some(at.max(now + BEAT_MS)),
            _ => Some(now + BEAT_MS),
        };
        for node in 0..count {
            self.look_at(node);
            let runs = self.shell.node.is_some() && self.shell.suspended(now).is_none();
            if runs && self.comes_through(node, now) {
                self.beat(node, now, next.unwrap_or(now));
            }
        }
        if let Some(at) = next {
            self.queue.at(at, WorldEvent::Beats);
        }
    }

    /// The store takes no sign of life from a process whose name another one has, and it ends.
    fn end_the_replaced(&mut self, now: i64) {
        let Some(nodes) = &self.nodes else { return };
        let shells = self.others.iter().chain([&self.shell]);
        let is_told = |shell: &&Shell| {
            shell.lives_on() && shell.suspended(now).is_none() && nodes.reaches(shell.name, now)
        };
        let told: Vec<u64> = shells.filter(is_told).map(|shell| shell.process).collect();
        for process in told {
            if self.look_at_process(process) {
                self.end_replaced();
            }
        }
    }

    /// Whether a sign of life comes to the store.
    fn comes_through(&self, node: usize, now: i64) -> bool {
        let Some(nodes) = &self.nodes else { return false };
        let is_lost = now < HEALED_MS
            && !nodes.are_calm()
            && nodes.draw(&[10, node as u64, now.unsigned_abs()]).chance(BEATS_LOST);
        nodes.reaches(node, now) && !is_lost
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
        let shells = self.others.iter().chain([&self.shell]);
        let mut shells = shells.filter(|shell| !shell.is_replaced() || shell.lives_on());
        shells.all(|shell| !shell.lives_on() && is_at_rest(shell) && goes_by_it(shell))
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
            if seen != Some((version, true)) && !shell.is_replaced() {
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
        // What a sign of life tells of them is older than what is claimed after it.
        let version = self.store.rows.settings_version();
        let version = std::mem::replace(&mut self.shell.settings_then, version);
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

    /// A node has nothing to do for the moment.
    pub(super) fn node_rests(&mut self) {
        let (now, node) = (self.queue.now(), self.shell.name);
        if self.shell.is_replaced() {
            return;
        }
        let moment = self.shell.moment(now).now;
        let Some(nodes) = &self.nodes else { return };
        if nodes.draw(&[12, node as u64, now.unsigned_abs()]).number() % RESTS != 0 {
            return;
        }
        let Some(of_node) = self.shell.node.as_ref().filter(|node| !node.is_reading()) else {
            return;
        };
        let Some(engine) = of_node.engine() else { return };
        let lease = |partition| nodes.lease_of(node, partition);
        let is_held = |lease: &Lease| of_node.holds(*lease);
        let held: Vec<Partition> = engine.partitions();
        let held = held.into_iter().filter_map(lease).filter(is_held).map(|lease| lease.partition);
        let mut under_way: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        let process = self.shell.process;
        for one in self.outside.under_way.values().filter(|one| one.process == process) {
            *under_way.entry(Arc::clone(one.asked.service())).or_default() += 1;
        }
        let kept = self.shell.lost.iter().find(|lease| of_node.holds(**lease));
        let kept = kept.map(|lease| lease.partition);
        let (held, under_way) = (&held.collect(), &under_way);
        let seen = Seen::NodeRests { node, engine, held, kept, under_way };
        self.checks.see(now, moment, &seen, &self.store);
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
