//! The shell: drives the node with tokio. It performs what the node needs of the store, does what the node releases,
//! and waits for channels and timers; it decides nothing about cases. What it does for a store that nodes share is in
//! `shell/partitions.rs`.
//!
//! INVARIANT: nothing is answered, sent or observed that the node has not released, and the node releases nothing
//! before its commit.

mod partitions;
mod permits;
mod promise;

use crate::all_nodes::Answering;
use crate::arrivals::Arrival;
use crate::clock::{Clock, ms};
use crate::leases::{self, Beating};
use crate::mailbox::{self, Inbox, Shared};
use crate::memory::{self, MemoryGauge};
use crate::open_case_queries::{OpenCaseQueries, OpenCaseQuery};
use crate::outbound::{Outbound, Permit};
use crate::random::{self, NoRandomness};
use crate::rejected::shown::RejectedShown;
use crate::shares::Shares;
use crate::supervisor::Supervisor;
use crate::throughput::{MOST_CASES_AT_START, WINDOW_MS};
use amends_engine::{Answer, DomainEvent, Loaded, Moment, Ticket};
use amends_node::{
    Done, EffectId, EffectResult, Fault, Jump, LaunchedEffect, Line, Need, Node, NodeOptions,
    Released, StoreFault, TurnedAway,
};
use amends_protocol::Timestamp;
use amends_store::{LETTERS_LIMIT, RejectedLimits, Store, StoreError};
use promise::{Ending, Promise};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Open cases that are read at once after a start: some milliseconds' worth, so that others get their turn.
const OPEN_PAGE: usize = 500;

/// Longest time between two looks at the clocks: well within what stands for a process that did not run.
const CLOCK_LOOK: Duration = Duration::from_secs(5);

/// Limits of the loop.
#[derive(Clone, Copy, Debug)]
pub struct DriverOptions {
    /// Inputs from outside that may wait; one more is refused as overload. Ten thousand reports of a kilobyte are ten
    /// megabytes and about a second of work.
    pub queue: usize,
    /// Most inputs in one transaction: bounds the delay of the first one.
    pub batch: usize,
    /// How long an orderly end waits for effects that are under way.
    pub grace: Duration,
    /// Bytes that open cases and queued reports may take in memory before new reports are refused; none: by what
    /// the process may have, if that is limited.
    pub memory: Option<usize>,
    /// Bytes that cases may take in memory while nothing of them is under way, the others being in the store alone;
    /// none: a quarter of `memory`, and at most 64 MiB.
    pub resident_bytes: Option<usize>,
    /// Age within which cases should be settled whose rules state no objective; an older one counts as late.
    pub objective: Option<Duration>,
    /// How long the wall clock must have run along with the boot-time clock before it decides anything.
    pub trust_after: Duration,
    /// How many messages of brokers may lie there that could not be taken.
    pub rejected: RejectedLimits,
    /// How many letters may wait for a partition before reports for it are refused, where nodes share the store.
    pub letters: u64,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            queue: 10_000,
            batch: 512,
            grace: Duration::from_secs(25),
            memory: None,
            resident_bytes: None,
            objective: None,
            trust_after: Duration::from_secs(600),
            rejected: RejectedLimits::default(),
            letters: LETTERS_LIMIT,
        }
    }
}

/// The supervisor could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// Nothing that is made here could be told apart from what others make.
    #[error("{0}")]
    Randomness(#[from] NoRandomness),
}

/// Drives one node, started by [`Driver::start`].
pub struct Driver<S, O, C> {
    store: S,
    outbound: O,
    clock: C,
    line: Line,
    node: Node,
    /// Of a store that nodes share.
    shares: Option<Shares>,
    shared: Arc<Shared>,
    inbox: Inbox,
    /// Its length is bounded by the effects under way, and those by the services' limits.
    results: mpsc::UnboundedReceiver<Ending>,
    result_sender: mpsc::UnboundedSender<Ending>,
    waiting: FxHashMap<Ticket, oneshot::Sender<Answer>>,
    desk: OpenCaseQueries,
    /// How long the commit of what is released next has taken.
    commit_took: Option<Duration>,
    stopped: bool,
    _beating: Beating,
    _answering: Option<Answering>,
}

impl<S: Store, O: Outbound, C: Clock> Driver<S, O, C> {
    /// Holds the store, loads the open cases and starts the loop on the current runtime. The second value ends when the
    /// loop has ended and the store is given back. Of a store that nodes share, it holds what is its due, and has yet
    /// to read that.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] as long as another node lives that holds the store as a whole, [`StoreError::NodeInUse`]
    /// as long as another process has this one's name, or when the store cannot be read; nothing is running then.
    pub async fn start(
        store: S,
        outbound: O,
        clock: C,
        options: DriverOptions,
    ) -> Result<(Supervisor<S>, tokio::task::JoinHandle<()>), StartError> {
        let (mailbox, inbox) = mailbox::open(options.queue);
        let (result_sender, results) = mpsc::unbounded_channel();
        let memory = options.memory.or_else(memory::limit_of_process);
        let shared = Arc::new(Shared {
            memory: MemoryGauge::new(memory),
            rejected: RejectedShown::new(store.rejected_count().await?, options.rejected),
            letters: options.letters,
            ..Shared::default()
        });
        let beating = Beating::begin(store.clone(), clock.clone(), Arc::clone(&shared));
        let mut shares = match store.is_shared() {
            true => Some(Shares::begin(&store, &clock, &shared, options.trust_after).await?),
            false => {
                leases::hold(&store).await?;
                None
            }
        };
        let supervisor = Supervisor::new(store.clone(), mailbox, Arc::clone(&shared));
        let now = clock.now();
        let hour_ago = Timestamp(now.0.saturating_sub(WINDOW_MS));
        let settled = store.settlements(hour_ago, MOST_CASES_AT_START).await?;
        shared.observers.throughput.begin(now, &settled);
        let loaded = store.load().await?;
        let mut line = Line::begin(loaded.clock, ms(clock.boot()), now, ms(options.trust_after));
        let (moment, _) = match &mut shares {
            Some(shares) => shares.read_clock(&clock, &shared),
            None => line.read(ms(clock.boot()), now),
        };
        shared.clock.show(moment);
        let mut node = Node::loaded(options_of_node(&options, memory)?, loaded, moment);
        if shares.is_some() {
            node.go_by_permits();
        }
        let mut driver = Self {
            store,
            outbound,
            clock,
            line,
            node,
            shares,
            shared,
            inbox,
            results,
            result_sender,
            waiting: FxHashMap::default(),
            desk: OpenCaseQueries::new(options.objective),
            commit_took: None,
            stopped: false,
            _beating: beating,
            _answering: Answering::begin(&supervisor),
        };
        driver.show_loaded();
        if driver.shares.is_none() {
            driver.read_a_page().await?;
        }
        let handle = tokio::spawn(async move { driver.run().await });
        Ok((supervisor, handle))
    }

    /// Reads the first open cases: where there are few, that is all of them before anybody asks.
    async fn read_a_page(&mut self) -> Result<(), StoreError> {
        loop {
            let moment = self.moment();
            let done = match self.node.need(moment) {
                Need::Open(partition, after, most) => {
                    Done::Open(Ok(self.store.open(partition, after, most).await?))
                }
                Need::Lookup(request) => Done::Found(Ok(self.store.find(request).await?)),
                _ => return Ok(()),
            };
            self.node.done(moment, done);
            if self.node.engine().is_some() {
                self.show_read();
                return Ok(());
            }
        }
    }

    async fn run(&mut self) {
        loop {
            self.gather().await;
            self.fill();
            self.heed_the_others().await;
            self.ask_for_permits().await;
            let moment = self.moment();
            match self.node.need(moment) {
                Need::Sleep { until } => {
                    if !self.look().await {
                        self.wait(moment.now, until).await;
                    }
                }
                Need::Release(released) => {
                    self.release(released);
                    self.look().await;
                }
                Need::TurnAway(turned_away) => self.turn_away(turned_away),
                Need::End { under_way } => {
                    if under_way > 0 {
                        tracing::warn!(under_way, "stopping before every service has answered");
                    }
                    break;
                }
                Need::GiveBack(partitions) => self.give_back(partitions).await,
                need => self.store(need).await,
            }
        }
        self.shared.ready.store(false, Ordering::Release);
        // Whoever waits to take over need not wait until we count as dead.
        self.give_all_back().await;
    }

    /// What the clocks say now. A wall clock that jumps is reported.
    fn moment(&mut self) -> Moment {
        let (moment, jump) = match &mut self.shares {
            Some(shares) => shares.read_clock(&self.clock, &self.shared),
            None => self.line.read(ms(self.clock.boot()), self.clock.now()),
        };
        self.shared.clock.show(moment);
        if let Some(Jump { by_ms }) = jump {
            self.shared.observers.clock_jumped(moment.wall, by_ms);
        }
        moment
    }

    /// Hands in what has queued.
    fn fill(&mut self) {
        if *self.inbox.stop.borrow() {
            self.stop();
        }
        while let Ok((effect, result)) = self.results.try_recv() {
            self.ended(effect, result);
        }
        while self.node.room() > 0
            && let Some(arrival) = self.inbox.arrivals.try_recv()
        {
            self.take(arrival);
        }
        while self.may_be_asked()
            && let Ok(question) = self.inbox.questions.try_recv()
        {
            self.question(question);
        }
    }

    /// Whether questions about open work are taken now: between two turns, once all of it is known; or while the
    /// store is away, to be told so at once.
    fn may_be_asked(&self) -> bool {
        self.node.is_away() || (self.node.engine().is_some() && !self.node.is_reading())
    }

    /// Begins to look for the answer. Between two turns only; else the reply is dropped.
    fn question(&mut self, question: OpenCaseQuery) {
        if let Some(engine) = self.node.engine() {
            self.desk.take(question, engine, self.clock.now());
        }
    }

    /// Nothing more comes in; what is in the mailbox is still taken.
    fn stop(&mut self) {
        if !self.stopped {
            self.stopped = true;
            self.shared.ready.store(false, Ordering::Release);
            self.inbox.arrivals.close();
            self.hand_all_over();
            self.node.stop();
        }
    }

    fn take(&mut self, Arrival { input, reply }: Arrival) {
        let ticket = input.ticket();
        // There is room: it was looked for. While the store is away the reply is dropped: nothing was taken.
        if self.node.take(input).is_ok()
            && let Some(ticket) = ticket
        {
            self.waiting.insert(ticket, reply);
        }
    }

    fn ended(&mut self, effect: EffectId, result: Option<EffectResult>) {
        match result {
            Some(result) => self.node.ended(effect, result),
            None => self.node.lost(effect),
        }
    }

    /// Asks the store what the node needs of it.
    async fn store(&mut self, need: Need) {
        let shared = Arc::clone(&self.shared);
        let _turn = shared.heartbeat.turn();
        let done = match need {
            Need::Load => Done::Loaded(self.load().await.map_err(fault)),
            Need::Open(partition, after, most) => {
                Done::Open(self.store.open(partition, after, most).await.map_err(fault))
            }
            Need::Lookup(request) => Done::Found(self.store.find(request).await.map_err(fault)),
            Need::Commit(batch) => {
                self.before_commit(&batch);
                let (began, writes) = (self.clock.monotonic(), batch.writes().next().is_some());
                let committed = self.store.commit(batch).await.map_err(fault);
                self.commit_took = Some(self.clock.monotonic().saturating_sub(began));
                if writes && committed.is_ok() {
                    shared.store_fault.is_over();
                }
                Done::Committed(committed)
            }
            Need::Settings => Done::Settings(self.store.settings().await.map_err(fault)),
            Need::Adopt(lease) => self.adopt(lease).await,
            Need::Letters(wanted) => Done::Letters(self.store.letters(wanted).await.map_err(fault)),
            Need::GiveBack(_)
            | Need::Release(_)
            | Need::TurnAway(_)
            | Need::Sleep { .. }
            | Need::End { .. } => return,
        };
        let loaded = matches!(done, Done::Loaded(_) | Done::Settings(_));
        let read = matches!(done, Done::Open(_));
        let moment = self.moment();
        self.node.done(moment, done);
        self.tell_what_is_known();
        if loaded {
            self.show_loaded();
        }
        if read {
            self.show_read();
        }
    }

    /// Open cases have been read.
    fn show_read(&mut self) {
        self.show_ready();
        if let Some(engine) = self.node.engine() {
            self.shared.memory.show(engine.memory_use());
            self.shared.show_quarantine(engine);
        }
    }

    fn show_ready(&mut self) {
        let is_ready = match &mut self.shares {
            Some(shares) => shares.is_ready(&self.node, self.stopped),
            None => self.node.is_ready(),
        };
        self.shared.ready.store(is_ready, Ordering::Release);
    }

    /// Loads anew. If the last time failed, nobody waits for this one either.
    async fn load(&mut self) -> Result<Loaded, StoreError> {
        self.before_load();
        let store = self.store.clone();
        let mut loading = std::pin::pin!(load_anew(&store));
        let is_away = self.node.is_away();
        loop {
            tokio::select! {
                biased;
                loaded = &mut loading => {
                    self.have_loaded(&loaded);
                    return loaded;
                }
                arrival = self.inbox.arrivals.recv(), if is_away => drop(arrival),
                Some(question) = self.inbox.questions.recv(), if is_away => drop(question),
            }
        }
    }

    fn show_loaded(&self) {
        self.show_rulebooks();
        if let Some(engine) = self.node.engine() {
            self.shared.show_quarantine(engine);
            self.shared.show_rule_holds(engine);
        }
    }

    fn show_rulebooks(&self) {
        if let Some(engine) = self.node.engine() {
            self.shared.show_rulebooks(engine);
        }
    }

    /// Everything of it is durable: it is shown, answered, done and observed.
    fn release(&mut self, released: Released) {
        let Released { replies, effects, events, inputs, answered, settings, .. } = released;
        if let Some(took) = self.commit_took.take() {
            self.shared.observers.metrics.committed(inputs, took);
            if let Some(shares) = &mut self.shares {
                shares.gathering.released(inputs);
            }
        }
        // Before the answers: who is told that a version is active must find it active.
        if events.iter().any(|event| matches!(event.what, DomainEvent::Rulebook { .. })) {
            self.show_rulebooks();
        }
        if let Some(engine) = self.node.engine() {
            self.shared.show_rule_holds(engine);
        }
        self.show_ready();
        for (ticket, answer) in replies {
            if let Some(reply) = self.waiting.remove(&ticket) {
                self.reply(reply, answer);
            }
        }
        self.call_out(settings, answered);
        let life = self.life_of_commit();
        for effect in effects {
            self.perform(effect, life);
        }
        if let Some(engine) = self.node.engine() {
            self.shared.show_queues(engine);
            self.shared.memory.show(engine.memory_use());
            self.shared.show_quarantine(engine);
        }
        self.shared.observers.observe(&events);
    }

    /// Performs an effect once, on a task of its own; of a store that nodes share, in the life in which its commit was
    /// asked for alone.
    fn perform(&self, LaunchedEffect { id, effect }: LaunchedEffect, life: Option<u64>) {
        let promise = Promise { results: self.result_sender.clone(), id, result: None };
        let (outbound, clock) = (self.outbound.clone(), self.clock.clone());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let observed = shared.observers.effect_begins(&effect, &clock);
            let may = life.map(|life| {
                let (shared, clock) = (Arc::clone(&shared), clock.clone());
                Permit::while_true(move || shared.may_send(life, clock.boot()))
            });
            let result = outbound.perform(effect, may.unwrap_or_default()).await;
            shared.observers.effect_ended(observed, &result, &clock);
            promise.keep(result);
        });
    }

    /// The store failed, or a partition is another's now; those who wait are told that nothing was taken.
    fn turn_away(&mut self, TurnedAway { fault, tickets, refused }: TurnedAway) {
        match &fault {
            Fault::Store(_) => {
                self.shared.ready.store(false, Ordering::Release);
                if let Fault::Store(StoreFault::Failed(why)) = &fault {
                    let now = self.shared.heartbeat.elapsed();
                    self.shared.store_fault.failed(now, why.clone());
                }
                self.shared.observers.metrics.store_failed();
                self.commit_took = None;
                self.nothing_was_committed();
                tracing::error!(error = %fault, "the store failed; loading all open cases again");
            }
            Fault::Lost(_) => tracing::warn!("{fault}"),
            Fault::Unreadable(_) => {
                tracing::error!(error = %fault, "what another node has left can't be read, and stays");
            }
        }
        for ticket in tickets {
            let Some(reply) = self.waiting.remove(&ticket) else { continue };
            let answer = match &fault {
                Fault::Lost(_) => Answer::Unavailable(format!("{fault}; send it again")),
                _ if refused => Answer::Invalid(fault.to_string()),
                _ => continue, // a reply that is dropped says so
            };
            let _ = reply.send(answer); // the one who asked has gone away
        }
    }

    /// Answers questions about open work, a slice of cases at a time. False if there is none.
    async fn look(&mut self) -> bool {
        let Some(engine) = self.node.engine().filter(|_| self.desk.is_busy()) else { return false };
        self.desk.look(engine, &self.clock);
        // Others on this thread come first; then whatever has queued.
        tokio::task::yield_now().await;
        true
    }

    /// Waits until something comes or a moment has come.
    async fn wait(&mut self, now: Timestamp, until: Option<Timestamp>) {
        let pause = until.map_or(CLOCK_LOOK, |at| Duration::from_millis(at.ms_since(now)));
        let clock = self.clock.clone();
        let permits =
            self.shares.as_ref().and_then(|shares| shares.permits.look_again(self.clock.boot()));
        let timer = clock.sleep(pause.min(CLOCK_LOOK).min(permits.unwrap_or(CLOCK_LOOK)));
        let (has_room, has_engine) = (self.node.room() > 0, self.may_be_asked());
        let told = self.shares.as_ref().map(Shares::told);
        let others = async {
            match told {
                Some(told) => told.came().await,
                None => std::future::pending().await,
            }
        };
        let came = tokio::select! {
            biased;
            _ = self.inbox.stop.wait_for(|stop| *stop), if !self.stopped => Came::Stop,
            Some((effect, result)) = self.results.recv() => Came::Result(effect, result),
            arrival = self.inbox.arrivals.recv(), if has_room => Came::Arrival(arrival),
            Some(question) = self.inbox.questions.recv(), if has_engine => Came::OpenCaseQuery(question),
            () = others => Came::Time, // looked at before the next turn
            () = timer => Came::Time,
        };
        match came {
            Came::Stop => self.stop(),
            Came::Result(effect, result) => self.ended(effect, result),
            Came::Arrival(arrival) => self.take(arrival),
            Came::OpenCaseQuery(question) => self.question(question),
            Came::Time => {}
        }
    }
}

/// What waits longer than a turn waits in the mailbox.
fn options_of_node(
    options: &DriverOptions,
    memory: Option<usize>,
) -> Result<NodeOptions, NoRandomness> {
    Ok(NodeOptions {
        queue: options.batch,
        batch: options.batch,
        resident_bytes: options.resident_bytes.unwrap_or_else(|| memory::resident_bytes(memory)),
        open_page: OPEN_PAGE,
        grace_ms: ms(options.grace),
        letters_from: u128::from_le_bytes(random::bytes()?),
    })
}

/// What ended a wait.
enum Came {
    Stop,
    Result(EffectId, Option<EffectResult>),
    Arrival(Arrival),
    OpenCaseQuery(OpenCaseQuery),
    Time,
}

/// Loads after a fault: no commit of unknown end may land over what is loaded.
async fn load_anew<S: Store>(store: &S) -> Result<Loaded, StoreError> {
    match store.is_shared() {
        true => drop(store.raise().await?),
        false => leases::hold(store).await?,
    }
    store.load().await
}

fn fault(error: StoreError) -> StoreFault {
    match error {
        StoreError::Conflict { case, .. } | StoreError::OverLimit { case, .. } => {
            StoreFault::Conflict { why: error.to_string(), case }
        }
        StoreError::Unstorable { case, .. } => {
            StoreFault::Unstorable { why: error.to_string(), case }
        }
        StoreError::Outdated => StoreFault::Outdated,
        other => StoreFault::Failed(other.to_string()),
    }
}
