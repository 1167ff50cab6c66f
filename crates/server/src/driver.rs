//! The loop: stamp the time, take what has queued, step the engine, commit all writes in one transaction, and only
//! then answer and act. Generic over store, clock and outbound, so that a simulator runs this very loop.
//!
//! INVARIANT: nothing of an output happens before its writes are durable. A failed commit is followed by nothing: the
//! engine is thrown away and loaded from the store.

use crate::alerts::Alerts;
use crate::clock::Clock;
use crate::desk::{Desk, QUESTIONS, Question};
use crate::feed::EventFeed;
use crate::heartbeat::Heartbeat;
use crate::outbound::{Ended, Outbound};
use crate::pulse::{MOST_CASES_AT_START, Pulse, WINDOW_MS};
use crate::supervisor::Supervisor;
use crate::telemetry::{self, Metrics, Traces};
use amends_engine::{
    Answer, Engine, Errand, Happening, Input, LaneStatus, Output, StepReading, StepResult, Ticket,
    WalkResult,
};
use amends_protocol::{CaseId, SagaId, StepId, Timestamp};
use amends_rulebook::Rulebook;
use amends_store::{LookupRequest, Store, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Limits of the loop.
#[derive(Clone, Copy, Debug)]
pub struct DriverOptions {
    /// Inputs from outside that may wait; one more is refused as overload. Ten thousand reports of a kilobyte are ten
    /// megabytes and about a second of work.
    pub queue: usize,
    /// Most inputs in one transaction: bounds the delay of the first one.
    pub batch: usize,
    /// How long an orderly end waits for errands that are under way.
    pub grace: Duration,
    /// Age within which cases should be settled whose rules state no objective; an older one counts as late.
    pub objective: Option<Duration>,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self { queue: 10_000, batch: 512, grace: Duration::from_secs(25), objective: None }
    }
}

/// Pause before the store is tried again after a failed load, and after a second commit in a row that failed.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// Longest pause of that kind: a store that is back must not wait long for us.
const LONGEST_STORE_RETRY: Duration = Duration::from_secs(10);

/// The supervisor could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A stored rulebook that cases need cannot be understood.
    #[error("the stored rulebook `{name}` ({hash}) cannot be read: {why}")]
    Rulebook {
        /// Its name.
        name: String,
        /// Its content hash.
        hash: String,
        /// The first mistake.
        why: String,
    },
}

/// Something that came, and who waits for the answer.
pub(crate) struct Arrival {
    pub(crate) input: Input,
    pub(crate) reply: Option<(Ticket, oneshot::Sender<Answer>)>,
}

/// The ways into the loop.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) stop: watch::Sender<bool>,
}

/// What the loop shares with those who look.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) ready: AtomicBool,
    pub(crate) lanes: Mutex<Arc<Vec<LaneStatus>>>,
    pub(crate) books: Mutex<Arc<Vec<Arc<Rulebook>>>>,
    pub(crate) feed: EventFeed,
    pub(crate) metrics: Metrics,
    pub(crate) traces: Traces,
    pub(crate) alerts: Alerts,
    pub(crate) pulse: Pulse,
    pub(crate) heartbeat: Heartbeat,
}

impl Shared {
    /// Shows which versions are active. INVARIANT: only for an engine whose writes are durable.
    fn show_rulebooks(&self, engine: &Engine) {
        let active = engine.active_rulebooks();
        active.iter().for_each(|book| self.metrics.know(book));
        *self.books.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(active);
    }
}

/// The loop of one supervisor, started by [`Driver::start`].
pub struct Driver<S, O, C> {
    store: S,
    outbound: O,
    clock: C,
    options: DriverOptions,
    engine: Engine,
    shared: Arc<Shared>,
    arrivals: mpsc::Receiver<Arrival>,
    /// Results of errands. Its length is bounded by the errands under way, and those by the lanes' limits.
    results: mpsc::UnboundedReceiver<Input>,
    result_sender: mpsc::UnboundedSender<Input>,
    questions: mpsc::Receiver<Question>,
    desk: Desk,
    stopping: watch::Receiver<bool>,
    under_way: usize,
    now: Timestamp,
    /// Turns in a row that the store refused; 0 after a good one.
    refused: u32,
    /// Turns still to be taken one input at a time, so that one bad input spoils no others.
    one_by_one: usize,
    /// The store could not be loaded again before the end: nothing more may be done.
    over: bool,
}

impl<S: Store, O: Outbound, C: Clock> Driver<S, O, C> {
    /// Loads the open cases and starts the loop on the current runtime. The second value ends when the loop has ended.
    ///
    /// # Errors
    /// When the store cannot be read; nothing is running then.
    pub async fn start(
        store: S,
        outbound: O,
        clock: C,
        options: DriverOptions,
    ) -> Result<(Supervisor<S>, tokio::task::JoinHandle<()>), StartError> {
        let (arrival_sender, arrivals) = mpsc::channel(options.queue);
        let (result_sender, results) = mpsc::unbounded_channel();
        let (question_sender, questions) = mpsc::channel(QUESTIONS);
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        let doors = Doors { arrivals: arrival_sender, questions: question_sender, stop };
        let supervisor = Supervisor::new(store.clone(), doors, Arc::clone(&shared));
        let now = clock.now();
        let hour_ago = Timestamp(now.0.saturating_sub(WINDOW_MS));
        shared.pulse.begin(now, &store.settlements(hour_ago, MOST_CASES_AT_START).await?);
        let engine = load_engine(&store, &shared, &mut Engine::new(0), now).await?;
        let driver = Self {
            store,
            outbound,
            clock,
            options,
            engine,
            shared,
            arrivals,
            results,
            result_sender,
            questions,
            desk: Desk::new(options.objective),
            stopping,
            under_way: 0,
            now,
            refused: 0,
            one_by_one: 0,
            over: false,
        };
        let handle = tokio::spawn(driver.run());
        Ok((supervisor, handle))
    }

    async fn run(mut self) {
        // What was under way before the start goes out again at once.
        self.turn(vec![Arrival { input: Input::Tick, reply: None }]).await;
        self.shared.ready.store(true, Ordering::Release);
        while let Some(batch) = self.next_batch().await {
            let mut rest = batch;
            while !rest.is_empty() {
                let (first, repeated) = part_repeats(rest);
                self.turn(first).await;
                rest = repeated;
            }
        }
        self.shared.ready.store(false, Ordering::Release);
        self.finish().await;
    }

    /// Waits for the first input, then takes all that has queued meanwhile. None when it is time to stop.
    async fn next_batch(&mut self) -> Option<Vec<Arrival>> {
        let mut batch = Vec::new();
        if self.desk.is_busy() {
            self.desk.look(&self.engine, self.clock.now());
            // Others on this thread come first; then whatever has queued, without waiting.
            tokio::task::yield_now().await;
            if *self.stopping.borrow() {
                return None;
            }
            let due = self.engine.next_wakeup().is_some_and(|at| at <= self.clock.now());
            batch.extend(due.then_some(Arrival { input: Input::Tick, reply: None }));
            self.fill(&mut batch);
            return Some(batch);
        }
        let wakeup = self.engine.next_wakeup();
        let clock = self.clock.clone();
        let timer = async move {
            match wakeup {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stop| *stop) => return None,
            Some(input) = self.results.recv() => Some(input),
            Some(arrival) = self.arrivals.recv() => {
                batch.push(arrival);
                None
            }
            Some(question) = self.questions.recv() => {
                self.desk.take(question, &self.engine, self.clock.now());
                None
            }
            () = timer => {
                batch.push(Arrival { input: Input::Tick, reply: None });
                None
            }
        };
        if let Some(input) = ended {
            batch.push(self.result(input));
        }
        self.fill(&mut batch);
        Some(batch)
    }

    /// Adds what has queued, up to the limit of a batch.
    fn fill(&mut self, batch: &mut Vec<Arrival>) {
        while let Ok(question) = self.questions.try_recv() {
            self.desk.take(question, &self.engine, self.clock.now());
        }
        let most = if self.one_by_one > 0 { 1 } else { self.options.batch };
        self.one_by_one = self.one_by_one.saturating_sub(1);
        while batch.len() < most {
            if let Ok(input) = self.results.try_recv() {
                let arrival = self.result(input);
                batch.push(arrival);
            } else if let Ok(arrival) = self.arrivals.try_recv() {
                batch.push(arrival);
            } else {
                break;
            }
        }
    }

    fn result(&mut self, input: Input) -> Arrival {
        self.under_way = self.under_way.saturating_sub(1);
        Arrival { input, reply: None }
    }

    /// One turn of the loop: look up, step, commit, release.
    async fn turn(&mut self, batch: Vec<Arrival>) {
        let shared = Arc::clone(&self.shared);
        let _turn = shared.heartbeat.turn();
        self.now = self.now.max(self.clock.now());
        let now = self.now;
        let (inputs, mut replies) = split(batch);
        let inputs = match self.look_up(inputs).await {
            Ok(inputs) => inputs,
            Err(error) => return self.start_over(&error, replies).await,
        };
        let taken = inputs.len();
        for input in inputs {
            self.engine.handle(now, input);
        }
        let Output { writes, errands, answers, events } = self.engine.take_output(now);
        if !writes.is_empty() {
            let began = Instant::now();
            if let Err(error) = self.store.commit(writes.into()).await {
                return self.start_over(&error, replies).await;
            }
            self.shared.metrics.committed(taken, began.elapsed());
        }
        self.refused = 0;
        // Before the answers: who is told that a version is active must find it active.
        if events.iter().any(|event| matches!(event.what, Happening::Rulebook { .. })) {
            self.shared.show_rulebooks(&self.engine);
        }
        for (ticket, answer) in answers {
            if let Some(reply) = replies.remove(&ticket) {
                let _ = reply.send(answer); // the one who asked has gone away
            }
        }
        for errand in errands {
            self.under_way += 1;
            let promise = Promise::new(&errand, self.result_sender.clone());
            let (outbound, clock) = (self.outbound.clone(), self.clock.clone());
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                let watched = shared.traces.attempt(&errand);
                let service = Arc::clone(errand.service());
                let began = tokio::time::Instant::now();
                let ended = outbound.perform(errand).await;
                let took = began.elapsed();
                shared.pulse.answered(&service, clock.now(), took, &ended);
                shared.metrics.attempted(&service, &ended, took);
                shared.traces.attempted(watched, &ended);
                promise.keep(ended);
            });
        }
        self.publish();
        self.shared.metrics.happened(&events);
        self.shared.traces.happened(&events);
        self.shared.alerts.happened(&events);
        telemetry::log(&events);
        self.shared.pulse.note(&events);
        self.shared.feed.tell(events);
    }

    fn publish(&self) {
        let lanes = Arc::new(self.engine.lanes());
        *self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner) = lanes;
    }

    /// Brings in what the store knows and the engine does not hold: duplicates, settled cases, ended sagas.
    async fn look_up(&mut self, inputs: Vec<Input>) -> Result<Vec<Input>, StoreError> {
        let mut wanted = LookupRequest::default();
        let mut asked = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            match input {
                Input::Report { report, .. } => {
                    asked.push(index);
                    wanted.reports.push(report.key());
                    self.want_saga(&report.saga_id, &mut wanted.sagas);
                }
                Input::StepAct { step, .. } | Input::StepCalledBack { step, .. } => {
                    self.want_case(step.case, &mut wanted.cases);
                }
                // A late effect or answer may reopen a settled case.
                Input::StepEnded { step, .. } => self.want_case(step.case, &mut wanted.cases),
                Input::WalkEnded { case, .. } => self.want_case(*case, &mut wanted.cases),
                Input::CaseAct { case, .. } => self.want_case(*case, &mut wanted.cases),
                Input::SagaBegan { begin, .. } => {
                    self.want_saga(&begin.saga_id, &mut wanted.sagas);
                    self.want_announced(&begin.saga_id, &mut wanted.announced);
                }
                Input::SagaEnded { saga, .. } => {
                    self.want_announced(saga, &mut wanted.announced);
                }
                _ => {}
            }
        }
        if wanted == LookupRequest::default() {
            return Ok(inputs);
        }
        let found = self.store.find(wanted).await?;
        for saga in found.announced {
            self.engine.recall_saga(saga);
        }
        for stored in found.cases {
            if let Some(book) = &stored.case.rulebook
                && !self.engine.knows_rulebook(&book.hash)
                && let Some(row) = self.store.rulebook(Arc::clone(&book.hash)).await?
                && let Ok(book) = row.read()
            {
                self.engine.learn_rulebook(book);
            }
            self.engine.hydrate(stored);
        }
        let mut inputs = inputs;
        for (index, known) in asked.into_iter().zip(found.reports) {
            if let Input::Report { known_in, .. } = &mut inputs[index] {
                *known_in = known;
            }
        }
        Ok(inputs)
    }

    fn want_saga(&self, saga: &SagaId, sagas: &mut Vec<SagaId>) {
        if !self.engine.holds_saga(saga) {
            sagas.push(saga.clone());
        }
    }

    fn want_announced(&self, saga: &SagaId, announced: &mut Vec<SagaId>) {
        if !self.engine.holds_announced(saga) {
            announced.push(saga.clone());
        }
    }

    fn want_case(&self, case: CaseId, cases: &mut Vec<CaseId>) {
        if !self.engine.holds_case(case) {
            cases.push(case);
        }
    }

    /// The store failed: whoever waits is told that nothing was taken, and the engine is loaded anew. After a write
    /// that the store calls contradictory, inputs are taken one by one for a while: the bad one fails alone.
    async fn start_over(&mut self, error: &StoreError, replies: Replies) {
        self.shared.ready.store(false, Ordering::Release);
        self.shared.metrics.store_failed();
        tracing::error!(%error, "the store failed; loading all open cases again");
        drop(replies); // a dropped reply is answered as `unavailable`
        if matches!(error, StoreError::Conflict { .. }) {
            self.one_by_one = self.options.batch;
        }
        self.refused = self.refused.saturating_add(1);
        if self.refused > 1 {
            tokio::time::sleep(STORE_RETRY.saturating_mul(self.refused).min(LONGEST_STORE_RETRY))
                .await;
        }
        loop {
            // That the store is away is no reason to end the process.
            self.shared.heartbeat.beat();
            match load_engine(&self.store, &self.shared, &mut self.engine, self.now).await {
                Ok(engine) => {
                    self.engine = engine;
                    break;
                }
                Err(error) => tracing::error!(%error, "still failing"),
            }
            if *self.stopping.borrow() {
                self.over = true;
                return;
            }
            tokio::time::sleep(STORE_RETRY).await;
        }
        if *self.stopping.borrow() {
            self.engine.halt();
        }
        // Sends again what was under way; should this fail too, the next input starts over.
        let _ = self.result_sender.send(Input::Tick);
        self.under_way += 1;
        self.shared.ready.store(true, Ordering::Release);
    }

    /// Takes no more inputs, sends nothing more, and waits for what is under way.
    async fn finish(mut self) {
        self.arrivals.close();
        self.engine.halt();
        let mut rest = Vec::new();
        while let Ok(arrival) = self.arrivals.try_recv() {
            rest.push(arrival);
        }
        // What had been taken into the queue is still made durable and answered.
        let (first, repeated) = part_repeats(rest);
        self.turn(first).await;
        if !repeated.is_empty() && !self.over {
            self.turn(repeated).await;
        }
        let deadline = tokio::time::Instant::now() + self.options.grace;
        while self.under_way > 0 && !self.over {
            match tokio::time::timeout_at(deadline, self.results.recv()).await {
                Ok(Some(input)) => {
                    let arrival = self.result(input);
                    self.turn(vec![arrival]).await;
                }
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(
                        under_way = self.under_way,
                        "stopping before every service has answered"
                    );
                    break;
                }
            }
        }
    }
}

/// Parts a batch so that no report comes twice in the first part: the store must know the first before the second is
/// looked up.
fn part_repeats(batch: Vec<Arrival>) -> (Vec<Arrival>, Vec<Arrival>) {
    let mut seen = FxHashSet::default();
    batch.into_iter().partition(|arrival| match &arrival.input {
        Input::Report { report, .. } => seen.insert(report.key()),
        _ => true,
    })
}

/// Exactly one result for each errand, even if whoever performs it panics: then nobody knows what became of it.
struct Promise {
    results: mpsc::UnboundedSender<Input>,
    service: Arc<str>,
    of: Owed,
    ended: Option<Ended>,
}

enum Owed {
    Step(StepId, u32),
    Walk(CaseId),
}

impl Promise {
    fn new(errand: &Errand, results: mpsc::UnboundedSender<Input>) -> Self {
        let of = match errand {
            Errand::Send(send) => Owed::Step(send.step, send.attempt),
            Errand::Poll(poll) => Owed::Step(poll.step, poll.attempt),
            Errand::Walk(walk) => Owed::Walk(walk.case),
        };
        Self { results, service: Arc::clone(errand.service()), of, ended: None }
    }

    fn keep(mut self, ended: Ended) {
        self.ended = Some(ended);
    }

    fn broken(&self) -> Ended {
        let message = "the supervisor failed while it was sending".to_owned();
        match self.of {
            Owed::Step(step, attempt) => {
                let (answer, history) = (StepReading::Unknown, Vec::new());
                let result = StepResult { answer, status: None, message: Some(message), history };
                Ended::Step { step, attempt, result }
            }
            Owed::Walk(case) => {
                let result =
                    WalkResult::Failed { message, unreachable: false, retry_after_ms: None };
                Ended::Walk { case, service: Arc::clone(&self.service), result }
            }
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let ended = self.ended.take().unwrap_or_else(|| self.broken());
        // Nobody takes it any more when the loop has ended; the store knows the errand as under way.
        let _ = self.results.send(ended.into_input(Arc::clone(&self.service)));
    }
}

type Replies = FxHashMap<Ticket, oneshot::Sender<Answer>>;

fn split(batch: Vec<Arrival>) -> (Vec<Input>, Replies) {
    let mut replies = Replies::default();
    let inputs = batch
        .into_iter()
        .map(|arrival| {
            replies.extend(arrival.reply);
            arrival.input
        })
        .collect();
    (inputs, replies)
}

/// An engine with everything that is open in the store.
async fn load_engine<S: Store>(
    store: &S,
    shared: &Shared,
    before: &mut Engine,
    now: Timestamp,
) -> Result<Engine, StartError> {
    let loaded = store.load().await?;
    let engine = Engine::load(loaded, before, now).map_err(|found| StartError::Rulebook {
        name: found.name.to_string(),
        hash: found.hash.to_string(),
        why: found.why,
    })?;
    shared.show_rulebooks(&engine);
    Ok(engine)
}
