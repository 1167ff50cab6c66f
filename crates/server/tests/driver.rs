//! The loop's promises, on the real SQLite store and a scripted outside: commit before acting, no loss, no repetition,
//! overload refused, an orderly end.

mod moody;

use amends_api::CaseState;
use amends_engine::StepState;
use amends_protocol::{
    Evidence, HistoryState, Outcome, ProblemCode, Report, ReportData, SagaBegin, SagaId,
};
use amends_rulebook::Rulebook;
use amends_server::{Clock, Driver, DriverOptions, Supervisor, SystemClock};
use amends_store::{Archive, CaseFilter, PageRequest, SqliteOptions, SqliteStore, StepFilter};
use moody::{Moody, Outside};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

const RULEBOOK: &str = "
rulebook: two
settle: { quiet: 50ms }
services:
  a: { url: \"http://a\", actions: { x: { compensation: undo, calls: [b.y] } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
rules: [{ on: \"*/*\", compensate: [a.x, b.y] }]
";

struct Running {
    supervisor: Supervisor<Moody>,
    driver: JoinHandle<()>,
    failing: Arc<AtomicBool>,
}

async fn start(folder: &Path, outside: &Outside, options: DriverOptions) -> Running {
    let inner = SqliteStore::open(folder, &SqliteOptions::default()).expect("a store");
    let failing = Arc::new(AtomicBool::new(false));
    let store = Moody {
        inner,
        failing: Arc::clone(&failing),
        commits: Arc::clone(&outside.commits),
        next: Arc::default(),
    };
    let (supervisor, driver) =
        Driver::start(store, outside.clone(), SystemClock, options).await.expect("starts");
    let book = Rulebook::from_yaml(RULEBOOK).expect("valid");
    supervisor.activate(book, "test", "test").await.expect("active");
    Running { supervisor, driver, failing }
}

impl Running {
    async fn end(self) {
        self.supervisor.stop();
        self.driver.await.expect("ends");
    }

    async fn settled(&self) -> usize {
        let filter = CaseFilter { state: vec![CaseState::Settled], ..CaseFilter::default() };
        let page =
            self.supervisor.store().cases(filter, PageRequest::first(500)).await.expect("readable");
        page.items.len()
    }

    async fn until_settled(&self, count: usize) {
        eventually("settled", || async { self.settled().await == count }).await;
    }
}

fn report(saga: &str, id: &str) -> Report {
    Report {
        id: id.to_owned(),
        source: "a".to_owned(),
        saga_id: SagaId::new(saga).expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData {
            code: "broken".to_owned(),
            action: Some("x".to_owned()),
            history: vec![Evidence::new("a", "x", "r", HistoryState::Succeeded)],
            ..ReportData::default()
        },
    }
}

/// Polls until `holds`; a minute is far beyond anything that these tests wait for.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_report_is_taken_compensated_and_settled() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    assert!(!running.supervisor.report(report("s", "1")).await.expect("taken").duplicate);
    running.until_settled(1).await;
    assert_eq!(outside.sent(), ["compensate a.x", "compensate b.y"]);
    running.end().await;
}

#[tokio::test]
async fn nothing_is_sent_before_it_is_durable() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    let before = outside.commits.load(Ordering::SeqCst);
    running.supervisor.report(report("s", "1")).await.expect("taken");
    eventually("sent", || async { outside.sent().len() == 2 }).await;
    let seen = outside.commits_when_sent();
    assert!(seen.iter().all(|commits| *commits > before), "{seen:?} against {before}");
    running.end().await;
}

#[tokio::test]
async fn a_failed_commit_answers_nobody_sends_nothing_and_is_recovered_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    running.failing.store(true, Ordering::SeqCst);
    let problem = running.supervisor.report(report("s", "1")).await.expect_err("not durable");
    assert!(problem.is(ProblemCode::Unavailable), "{problem:?}");
    assert!(!running.supervisor.is_ready());
    assert!(outside.sent().is_empty(), "a failed commit is never followed by effects");
    running.failing.store(false, Ordering::SeqCst);
    eventually("ready again", || async { running.supervisor.is_ready() }).await;
    assert!(!running.supervisor.report(report("s", "1")).await.expect("taken now").duplicate);
    running.until_settled(1).await;
    running.end().await;
}

#[tokio::test]
async fn while_the_store_is_away_reports_and_questions_are_turned_away_at_once() {
    let folder = tempfile::tempdir().expect("a directory");
    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    running.failing.store(true, Ordering::SeqCst);
    running.supervisor.report(report("s", "1")).await.expect_err("the commit fails");
    // The loadings fail as well from here on; however long the pause is, nobody waits for its end.
    eventually("a loading has failed", || async {
        running.supervisor.report(report("s", "1")).await.expect_err("away");
        running.supervisor.overview(amends_protocol::Timestamp(0)).await.is_err()
    })
    .await;
    let began = std::time::Instant::now();
    for n in 0..200 {
        let refused = running.supervisor.report(report("s", &n.to_string())).await;
        assert!(refused.expect_err("away").is(ProblemCode::Unavailable));
    }
    let waited = began.elapsed();
    assert!(waited < std::time::Duration::from_secs(60), "not a pause for each: {waited:?}");
    running.failing.store(false, Ordering::SeqCst);
    eventually("the store is back", || async {
        running.supervisor.report(report("s", "1")).await.is_ok()
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn a_report_is_one_report_however_often_and_however_late_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    let same = (0..50).map(|_| running.supervisor.report(report("s", "1")));
    let receipts = futures_util::future::join_all(same).await;
    let fresh = receipts.iter().filter(|r| !r.as_ref().expect("taken").duplicate).count();
    assert_eq!(fresh, 1);
    running.until_settled(1).await;
    assert!(running.supervisor.report(report("s", "1")).await.expect("taken").duplicate);
    // Source and id are a report's name, whatever saga it claims to be about.
    assert!(running.supervisor.report(report("other", "1")).await.expect("taken").duplicate);
    assert_eq!(outside.sent().len(), 2);
    running.end().await;
}

#[tokio::test]
async fn a_late_report_joins_the_settled_case_and_nothing_is_compensated_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    let first = running.supervisor.report(report("s", "1")).await.expect("taken");
    running.until_settled(1).await;
    let second = running.supervisor.report(report("s", "2")).await.expect("taken");
    assert_eq!((first.case_id, second.duplicate), (second.case_id, false));
    running.until_settled(1).await;
    assert_eq!(outside.sent().len(), 2);
    running.end().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::closed();
    let options = DriverOptions { grace: Duration::ZERO, ..DriverOptions::default() };
    let running = start(folder.path(), &outside, options).await;
    running.supervisor.report(report("s", "1")).await.expect("taken");
    eventually("sent", || async { outside.sent().len() == 2 }).await;
    running.end().await; // nobody answered

    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    running.until_settled(1).await;
    assert_eq!(outside.sent(), ["compensate a.x", "compensate b.y"]);
    running.end().await;
}

#[tokio::test]
async fn a_full_queue_is_refused_as_overload_and_nothing_of_it_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let options = DriverOptions { queue: 1, batch: 1, ..DriverOptions::default() };
    let running = start(folder.path(), &outside, options).await;
    let many =
        (0..200).map(|n| running.supervisor.report(report(&format!("s{n}"), &format!("{n}"))));
    let answers = futures_util::future::join_all(many).await;
    let taken = answers.iter().filter(|a| a.is_ok()).count();
    for problem in answers.iter().filter_map(|a| a.as_ref().err()) {
        assert!(problem.is(ProblemCode::Overloaded), "{problem:?}");
    }
    assert!((1..200).contains(&taken), "{taken}");
    running.until_settled(taken).await;
    running.end().await;
}

#[tokio::test]
async fn a_flood_of_one_service_leaves_room_and_turns_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let options = DriverOptions { queue: 100, batch: 1, ..DriverOptions::default() };
    let running = start(folder.path(), &outside, options).await;
    let answered = std::cell::RefCell::new(Vec::new());
    let send = async |source: &str, n: u32| {
        let id = format!("{source}-{n}");
        let report = Report { source: source.to_owned(), ..report(&id, &id) };
        let taken = running.supervisor.report(report).await;
        answered.borrow_mut().push((source.to_owned(), taken.is_ok()));
        taken
    };
    // All of the flood is there before the first of the others, and before the loop has had a turn.
    let flood = futures_util::future::join_all((0..200).map(|n| send("a", n)));
    let others = futures_util::future::join_all((0..10).map(|n| send("b", n)));
    let (flood, others) = futures_util::future::join(flood, others).await;
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    let refused: Vec<_> = flood.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused.len(), 120, "four fifths of the queue are taken");
    for problem in refused {
        let detail = problem.detail.as_deref().unwrap_or_default();
        assert!(problem.is(ProblemCode::Overloaded) && detail.contains("of `a` wait"), "{detail}");
    }
    let answered = answered.into_inner();
    let taken: Vec<_> = answered.iter().filter(|(_, taken)| *taken).map(|(who, _)| who).collect();
    let last = taken.iter().rposition(|who| *who == "b").expect("all of them");
    assert!(
        last < 25,
        "each of the others waits for one turn of the flood: {last} of {}",
        taken.len()
    );
    running.until_settled(90).await;
    running.end().await;
}

#[tokio::test]
async fn an_orderly_end_waits_for_what_is_under_way_and_writes_it_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::closed();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    running.supervisor.report(report("s", "1")).await.expect("taken");
    eventually("sent", || async { outside.sent().len() == 2 }).await;
    running.supervisor.stop();
    eventually("refused", || async {
        let answer = running.supervisor.report(report("t", "2")).await;
        answer.is_err_and(|problem| problem.is(ProblemCode::Unavailable))
    })
    .await;
    outside.gate.add_permits(2);
    let store = running.supervisor.store().clone();
    running.driver.await.expect("ends");
    let steps = store.steps(StepFilter::default(), PageRequest::first(10)).await.expect("readable");
    let of_s: Vec<_> = steps.items.iter().filter(|s| s.saga.as_str() == "s").collect();
    assert_eq!(of_s.len(), 2);
    assert!(of_s.iter().all(|s| s.step.state == StepState::Done(Outcome::Compensated)));
}

#[tokio::test]
async fn an_effect_that_panics_counts_as_unanswered_and_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    outside.panics.store(true, Ordering::SeqCst);
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    running.supervisor.report(report("s", "1")).await.expect("taken");
    running.until_settled(1).await;
    assert_eq!(outside.sent().len(), 3);
    running.end().await;
}

#[tokio::test]
async fn a_saga_announced_after_its_case_has_settled_does_not_open_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    let running = start(folder.path(), &outside, DriverOptions::default()).await;
    running.supervisor.report(report("s", "1")).await.expect("taken");
    running.until_settled(1).await;
    let begin = SagaBegin {
        saga_id: SagaId::new("s").expect("valid"),
        service: "a".to_owned(),
        action: None,
        deadline: SystemClock.now(),
        data: serde_json::Map::new(),
    };
    running.supervisor.begin_saga(begin).await.expect("taken");
    running.supervisor.report(report("t", "2")).await.expect("the supervisor goes on");
    running.until_settled(2).await;
    running.end().await;
}

#[tokio::test]
async fn nobody_can_take_the_names_of_the_supervisors_own_reports() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::open();
    // A saga that is announced too late is told so by a clock that is trusted from the start.
    let options = DriverOptions { trust_after: Duration::ZERO, ..DriverOptions::default() };
    let running = start(folder.path(), &outside, options).await;
    let impostor = Report { source: "supervisor".to_owned(), ..report("t", "deadline-s") };
    let refused = running.supervisor.report(impostor).await.expect_err("reserved");
    assert!(refused.is(ProblemCode::InvalidRequest), "{refused:?}");
    let begin = SagaBegin {
        saga_id: SagaId::new("s").expect("valid"),
        service: "a".to_owned(),
        action: Some("x".to_owned()),
        deadline: SystemClock.now(),
        data: serde_json::Map::new(),
    };
    running.supervisor.begin_saga(begin).await.expect("taken");
    running.until_settled(1).await;
    assert_eq!(outside.sent(), ["compensate a.x", "compensate b.y"]);
    running.end().await;
}

#[tokio::test]
async fn a_rulebook_that_drops_what_open_cases_need_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::closed();
    let options = DriverOptions { grace: Duration::ZERO, ..DriverOptions::default() };
    let running = start(folder.path(), &outside, options).await;
    running.supervisor.report(report("s", "1")).await.expect("taken");
    let smaller = Rulebook::from_yaml(
        "
rulebook: two
services: { a: { url: \"http://a\", actions: { x: { compensation: undo } } } }
rules: [{ on: \"*/*\", compensate: recorded }]
",
    )
    .expect("valid");
    let refused = running.supervisor.activate(smaller.clone(), "test", "smaller").await;
    let problem = refused.expect_err("b.y is still to be undone");
    assert!(problem.is(ProblemCode::Conflict) && problem.errors[0].contains("b.y"), "{problem:?}");
    outside.gate.add_permits(10);
    running.until_settled(1).await;
    running.supervisor.activate(smaller, "test", "smaller").await.expect("nobody needs it now");
    running.end().await;
}
