//! A thread of its own for work that takes the processor for long, e.g. reading a rulebook of megabytes: on the threads
//! that answer everybody, a few at once would hold up reports and probes. Takes so many jobs at most, and refuses the
//! next.

use super::ApiError;
use amends_protocol::{Problem, ProblemCode};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::oneshot;

/// Jobs that may wait. The largest rulebook takes some seconds, so that the last one is answered within a minute.
const QUEUE: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// One thread, begun with its first job; clones share it. It ends when the last of them is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workshop {
    jobs: Arc<OnceLock<Mutex<SyncSender<Job>>>>,
}

impl Workshop {
    /// Does a job when its turn comes. One whose client has gone meanwhile is left out.
    ///
    /// # Errors
    /// `overloaded` when too many wait, `internal` when it ends by a fault.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (reply, done) = oneshot::channel();
        let job: Job = Box::new(move || {
            if !reply.is_closed() {
                let _ = reply.send(work()); // the client has gone just now
            }
        });
        let jobs = self.jobs.get_or_init(|| Mutex::new(begin()));
        let sent = jobs.lock().unwrap_or_else(PoisonError::into_inner).try_send(job);
        sent.map_err(|error| match error {
            TrySendError::Full(_) => Problem::new(
                ProblemCode::Overloaded,
                format!("{QUEUE} rulebooks wait to be looked at already; try again shortly"),
            ),
            TrySendError::Disconnected(_) => fault(),
        })?;
        done.await.map_err(|_| fault().into())
    }
}

fn begin() -> SyncSender<Job> {
    let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
    let work = move || {
        while let Ok(job) = queue.recv() {
            // A fault of one job is told to its client, by a reply that never comes, and ends no other.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    };
    // Without a thread nobody takes a job, and each is answered as a fault.
    if let Err(error) = std::thread::Builder::new().name("rulebooks".to_owned()).spawn(work) {
        tracing::error!(%error, "no thread can be had to look at rulebooks");
    }
    jobs
}

fn fault() -> Problem {
    Problem::new(ProblemCode::Internal, "looking at the rulebook ended by a fault; see the log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_in_turn_and_one_too_many_is_refused() {
        let workshop = Workshop::default();
        let (go, wait) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let first = workshop.clone();
        let first = tokio::spawn(async move {
            let job = move || {
                let _ = begun.send(());
                wait.recv().is_ok()
            };
            first.run(job).await
        });
        has_begun.await.expect("it began");
        let mut waiting = tokio::task::JoinSet::new();
        for n in 0..QUEUE {
            let workshop = workshop.clone();
            waiting.spawn(async move { workshop.run(move || n).await });
        }
        // Each of them has queued once it has been polled; none can end before the first has.
        let refused = loop {
            match tokio::time::timeout(std::time::Duration::from_millis(1), workshop.run(|| 0))
                .await
            {
                Ok(refused) => break refused,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(refused.expect_err("too many").status(), 429);
        go.send(()).expect("it waits");
        assert_eq!(first.await.expect("no fault"), Ok(true));
        let mut done = waiting.join_all().await.into_iter().flatten().count();
        done += usize::from(workshop.run(|| ()).await.is_ok());
        assert!(done > 0, "the queue moves on");
    }

    #[tokio::test]
    async fn a_job_that_ends_by_a_fault_ends_no_other() {
        let workshop = Workshop::default();
        let failed = workshop.run::<()>(|| panic!("on purpose")).await;
        assert_eq!(failed.expect_err("a fault").status(), 500);
        assert_eq!(workshop.run(|| 7).await, Ok(7));
    }
}
