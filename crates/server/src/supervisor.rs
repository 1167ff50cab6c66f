//! The handle to a running supervisor: everything that the HTTP API (or a host program) can ask of it.
//!
//! It decides nothing; it puts inputs into the loop's mailbox and hands back what the engine answers.

mod settings;

use crate::alerts::alert::Alerts;
use crate::arrivals::{Arrival, NotTaken};
use crate::clock::{Clock, SystemClock};
use crate::event_stream::EventStream;
use crate::fair_queue::NoRoom;
use crate::faults::{refusal, store_problem};
use crate::mailbox::{Mailbox, Quarantine, Shared};
use crate::not_seen_by::NotSeenBy;
use crate::open_case_queries::OpenCaseQuery;
use crate::source::Source;
use crate::telemetry::{Metrics, Traces};
use crate::texts::without_secrets;
use crate::views::{OnTheWall, rule_hold};
use crate::withheld::Withheld;
use amends_api::{
    AuditActName, CaseAct, QuestionAct, QuestionId, RuleHoldView, StepAct, StrangerAct,
};
use amends_engine::{
    Activation, Actor, Answer, Erase, HoldScope, Input, Mend, NewLimits, Partition, Replaces,
    SagaRow, Ticket,
};
use amends_protocol::{
    ActionName, CaseId, OutcomeCallback, Problem, ProblemCode, Report, ReportReceipt, SagaBegin,
    SagaId, StepId,
};
use amends_rulebook::Rulebook;
use amends_store::Store;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a question about open work waits: longer than a look at a million cases takes.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

/// What became of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledBack {
    /// It is durable.
    Taken,
    /// It waits for the end of the try under way, or for the node that works on its case.
    Kept,
}

/// A running supervisor; clones are the same one. The process should end by [`Supervisor::stop`].
#[derive(Debug)]
pub struct Supervisor<S> {
    store: S,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mailbox: Mailbox,
    shared: Arc<Shared>,
    tickets: AtomicU64,
    /// What no text that comes in may hold.
    withheld: OnceLock<Withheld>,
}

impl<S: Clone> Clone for Supervisor<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), inner: Arc::clone(&self.inner) }
    }
}

impl<S: Store> Supervisor<S> {
    pub(crate) fn new(store: S, mailbox: Mailbox, shared: Arc<Shared>) -> Self {
        let (tickets, withheld) = (AtomicU64::new(1), OnceLock::new());
        Self { store, inner: Arc::new(Inner { mailbox, shared, tickets, withheld }) }
    }

    /// From now on texts that come in are kept without these values. It is said once, at the start.
    pub(crate) fn withhold(&self, values: &Withheld) {
        let _ = self.inner.withheld.set(values.clone());
    }

    fn withheld(&self) -> &Withheld {
        self.inner.withheld.get_or_init(Withheld::default)
    }

    /// A text that somebody wrote, as it is kept.
    pub(crate) fn kept_text(&self, text: &str) -> String {
        self.withheld().hide_in_text(text)
    }

    /// Takes a report. It is durable when this returns.
    ///
    /// # Errors
    /// `overloaded` when the queue is full or open cases take too much memory, `unavailable` while starting, stopping
    /// or when the store fails; nothing was taken then.
    pub async fn report(&self, report: Report) -> Result<ReportReceipt, Problem> {
        let service = report.service().to_owned();
        let counted = self.inner.shared.memory.count(report.bytes());
        let _counted = counted.map_err(|why| Problem::new(ProblemCode::Overloaded, why))?;
        let report = Arc::new(report);
        match self.ask(|ticket| Input::Report { report, known_in: None, ticket }).await? {
            Answer::Received { case, duplicate } => {
                self.metrics().report_taken(&service, duplicate);
                Ok(ReportReceipt { case_id: Some(case), duplicate, letter: None })
            }
            Answer::Posted(letter) => {
                self.metrics().report_taken(&service, false);
                let letter = Some(letter.to_string());
                Ok(ReportReceipt { case_id: None, duplicate: false, letter })
            }
            other => Err(refusal(other)),
        }
    }

    /// Takes a service's late outcome of a step that it had accepted; it waits in the line of its sender.
    ///
    /// # Errors
    /// `not-found`, `unproven` when it need not come from who was asked, `conflict` when the step ended otherwise or
    /// was never sent, or as [`Supervisor::report`].
    pub async fn call_back(
        &self,
        step: StepId,
        callback: OutcomeCallback,
        sender: Arc<str>,
    ) -> Result<CalledBack, Problem> {
        let called_back = self.taken_callback(step, callback, sender).await;
        self.metrics().called_back(match &called_back {
            Ok(CalledBack::Taken) => "taken",
            Ok(CalledBack::Kept) => "kept",
            Err(problem) => problem.code.as_deref().unwrap_or_default(),
        });
        if let Err(problem) = &called_back
            && problem.is(ProblemCode::Unproven)
        {
            tracing::warn!(%step, detail = problem.detail, "a callback was refused");
        }
        called_back
    }

    async fn taken_callback(
        &self,
        step: StepId,
        callback: OutcomeCallback,
        sender: Arc<str>,
    ) -> Result<CalledBack, Problem> {
        let line = Some(Source::Outcomes(sender));
        let input = |ticket| Input::StepCalledBack { step, callback, ticket };
        match self.ask_in(line, input).await? {
            Answer::Done => Ok(CalledBack::Taken),
            Answer::Kept | Answer::Posted(_) => Ok(CalledBack::Kept),
            other => Err(refusal(other)),
        }
    }

    /// An operator's act on a step.
    ///
    /// # Errors
    /// `not-found`, `conflict` when the step's state does not allow it, `invalid-request`, or as
    /// [`Supervisor::report`].
    pub async fn act_on_step(
        &self,
        step: StepId,
        act: StepAct,
        actor: impl Into<Actor> + Send,
    ) -> Result<(), Problem> {
        self.act_in_bulk(step, act, actor, None).await
    }

    /// An operator's act on a case.
    ///
    /// # Errors
    /// As [`Supervisor::act_on_step`].
    pub async fn act_on_case(
        &self,
        case: CaseId,
        act: CaseAct,
        actor: impl Into<Actor> + Send,
    ) -> Result<(), Problem> {
        self.act_on_case_in_bulk(case, act, actor, None).await
    }

    /// An operator's act on a step as a part of a bulk act.
    pub(crate) async fn act_in_bulk(
        &self,
        step: StepId,
        act: StepAct,
        actor: impl Into<Actor> + Send,
        bulk: Option<u64>,
    ) -> Result<(), Problem> {
        let actor = actor.into();
        self.ask_done(|ticket| Input::StepAct { step, act, actor, bulk, ticket }).await
    }

    /// An operator's act on a case as a part of a bulk act.
    pub(crate) async fn act_on_case_in_bulk(
        &self,
        case: CaseId,
        act: CaseAct,
        actor: impl Into<Actor> + Send,
        bulk: Option<u64>,
    ) -> Result<(), Problem> {
        let actor = actor.into();
        self.ask_done(|ticket| Input::CaseAct { case, act, actor, bulk, ticket }).await
    }

    /// What an operator says about an open question.
    ///
    /// # Errors
    /// `not-found` when it is not open, `conflict` when it takes no such act, or as [`Supervisor::act_on_step`].
    pub async fn act_on_question(
        &self,
        question: QuestionId,
        act: QuestionAct,
        actor: impl Into<Actor> + Send,
    ) -> Result<(), Problem> {
        self.act_on_question_in_bulk(question, act, actor, None).await
    }

    /// The same as a part of a bulk act.
    pub(crate) async fn act_on_question_in_bulk(
        &self,
        question: QuestionId,
        act: QuestionAct,
        actor: impl Into<Actor> + Send,
        bulk: Option<u64>,
    ) -> Result<(), Problem> {
        let actor = actor.into();
        self.ask_done(|ticket| Input::QuestionAct { question, act, actor, bulk, ticket }).await
    }

    /// What an operator says of a name that a rulebook does not know.
    ///
    /// # Errors
    /// `not-found` when no such rulebook is active or nothing was said that could be taken back, `conflict` when the
    /// rulebook declares the name, or as [`Supervisor::act_on_step`].
    pub async fn act_on_stranger(
        &self,
        rulebook: &str,
        action: ActionName,
        act: StrangerAct,
        actor: impl Into<Actor> + Send,
    ) -> Result<NotSeenBy, Problem> {
        let (rulebook, actor) = (rulebook.into(), actor.into());
        self.set(|ticket| Input::StrangerAct { rulebook, action, act, actor, ticket }).await
    }

    /// Holds a rulebook or one of its rules, so that nothing that it asks for is sent, or releases it. Durable, and
    /// whatever the version.
    ///
    /// # Errors
    /// `not-found` when there is no such rulebook or rule, `conflict` when a rule is to be released whose rulebook is
    /// held as a whole, or as [`Supervisor::report`].
    pub async fn hold_rule(
        &self,
        scope: HoldScope,
        held: bool,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NotSeenBy, Problem> {
        let (actor, reason) = (actor.into(), reason.into());
        self.set(|ticket| Input::HoldRule { scope, held, actor, reason, ticket }).await
    }

    /// What people hold, by rulebook and rule; of one rulebook, if its name is given.
    #[must_use]
    pub fn rule_holds(&self, rulebook: Option<&str>) -> Vec<RuleHoldView> {
        let holds = self.shared().rule_holds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut views: Vec<RuleHoldView> = holds.iter().map(|hold| rule_hold(hold)).collect();
        views.retain(|hold| rulebook.is_none_or(|name| hold.rulebook == name));
        views
    }

    /// Writes into the audit what a person did outside of the engine.
    ///
    /// # Errors
    /// As [`Supervisor::report`].
    pub async fn audit(
        &self,
        act: AuditActName,
        actor: impl Into<Actor> + Send,
        reason: &str,
        detail: serde_json::Value,
    ) -> Result<(), Problem> {
        let (actor, reason) = (actor.into(), reason.into());
        self.ask_done(|ticket| Input::Audit { act, actor, reason, detail, ticket }).await
    }

    /// Sets limits of a service in place of the rulebook's; what is absent is the rulebook's again. Durable.
    ///
    /// # Errors
    /// `not-found` when no active rulebook knows the service, `invalid-request`, or as [`Supervisor::report`].
    pub async fn limit(
        &self,
        service: &str,
        limits: NewLimits,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NotSeenBy, Problem> {
        let (service, actor, reason) = (service.into(), actor.into(), reason.into());
        self.set(|ticket| Input::Limit { service, limits, actor, reason, ticket }).await
    }

    /// Stops or resumes sending to a service, for a maintenance window. Durable.
    ///
    /// # Errors
    /// `not-found` when no active rulebook knows the service, or as [`Supervisor::report`].
    pub async fn pause(
        &self,
        service: &str,
        paused: bool,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NotSeenBy, Problem> {
        let (service, actor, reason) = (service.into(), actor.into(), reason.into());
        self.set(|ticket| Input::Pause { service, paused, actor, reason, ticket }).await
    }

    /// A saga announces itself with a deadline. Said again, it changes nothing.
    ///
    /// # Errors
    /// As [`Supervisor::report`].
    pub async fn begin_saga(&self, begin: SagaBegin) -> Result<SagaRow, Problem> {
        let told = SagaRow::begun(begin.clone());
        match self.ask(|ticket| Input::SagaBegan { begin, ticket }).await? {
            Answer::Announced(row) => Ok(*row),
            Answer::Posted(_) => Ok(told),
            // Another node has done it, and what it knows is in the store.
            Answer::Done => {
                let known = self.store.saga(&told.saga).await.map_err(store_problem)?;
                Ok(known.unwrap_or(told))
            }
            other => Err(refusal(other)),
        }
    }

    /// A saga says that it has ended well, in the line of its sender. Said again, it changes nothing.
    ///
    /// # Errors
    /// `not-found` when it never began, or as [`Supervisor::report`].
    pub async fn end_saga(&self, saga: SagaId, sender: Arc<str>) -> Result<(), Problem> {
        let line = Some(Source::Outcomes(sender));
        match self.ask_in(line, |ticket| Input::SagaEnded { saga, ticket }).await? {
            Answer::Done | Answer::Posted(_) => Ok(()),
            other => Err(refusal(other)),
        }
    }

    /// Stores a rulebook version and makes it the one that new cases are planned with.
    ///
    /// # Errors
    /// `conflict` when one of its services belongs to another active rulebook, or when it drops what open cases still
    /// need, or as [`Supervisor::report`].
    pub async fn activate(
        &self,
        rulebook: Arc<Rulebook>,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NotSeenBy, Problem> {
        self.activate_as(Replaces::Any, false, rulebook, actor, reason).await
    }

    /// As [`Supervisor::activate`], but only if it takes the place of the version that a person compared it with.
    pub(crate) async fn activate_over(
        &self,
        compared: Option<Arc<str>>,
        rulebook: Arc<Rulebook>,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NotSeenBy, Problem> {
        self.activate_as(Replaces::Exactly(compared), false, rulebook, actor, reason).await
    }

    /// As [`Supervisor::activate`], with what a file says: that it was taken is in the same commit.
    pub(crate) async fn activate_file(
        &self,
        rulebook: Arc<Rulebook>,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NotSeenBy, Problem> {
        self.activate_as(Replaces::Any, true, rulebook, actor, reason).await
    }

    async fn activate_as(
        &self,
        replaces: Replaces,
        from_file: bool,
        rulebook: Arc<Rulebook>,
        actor: impl Into<Actor> + Send,
        reason: &str,
    ) -> Result<NotSeenBy, Problem> {
        let (actor, reason) = (actor.into(), reason.into());
        let activation = Box::new(Activation { rulebook, actor, reason, from_file, replaces });
        self.set(|ticket| Input::Activate { activation, ticket }).await
    }

    /// The versions that new cases are planned with.
    #[must_use]
    pub fn active_books(&self) -> Vec<Arc<Rulebook>> {
        self.inner.shared.books.lock().unwrap_or_else(PoisonError::into_inner).to_vec()
    }

    /// What can't be worked on.
    #[must_use]
    pub(crate) fn quarantine(&self) -> Arc<Quarantine> {
        let shown = &self.inner.shared.quarantine;
        Arc::clone(&shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a case out of quarantine, repaired or given up.
    ///
    /// # Errors
    /// `conflict` when it is not quarantined or has got reports meanwhile, `invalid-request` when its rows can't be
    /// used, or as [`Supervisor::report`].
    pub(crate) async fn mend(&self, mend: Mend) -> Result<(), Problem> {
        let mend = Box::new(mend);
        self.ask_done(|ticket| Input::Mend { mend, ticket }).await
    }

    /// Has business data go for good; says which erasure it is. Where nodes share the store, those that hold the sagas
    /// do so a moment later.
    ///
    /// # Errors
    /// `not-found` when a saga is unknown, `conflict` when a case is not settled (unless its data go as soon as it
    /// is) or is quarantined, or as [`Supervisor::report`].
    pub(crate) async fn erase(&self, erase: Erase) -> Result<u64, Problem> {
        let erase = Box::new(erase);
        match self.ask(|ticket| Input::Erase { erase, ticket }).await? {
            Answer::Erased(number) => Ok(number),
            Answer::Posted(letter) => Err(unavailable(&format!(
                "the node that keeps the list of erasures has yet to take it; it will be done (letter {letter}), and asked for again it is done twice, which harms nothing"
            ))),
            other => Err(refusal(other)),
        }
    }

    /// What happens, as it happens.
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.inner.shared.observers.events.clone()
    }

    /// The numbers that Prometheus reads.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.shared.observers.metrics
    }

    /// Where finished spans go.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.inner.shared.observers.traces
    }

    /// Where what people should hear of goes.
    pub(crate) fn alerts(&self) -> &Alerts {
        &self.inner.shared.observers.alerts
    }

    /// Inputs that wait for the loop.
    pub(crate) fn queued_inputs(&self) -> usize {
        self.inner.mailbox.arrivals.len()
    }

    /// The store, for reading.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Whether all open cases are loaded and the store took the last batch.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.inner.shared.ready.load(Ordering::Acquire) && !*self.inner.mailbox.stop.borrow()
    }

    /// Asks the loop to end in order: takes nothing more, finishes what is under way. Wait on the driver's handle.
    pub fn stop(&self) {
        self.inner.mailbox.stop.send_replace(true);
    }

    /// How supervisor time and the wall clock lie to each other now.
    pub(crate) fn on_the_wall(&self) -> OnTheWall {
        OnTheWall { ahead_ms: self.inner.shared.clock.ahead_ms(), now: SystemClock.now() }
    }

    /// What the loop shares with those who look.
    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// Puts a question about open work to the loop and waits for the answer.
    pub(crate) async fn inquire<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> OpenCaseQuery,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.inner.mailbox.questions.send(question(reply)).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(QUESTION_LIMIT, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(unavailable("the store failed or the supervisor is stopping")),
            Err(_) => Err(unavailable("the supervisor is busy with its store; try again shortly")),
        }
    }

    /// Whoever reports is told to come later while the node that works on its saga has far too much to read.
    fn is_crowded_for(&self, input: &Input) -> Option<Problem> {
        let saga = match input {
            Input::Report { report, .. } => &report.saga_id,
            Input::SagaBegan { begin, .. } => &begin.saga_id,
            Input::SagaEnded { saga, .. } => saga,
            _ => return None,
        };
        let crowded = self.inner.shared.crowded.lock().unwrap_or_else(PoisonError::into_inner);
        crowded.contains(&Partition::of(saga)).then(|| {
            let why = "too many letters wait for whoever works on this saga; try again shortly";
            Problem::new(ProblemCode::Overloaded, why)
        })
    }

    /// Whether an active rulebook has a service of this name.
    fn knows(&self, service: &str) -> bool {
        let books = self.inner.shared.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.iter().any(|book| book.service(service).is_some())
    }

    async fn ask_done(&self, input: impl FnOnce(Ticket) -> Input) -> Result<(), Problem> {
        self.set(input).await.map(drop)
    }

    /// What concerns all sagas: who among the nodes goes by it yet is told.
    async fn set(&self, input: impl FnOnce(Ticket) -> Input) -> Result<NotSeenBy, Problem> {
        let answer = self.ask(input).await?;
        self.done(answer).await
    }

    async fn ask(&self, input: impl FnOnce(Ticket) -> Input) -> Result<Answer, Problem> {
        self.ask_in(None, input).await
    }

    /// In this line, or in the one that the input itself tells.
    async fn ask_in(
        &self,
        line: Option<Source>,
        input: impl FnOnce(Ticket) -> Input,
    ) -> Result<Answer, Problem> {
        // The loop may not have noticed yet.
        if *self.inner.mailbox.stop.borrow() {
            return Err(unavailable("the supervisor is stopping"));
        }
        let ticket = self.inner.tickets.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let input = without_secrets(self.withheld(), input(ticket));
        if let Some(crowded) = self.is_crowded_for(&input) {
            return Err(crowded);
        }
        let source = line.unwrap_or_else(|| Source::of(&input, |service| self.knows(service)));
        let arrivals = &self.inner.mailbox.arrivals;
        arrivals.send(&source, Arrival { input, reply }).map_err(|why| match why {
            NotTaken::NoRoom(NoRoom::Full) => Problem::new(
                ProblemCode::Overloaded,
                "the supervisor's queue is full; try again shortly",
            ),
            NotTaken::NoRoom(NoRoom::ShareUsed(waiting)) => Problem::new(
                ProblemCode::Overloaded,
                format!("{waiting} of {source} wait already, and the rest of the supervisor's queue is for others; try again shortly"),
            ),
            NotTaken::Closed => unavailable("the supervisor is stopping"),
        })?;
        answer.await.map_err(|_| {
            unavailable("the store failed or the supervisor is stopping; nothing was taken")
        })
    }
}

fn unavailable(why: &str) -> Problem {
    Problem::new(ProblemCode::Unavailable, why)
}
