//! The loop itself: which inputs make a turn, what is asked of the store, and what follows when it fails.

use crate::effect::{EffectId, EffectResult, UnderWay};
use crate::need::{Done, Fault, Need, Released, StoreFault, TurnedAway};
use crate::queue::{NotTaken, Queue};
use amends_engine::{
    Batch, Committed, Engine, Epoch, Input, Loaded, LookupRequest, LookupResult, Moment, OpenPage,
    OpenPlace, Output, Partition, Ticket, Write,
};
use amends_protocol::{CaseId, Timestamp};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pause before the store is tried again after a failed load, and after a second turn in a row that it refused.
const STORE_RETRY_MS: u64 = 500;

/// Longest pause of that kind: a store that is back must not wait long for us.
const LONGEST_STORE_RETRY_MS: u64 = 10_000;

/// Longest time between two commits while timers run, in milliseconds: so much of supervisor time may be lost
/// by a crash.
const CLOCK_EVERY_MS: u64 = 60_000;

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
    /// How long an orderly end waits for effects that are under way.
    pub grace_ms: u64,
}

/// The loop of one supervisor.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    engine: Engine,
    epoch: Epoch,
    /// How often the engine has been loaded.
    generation: u64,
    queue: Queue,
    under_way: UnderWay,
    phase: Phase,
    /// What is to be said next, whatever the phase.
    next: Option<Need>,
    /// The latest moment known.
    moment: Moment,
    /// Supervisor time of the last commit.
    kept: Timestamp,
    /// Where the next page of open cases begins; none once all have been read.
    open_from: Option<OpenPlace>,
    /// The last thing that was done was to read a page: a turn comes first, if one is due.
    has_read: bool,
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
}

#[derive(Debug)]
enum Phase {
    /// There is no engine that may be used; it is loaded at this moment.
    Unloaded { at: Timestamp },
    /// The store is reading.
    Loading,
    /// Between two turns.
    Idle,
    /// The store is reading open cases. `page`: those, while their rulebooks are looked up.
    Reading { page: Option<OpenPage> },
    /// The store is looking up. `found`: its first answer, while the rulebooks of that are looked up.
    LookingUp { inputs: Vec<Input>, found: Option<LookupResult> },
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
            generation: 0,
            queue: Queue::new(options.queue),
            under_way: UnderWay::default(),
            phase: Phase::Unloaded { at: Timestamp(i64::MIN) },
            next: None,
            moment: Moment::from(Timestamp(i64::MIN)),
            kept: Timestamp(i64::MAX),
            open_from: None,
            has_read: false,
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
        self.ready && !self.stopping && self.open_from.is_none()
    }

    /// Whether open cases are still being read after a start. Meanwhile those that have been read are worked on, and
    /// all that comes in is taken but new rulebooks, which wait.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.open_from.is_some()
    }

    /// Inputs that may be handed in before the queue is full.
    #[must_use]
    pub fn room(&self) -> usize {
        self.queue.room()
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
        if let Some(input) = self.under_way.end(effect, Some(result)) {
            self.queue.push_result(input);
        }
    }

    /// Whoever performed an effect is gone without a result: nobody knows what became of it.
    pub fn lost(&mut self, effect: EffectId) {
        if let Some(input) = self.under_way.end(effect, None) {
            self.queue.push_result(input);
        }
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
        if let Some(next) = self.next.take() {
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
            (Phase::Reading { page: None }, Done::Open(Ok(page))) => self.have_read(page),
            (Phase::Reading { page: Some(page) }, Done::Found(Ok(found))) => {
                self.engine.learn_rulebooks(&found.rulebooks);
                self.take_open(page);
            }
            (Phase::Reading { .. }, Done::Open(Err(fault)) | Done::Found(Err(fault))) => {
                self.start_over(fault, Vec::new());
            }
            (Phase::LookingUp { inputs, found: None }, Done::Found(Ok(found))) => {
                self.found(inputs, found);
            }
            (Phase::LookingUp { inputs, found: Some(first) }, Done::Found(Ok(second))) => {
                self.step(inputs, LookupResult { rulebooks: second.rulebooks, ..first });
            }
            (Phase::LookingUp { inputs, .. }, Done::Found(Err(fault))) => {
                self.start_over(fault, tickets(&inputs));
            }
            (Phase::Committing(turn), Done::Committed(Ok(done))) => self.committed(*turn, &done),
            (Phase::Committing(turn), Done::Committed(Err(fault))) => self.refused(fault, *turn),
            (phase, Done::Loaded(_) | Done::Open(_) | Done::Found(_) | Done::Committed(_)) => {
                self.phase = phase;
            }
        }
    }

    /// Supervisor time never goes back; the wall clock may.
    fn pass(&mut self, moment: Moment) {
        self.moment = Moment { now: self.moment.now.max(moment.now), ..moment };
    }

    /// Reads open cases and takes turns, one after the other.
    fn go_on(&mut self) -> Need {
        let turn_first = self.stopping || (self.has_read && self.has_work());
        match self.open_from.filter(|_| !turn_first) {
            Some(from) => {
                self.phase = Phase::Reading { page: None };
                Need::Open(from, self.options.open_page.max(1))
            }
            None => self.begin_turn(),
        }
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.is_turn_due()
    }

    fn is_turn_due(&self) -> bool {
        let wakeup = self.engine.next_wakeup();
        let is_due = wakeup.is_some_and(|at| at <= self.moment.now);
        self.tick || is_due || self.engine.wants_cases()
    }

    /// Open cases have come. They may need versions of rulebooks.
    fn have_read(&mut self, page: OpenPage) {
        let rulebooks = self.engine.missing_rulebooks(&page.cases);
        if rulebooks.is_empty() {
            return self.take_open(page);
        }
        self.phase = Phase::Reading { page: Some(page) };
        self.next = Some(Need::Lookup(LookupRequest { rulebooks, ..LookupRequest::default() }));
    }

    fn take_open(&mut self, page: OpenPage) {
        self.open_from = page.next;
        self.engine.take_open(Partition::WHOLE, page);
        self.has_read = true;
        self.tick = true; // what waits in them may go
        if self.open_from.is_none() {
            self.queue.let_in();
        }
    }

    /// Takes what has queued and says what must be known of it.
    fn begin_turn(&mut self) -> Need {
        let wakeup = self.engine.next_wakeup();
        let due = self.is_turn_due();
        self.has_read = false;
        if self.queue.is_empty() {
            if self.stopping {
                return self.wait_for_results();
            }
            if !due {
                // Where nothing waits for a time, none needs to be kept.
                let Some(wakeup) = wakeup else { return Need::Sleep { until: None } };
                let keep_at = self.kept.plus_ms(CLOCK_EVERY_MS);
                if keep_at <= self.moment.now {
                    return self.commit(Turn::default(), Vec::new());
                }
                return Need::Sleep { until: Some(wakeup.min(keep_at)) };
            }
        }
        // What time brings must not be taken for the fault of an input; but it must not keep inputs out either.
        let is_times_turn = self.one_by_one > 0 && due && !self.was_times_turn;
        self.was_times_turn = is_times_turn;
        let most = match self.one_by_one {
            0 => self.options.batch.max(1),
            _ => usize::from(!is_times_turn),
        };
        self.one_by_one = self.one_by_one.saturating_sub(1);
        if self.one_by_one == 0 {
            self.suspects.clear();
        }
        let mut inputs = self.queue.take_turn(most);
        if inputs.is_empty() {
            inputs.push(Input::Tick);
        }
        self.tick = false;
        let request = self.engine.look_up(&inputs);
        if request == LookupRequest::default() {
            self.step(inputs, LookupResult::default());
            return self.need(self.moment);
        }
        self.phase = Phase::LookingUp { inputs, found: None };
        Need::Lookup(request)
    }

    /// Everything that was taken is durable and answered; results may still come.
    fn wait_for_results(&mut self) -> Need {
        let now = self.moment.now;
        let until = *self.grace_until.get_or_insert_with(|| now.plus_ms(self.options.grace_ms));
        if self.under_way.len() > 0 && now < until {
            return Need::Sleep { until: Some(until) };
        }
        if self.engine.next_wakeup().is_some() && self.kept < self.moment.now {
            return self.commit(Turn::default(), Vec::new());
        }
        self.phase = Phase::Ended;
        Need::End { under_way: self.under_way.len() }
    }

    /// A case may need a version of a rulebook that nobody has needed lately.
    fn found(&mut self, inputs: Vec<Input>, found: LookupResult) {
        let rulebooks = self.engine.missing_rulebooks(&found.cases);
        if rulebooks.is_empty() {
            return self.step(inputs, found);
        }
        self.phase = Phase::LookingUp { inputs, found: Some(found) };
        self.next = Some(Need::Lookup(LookupRequest { rulebooks, ..LookupRequest::default() }));
    }

    /// Steps the engine for each input.
    fn step(&mut self, mut inputs: Vec<Input>, found: LookupResult) {
        let (tickets, count) = (tickets(&inputs), inputs.len());
        let again = if count > 1 { inputs.clone() } else { Vec::new() };
        self.engine.learn(found, &mut inputs);
        self.keep_refused_out();
        for input in inputs {
            if let Input::Mend { mend, .. } = &input {
                self.refused_cases.remove(&mend.case);
            }
            self.engine.handle(self.moment, input);
        }
        let mut output = self.engine.take_output(self.moment);
        let writes = std::mem::take(&mut output.writes);
        if writes.is_empty() {
            return self.release(output, count);
        }
        let turn = Turn { output, tickets, inputs: count, again };
        self.next = Some(self.commit(turn, writes));
    }

    /// Every commit keeps supervisor time.
    fn commit(&mut self, turn: Turn, writes: Vec<Write>) -> Need {
        self.phase = Phase::Committing(Box::new(turn));
        self.kept = self.moment.now;
        Need::Commit(Batch::whole(self.epoch, writes, Some(self.moment.now)))
    }

    /// What the store holds of a turn is durable.
    fn committed(&mut self, turn: Turn, Committed { lost }: &Committed) {
        match lost.first() {
            None => {
                self.refused = 0;
                self.release(turn.output, turn.inputs);
            }
            Some(partition) => {
                let why = format!("{partition} has been taken over by another node");
                self.refused(StoreFault::Failed(why), turn);
            }
        }
    }

    /// All writes of a turn are durable, or it had none.
    fn release(&mut self, output: Output, inputs: usize) {
        let Output { effects, answers, events, .. } = output;
        let launch = |effect| self.under_way.launch(self.generation, effect);
        let effects = effects.into_iter().map(launch).collect();
        self.ready = true;
        self.phase = Phase::Idle;
        self.next = Some(Need::Release(Released::after_commit(answers, effects, events, inputs)));
    }

    /// The store took nothing of a turn. If one of its writes is at fault, none of the others is turned away: all are
    /// taken again one by one, so that the bad one fails alone.
    fn refused(&mut self, fault: StoreFault, turn: Turn) {
        let is_of_one_write = match fault {
            StoreFault::Conflict { .. } | StoreFault::Unstorable { .. } => true,
            StoreFault::Failed(_) => false,
        };
        if is_of_one_write {
            self.one_by_one = self.options.batch;
        }
        if is_of_one_write && turn.inputs > 1 {
            self.queue.put_back(turn.again);
            return self.turn_away(TurnedAway::of(fault, Vec::new()), 0);
        }
        let is_told = is_of_one_write && !turn.tickets.is_empty();
        // The next loading goes without it, so there is nothing to wait out.
        if self.refused_alone(&fault, &turn) || is_told {
            let refused = matches!(fault, StoreFault::Unstorable { .. });
            let fault = Fault::Store(fault);
            self.turn_away(TurnedAway { fault, tickets: turn.tickets, refused }, 0);
        } else {
            self.start_over(fault, turn.tickets);
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
    /// may have been the input's fault, or have passed. What somebody waits for and could never be read is that one's
    /// to mend, and no fault of the case. True if a case was quarantined.
    fn refused_alone(&mut self, fault: &StoreFault, turn: &Turn) -> bool {
        let (why, case, is_certain) = match fault {
            StoreFault::Conflict { why, case: Some(case) } => {
                (why, *case, !self.suspects.insert(*case))
            }
            StoreFault::Unstorable { why, case: Some(case) } => {
                (why, *case, turn.tickets.is_empty())
            }
            StoreFault::Conflict { case: None, .. }
            | StoreFault::Unstorable { case: None, .. }
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
        self.next = Some(Need::TurnAway(turned_away));
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
        self.kept = self.moment.now;
        self.engine = Engine::load(loaded, &mut self.engine, self.moment);
        for (case, why) in &self.refused_cases {
            self.engine.refuse(*case, why);
        }
        self.generation += 1;
        let results = self.queue.results().filter_map(|input| match input {
            Input::StepEnded { service, .. } | Input::HistoryEnded { service, .. } => Some(service),
            _ => None,
        });
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
        self.open_from = Some(OpenPlace::default());
        self.has_read = false;
        self.queue.hold_activations();
        self.phase = Phase::Idle;
    }
}

/// Longer with each time in a row.
fn pause_ms(times: u32) -> u64 {
    STORE_RETRY_MS.saturating_mul(u64::from(times)).min(LONGEST_STORE_RETRY_MS)
}

fn tickets(inputs: &[Input]) -> Vec<Ticket> {
    inputs.iter().filter_map(Input::ticket).collect()
}
