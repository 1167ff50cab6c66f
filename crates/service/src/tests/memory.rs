//! A store in memory that behaves like PostgreSQL under `READ COMMITTED` with the saga's advisory lock: every statement
//! sees what is committed when it runs, and its own transaction's changes; a second insert of a key waits for the first
//! transaction. Before every statement, and around every commit, others may come in between.
//!
//! A transaction that holds its saga's lock is alone with the rows of the saga, so that what others do between two of its
//! statements is the same as if they did it before or after. With [`Grain::Transaction`] such a transaction is therefore
//! one step, unless it looks at something that is not the saga's.

use super::schedule::{Ways, pause};
use crate::config::KitError;
use crate::store::{
    BoxFuture, CallRow, Claimed, Fence, HistoryStore, HistoryTx, NewRequest, OutgoingReport,
    ReportRow, ReportState, RequestRow, StepRow, StoredAnswer, StoredStanding, Unfinished,
    state_of,
};
use amends_protocol::{Evidence, HistoryState, SagaId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// What is committed; the last two are the host's own tables.
#[derive(Clone, Default)]
pub struct World {
    pub requests: Vec<RequestRow>,
    pub fences: BTreeMap<(SagaId, String), u64>,
    pub calls: Vec<(CallRow, HistoryState)>,
    pub steps: Vec<StepRow>,
    pub notices: Vec<(SagaId, String)>,
    pub outbox: Vec<ReportRow>,
    /// Requests and the runs that wrote them.
    pub effects: Vec<(String, i64)>,
    pub undone: Vec<String>,
}

/// Where others may come in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grain {
    /// Before every statement.
    #[default]
    Statement,
    /// Before every statement of a transaction that holds no lock, and before one that does as a whole.
    Transaction,
}

/// What becomes of the answer to the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Comes,
    /// It is lost, after the commit or instead of it.
    IsLost {
        committed: bool,
    },
}

#[derive(Default)]
struct Shared {
    world: World,
    locks: HashMap<SagaId, u64>,
    /// Keys of inserts that are not committed.
    inserting: HashMap<String, u64>,
    transactions: u64,
    releases: u64,
    is_blocked: bool,
    alive: HashSet<String>,
    grain: Grain,
    /// Which commit of those to come is the unlucky one, and how.
    unlucky: Option<(u32, bool)>,
}

/// The database; clones are the same one.
#[derive(Clone, Default)]
pub struct Memory {
    shared: Arc<Mutex<Shared>>,
}

impl Memory {
    pub fn new(grain: Grain) -> Self {
        let memory = Self::default();
        memory.lock().grain = grain;
        memory
    }

    /// A process's handle.
    pub fn open(&self, worker: &str) -> MemoryStore {
        self.lock().alive.insert(worker.to_owned());
        MemoryStore { memory: self.clone(), worker: worker.to_owned() }
    }

    pub fn take_for_dead(&self, worker: &str) {
        self.lock().alive.remove(worker);
    }

    /// The answer to a commit is lost, that of the commit after so many others.
    pub fn lose_answer(&self, after: u32, committed: bool) {
        self.lock().unlucky = Some((after, committed));
    }

    /// No more answers are lost.
    pub fn lose_no_answer(&self) {
        self.lock().unlucky = None;
    }

    pub fn world(&self) -> World {
        self.lock().world.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("whole")
    }
}

impl Ways for Memory {
    fn take_blocked(&self) -> bool {
        std::mem::take(&mut self.lock().is_blocked)
    }

    fn releases(&self) -> u64 {
        self.lock().releases
    }
}

/// One process's handle.
pub struct MemoryStore {
    memory: Memory,
    worker: String,
}

type Change = Box<dyn Fn(&mut World) + Send>;

/// A transaction: the changes that it has made so far.
pub struct MemoryTx {
    memory: Memory,
    worker: String,
    id: u64,
    changes: Vec<Change>,
    savepoint: Option<usize>,
    is_alone: bool,
}

impl HistoryStore for MemoryStore {
    type Tx = MemoryTx;

    fn worker(&self) -> &str {
        &self.worker
    }

    async fn write<T, E, F>(&self, saga: Option<&SagaId>, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<KitError> + Send + 'static,
    {
        let mut tx = self.begin();
        if let Some(saga) = saga {
            tx.hold(saga).await;
        }
        let value = work(&mut tx).await?;
        tx.let_others().await;
        let answer = tx.commit();
        drop(tx);
        pause().await;
        match answer {
            Answer::Comes => Ok(value),
            Answer::IsLost { .. } => {
                Err(KitError::CommitUnknown("the line went dead".to_owned()).into())
            }
        }
    }

    async fn read<T, F>(&self, work: F) -> Result<T, KitError>
    where
        F: for<'t> FnOnce(&'t mut Self::Tx) -> BoxFuture<'t, Result<T, KitError>> + Send + 'static,
        T: Send + 'static,
    {
        work(&mut self.begin()).await
    }
}

impl MemoryStore {
    fn begin(&self) -> MemoryTx {
        let mut shared = self.memory.lock();
        shared.transactions += 1;
        MemoryTx {
            memory: self.memory.clone(),
            worker: self.worker.clone(),
            id: shared.transactions,
            changes: Vec::new(),
            savepoint: None,
            is_alone: false,
        }
    }
}

impl MemoryTx {
    async fn hold(&mut self, saga: &SagaId) {
        loop {
            {
                let mut shared = self.memory.lock();
                if !shared.locks.contains_key(saga) {
                    shared.locks.insert(saga.clone(), self.id);
                    self.is_alone = shared.grain == Grain::Transaction;
                    return;
                }
                shared.is_blocked = true;
            }
            pause().await;
        }
    }

    /// Before a statement.
    pub async fn let_others(&mut self) {
        if !self.is_alone {
            pause().await;
        }
    }

    fn commit(&mut self) -> Answer {
        let mut shared = self.memory.lock();
        let answer = match shared.unlucky {
            Some((0, committed)) => {
                shared.unlucky = None;
                Answer::IsLost { committed }
            }
            Some((after, committed)) => {
                shared.unlucky = Some((after - 1, committed));
                Answer::Comes
            }
            None => Answer::Comes,
        };
        if answer != (Answer::IsLost { committed: false }) {
            for change in self.changes.drain(..) {
                change(&mut shared.world);
            }
        }
        answer
    }

    /// What a statement sees.
    fn view(&self) -> World {
        let mut world = self.memory.lock().world.clone();
        for change in &self.changes {
            change(&mut world);
        }
        world
    }

    /// One statement's change.
    pub fn change(&mut self, change: impl Fn(&mut World) + Send + 'static) {
        self.changes.push(Box::new(change));
    }

    fn change_request(
        &mut self,
        request_id: &str,
        change: impl Fn(&mut RequestRow) + Send + 'static,
    ) {
        let id = request_id.to_owned();
        self.change(move |world| {
            world.requests.iter_mut().filter(|row| row.request.request_id == id).for_each(&change);
        });
    }
}

/// A transaction that ends, however it ends, makes way.
impl Drop for MemoryTx {
    fn drop(&mut self) {
        let mut shared = self.memory.lock();
        shared.locks.retain(|_, holder| *holder != self.id);
        shared.inserting.retain(|_, holder| *holder != self.id);
        shared.releases += 1;
    }
}

type Outcome<T> = Result<T, KitError>;

fn fence(world: &World, saga: &SagaId, action: &str) -> Fence {
    Fence::when(world.fences.contains_key(&(saga.clone(), action.to_owned())))
}

impl HistoryTx for MemoryTx {
    async fn find_request(&mut self, request_id: &str) -> Outcome<Option<RequestRow>> {
        self.let_others().await;
        Ok(self.view().requests.into_iter().find(|row| row.request.request_id == request_id))
    }

    async fn insert_request(
        &mut self,
        new: &NewRequest,
        answer: Option<&StoredAnswer>,
    ) -> Outcome<bool> {
        self.let_others().await;
        loop {
            let world = self.view();
            if fence(&world, &new.saga, &new.action) == Fence::Up {
                return Ok(false);
            }
            if world.requests.iter().any(|row| row.request.request_id == new.request_id) {
                return Ok(false);
            }
            {
                let mut shared = self.memory.lock();
                if !shared.inserting.contains_key(&new.request_id) {
                    shared.inserting.insert(new.request_id.clone(), self.id);
                    break;
                }
                shared.is_blocked = true;
            }
            pause().await;
        }
        let row = RequestRow {
            request: new.clone(),
            state: state_of(answer),
            worker: self.worker.clone(),
            run: 1,
            answer: answer.cloned(),
        };
        self.change(move |world| world.requests.push(row.clone()));
        Ok(true)
    }

    async fn may_insert(&mut self, new: &NewRequest) -> Outcome<bool> {
        self.let_others().await;
        let world = self.view();
        let is_known = world.requests.iter().any(|row| row.request.request_id == new.request_id);
        Ok(!is_known && fence(&world, &new.saga, &new.action) == Fence::Down)
    }

    async fn restart_request(&mut self, request_id: &str) -> Outcome<i64> {
        self.let_others().await;
        let worker = self.worker.clone();
        self.change_request(request_id, move |row| {
            row.state = HistoryState::Started;
            row.run += 1;
            worker.clone_into(&mut row.worker);
        });
        let world = self.view();
        let row = world.requests.iter().find(|row| row.request.request_id == request_id);
        Ok(row.expect("it is there").run)
    }

    async fn end_request(
        &mut self,
        request_id: &str,
        state: HistoryState,
        answer: &StoredAnswer,
    ) -> Outcome<()> {
        self.let_others().await;
        let answer = answer.clone();
        self.change_request(request_id, move |row| {
            row.state = state;
            row.answer = Some(answer.clone());
        });
        Ok(())
    }

    async fn undo_request(&mut self, request_id: &str, state: HistoryState) -> Outcome<()> {
        self.let_others().await;
        self.change_request(request_id, move |row| row.state = state);
        Ok(())
    }

    async fn standing_of(&mut self, request_id: &str) -> Outcome<Option<StoredStanding>> {
        self.let_others().await;
        let world = self.view();
        let row = world.requests.iter().find(|row| row.request.request_id == request_id);
        Ok(row.map(|row| StoredStanding {
            state: row.state,
            worker: row.worker.clone(),
            run: row.run,
            fence: fence(&world, &row.request.saga, &row.request.action),
        }))
    }

    async fn requests_of(
        &mut self,
        saga: &SagaId,
        action: Option<&str>,
    ) -> Outcome<Vec<RequestRow>> {
        self.let_others().await;
        let mut rows = self.view().requests;
        rows.retain(|row| {
            row.request.saga == *saga && action.is_none_or(|action| row.request.action == action)
        });
        Ok(rows)
    }

    async fn unfinished(
        &mut self,
        _age_ms: u64,
        after_seq: i64,
        limit: u32,
    ) -> Outcome<Vec<Unfinished>> {
        self.let_others().await;
        let alive = self.memory.lock().alive.clone();
        let rows = self.view().requests.into_iter().zip(1_i64..);
        let left = rows.filter(|(row, seq)| {
            row.state == HistoryState::Started
                && *seq > after_seq
                && (row.worker == self.worker || !alive.contains(&row.worker))
        });
        Ok(left
            .take(limit as usize)
            .map(|(row, seq)| Unfinished {
                seq,
                request_id: row.request.request_id,
                saga: row.request.saga,
                worker: row.worker,
                run: row.run,
            })
            .collect())
    }

    async fn is_alive(&mut self, worker: &str) -> Outcome<bool> {
        pause().await;
        Ok(self.memory.lock().alive.contains(worker))
    }

    async fn fence_of(&mut self, saga: &SagaId, action: &str) -> Outcome<Fence> {
        self.let_others().await;
        Ok(fence(&self.view(), saga, action))
    }

    async fn put_fence(&mut self, saga: &SagaId, action: &str) -> Outcome<()> {
        self.let_others().await;
        let key = (saga.clone(), action.to_owned());
        self.change(move |world| {
            world.fences.entry(key.clone()).or_default();
        });
        Ok(())
    }

    async fn count_refused(&mut self, saga: &SagaId, action: &str) -> Outcome<()> {
        self.let_others().await;
        let key = (saga.clone(), action.to_owned());
        self.change(move |world| {
            world.fences.entry(key.clone()).and_modify(|refused| *refused += 1);
        });
        Ok(())
    }

    async fn begin_call(&mut self, call: &CallRow) -> Outcome<()> {
        self.let_others().await;
        let call = call.clone();
        self.change(move |world| {
            match world.calls.iter_mut().find(|(known, _)| known.call_id == call.call_id) {
                Some((_, state)) if *state == HistoryState::Succeeded => {}
                Some((_, state)) => *state = HistoryState::Started,
                None => world.calls.push((call.clone(), HistoryState::Started)),
            }
        });
        Ok(())
    }

    async fn end_call(&mut self, call_id: &str, state: HistoryState) -> Outcome<()> {
        self.let_others().await;
        let id = call_id.to_owned();
        self.change(move |world| {
            for (call, known) in &mut world.calls {
                if call.call_id == id && *known != HistoryState::Succeeded {
                    *known = state;
                }
            }
        });
        Ok(())
    }

    async fn count_calls(&mut self, saga: &SagaId, request_id: &str) -> Outcome<u64> {
        self.let_others().await;
        let world = self.view();
        let own =
            |(call, _): &&(CallRow, HistoryState)| call.saga == *saga && call.parent == request_id;
        Ok(world.calls.iter().filter(own).count() as u64)
    }

    async fn calls_of(&mut self, saga: &SagaId) -> Outcome<Vec<Evidence>> {
        self.let_others().await;
        let calls = self.view().calls.into_iter().filter(|(call, _)| call.saga == *saga);
        Ok(calls
            .map(|(call, state)| Evidence::new(call.service, call.action, call.call_id, state))
            .collect())
    }

    async fn find_step(&mut self, step_id: &str) -> Outcome<Option<StepRow>> {
        self.let_others().await;
        Ok(self.view().steps.into_iter().find(|step| step.step_id == step_id))
    }

    async fn insert_step(&mut self, step: &StepRow) -> Outcome<()> {
        self.let_others().await;
        let step = step.clone();
        self.change(move |world| {
            if world.steps.iter().all(|known| known.step_id != step.step_id) {
                world.steps.push(step.clone());
            }
        });
        Ok(())
    }

    async fn insert_notice(&mut self, saga: &SagaId, notice: &str) -> Outcome<bool> {
        self.let_others().await;
        let key = (saga.clone(), notice.to_owned());
        let is_new = !self.view().notices.contains(&key);
        if is_new {
            self.change(move |world| world.notices.push(key.clone()));
        }
        Ok(is_new)
    }

    async fn put_report(&mut self, report: &ReportRow) -> Outcome<()> {
        self.let_others().await;
        let report = report.clone();
        self.change(move |world| world.outbox.push(report.clone()));
        Ok(())
    }

    async fn claim_reports(&mut self, limit: u32, _hold_ms: u64) -> Outcome<Claimed> {
        let reports = self.view().outbox.into_iter().take(limit as usize);
        let outgoing = |report| OutgoingReport { report, happened_at_ms: 0, tries: 0 };
        Ok(Claimed { reports: reports.map(outgoing).collect(), next_in_ms: None })
    }

    async fn settle_report(
        &mut self,
        report_id: &str,
        state: ReportState,
        _error: Option<&str>,
        _pause_ms: u64,
    ) -> Outcome<()> {
        let id = report_id.to_owned();
        if state != ReportState::Pending {
            self.change(move |world| world.outbox.retain(|report| report.report_id != id));
        }
        Ok(())
    }

    async fn revive_reports(&mut self) -> Outcome<u64> {
        Ok(0)
    }

    async fn count_pending(&mut self) -> Outcome<u64> {
        Ok(self.view().outbox.len() as u64)
    }

    async fn aged_sagas(
        &mut self,
        _age_ms: u64,
        _after_seq: i64,
        _limit: u32,
    ) -> Outcome<Vec<(i64, SagaId)>> {
        Ok(Vec::new())
    }

    async fn forget(&mut self, _sagas: &[SagaId], _age_ms: u64) -> Outcome<u64> {
        Ok(0)
    }

    async fn savepoint(&mut self) -> Outcome<()> {
        self.let_others().await;
        self.savepoint = Some(self.changes.len());
        Ok(())
    }

    async fn roll_back_to_savepoint(&mut self) -> Outcome<()> {
        self.let_others().await;
        self.changes.truncate(self.savepoint.expect("there is one"));
        Ok(())
    }

    async fn release_savepoint(&mut self) -> Outcome<()> {
        self.let_others().await;
        Ok(())
    }
}
