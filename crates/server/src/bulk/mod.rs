//! Bulk acts: one act on a frozen set, let out in a ramp, and stopped by itself when it does not help. It decides
//! nothing about cases: each act goes the way of a single one, and is in the audit with the bulk act's id.
//!
//! A bulk act is durable. A restart of the supervisor leaves it stopped, and so does a move of the seat where nodes
//! share a store: nobody may be looking any more, and what its last wave met is not known. Started again, it goes on
//! with what is left, from the smallest wave.
//!
//! Whatever ends or stops it without a person, the supervisor itself writes into the audit, which is an event too: no
//! page that is open goes on showing it as running.

mod preview;
mod ramp;
mod targets;

pub(crate) use preview::{Found, Purpose, preview};
pub(crate) use targets::{MOST_TARGETS, Targets};

use crate::clock::{Clock, SystemClock};
use crate::faults::store_problem;
use crate::supervisor::Supervisor;
use amends_api::{AuditActName, BulkProgress, BulkState, BulkView};
use amends_engine::{Actor, SUPERVISOR};
use amends_protocol::{CaseId, Problem, ProblemCode, StepId};
use amends_store::{BulkRow, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// Bulk acts that are listed, and held in memory.
pub(crate) const LISTED: usize = 100;
/// Bulk acts that run side by side: more would hide from each other what they do to a service.
const RUNNING: usize = 8;

/// One bulk act.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) view: Mutex<BulkView>,
    /// Somebody lets it out. INVARIANT: never two at once, or each would act on what the other has done.
    busy: AtomicBool,
}

/// The right to let a bulk act out; given back when dropped, also by a panic.
struct Turn(Arc<Job>);

impl Turn {
    fn take(job: &Arc<Job>) -> Option<Self> {
        let was_busy = job.busy.swap(true, Ordering::AcqRel);
        (!was_busy).then(|| Self(Arc::clone(job)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Job {
    fn new(number: u64, view: BulkView) -> Arc<Self> {
        Arc::new(Self { number, view: Mutex::new(view), busy: AtomicBool::new(false) })
    }

    pub(crate) fn view(&self) -> BulkView {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who made it.
    fn actor(&self) -> Actor {
        self.change(|view| Actor {
            name: view.actor.as_str().into(),
            principal: view.principal.as_deref().map(Into::into),
            address: view.address.as_deref().map(Into::into),
        })
    }

    /// Changes what is known of it.
    fn change<T>(&self, change: impl FnOnce(&mut BulkView) -> T) -> T {
        change(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_wanted(&self) -> bool {
        self.change(|view| view.state == BulkState::Running)
    }

    /// So many of its wave have no answer yet. False if it was stopped: nobody waits for them any more, and nothing
    /// that is shown of it changes after that.
    fn waits_for(&self, answers: usize) -> bool {
        self.change(|view| {
            let is_wanted = view.state == BulkState::Running;
            if is_wanted {
                view.progress.waiting = answers as u64;
            }
            is_wanted
        })
    }

    /// It lets nothing more go, and its last wave has not come to its end: it can't be started yet.
    pub(crate) fn is_ending(&self) -> bool {
        !self.is_wanted() && self.busy.load(Ordering::Acquire)
    }
}

/// Bulk acts by number.
type Jobs = Mutex<BTreeMap<u64, Arc<Job>>>;

/// The bulk acts of one supervisor; clones share them. Where nodes share a store, the one that holds the seat lets them
/// out; the others show what is stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bulks {
    /// Read from the store when they are first asked for, and anew once the seat has been elsewhere.
    jobs: Arc<Mutex<Arc<OnceCell<Jobs>>>>,
}

impl Bulks {
    /// Newest first.
    pub(crate) async fn list<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
    ) -> Result<Vec<BulkView>, Problem> {
        let jobs = self.jobs(supervisor).await?;
        Ok(all(&jobs).values().rev().map(|job| job.view()).collect())
    }

    /// One by its number.
    pub(crate) async fn job<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        number: u64,
    ) -> Result<Arc<Job>, Problem> {
        let jobs = self.jobs(supervisor).await?;
        all(&jobs).get(&number).cloned().ok_or_else(|| {
            let detail =
                format!("there is no bulk act `b-{number}` among the newest {LISTED}; the audit has its acts");
            Problem::new(ProblemCode::NotFound, detail)
        })
    }

    /// Keeps a new one, frozen.
    pub(crate) async fn make<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        mut view: BulkView,
        targets: &Targets,
    ) -> Result<Arc<Job>, Problem> {
        if let Some(elsewhere) = elsewhere(supervisor) {
            return Err(elsewhere);
        }
        let jobs = self.jobs(supervisor).await?;
        let job = {
            let mut jobs = all(&jobs);
            let number = jobs.last_key_value().map_or(1, |(last, _)| last + 1);
            view.id = Some(format!("b-{number}"));
            let job = Job::new(number, view);
            jobs.insert(number, Arc::clone(&job));
            while jobs.len() > LISTED {
                let over = jobs.iter().find(|(_, job)| !job.is_wanted()).map(|(n, _)| *n);
                let Some(over) = over else { break };
                jobs.remove(&over);
            }
            job
        };
        let ids = serde_json::to_string(targets).unwrap_or_default();
        if let Err(problem) = keep(supervisor, &job, ids).await {
            all(&jobs).remove(&job.number);
            return Err(problem);
        }
        Ok(job)
    }

    /// What one is about.
    pub(crate) async fn targets<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        number: u64,
    ) -> Result<Targets, Problem> {
        let row = supervisor.store().bulk(number).await.map_err(store_problem)?;
        let targets: Option<Targets> = row.and_then(|row| serde_json::from_str(&row.ids).ok());
        targets.ok_or_else(|| {
            Problem::new(ProblemCode::NotFound, "what this bulk act is about is no longer stored")
        })
    }

    /// Lets one go, or go on.
    pub(crate) async fn start<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        job: &Arc<Job>,
        actor: &Actor,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        if let Some(elsewhere) = elsewhere(supervisor) {
            return Err(elsewhere);
        }
        let targets = self.targets(supervisor, job.number).await?;
        let Some(turn) = Turn::take(job) else {
            return Err(conflict("it is running, or its last wave is still coming to its end"));
        };
        let running = self.list(supervisor).await?;
        let running = running.iter().filter(|view| view.state == BulkState::Running).count();
        let now = SystemClock.now();
        let before = job
            .change(|view| match view.state {
                BulkState::Preview | BulkState::Stopped if running < RUNNING => {
                    let before = view.state;
                    view.state = BulkState::Running;
                    (view.why, view.ended_at, view.started_at) = (None, None, Some(now));
                    Ok(before)
                }
                BulkState::Preview | BulkState::Stopped => {
                    Err("too many bulk acts are running already; wait for one, or stop one")
                }
                BulkState::Running => Err("it is running already"),
                BulkState::Done => Err("it is done; make another one for what is left open"),
            })
            .map_err(conflict)?;
        let begun = note(supervisor, job, AuditActName::BulkStart, actor, reason).await;
        if let Err(problem) = begun {
            job.change(|view| view.state = before);
            let _ = keep(supervisor, job, String::new()).await; // what is stored counts after a restart only
            return Err(problem);
        }
        let supervisor = supervisor.clone();
        tokio::spawn(async move { ramp::run(&supervisor, turn, &targets).await });
        Ok(())
    }

    /// Lets nothing more go. What is out comes to its end.
    pub(crate) async fn stop<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
        job: &Arc<Job>,
        actor: &Actor,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        if let Some(elsewhere) = elsewhere(supervisor) {
            return Err(elsewhere);
        }
        let now = SystemClock.now();
        job.change(|view| match view.state {
            BulkState::Running => {
                view.state = BulkState::Stopped;
                view.why = Some(format!("stopped by {actor}"));
                view.ended_at = Some(now);
                view.progress.waiting = 0;
                Ok(())
            }
            BulkState::Preview | BulkState::Stopped | BulkState::Done => Err("it is not running"),
        })
        .map_err(conflict)?;
        note(supervisor, job, AuditActName::BulkStop, actor, reason).await
    }

    /// Reads what is stored, and says of those that the last end of the process has interrupted that they stopped.
    pub(crate) async fn resume<S: Store>(&self, supervisor: &Supervisor<S>) {
        if let Err(problem) = self.jobs(supervisor).await {
            tracing::warn!(
                detail = problem.detail,
                "bulk acts can't be read; they are tried again"
            );
        }
    }

    /// Nothing that is in memory repeats what services said of these cases.
    pub(crate) fn forget(&self, cases: &BTreeSet<CaseId>) {
        let jobs = Arc::clone(&self.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        for job in all(&jobs).values() {
            job.change(|view| {
                let named = view.sample.iter_mut().filter(|one| cases.contains(&one.case_id));
                named.for_each(|one| one.message = None);
                let is_of_one = |id: &str| {
                    let step = id.parse::<StepId>().ok().map(|step| step.case);
                    step.or_else(|| id.parse().ok()).is_some_and(|case| cases.contains(&case))
                };
                let failed = view.failures.iter_mut().filter(|one| is_of_one(&one.id));
                failed.for_each(|one| WITH_THE_STEP.clone_into(&mut one.detail));
            });
        }
    }

    async fn jobs<S: Store>(
        &self,
        supervisor: &Supervisor<S>,
    ) -> Result<Arc<OnceCell<Jobs>>, Problem> {
        if !supervisor.holds_the_seat() {
            *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
            let stored = stored(supervisor).await?;
            return Ok(Arc::new(OnceCell::new_with(Some(Mutex::new(stored)))));
        }
        let jobs = Arc::clone(&self.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        jobs.get_or_try_init(|| load(supervisor)).await?;
        Ok(jobs)
    }
}

/// Those that have been read.
fn all(jobs: &OnceCell<Jobs>) -> MutexGuard<'_, BTreeMap<u64, Arc<Job>>> {
    static NONE: Jobs = Mutex::new(BTreeMap::new());
    jobs.get().unwrap_or(&NONE).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bulk acts are another's to let out.
fn elsewhere<S: Store>(supervisor: &Supervisor<S>) -> Option<Problem> {
    if supervisor.holds_the_seat() {
        return None;
    }
    let what = "bulk acts are let out by the supervisor that holds the seat";
    Some(match supervisor.seat_at() {
        Some(node) => conflict(format!("{what}: ask `{node}`")),
        None => Problem::new(ProblemCode::Unavailable, format!("{what}, which moves just now")),
    })
}

/// As they are stored.
async fn stored<S: Store>(supervisor: &Supervisor<S>) -> Result<BTreeMap<u64, Arc<Job>>, Problem> {
    let rows = supervisor.store().bulks(LISTED).await.map_err(store_problem)?;
    // One that a newer version wrote is left alone.
    let read =
        |row: BulkRow| Some((row.id, Job::new(row.id, serde_json::from_str(&row.state).ok()?)));
    Ok(rows.into_iter().filter_map(read).collect())
}

async fn load<S: Store>(supervisor: &Supervisor<S>) -> Result<Jobs, Problem> {
    let jobs = stored(supervisor).await?;
    let before = match supervisor.store().is_shared() {
        true => "the seat has gone to another node, or the supervisor was restarted",
        false => "the supervisor was restarted",
    };
    for job in jobs.values().filter(|job| job.is_wanted()) {
        job.change(|view| {
            view.state = BulkState::Stopped;
            view.why = Some(format!("{before}; start it again to go on"));
            view.ended_at = Some(SystemClock.now());
            view.progress.waiting = 0;
        });
        // Told before it is stored: should the process end in between, it is told once more, and never not at all.
        tell(supervisor, job).await?;
        keep(supervisor, job, String::new()).await?;
    }
    Ok(Mutex::new(jobs))
}

/// A person's word about it, with what is known of it by then.
async fn note<S: Store>(
    supervisor: &Supervisor<S>,
    job: &Job,
    act: AuditActName,
    actor: impl Into<Actor> + Send,
    reason: Option<String>,
) -> Result<(), Problem> {
    keep(supervisor, job, String::new()).await?;
    let view = job.view();
    let reason = reason.as_deref().unwrap_or(&view.reason);
    supervisor.audit(act, actor, reason, standing(&view)).await
}

/// The supervisor's own word about one that nothing more comes of: an entry of the audit, and by it an event.
async fn tell<S: Store>(supervisor: &Supervisor<S>, job: &Job) -> Result<(), Problem> {
    let view = job.view();
    let is_done = view.state == BulkState::Done;
    let act = if is_done { AuditActName::BulkEnd } else { AuditActName::BulkStop };
    let why = view.why.clone().unwrap_or_else(|| "nothing is left".to_owned());
    supervisor.audit(act, SUPERVISOR, &why, standing(&view)).await
}

fn standing(view: &BulkView) -> serde_json::Value {
    let BulkProgress { succeeded, failed, unchanged, left, .. } = view.progress;
    serde_json::json!({
        "bulk": view.id, "act": view.act, "matched": view.matched, "succeeded": succeeded, "failed": failed,
        "unchanged": unchanged, "left": left,
    })
}

/// What stands in the store in place of what a service said.
const WITH_THE_STEP: &str = "what it said is with the step";

/// As it is stored: what services said is with the steps, where an erasure finds it, and nowhere else.
fn as_stored(view: &BulkView) -> BulkView {
    let mut view = view.clone();
    view.sample.iter_mut().for_each(|sample| sample.message = None);
    view.failures.iter_mut().for_each(|failure| WITH_THE_STEP.clone_into(&mut failure.detail));
    view
}

/// Makes what is known of it durable.
async fn keep<S: Store>(supervisor: &Supervisor<S>, job: &Job, ids: String) -> Result<(), Problem> {
    let state = serde_json::to_string(&as_stored(&job.view())).unwrap_or_default();
    let row = BulkRow { id: job.number, ids, state };
    supervisor.store().put_bulk(row).await.map_err(store_problem)
}

fn conflict(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::Conflict, detail)
}
