//! Lets a bulk act out in waves of 1, 5, 20, 100 and then 500. The next wave goes only when every step of the last one
//! has its answer. It stops by itself when more than a fifth of a wave failed again, or when a wave has had no answer for
//! two minutes. Everything that it knows is durable after each wave.

use super::{Job, Targets, Turn, keep, tell};
use crate::clock::{Clock, SystemClock};
use crate::faults::store_problem;
use crate::supervisor::Supervisor;
use amends_api::{BulkActName, BulkFailure, BulkState, CaseAct, QuestionAct, StepAct};
use amends_engine::{StepRow, StepState};
use amends_protocol::{Problem, StepId};
use amends_store::{PageRequest, StepFilter, Store};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Sizes of the waves; the last one repeats. Small first: one answer tells whether it helps at all.
const WAVES: [usize; 5] = [1, 5, 20, 100, 500];
/// It stops when more than one in so many of a wave failed again.
const TOLERANCE: usize = 5;
/// How long a wave may go without any answer: longer than a slow service takes, shorter than people's patience.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between looks at a wave that is out.
const LOOK: Duration = Duration::from_millis(100);
/// Acts that wait at the same time: enough to fill one commit, few enough to leave the queue to reports.
const ACTS_AT_ONCE: usize = 256;
/// How often an act is tried when the supervisor's queue is full, with a pause in between.
const TRIES: u32 = 50;
/// Failures that are listed.
const FAILURES: usize = 100;

/// Why it ends before everything is done.
struct Stop(String);

pub(super) async fn run<S: Store>(supervisor: &Supervisor<S>, turn: Turn, targets: &Targets) {
    let job = Arc::clone(&turn.0);
    let job = &*job;
    let ended = waves(supervisor, job, targets).await;
    // Before it is seen to stand, so that whoever sees it can start it again.
    drop(turn);
    let ended_by_itself = job.change(|view| {
        // Whoever stopped it by hand has said why.
        if view.state != BulkState::Running {
            return false;
        }
        view.ended_at = Some(SystemClock.now());
        view.progress.waiting = 0;
        (view.state, view.why) = match ended {
            Ok(()) => (BulkState::Done, None),
            Err(Stop(why)) => (BulkState::Stopped, Some(why)),
        };
        true
    });
    // What was not told is not stored either: the next start finds it as running, and tells of it then.
    if ended_by_itself
        && let Err(Stop(why)) = act_on(supervisor, || tell(supervisor, job)).await.and_then(refused)
    {
        tracing::warn!(why, "how a bulk act ended could not be told");
        return;
    }
    if let Err(problem) = keep(supervisor, job, String::new()).await {
        tracing::warn!(detail = problem.detail, "how a bulk act ended could not be stored");
    }
}

fn refused(told: Result<(), Problem>) -> Result<(), Stop> {
    told.map_err(stop_by)
}

async fn waves<S: Store>(
    supervisor: &Supervisor<S>,
    job: &Job,
    targets: &Targets,
) -> Result<(), Stop> {
    for wave in 0.. {
        let (act, left) = job.change(|view| (view.act, view.progress.left as usize));
        let from = targets.len().saturating_sub(left);
        let size = WAVES[wave.min(WAVES.len() - 1)].min(left);
        if size == 0 || !job.is_wanted() {
            break;
        }
        job.change(|view| view.progress.wave += 1);
        let failed = match targets {
            Targets::Steps(ids) => {
                let some = &ids[from..from + size];
                steps(supervisor, job, act, some).await?
            }
            Targets::Cases(ids) => {
                for case in &ids[from..from + size] {
                    let reason = job.view().reason;
                    let acted = act_on(supervisor, || {
                        let act = CaseAct::replan(reason.clone());
                        let actor = job.actor();
                        async move {
                            let bulk = Some(job.number);
                            supervisor.act_on_case_in_bulk(*case, act, &actor, bulk).await
                        }
                    });
                    note(job, &case.to_string(), acted.await?);
                }
                0
            }
            Targets::Questions(ids) => {
                for question in &ids[from..from + size] {
                    let reason = job.view().reason;
                    let acted = act_on(supervisor, || {
                        let act = QuestionAct::Accept { reason: reason.clone() };
                        let actor = job.actor();
                        async move {
                            let bulk = Some(job.number);
                            supervisor.act_on_question_in_bulk(*question, act, &actor, bulk).await
                        }
                    });
                    note(job, &question.to_string(), acted.await?);
                }
                0
            }
        };
        keep(supervisor, job, String::new()).await.map_err(stop_by)?;
        if failed * TOLERANCE > size {
            let last =
                job.view().failures.pop().map_or(String::new(), |f| format!(": {}", f.detail));
            return Err(Stop(format!("{failed} of {size} failed again{last}")));
        }
    }
    Ok(())
}

/// One wave of steps: acts on each, then waits for the answers. Says how many failed again.
async fn steps<S: Store>(
    supervisor: &Supervisor<S>,
    job: &Job,
    act: BulkActName,
    wave: &[StepId],
) -> Result<usize, Stop> {
    let before = read(supervisor, wave).await?;
    let (reason, actor) = (job.view().reason, job.actor());
    let mut out: BTreeMap<StepId, u32> = BTreeMap::new();
    for some in wave.chunks(ACTS_AT_ONCE) {
        let each = some.iter().map(|step| {
            act_on(supervisor, || {
                let act = step_act(act, reason.clone());
                supervisor.act_in_bulk(*step, act, &actor, Some(job.number))
            })
        });
        for (step, acted) in some.iter().zip(join_all(each).await) {
            let acted = acted?;
            if acted.is_ok() && act != BulkActName::Waive {
                out.insert(*step, before.get(step).map_or(0, |step| step.attempts));
                job.change(|view| view.progress.left -= 1);
            } else {
                note(job, &step.to_string(), acted);
            }
        }
    }
    answers(supervisor, job, out).await
}

fn step_act(act: BulkActName, reason: String) -> StepAct {
    match act {
        // Cases are replanned and questions accepted, never steps.
        BulkActName::Retry | BulkActName::Replan | BulkActName::Accept => StepAct::retry(reason),
        BulkActName::Waive => StepAct::Waive { reason },
        BulkActName::Approve => StepAct::Approve { reason },
    }
}

/// Waits until each step that went out has an answer.
async fn answers<S: Store>(
    supervisor: &Supervisor<S>,
    job: &Job,
    mut out: BTreeMap<StepId, u32>,
) -> Result<usize, Stop> {
    let (mut failed, mut heard) = (0, SystemClock.monotonic());
    while !out.is_empty() {
        if !job.waits_for(out.len()) {
            return Ok(failed);
        }
        let ids: Vec<StepId> = out.keys().copied().collect();
        let rows = read(supervisor, &ids).await?;
        for (step, attempts) in out.clone() {
            let Some(answer) = rows.get(&step).map_or(Some(Ok(())), |row| answer(row, attempts))
            else {
                continue;
            };
            out.remove(&step);
            heard = SystemClock.monotonic();
            match answer {
                Ok(()) => job.change(|view| view.progress.succeeded += 1),
                Err(why) => {
                    failed += 1;
                    job.change(|view| view.progress.failed += 1);
                    list(job, &step.to_string(), why);
                }
            }
        }
        if out.is_empty() {
            break;
        }
        if !goes_on(supervisor) {
            return Err(Stop("the supervisor stopped, or has given up the seat".to_owned()));
        }
        if SystemClock.monotonic().saturating_sub(heard) > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(Stop(format!(
                "{} of the wave had no answer for {seconds} seconds; is their service there, and not paused?",
                out.len()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    job.change(|view| view.progress.waiting = 0);
    Ok(failed)
}

/// What a step has met since it was acted on; none while that is not known.
fn answer(step: &StepRow, attempts_before: u32) -> Option<Result<(), String>> {
    let why = || step.extra.message.clone().unwrap_or_else(|| "no answer".to_owned());
    match &step.state {
        StepState::Done(_) | StepState::Accepted { .. } | StepState::Superseded => Some(Ok(())),
        // It was approved before its stage: there is nothing to wait for.
        StepState::Waiting | StepState::Shadow => Some(Ok(())),
        StepState::Stuck(_) => Some(Err(why())),
        StepState::Due(_) if step.attempts > attempts_before => Some(Err(why())),
        StepState::Due(_) | StepState::InFlight => None,
    }
}

fn goes_on<S: Store>(supervisor: &Supervisor<S>) -> bool {
    supervisor.is_ready() && supervisor.holds_the_seat()
}

/// Acts once; waits when the queue is full. The inner error is a refusal of this one act.
async fn act_on<S: Store, F: Future<Output = Result<(), Problem>>>(
    supervisor: &Supervisor<S>,
    mut act: impl FnMut() -> F,
) -> Result<Result<(), Problem>, Stop> {
    for _ in 0..TRIES {
        match act().await {
            Err(problem) if problem.retryable == Some(true) && goes_on(supervisor) => {
                tokio::time::sleep(LOOK).await;
            }
            Err(problem) if problem.retryable == Some(true) => return Err(stop_by(problem)),
            other => return Ok(other),
        }
    }
    Err(Stop("the supervisor's queue stays full; start it again later".to_owned()))
}

/// Takes note of an act that has no answer to wait for.
fn note(job: &Job, id: &str, acted: Result<(), Problem>) {
    job.change(|view| {
        view.progress.left = view.progress.left.saturating_sub(1);
        match &acted {
            Ok(()) => view.progress.succeeded += 1,
            Err(_) => view.progress.unchanged += 1,
        }
    });
    if let Err(problem) = acted {
        list(job, id, problem.detail.unwrap_or(problem.title));
    }
}

fn list(job: &Job, id: &str, detail: String) {
    job.change(|view| {
        // The latest are kept: they say how it goes now.
        if view.failures.len() == FAILURES {
            view.failures.remove(0);
        }
        view.failures.push(BulkFailure { id: id.to_owned(), detail });
    });
}

async fn read<S: Store>(
    supervisor: &Supervisor<S>,
    ids: &[StepId],
) -> Result<BTreeMap<StepId, StepRow>, Stop> {
    let filter = StepFilter { ids: Some(ids.to_vec()), ..StepFilter::default() };
    let page = PageRequest::first(u32::try_from(ids.len()).unwrap_or(u32::MAX));
    let found = supervisor.store().steps(filter, page).await;
    let found = found.map_err(|error| stop_by(store_problem(error)))?;
    Ok(found.items.into_iter().map(|listed| (listed.step.id, listed.step)).collect())
}

fn stop_by(problem: Problem) -> Stop {
    Stop(problem.detail.unwrap_or(problem.title))
}
