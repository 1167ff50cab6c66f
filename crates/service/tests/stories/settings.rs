//! What a host can choose, and what it is told: where sagas begin, the manifest, how long History is kept, observers; and
//! what keeps processes apart.

use crate::base::Base;
use crate::rig::{Controls, Service, build, exchange, send, until};
use crate::supervisor::FakeSupervisor;
use amends_service::{
    HistoryState, Kit, KitConfig, KitError, Observer, Outcome, ReportNews, Sqlite, Verb,
};
use http::Request;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

async fn a_service_may_leave_it_to_others_to_begin_sagas<B: Base>() {
    let payment = Service::<B>::configured("payment", |config| config.starts_sagas = false).await;
    let url = format!("{}/pay", payment.url);
    let refused = send(&url, &[("request-id", "r-1")], &json!({})).await;
    assert_eq!((refused.status, refused.problem()), (400, "invalid-request"));
    let told = refused.body["detail"].as_str().expect("text");
    assert!(told.contains("`payment` begins no sagas"), "{told}");
    assert_eq!(send(&url, &[("saga-id", "order-1")], &json!({})).await.status, 200);
}

async fn a_manifest_is_served_as_it_was_given<B: Base>() {
    const MANIFEST: &str = "service: payment\nactions: { pay: { compensation: refund } }\n";
    let get = async |payment: &Service<B>| {
        let url = format!("{}/amends/v1/manifest", payment.url);
        exchange(Request::get(url), String::new()).await
    };
    let none = get(&Service::<B>::start().await).await;
    assert_eq!((none.status, none.problem()), (404, "not-found"));
    let manifest = |config: &mut KitConfig| config.manifest = Some(MANIFEST.to_owned());
    let answer = get(&Service::<B>::configured("payment", manifest).await).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/yaml")));
}

async fn originals_that_the_fence_turned_away_are_counted<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &json!({ "wait": true })).await
    });
    payment.controls.gate.reached(1).await;
    payment.step("compensate", "pay", "order-1", 1).await;
    payment.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").problem(), "saga-fenced");
    assert_eq!(payment.pay("order-1", "r-1", &json!({})).await.problem(), "key-reused");
    assert_eq!(payment.pay("order-1", "r-2", &json!({})).await.problem(), "saga-fenced");
    // The commit of the first and the arrival of the second; the repetition has other contents and is refused for that.
    let rows = payment.ask("SELECT sum(refused) FROM amends_fences").await;
    assert_eq!(rows, [["2"]]);
}

async fn what_is_over_is_forgotten_in_time_and_nothing_else<B: Base>() {
    let place = B::new_place().await;
    let mut payment = Service::<B>::at(&place, "payment", |_| {}).await;
    payment.pay("over", "r-1", &json!({})).await;
    payment.pay("undone", "r-2", &json!({})).await;
    payment.step("compensate", "pay", "undone", 1).await;
    payment.step("compensate", "pay", "never-came", 2).await;
    // Its report is still on its way, since nobody takes it.
    payment.pay("failed", "r-3", &json!({ "fail": "report-1" })).await;
    B::pass_days(&place, 91).await;
    payment.pay("young", "r-4", &json!({})).await;

    payment.background();
    until("the old sagas are gone", async || {
        payment.ask("SELECT count(*) FROM amends_fences").await == [["0"]]
            && payment.history("over").await.is_empty()
    })
    .await;
    let kept = payment.ask("SELECT saga FROM amends_requests ORDER BY seq").await;
    assert_eq!(kept, [["failed"], ["young"]]);
    assert_eq!(payment.ask("SELECT count(*) FROM amends_steps").await, [["0"]]);
    assert_eq!(payment.ledger("over").await, (10, 1), "the host's own tables are its own");
}

async fn history_cannot_be_kept_for_too_short_a_time<B: Base>() {
    let store = B::open(&B::new_place().await).await;
    let mut config = KitConfig::new("payment");
    config.keep_history_for = Some(Duration::from_secs(3_600));
    let error = Kit::builder(config, store).expect_err("refused").to_string();
    assert!(error.contains("3600 s") && error.contains("outlast all retries"), "{error}");
}

#[derive(Clone, Default)]
struct Ears {
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ears {
    fn hear(&self, what: String) {
        self.heard.lock().expect("whole").push(what);
    }

    fn heard(&self, what: &str) -> bool {
        self.heard.lock().expect("whole").iter().any(|heard| heard == what)
    }
}

impl Observer for Ears {
    fn request_ended(&self, action: &str, state: HistoryState, _took: Duration) {
        self.hear(format!("{action} {state}"));
    }

    fn step_ended(&self, verb: Verb, action: &str, outcome: Option<Outcome>, _took: Duration) {
        self.hear(format!("{verb} {action} {}", outcome.map_or("not done", Outcome::as_str)));
    }

    fn report(&self, news: ReportNews) {
        self.hear(format!("report {news:?}"));
    }

    fn swept(&self, found: usize) {
        self.hear(format!("swept {found}"));
    }

    fn committed(&self, _took: Duration) {
        self.hear("committed".to_owned());
    }
}

async fn an_observer_hears_of_everything<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let ears = Ears::default();
    let mut config = KitConfig::new("payment");
    config.supervisor = Some(supervisor.url.clone());
    let place = B::new_place().await;
    let observed = ears.clone();
    let mut payment =
        Service::<B>::with(&place, config, |builder| builder.observer(observed)).await;
    payment.background();
    payment.pay("order-1", "r-1", &json!({})).await;
    payment.pay("order-1", "r-2", &json!({ "fail": "report-1" })).await;
    payment.step("compensate", "pay", "order-1", 1).await;
    payment.step("retry", "pay", "order-1", 2).await;
    for what in [
        "committed",
        "pay succeeded",
        "pay failed",
        "report Queued",
        "report Sent",
        "compensate pay compensated",
        "retry pay not done",
        "swept 0",
    ] {
        until(what, async || ears.heard(what)).await;
    }
}

crate::on_each_database!(
    a_service_may_leave_it_to_others_to_begin_sagas,
    a_manifest_is_served_as_it_was_given,
    originals_that_the_fence_turned_away_are_counted,
    what_is_over_is_forgotten_in_time_and_nothing_else,
    history_cannot_be_kept_for_too_short_a_time,
    an_observer_hears_of_everything,
);

const FILE: &str = "AMENDS_TEST_HOLD_FILE";

/// Not a story, but a person in one: another process that holds the file named in the environment, until it is killed.
#[test]
fn holder() {
    if let Ok(file) = std::env::var(FILE) {
        let _held = Sqlite::open(file, "").expect("opens");
        println!("held");
        std::thread::park();
    }
}

#[tokio::test]
async fn one_process_at_a_time_has_a_sqlite_file_and_a_kill_frees_it() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("service.sqlite");
    let mut other = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "settings::holder", "--nocapture"])
        .env(FILE, &file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let output = BufReader::new(other.stdout.take().expect("a pipe"));
    assert!(output.lines().map_while(Result::ok).any(|line| line.ends_with("held")));
    match Sqlite::open(&file, "") {
        Err(error @ KitError::Locked { .. }) => {
            assert!(error.to_string().contains("service.sqlite-amends.lock"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    other.kill().expect("killed");
    other.wait().expect("gone");
    let controls = Arc::new(Controls::default());
    let store = Sqlite::open(&file, "").expect("free again");
    drop(build(KitConfig::new("payment"), store, &controls));
}

#[test]
fn a_deferred_foreign_key_is_refused_since_it_would_fail_the_requests_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = "CREATE TABLE a (id INTEGER PRIMARY KEY);
                  CREATE TABLE b (a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED);";
    let error = Sqlite::open(folder.path().join("x.sqlite"), schema).expect_err("refused");
    assert!(error.to_string().contains("the table `b` has a deferred foreign key"), "{error}");
}

#[tokio::test]
async fn requests_that_are_committed_together_fail_each_for_itself() {
    let payment = Service::<Sqlite>::start().await;
    let all = (0..60).map(|number| {
        let body = match number % 3 {
            0 => json!({ "fail_in_effect": "report-1" }),
            1 => json!({ "panic": "effect" }),
            _ => json!({}),
        };
        let url = format!("{}/pay", payment.url);
        let saga = format!("order-{number}");
        tokio::spawn(async move {
            send(&url, &[("saga-id", &saga), ("request-id", &saga)], &body).await.status
        })
    });
    let all: Vec<_> = all.collect();
    for (number, answer) in all.into_iter().enumerate() {
        assert_eq!(answer.await.expect("ends"), [422, 500, 200][number % 3], "{number}");
    }
    assert_eq!(payment.ask("SELECT count(*) FROM ledger").await, [["20"]]);
}
