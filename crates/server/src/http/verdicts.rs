//! One verdict on each version of a rulebook, whoever asks: what `amends rules check` says of it. What can be seen is
//! said at once; what only playing every failure shows is added when that is done, one version at a time on a thread of
//! its own, and kept by hash. Playing ends early when nobody needs it any more.

use super::ApiError;
use super::workshop::Workshop;
use crate::books::diagnostics;
use amends_api::{ProofState, RulebookVerdict};
use amends_protocol::{Problem, ProblemCode};
use amends_rulebook::{Diagnostic, Rulebook, Severity, render};
use amends_simulate::{PLAYS_LIMIT, Proof, check_by_proof, prove};
use amends_workbench::{CheckSettings, check};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::sync::watch;

/// Versions whose verdicts are kept. A supervisor has a handful of rulebooks, and people look at recent versions.
const KEPT: usize = 64;
/// Versions that may wait to be played.
const QUEUE: usize = 8;

/// What is wrong with a version.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) proof: ProofState,
    pub(crate) findings: Vec<Diagnostic>,
}

/// How much of a verdict is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What is known by now; nothing is begun for it.
    Known,
    /// What is known by now; the rest is worked out for the next who asks.
    Begun,
    /// All of it.
    Whole,
}

impl Verdict {
    fn proved(book: &Rulebook, proof: &Proof) -> Self {
        Self {
            proof: if proof.is_whole() { ProofState::Proved } else { ProofState::NotProved },
            findings: check_by_proof(book, &CheckSettings::default(), proof),
        }
    }

    /// As the API tells it.
    pub(crate) fn view(&self, book: &Rulebook) -> RulebookVerdict {
        RulebookVerdict {
            hash: book.hash().to_owned(),
            proof: self.proof,
            findings: diagnostics(&self.findings, book.sources()),
        }
    }

    /// For people, with the source lines.
    pub(crate) fn rendered(&self, book: &Rulebook) -> String {
        render(&self.findings, book.sources(), false)
    }

    /// Whether it leaves something behind, or is otherwise wrong.
    pub(crate) fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// How far playing a version has come.
#[derive(Clone, Debug)]
enum Progress {
    UnderWay,
    Done(Arc<Verdict>),
    /// It ended by a fault of ours, which the log tells.
    Failed,
}

type Told = watch::Receiver<Progress>;

/// A version to be played. It is needed as long as somebody listens.
struct Job {
    book: Arc<Rulebook>,
    tell: Arc<watch::Sender<Progress>>,
}

/// What is known of versions, and what is still wanted.
#[derive(Debug, Default)]
struct Shelf {
    /// By hash.
    versions: HashMap<String, Arc<watch::Sender<Progress>>>,
    /// Of each rulebook, by name, the version that is played though nobody waits for it: the last that became active or
    /// was looked at while it was. The one before it is left, unless somebody waits for that.
    wanted: HashMap<String, Told>,
}

impl Shelf {
    fn make_room(&mut self) {
        if self.versions.len() >= KEPT {
            self.versions.retain(|_, tell| matches!(*tell.borrow(), Progress::UnderWay));
        }
    }
}

/// Verdicts by hash. Clones share them; what is being played ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Verdicts {
    shelf: Arc<Mutex<Shelf>>,
    jobs: Arc<OnceLock<Mutex<SyncSender<Job>>>>,
    stopping: watch::Receiver<bool>,
}

impl Verdicts {
    /// None yet. Once `stopping` is true, nobody waits any more.
    pub(crate) fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { shelf: Arc::default(), jobs: Arc::default(), stopping }
    }

    /// The verdict on a version, as deep as it is asked for.
    ///
    /// # Errors
    /// If all of it is asked for: `overloaded` when too many versions wait to be played, `unavailable` when the process
    /// stops, `internal` when playing ends by a fault.
    pub(crate) async fn of(
        &self,
        workshop: &Workshop,
        book: &Arc<Rulebook>,
        depth: Depth,
    ) -> Result<Arc<Verdict>, ApiError> {
        let mut proof = ProofState::Pending;
        let told = match depth {
            Depth::Known => self.shelf().versions.get(book.hash()).map(|tell| tell.subscribe()),
            Depth::Begun => self.begin(book, true).ok(),
            Depth::Whole => Some(self.begin(book, false)?),
        };
        if let Some(mut told) = told {
            if depth == Depth::Whole {
                self.wait(&mut told).await?;
            }
            match &*told.borrow() {
                Progress::Done(verdict) => return Ok(Arc::clone(verdict)),
                Progress::Failed if depth == Depth::Whole => return Err(fault()),
                Progress::Failed => proof = ProofState::Failed,
                Progress::UnderWay => {}
            }
        }
        let book = Arc::clone(book);
        workshop.run(move || Arc::new(Verdict { proof, findings: check(&book) })).await
    }

    async fn wait(&self, told: &mut Told) -> Result<(), ApiError> {
        let mut stopping = self.stopping.clone();
        let over = |progress: &Progress| !matches!(progress, Progress::UnderWay);
        tokio::select! {
            played = told.wait_for(over) => played.map(drop).map_err(|_| fault()),
            _ = stopping.wait_for(|stopping| *stopping) => {
                Err(Problem::new(ProblemCode::Unavailable, "the supervisor is stopping").into())
            }
        }
    }

    /// The version has become active, so people will ask what is wrong with it.
    pub(crate) fn became_active(&self, book: &Arc<Rulebook>) {
        // If too many wait already, the first who asks has it played.
        let _ = self.begin(book, true);
    }

    /// Has a version played, if that has not begun; `in_background`: also if nobody waits.
    fn begin(&self, book: &Arc<Rulebook>, in_background: bool) -> Result<Told, ApiError> {
        let mut shelf = self.shelf();
        let known = shelf.versions.get(book.hash()).map(|tell| tell.subscribe());
        let told = match known {
            Some(told) => told,
            None => {
                let (tell, told) = watch::channel(Progress::UnderWay);
                let tell = Arc::new(tell);
                self.hand_out(Job { book: Arc::clone(book), tell: Arc::clone(&tell) })?;
                shelf.make_room();
                shelf.versions.insert(book.hash().to_owned(), tell);
                told
            }
        };
        if in_background {
            shelf.wanted.insert(book.name().to_owned(), told.clone());
        }
        Ok(told)
    }

    fn hand_out(&self, job: Job) -> Result<(), ApiError> {
        let jobs = self.jobs.get_or_init(|| Mutex::new(open(Arc::downgrade(&self.shelf))));
        let sent = jobs.lock().unwrap_or_else(PoisonError::into_inner).try_send(job);
        sent.map_err(|error| match error {
            TrySendError::Full(_) => {
                let detail =
                    format!("{QUEUE} rulebooks wait to be played already; try again shortly");
                Problem::new(ProblemCode::Overloaded, detail).into()
            }
            TrySendError::Disconnected(_) => fault(),
        })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins the thread that plays one version after the other. Without one, whoever waits is told of a fault.
fn open(shelf: Weak<Mutex<Shelf>>) -> SyncSender<Job> {
    let (jobs, queue) = sync_channel::<Job>(QUEUE);
    let work = move || play_all(&queue, &shelf);
    if let Err(error) = std::thread::Builder::new().name("proofs".to_owned()).spawn(work) {
        tracing::error!(%error, "no thread can be had to play rulebooks");
    }
    jobs
}

fn play_all(queue: &Receiver<Job>, shelf: &Weak<Mutex<Shelf>>) {
    while let Ok(job) = queue.recv() {
        while !job.play() {
            let Some(shelf) = shelf.upgrade() else { return };
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            if job.is_unneeded() {
                shelf.versions.remove(job.book.hash());
                break;
            } // else somebody has come just now
        }
    }
}

impl Job {
    /// False if it was left, since nobody needs it any more.
    fn play(&self) -> bool {
        let mut left = self.is_unneeded();
        if left {
            return false;
        }
        let mut go_on = |_| {
            left = self.is_unneeded();
            if left { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let book = &self.book;
        let judge = AssertUnwindSafe(|| {
            let proof = prove(book, PLAYS_LIMIT, &mut go_on);
            Verdict::proved(book, &proof)
        });
        // A fault ends this play alone.
        let judged = catch_unwind(judge);
        if left {
            return false;
        }
        self.tell.send_replace(match judged {
            Ok(verdict) => Progress::Done(Arc::new(verdict)),
            Err(_) => Progress::Failed,
        });
        true
    }

    fn is_unneeded(&self) -> bool {
        self.tell.receiver_count() == 0
    }
}

fn fault() -> ApiError {
    Problem::new(ProblemCode::Internal, "playing the rulebook ended by a fault; see the log").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_rulebook::{SourceFile, load_sources};

    fn book(name: &str) -> Arc<Rulebook> {
        let services =
            "order: { url: \"http://order\", actions: { place: { compensation: cancel } } }";
        let text = format!(
            "rulebook: {name}\nservices:\n  {services}\nrules: [{{ on: \"*/*\", compensate: recorded }}]\n"
        );
        let source = SourceFile { path: "rules.yaml".to_owned(), text: text.into() };
        load_sources(vec![source]).rulebook.expect("a good rulebook")
    }

    fn job() -> (Job, Told) {
        let (tell, told) = watch::channel(Progress::UnderWay);
        (Job { book: book("shop"), tell: Arc::new(tell) }, told)
    }

    #[test]
    fn what_nobody_waits_for_is_not_played() {
        let (job, told) = job();
        drop(told);
        assert!(!job.play());
        assert!(matches!(*job.tell.borrow(), Progress::UnderWay), "nothing is said of it");
        let (job, told) = self::job();
        assert!(job.play());
        assert!(matches!(&*told.borrow(), Progress::Done(verdict) if !verdict.is_bad()));
    }

    #[tokio::test]
    async fn a_version_that_another_replaced_before_it_was_played_is_forgotten() {
        let (_stop, stopping) = watch::channel(false);
        let verdicts = Verdicts::new(stopping);
        let (tell, told) = watch::channel(Progress::UnderWay);
        let old = Job { book: book("shop"), tell: Arc::new(tell) };
        verdicts.shelf().versions.insert(old.book.hash().to_owned(), Arc::clone(&old.tell));
        verdicts.shelf().wanted.insert("shop".to_owned(), told);
        assert!(!old.is_unneeded());
        let (_, newer) = watch::channel(Progress::UnderWay);
        verdicts.shelf().wanted.insert("shop".to_owned(), newer);
        assert!(old.is_unneeded());
        let (jobs, queue) = sync_channel(1);
        let hash = old.book.hash().to_owned();
        jobs.send(old).expect("room");
        drop(jobs);
        play_all(&queue, &Arc::downgrade(&verdicts.shelf));
        assert!(!verdicts.shelf().versions.contains_key(&hash), "the next who asks has it played");
    }

    #[tokio::test]
    async fn what_is_only_asked_for_what_is_known_begins_nothing() {
        let (_stop, stopping) = watch::channel(false);
        let (verdicts, workshop, book) =
            (Verdicts::new(stopping), Workshop::default(), book("shop"));
        let known = verdicts.of(&workshop, &book, Depth::Known).await.expect("a verdict");
        assert_eq!(known.proof, ProofState::Pending);
        assert!(verdicts.shelf().versions.is_empty());
        let whole = verdicts.of(&workshop, &book, Depth::Whole).await.expect("a verdict");
        assert_eq!(whole.proof, ProofState::Proved);
        let known = verdicts.of(&workshop, &book, Depth::Known).await.expect("a verdict");
        assert_eq!(known.proof, ProofState::Proved);
    }
}
