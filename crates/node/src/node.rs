//! The loop itself: what is asked of the store, and what follows when it fails. Which inputs make a turn is in
//! `node/turns.rs`; what is done for partitions of a store that several share, in `node/partitions.rs`.

mod early;
mod partitions;
mod settings;
mod turns;

use crate::effect::{EffectId, EffectResult, UnderWay};
use crate::holdings::Holdings;
use crate::need::{Done, Need, StoreFault, TurnedAway};
use crate::queue::{NotTaken, Queue, tickets};
use crate::refused::RefusedLetters;
use crate::settings_seen::SettingsSeen;
use amends_engine::{
    Answer, Engine, Epoch, Input, Lease, Letter, LetterId, Loaded, LookupRequest, LookupResult,
    Moment, OpenPage, OpenPlace, Output, Partition, RefusedLetter, ServiceDemand, Ticket,
};
use amends_protocol::{CaseId, Timestamp};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Pause before the store is tried again after a failed load, and after a second turn in a row that it refused.
const STORE_RETRY_MS: u64 = 500;

/// Longest pause of that kind: a store that is back must not wait long for us.
const LONGEST_STORE_RETRY_MS: u64 = 10_000;

/// Limits of the loop.
#[derive(Clone, Copy, Debug)]
pub struct NodeOptions {
    /// Inputs that may wait; one more is refused.
    pub queue: usize,
    /// Bytes that cases in memory may take. Those that are being worked on are there whatever it is.
    pub resident_bytes: usize,
    /// Open cases that are read at once after a start. Turns are taken in between.
    pub open_page: usize,
    /// Most inputs in one turn: bounds the delay of the first one.
    pub batch: usize,
    /// How long an orderly end, or the hand-over of a partition, waits for effects that are under way.
    pub grace_ms: u64,
    /// Letters to other nodes get the ids after this one: something random, drawn for each process. Of no matter for a
    /// store that is owned as a whole.
    pub letters_from: u128,
}

/// The loop of one supervisor.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    engine: Engine,
    /// Of a store that is owned as a whole.
    epoch: Epoch,
    /// Of a store that several share; none if it is owned as a whole.
    holdings: Option<Holdings>,
    /// How often the engine has been loaded.
    generation: u64,
    settings: SettingsSeen,
    queue: Queue,
    under_way: UnderWay,
    phase: Phase,
    /// What is to be said next, whatever the phase.
    next: VecDeque<Need>,
    /// The latest moment known.
    moment: Moment,
    /// Supervisor time of the last commit.
    kept: Timestamp,
    by_permits: bool,
    /// Where the next page of open cases begins, of each partition of which not all have been read.
    reading: BTreeMap<Partition, OpenPlace>,
    /// The last thing that was done was to read: a turn comes first, if one is due.
    has_read: bool,
    /// The last that was read were letters.
    has_read_letters: bool,
    /// Where one input is taken at a time, a letter comes next.
    letters_next: bool,
    /// A turn is due whether or not anything has come: what was in flight before the loading goes out again.
    tick: bool,
    ready: bool,
    /// Turns in a row that the store refused; 0 after a commit.
    refused: u32,
    /// Loadings in a row that failed.
    failed_loads: u32,
    /// Cases whose writes the store refuses, and why, until a person mends them or the process starts anew.
    refused_cases: BTreeMap<CaseId, String>,
    /// Cases whose writes were called contradictory once, while inputs are taken one by one.
    suspects: BTreeSet<CaseId>,
    /// Turns still to be taken one input at a time, so that one bad input spoils no others.
    one_by_one: usize,
    /// The last of them was for what was due alone.
    was_times_turn: bool,
    stopping: bool,
    /// When results are waited for no longer; set once nothing else is left.
    grace_until: Option<Timestamp>,
    /// Letters that were made, and letters that were taken: both are named by these counts.
    letters_made: u128,
    letters_taken: u64,
    /// Inputs about what is not known here, since when they wait until the inbox of their partition has been read.
    early: Vec<(Partition, Timestamp, Input)>,
    /// Those that have waited so.
    waited: BTreeSet<Ticket>,
    refused_letters: RefusedLetters,
}

#[derive(Debug)]
enum Phase {
    /// There is no engine that may be used; it is loaded at this moment.
    Unloaded { at: Timestamp },
    /// The store is reading.
    Loading,
    /// Between two turns.
    Idle,
    /// The store is reading what belongs to no saga.
    ReadingSettings,
    /// The store is reading what a partition has beside its open cases.
    Adopting(Lease),
    /// The store is reading what was left for partitions.
    ReadingInboxes,
    /// The store is reading open cases. `page`: those, while their rulebooks are looked up.
    Reading { partition: Partition, page: Option<OpenPage> },
    /// The store is looking up. `found`: its first answer, while the rulebooks of that are looked up.
    LookingUp { inputs: Vec<Input>, turn: Box<Turn>, found: Option<LookupResult> },
    /// The store is writing.
    Committing(Box<Turn>),
    /// Over.
    Ended,
}

/// What follows a commit.
#[derive(Debug, Default)]
struct Turn {
    /// Without its writes.
    output: Output,
    /// Who waits.
    tickets: Vec<Ticket>,
    inputs: usize,
    /// The inputs themselves, if there are several: should one of them be bad, they are taken again one by one.
    again: Vec<Input>,
    /// Of a store that several share: the partition that the answer to each ticket rests on.
    homes: BTreeMap<Ticket, Partition>,
    /// What those are told who brought what is another's.
    replies: Vec<(Ticket, Answer)>,
    /// What goes to others.
    letters: Vec<Letter>,
    /// Inputs that may change settings.
    sets: BTreeSet<Ticket>,
    /// The version of the settings that its commit has made.
    made: Option<u64>,
    /// Letters that were left for us.
    taken: BTreeMap<Partition, Vec<LetterId>>,
    /// Inputs about what may have yet to be read of an inbox.
    early: BTreeMap<Ticket, Input>,
    /// The letters themselves, by the tickets under which they were handed in.
    letters_in: BTreeMap<Ticket, Letter>,
    /// What those of them are answered that the store has refused too often.
    given_up: Vec<(Ticket, Answer)>,
    /// Those that were refused, as they are kept.
    refused: Vec<RefusedLetter>,
}

impl Node {
    /// A node that has yet to load.
    #[must_use]
    pub fn new(options: NodeOptions) -> Self {
        let mut engine = Engine::new(0);
        engine.set_budget(options.resident_bytes);
        Self {
            options,
            engine,
            epoch: Epoch::default(),
            holdings: None,
            generation: 0,
            settings: SettingsSeen::default(),
            queue: Queue::new(options.queue),
            under_way: UnderWay::default(),
            phase: Phase::Unloaded { at: Timestamp(i64::MIN) },
            next: VecDeque::new(),
            moment: Moment::from(Timestamp(i64::MIN)),
            kept: Timestamp(i64::MAX),
            by_permits: false,
            reading: BTreeMap::new(),
            has_read: false,
            has_read_letters: false,
            letters_next: false,
            tick: false,
            ready: false,
            refused: 0,
            failed_loads: 0,
            refused_cases: BTreeMap::new(),
            suspects: BTreeSet::new(),
            one_by_one: 0,
            was_times_turn: false,
            stopping: false,
            grace_until: None,
            letters_made: 0,
            letters_taken: 0,
            early: Vec::new(),
            waited: BTreeSet::new(),
            refused_letters: RefusedLetters::default(),
        }
    }

    /// A node that has loaded, and reads the open cases next: for whoever would rather not begin with a store that
    /// fails.
    #[must_use]
    pub fn loaded(options: NodeOptions, loaded: Loaded, moment: impl Into<Moment>) -> Self {
        let mut node = Self::new(options);
        node.moment = moment.into();
        node.load(loaded);
        node
    }

    // What people may ask between two turns.

    /// The engine, between two turns: all that it holds is durable.
    #[must_use]
    pub fn engine(&self) -> Option<&Engine> {
        matches!(self.phase, Phase::Idle).then_some(&self.engine)
    }

    /// Whether all open cases are loaded and the store took the last turn.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready && !self.stopping && !self.is_reading()
    }

    /// Whether open cases are still being read after a start. Meanwhile those that have been read are worked on, and
    /// all that comes in is taken but new rulebooks, which wait.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        !self.reading.is_empty() || self.holdings.as_ref().is_some_and(|h| !h.is_settled())
    }

    /// Inputs that may be handed in before the queue is full.
    #[must_use]
    pub fn room(&self) -> usize {
        self.queue.room()
    }

    /// Whether a partition is here, in the very epoch.
    #[must_use]
    pub fn holds(&self, lease: Lease) -> bool {
        self.holdings.as_ref().is_some_and(|holdings| holdings.holds(lease))
    }

    /// Effects whose results have not come.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    // What comes from outside, at any time.

    /// Takes an input. Who waits for the answer gets it with a [`Need::Release`] or [`Need::TurnAway`].
    ///
    /// # Errors
    /// When the queue is full or the store is away; nothing was taken then.
    pub fn take(&mut self, input: Input) -> Result<(), NotTaken> {
        if self.is_away() {
            return Err(NotTaken::StoreAway);
        }
        self.queue.push(input)
    }

    /// Whether the store can't be loaded, or is being left alone for a while: nothing is taken then, since nobody knows
    /// for how long it would wait.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let is_paused = matches!(self.phase, Phase::Unloaded { at } if at > self.moment.now);
        !self.stopping && (is_paused || self.failed_loads > 0)
    }

    /// An effect has ended. A second result of one effect is dropped.
    pub fn ended(&mut self, effect: EffectId, result: EffectResult) {
        self.end(effect, Some(result));
    }

    /// Whoever performed an effect is gone without a result: nobody knows what became of it.
    pub fn lost(&mut self, effect: EffectId) {
        self.end(effect, None);
    }

    /// A result counts for its case as long as its partition is held as it was when the effect was let out.
    fn end(&mut self, effect: EffectId, result: Option<EffectResult>) {
        let Some((input, lease)) = self.under_way.end(effect, result) else { return };
        let input = match lease {
            Some(lease) if !self.holds(lease) => Input::Unheld(Box::new(input)),
            _ => input,
        };
        self.queue.push_result(input);
    }

    /// Of a store that nodes share: from now on nothing goes to a service without a permit.
    pub fn go_by_permits(&mut self) {
        self.by_permits = true;
        self.engine.go_by_permits();
    }

    /// How much would go to each service now, between two turns.
    pub fn demands(&self) -> Option<impl Iterator<Item = ServiceDemand> + '_> {
        self.engine().map(|engine| engine.demands(self.moment.now))
    }

    /// From now on at most so many requests of this node are under way at a service. Those that are stay. To be said
    /// again after a loading.
    pub fn permit(&mut self, service: &Arc<str>, permits: u32) {
        self.engine.permit(service, permits, self.moment.now);
    }

    /// Another node has found a service out of reach: what is taken over from it does not run into that once more.
    pub fn heard_out_of_reach(&mut self, service: &Arc<str>, message: Option<&str>) {
        self.engine.heard_out_of_reach(service, message, self.moment.now);
    }

    /// An orderly end: nothing more is sent; what is in the queue is made durable and answered, and what is under way
    /// is waited for.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.engine.halt();
    }

    // What the driver does.

    /// What is to be done next.
    pub fn need(&mut self, moment: impl Into<Moment>) -> Need {
        self.pass(moment.into());
        if let Some(next) = self.next.pop_front() {
            return next;
        }
        match &self.phase {
            Phase::Unloaded { at } if *at > self.moment.now && !self.stopping => {
                Need::Sleep { until: Some(*at) }
            }
            Phase::Unloaded { .. } => {
                self.phase = Phase::Loading;
                Need::Load
            }
            Phase::Idle => self.go_on(),
            Phase::Loading
            | Phase::ReadingSettings
            | Phase::Adopting(_)
            | Phase::ReadingInboxes
            | Phase::Reading { .. }
            | Phase::LookingUp { .. }
            | Phase::Committing(_) => Need::Sleep { until: None },
            Phase::Ended => Need::End { under_way: self.under_way.len() },
        }
    }

    /// Takes what the store said. An answer to what was not asked changes nothing.
    pub fn done(&mut self, moment: impl Into<Moment>, done: Done) {
        self.pass(moment.into());
        match (std::mem::replace(&mut self.phase, Phase::Idle), done) {
            (Phase::Loading, Done::Loaded(loaded)) => self.take_loaded(loaded),
            (Phase::ReadingSettings, Done::Settings(Ok(settings))) => self.learn_settings(settings),
            (Phase::Adopting(lease), Done::Adopted(Ok(adopted))) => self.adopt(lease, adopted),
            (Phase::Adopting(_), Done::NotHeld) => {} // whoever says so says next what is held
            (Phase::ReadingInboxes, Done::Letters(Ok(read))) => {
                read.into_iter().for_each(|read| self.letters_came(read));
            }
            (Phase::Reading { partition, page: None }, Done::Open(Ok(page))) => {
                self.have_read(partition, page);
            }
            (Phase::Reading { partition, page: Some(page) }, Done::Found(Ok(found))) => {
                self.engine.learn_rulebooks(&found.rulebooks);
                self.take_open(partition, page);
            }
            (Phase::LookingUp { inputs, turn, found: None }, Done::Found(Ok(found))) => {
                self.found(inputs, turn, found);
            }
            (Phase::LookingUp { inputs, turn, found: Some(first) }, Done::Found(Ok(second))) => {
                let found = LookupResult { rulebooks: second.rulebooks, ..first };
                self.step(inputs, *turn, found);
            }
            (Phase::LookingUp { turn, .. }, Done::Found(Err(fault))) => {
                self.start_over(fault, turn.tickets);
            }
            (
                Phase::ReadingSettings
                | Phase::Adopting(_)
                | Phase::ReadingInboxes
                | Phase::Reading { .. },
                Done::Settings(Err(fault))
                | Done::Adopted(Err(fault))
                | Done::Letters(Err(fault))
                | Done::Open(Err(fault))
                | Done::Found(Err(fault)),
            ) => self.start_over(fault, Vec::new()),
            (Phase::Committing(turn), Done::Committed(Ok(done))) => self.committed(*turn, done),
            (Phase::Committing(turn), Done::Committed(Err(fault))) => self.refused(fault, *turn),
            (phase, _) => self.phase = phase,
        }
    }

    /// Supervisor time never goes back; the wall clock may.
    fn pass(&mut self, moment: Moment) {
        self.moment = Moment { now: self.moment.now.max(moment.now), ..moment };
    }

    /// Reads and takes turns, one after the other.
    fn go_on(&mut self) -> Need {
        if let Some(need) = self.give_back() {
            return need;
        }
        if self.stopping {
            self.ask_again(|_, _| true); // nothing more is read
        }
        let turn_first = self.stopping || (self.has_read && self.has_work());
        if turn_first {
            return self.begin_turn();
        }
        match self.read_on() {
            Some(need) => need,
            None => self.begin_turn(),
        }
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.is_turn_due() || self.has_letters()
    }

    fn is_turn_due(&self) -> bool {
        let wakeup = self.engine.next_wakeup();
        let is_due = wakeup.is_some_and(|at| at <= self.moment.now);
        self.tick || is_due || self.engine.wants_cases()
    }

    /// Open cases have come. They may need versions of rulebooks.
    fn have_read(&mut self, partition: Partition, page: OpenPage) {
        let rulebooks = self.engine.missing_rulebooks(&page.cases);
        if rulebooks.is_empty() {
            return self.take_open(partition, page);
        }
        self.phase = Phase::Reading { partition, page: Some(page) };
        let request = LookupRequest { rulebooks, ..LookupRequest::default() };
        self.next.push_back(Need::Lookup(request));
    }

    fn take_open(&mut self, partition: Partition, page: OpenPage) {
        match page.next {
            Some(next) => drop(self.reading.insert(partition, next)),
            None => drop(self.reading.remove(&partition)),
        }
        self.engine.take_open(partition, page);
        self.has_read = true;
        self.tick = true; // what waits in them may go
        if !self.is_reading() {
            self.queue.let_in();
        }
    }

    /// The store failed: whoever waits is told that nothing was taken, and the engine is loaded anew.
    fn start_over(&mut self, fault: StoreFault, tickets: Vec<Ticket>) {
        self.refused = self.refused.saturating_add(1);
        let pause = if self.refused > 1 { pause_ms(self.refused) } else { 0 };
        let tickets = self.with_those_behind(tickets, pause);
        self.turn_away(TurnedAway::of(fault, tickets), pause);
    }

    /// Before a pause, those who are in the queue are turned away too, rather than that they wait it out.
    fn with_those_behind(&mut self, mut tickets: Vec<Ticket>, pause_ms: u64) -> Vec<Ticket> {
        if pause_ms > 0 && !self.stopping {
            tickets.extend(self.queue.take_inputs().iter().filter_map(Input::ticket));
        }
        tickets
    }

    /// A case whose writes the store refuses although no other input is in the turn must not stop the others time and
    /// again: it is quarantined from the next loading on. What is called contradictory gets a second chance, since it
    /// may have been the input's fault, or have passed. What somebody has brought and could never be read is that one's
    /// to mend, and no fault of the case. True if a case was quarantined.
    fn refused_alone(&mut self, fault: &StoreFault, turn: &Turn) -> bool {
        let (why, case, is_certain) = match fault {
            StoreFault::Conflict { why, case: Some(case) } => {
                (why, *case, !self.suspects.insert(*case))
            }
            StoreFault::Unstorable { why, case: Some(case) } => {
                (why, *case, turn.tickets.is_empty() && turn.taken.is_empty())
            }
            StoreFault::Conflict { case: None, .. }
            | StoreFault::Unstorable { case: None, .. }
            | StoreFault::Outdated
            | StoreFault::Failed(_) => return false,
        };
        if is_certain {
            self.refused_cases.insert(case, why.clone());
        }
        is_certain
    }

    /// Quarantines what the store has refused of all that is in memory now.
    fn keep_refused_out(&mut self) {
        for (case, why) in &self.refused_cases {
            self.engine.quarantine(*case, why);
        }
    }

    fn turn_away(&mut self, turned_away: TurnedAway, pause_ms: u64) {
        self.ready = false;
        self.phase = Phase::Unloaded { at: self.moment.now.plus_ms(pause_ms) };
        self.next.push_back(Need::TurnAway(turned_away));
    }

    fn take_loaded(&mut self, loaded: Result<Loaded, StoreFault>) {
        match loaded {
            Ok(loaded) => self.load(loaded),
            // Nothing more can be made durable before the end.
            Err(fault) if self.stopping => {
                let rest = tickets(&self.queue.take_all());
                self.turn_away(TurnedAway::of(fault, rest), 0);
                self.phase = Phase::Ended;
            }
            Err(fault) => {
                self.failed_loads = self.failed_loads.saturating_add(1);
                let pause = pause_ms(self.failed_loads);
                let tickets = self.with_those_behind(Vec::new(), pause);
                self.turn_away(TurnedAway::of(fault, tickets), pause);
            }
        }
    }

    /// Goes on with a new engine. What an earlier one let out may still be under way, or its result may wait here.
    fn load(&mut self, loaded: Loaded) {
        self.failed_loads = 0;
        self.epoch = loaded.epoch;
        let shared = loaded.shared.as_ref();
        self.holdings =
            shared.map(|shared| Holdings::loaded(shared.leases.clone(), self.holdings.take()));
        if self.holdings.is_some() {
            self.queue.unhold(|_| true);
            self.ask_again(|_, _| true);
        }
        self.kept = self.moment.now.minus_ms(turns::CLOCK_APART_MS);
        self.settings.loaded(loaded.settings.version);
        self.engine = Engine::load(loaded, &mut self.engine, self.moment);
        if self.by_permits {
            self.engine.go_by_permits();
        }
        for (case, why) in &self.refused_cases {
            self.engine.refuse(*case, why);
        }
        self.generation += 1;
        let results = self.queue.results().filter_map(Input::service);
        let mut counts: FxHashMap<Arc<str>, u32> = FxHashMap::default();
        for service in self.under_way.services().chain(results) {
            *counts.entry(Arc::clone(service)).or_default() += 1;
        }
        for (service, effects) in counts {
            self.engine.restore_under_way(&service, effects);
        }
        if self.stopping {
            self.engine.halt();
        }
        self.tick = true;
        self.reading.clear();
        if self.holdings.is_none() {
            self.reading.insert(Partition::WHOLE, OpenPlace::default());
            self.queue.hold_activations();
        }
        self.has_read = false;
        self.phase = Phase::Idle;
    }
}

/// Longer with each time in a row.
fn pause_ms(times: u32) -> u64 {
    STORE_RETRY_MS.saturating_mul(u64::from(times)).min(LONGEST_STORE_RETRY_MS)
}
