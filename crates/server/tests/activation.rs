//! A version of a rulebook becomes active in one commit: whatever becomes of it, the engine, the store and the API name
//! the same version, and so they do after a restart.

mod moody;

use amends_protocol::{ProblemCode, Report, ReportData, SagaId};
use amends_rulebook::Rulebook;
use amends_server::{Driver, DriverOptions, Supervisor, SystemClock};
use amends_store::{Archive, SqliteOptions, SqliteStore};
use moody::{Fate, Moody, Outside};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

fn version(quiet: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(&format!(
        "
rulebook: two
settle: {{ quiet: {quiet} }}
services: {{ a: {{ url: \"http://a\", actions: {{ x: {{ compensation: undo }} }} }} }}
rules: [{{ on: \"*/*\", compensate: recorded }}]
"
    ))
    .expect("valid")
}

struct Running {
    supervisor: Supervisor<Moody>,
    driver: JoinHandle<()>,
    outside: Outside,
    failing: Arc<AtomicBool>,
    next: Arc<Mutex<Option<Fate>>>,
    sagas: usize,
    folder: TempDir,
}

impl Running {
    /// With a first version active.
    async fn begin(first: &Arc<Rulebook>) -> Self {
        let running = Self::open(tempfile::tempdir().expect("a folder"), 0).await;
        running.activate(first).await.expect("active");
        running
    }

    async fn open(folder: TempDir, sagas: usize) -> Self {
        let (outside, failing, next) = (Outside::open(), Arc::default(), Arc::default());
        let store = Moody {
            inner: store(folder.path()).await,
            failing: Arc::clone(&failing),
            commits: Arc::clone(&outside.commits),
            next: Arc::clone(&next),
        };
        let options = DriverOptions::default();
        let started = Driver::start(store, outside.clone(), SystemClock, options).await;
        let (supervisor, driver) = started.expect("starts");
        Self { supervisor, driver, outside, failing, next, sagas, folder }
    }

    async fn restart(self) -> Self {
        self.supervisor.stop();
        self.driver.await.expect("ends");
        drop(self.supervisor);
        Self::open(self.folder, self.sagas).await
    }

    async fn activate(&self, book: &Arc<Rulebook>) -> Result<(), amends_protocol::Problem> {
        self.supervisor.activate(Arc::clone(book), "ann", "a test").await.map(drop)
    }

    fn next_commit(&self, fate: Fate) {
        *self.next.lock().expect("not poisoned") = Some(fate);
    }

    fn shown(&self) -> Vec<String> {
        self.supervisor.active_books().iter().map(|book| book.hash().to_owned()).collect()
    }

    /// What new cases are planned with, what the store calls active, and what the API shows.
    async fn versions(&mut self) -> [Vec<String>; 3] {
        self.sagas += 1;
        let saga = format!("s-{}", self.sagas);
        let case = loop {
            match self.supervisor.report(report(&saga)).await {
                Ok(receipt) => break receipt.case_id.expect("held here"),
                // Loading again after the failure.
                Err(problem) => assert!(problem.is(ProblemCode::Unavailable), "{problem:?}"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let store = self.supervisor.store();
        let planned =
            store.case(case).await.expect("readable").expect("there").stored.case.rulebook;
        let rows = store.rulebooks().await.expect("readable");
        let active = rows.iter().filter(|row| row.active).map(|row| row.hash.to_string());
        [planned.iter().map(|book| book.hash.to_string()).collect(), active.collect(), self.shown()]
    }

    async fn assert_all_name(&mut self, book: &Rulebook, when: &str) {
        let one = vec![book.hash().to_owned()];
        let [engine, store, api] = self.versions().await;
        assert_eq!([&engine, &store, &api], [&one; 3], "{when}: engine, store, API");
    }
}

/// The one who had it open before may still be about to close it.
async fn store(folder: &Path) -> SqliteStore {
    for _ in 0..10_000 {
        match SqliteStore::open(folder, &SqliteOptions::default()) {
            Ok(store) => return store,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    panic!("the store is never free");
}

fn report(saga: &str) -> Report {
    Report {
        id: format!("r-{saga}"),
        source: "a".to_owned(),
        saga_id: SagaId::new(saga).expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData { code: "broken".to_owned(), ..ReportData::default() },
    }
}

#[tokio::test]
async fn an_activation_is_one_commit() {
    let (first, second) = (version("50ms"), version("60ms"));
    let running = Running::begin(&first).await;
    let before = running.outside.commits.load(Ordering::SeqCst);
    running.activate(&second).await.expect("active");
    assert_eq!(running.outside.commits.load(Ordering::SeqCst), before + 1);
    assert_eq!(running.shown(), [second.hash()]);
}

#[tokio::test]
async fn whatever_becomes_of_the_commit_everybody_names_the_same_version() {
    let (first, second) = (version("50ms"), version("60ms"));
    for (fate, left) in [(Fate::Fails, &first), (Fate::Unknown, &second)] {
        let mut running = Running::begin(&first).await;
        running.next_commit(fate.clone());
        let problem = running.activate(&second).await.expect_err("nobody knows how it ended");
        assert!(problem.is(ProblemCode::Unavailable), "{problem:?}");
        running.assert_all_name(left, &format!("{fate:?}")).await;
        let mut running = running.restart().await;
        running.assert_all_name(left, &format!("{fate:?}, after a restart")).await;
        running.activate(&second).await.expect("taken now");
        running.assert_all_name(&second, &format!("{fate:?}, said again")).await;
    }
}

#[tokio::test]
async fn whatever_becomes_of_a_rollback_everybody_names_the_same_version() {
    let (first, second) = (version("50ms"), version("60ms"));
    for (fate, left) in [(Fate::Fails, &second), (Fate::Unknown, &first)] {
        let mut running = Running::begin(&first).await;
        running.activate(&second).await.expect("active");
        running.next_commit(fate.clone());
        running.activate(&first).await.expect_err("nobody knows how it ended");
        running.assert_all_name(left, &format!("{fate:?}")).await;
        let mut running = running.restart().await;
        running.assert_all_name(left, &format!("{fate:?}, after a restart")).await;
    }
}

#[tokio::test]
async fn nobody_is_shown_a_version_before_it_is_durable() {
    let (first, second) = (version("50ms"), version("60ms"));
    let running = Running::begin(&first).await;
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    running.next_commit(Fate::Waits { came: Arc::clone(&came), go: Arc::clone(&go) });
    let activation = tokio::spawn({
        let (supervisor, second) = (running.supervisor.clone(), Arc::clone(&second));
        async move { supervisor.activate(second, "ann", "a test").await }
    });
    came.acquire().await.expect("never closed").forget();
    assert_eq!(running.shown(), [first.hash()], "its commit has not ended");
    go.add_permits(1);
    activation.await.expect("no panic").expect("active");
    assert_eq!(running.shown(), [second.hash()], "who is answered finds it active");
}

#[tokio::test]
async fn a_version_that_a_dead_store_did_not_take_is_never_shown() {
    let (first, second) = (version("50ms"), version("60ms"));
    let mut running = Running::begin(&first).await;
    running.failing.store(true, Ordering::SeqCst);
    running.activate(&second).await.expect_err("not durable");
    assert_eq!(running.shown(), [first.hash()]);
    running.failing.store(false, Ordering::SeqCst);
    running.assert_all_name(&first, "once the store is back").await;
}

#[tokio::test]
async fn a_version_that_fails_takes_no_report_with_it_into_the_store() {
    let (first, second) = (version("50ms"), version("60ms"));
    let mut running = Running::begin(&first).await;
    running.next_commit(Fate::Fails);
    // Both wait for the loop, so they are one batch: the report would be planned with the new version.
    let (activated, reported) =
        tokio::join!(running.activate(&second), running.supervisor.report(report("with-it")));
    activated.expect_err("not durable");
    reported.expect_err("not durable");
    running.assert_all_name(&first, "after the failed batch").await;
    let receipt = running.supervisor.report(report("with-it")).await.expect("taken");
    let case = running
        .supervisor
        .store()
        .case(receipt.case_id.expect("held here"))
        .await
        .expect("readable");
    let planned = case.expect("there").stored.case.rulebook.expect("planned");
    assert_eq!(&*planned.hash, first.hash());
}
