//! One run: its parts, and which of them an event moves.

use super::nodes::Nodes;
use super::process::Shell;
use super::under_way::Outside;
use crate::check::{Checks, End, Seen};
use crate::event::{BEGINNING, Forward, WorldEvent};
use crate::queue::Queue;
use crate::run::Run;
use crate::scenario::{CrashPoint, Item, Scenario, StoreTrouble};
use crate::services::{Around, Services};
use crate::stored::Stored;
use crate::story::Story;
use crate::switches::Switches;
use amends_protocol::CaseId;
use amends_simulate::SeededRng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Events of one run. The longest honest ones need some ten thousand; more means that something never ends.
const EVENTS_LIMIT: u64 = 400_000;

/// How long a run goes on at most: past every time limit of its rulebooks.
const LONGEST_MS: i64 = 8 * 86_400_000;

/// Everything.
pub(crate) struct World<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) queue: Queue<WorldEvent>,
    pub(super) story: Story,
    pub(super) services: Services,
    pub(super) store: Stored,
    /// The machine that is looked at.
    pub(super) shell: Shell,
    pub(super) others: Vec<Shell>,
    /// What several nodes share; none if there is one.
    pub(super) nodes: Option<Nodes>,
    /// Counts the starts of processes.
    pub(super) processes: u64,
    /// Cases of which the store takes no writes.
    pub(super) refused: BTreeSet<CaseId>,
    /// How often each item of trouble has struck.
    pub(super) used: BTreeMap<usize, u32>,
    pub(super) outside: Outside,
    pub(super) checks: Checks,
    pub(super) switches: Switches,
    /// Since when cases are settled, by the true time.
    pub(super) settled: BTreeMap<CaseId, i64>,
    events: u64,
    hash: u64,
}

impl<'s> World<'s> {
    pub(crate) fn new(scenario: &'s Scenario, switches: Switches, story: Story) -> Self {
        let mut store = Stored::new(&scenario.versions, BEGINNING);
        if !switches.gateway_hides_history {
            let services = scenario.world.services().iter();
            store.know(services.map(|service| Arc::clone(&service.name)));
        }
        let nodes = (scenario.nodes > 1).then(|| Nodes::new(scenario.nodes, scenario.seed));
        let shell = |number| Shell::new(number, nodes.as_ref().map(|n| n.clock_off_ms(number)));
        let (first, others) = (shell(0), (1..scenario.nodes).map(shell).collect());
        let mut world = Self {
            scenario,
            store,
            others,
            nodes,
            processes: 0,
            refused: BTreeSet::new(),
            used: BTreeMap::new(),
            queue: Queue::new(),
            story,
            services: Services::new(scenario),
            shell: first,
            outside: Outside::default(),
            checks: Checks::new(scenario),
            switches,
            settled: BTreeMap::new(),
            events: 0,
            hash: 0xcbf2_9ce4_8422_2325,
        };
        world.queue.at(0, WorldEvent::Start { node: 0 });
        for (number, saga) in world.services.sagas.iter().enumerate() {
            if saga.plan.deadline_ms.is_some() {
                world.queue.at(saga.plan.at, WorldEvent::Announce { saga: number });
            }
            let begins = saga.plan.at.saturating_add_unsigned(saga.plan.late_ms);
            world.queue.at(begins, WorldEvent::Forward(Forward::Begin { saga: number }));
        }
        for (n, item) in scenario.kept_items() {
            let (at, event) = match item {
                Item::Retention { service, ms } => {
                    world.forget_later(service, *ms);
                    continue;
                }
                Item::Act { at, .. }
                | Item::Activate { at, .. }
                | Item::Damage { at, .. }
                | Item::Suspended { at, .. } => (*at, WorldEvent::Item(n)),
                Item::OwnCleanUp { saga, node, at } => {
                    let Some(saga) = world.services.sagas.iter().position(|s| s.item == *saga)
                    else {
                        continue;
                    };
                    (*at, WorldEvent::Forward(Forward::CleanUp { saga, node: *node }))
                }
                Item::Saga(_)
                | Item::Fault { .. }
                | Item::Mail { .. }
                | Item::Weather(_)
                | Item::Skew { .. }
                | Item::Clock { .. }
                | Item::Keep { .. }
                | Item::Crash { .. }
                | Item::Store { .. } => continue,
            };
            world.queue.at(at, event);
        }
        world.plan_clocks();
        world.plan_nodes();
        world
    }

    /// Lets a service forget each saga when its time has come.
    fn forget_later(&mut self, service: &Arc<str>, ms: u64) {
        for (number, saga) in self.services.sagas.iter().enumerate() {
            let at = saga.plan.at.saturating_add_unsigned(saga.plan.late_ms + ms);
            let forget = Forward::Forget { saga: number, service: Arc::clone(service) };
            self.queue.at(at, WorldEvent::Forward(forget));
        }
    }

    /// Plays to the end, or to the first violation.
    pub(crate) fn play(mut self) -> Run {
        while let Some(event) = self.queue.pop() {
            self.events += 1;
            self.story.set_time(self.queue.now());
            if self.events > EVENTS_LIMIT || self.queue.now() > LONGEST_MS {
                let (events, restless) = (self.events, self.restless());
                let last =
                    format!("after {events} events something still goes on: {event:?}{restless}");
                self.checks.fail("ends", self.queue.now(), last);
            }
            if self.checks.failed() {
                break;
            }
            self.happen(event);
        }
        self.end()
    }

    fn end(mut self) -> Run {
        if !self.checks.failed() {
            let now = self.shell.moment(self.queue.now()).now;
            let end =
                End { scenario: self.scenario, services: &self.services, switches: self.switches };
            self.checks.see(self.queue.now(), now, &Seen::End(end), &self.store);
        }
        let store = &self.store;
        let digest = amends_protocol::digest(&[&format!("{:?}", store.rows)]);
        Run {
            hash: self.hash ^ digest,
            events: self.events,
            cases: store.rows.cases().count(),
            violation: self.checks.into_violation(),
            story: self.story.into_lines(),
        }
    }

    /// Takes a number into the hash of the run.
    pub(super) fn count(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5);
    }

    fn happen(&mut self, event: WorldEvent) {
        if self.is_of_the_gone(&event) || self.waits_for_process(&event) {
            return;
        }
        match event {
            WorldEvent::Forward(forward) => {
                self.in_services(|services, around| services.happen(forward, around))
            }
            WorldEvent::Announce { saga } => self.announce(saga),
            WorldEvent::Ended { saga } => self.ended(saga),
            WorldEvent::Mail(letter) => self.mail(letter),
            WorldEvent::Callback(callback) => self.call_back(callback),
            WorldEvent::Reaches { effect } => self.reaches(effect),
            WorldEvent::Repeated { call } => {
                self.story
                    .tell(|| format!("the network delivers the request for {} again", call.step));
                self.in_services(|services, around| services.serve(call, 0, around));
            }
            WorldEvent::Result { effect, done } => self.result(effect, Some(done)),
            WorldEvent::TimesOut { effect } => self.result(effect, None),
            WorldEvent::Wake { process } => {
                if process == self.shell.process {
                    self.shell.wake_at = None;
                    self.turn();
                }
            }
            WorldEvent::StoreDone { process } => self.store_done(process),
            WorldEvent::Start { node } => self.start(node),
            WorldEvent::Beats => self.beats(),
            WorldEvent::Node { node, fault } => self.node_fault(node, fault),
            WorldEvent::Works { process, node, asked, commit } => {
                self.works(process, node, *asked, commit);
            }
            WorldEvent::Lands { node, batch, commit } => self.lands(node, *batch, commit),
            WorldEvent::Pause { service, for_ms } => self.pause_for(&service, for_ms),
            WorldEvent::Activate { version } => self.activate(version),
            WorldEvent::Notify { partition } => self.notify(partition),
            WorldEvent::SettingsStand { node, version } => self.settings_stand(node, version),
            WorldEvent::Answered(word) => self.word_came(*word),
            WorldEvent::DoorCloses { letter } => self.door_closes(letter),
            WorldEvent::Item(n) => self.item(n),
            WorldEvent::Undo(undo) => self.undo(undo),
            WorldEvent::SetClock { by_ms } => self.set_clock(by_ms),
            WorldEvent::Prune { keep_ms } => self.prune(keep_ms),
        }
    }

    pub(super) fn in_services(&mut self, act: impl FnOnce(&mut Services, &mut Around<'_>)) {
        let mut around = Around { queue: &mut self.queue, story: &mut self.story };
        act(&mut self.services, &mut around);
    }

    fn item(&mut self, n: usize) {
        match &self.scenario.items[n] {
            Item::Act { act, which, .. } => self.act(*act, *which, n),
            Item::Activate { version, .. } => self.activate(*version),
            Item::Damage { which, refused, .. } => self.damage(*which, *refused),
            Item::Suspended { ms, .. } if !self.are_calm() => self.suspend(*ms),
            _ => {}
        }
    }

    fn damage(&mut self, which: u64, refused: bool) {
        let cases = self.case_ids();
        let Some(case) = SeededRng::of(self.scenario.seed, &[10, which]).pick(&cases).copied()
        else {
            return;
        };
        self.story.tell(|| format!("the rows of {case} are damaged"));
        self.store.damaged.insert(case);
        if refused {
            self.refused.insert(case);
        } else {
            self.store.rows.break_case(case, "a byte is another");
        }
    }

    /// Nodes hand over to each other, and nothing else happens to them.
    fn are_calm(&self) -> bool {
        self.nodes.as_ref().is_some_and(Nodes::are_calm)
    }

    /// The store's trouble that strikes now, if any is left that fits.
    pub(super) fn store_trouble(
        &mut self,
        fits: impl Fn(StoreTrouble) -> bool,
    ) -> Option<StoreTrouble> {
        if self.are_calm() {
            return None;
        }
        let now = self.queue.now();
        let (n, trouble) = self.scenario.kept_items().find_map(|(n, item)| match item {
            Item::Store { at, trouble, times } if *at <= now && fits(*trouble) => {
                let used = self.used.get(&n).copied().unwrap_or(0);
                (used < *times).then_some((n, *trouble))
            }
            _ => None,
        })?;
        *self.used.entry(n).or_default() += 1;
        Some(trouble)
    }

    /// The crash that strikes at this commit, if any is left.
    pub(super) fn crash(&mut self) -> Option<(CrashPoint, u64)> {
        if self.are_calm() {
            return None;
        }
        let now = self.queue.now();
        let (n, point, down_ms) = self.scenario.kept_items().find_map(|(n, item)| match item {
            Item::Crash { at, point, down_ms } if *at <= now => {
                (!self.used.contains_key(&n)).then_some((n, *point, *down_ms))
            }
            _ => None,
        })?;
        self.used.insert(n, 1);
        Some((point, down_ms))
    }
}
