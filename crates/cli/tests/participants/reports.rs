//! Reports on their way: each answer of the supervisor means what the protocol says, and one saga's trouble is no
//! other's.

use crate::rig::{Came, Language, Participant, Played, Reply, Setting, Store};
use crate::support::{eventually, scratch};
use serde_json::{Value, json};

crate::in_each_language!(
    each_answer_to_a_report_means_what_it_says,
    a_report_of_a_long_saga_keeps_what_matters,
);

/// A failure in this saga, and so a report.
fn fail(coupon: &Participant, saga: &str) -> String {
    coupon.post("/redeem", saga, &format!("r-{saga}"), &json!({})).report()
}

fn of<'c>(came: &'c [Came], saga: &str) -> Vec<&'c Value> {
    came.iter().map(|one| &one.body).filter(|event| event["subject"] == saga).collect()
}

/// What the supervisor says to a report, by its saga.
fn answer(came: &Came, before: &[Came]) -> Option<Reply> {
    let saga = came.body["subject"].as_str().unwrap_or_default();
    let status = match (saga, of(before, saga).len()) {
        ("busy" | "dated", _) => 503,
        ("wrong", _) => 422,
        ("limited", 0..3) => 429,
        ("lost", 0..3) => 404,
        ("broken", 0..3) => 500,
        ("barred", 0..3) => 403,
        _ => 202,
    };
    let wait = match saga {
        "busy" => vec![("retry-after", "3600".to_owned())],
        "dated" => vec![("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT".to_owned())],
        _ => vec![],
    };
    Some((status, wait, json!({ "detail": "said so" })))
}

fn each_answer_to_a_report_means_what_it_says(language: Language, store: Store) {
    let folder = scratch();
    let supervisor = Played::start(answer);
    let mut setting = Setting::new(language, store, folder.path());
    setting.supervisor.clone_from(&supervisor.url);
    let mut coupon = setting.start();
    let waiting = ["busy", "dated", "wrong"];
    let [_, _, wrong] = waiting.map(|saga| fail(&coupon, saga));
    let passing = ["limited", "lost", "broken", "barred", "good"];
    let ids = passing.map(|saga| fail(&coupon, saga));

    // What is not for ever is tried until it is taken, under its id.
    for (saga, id) in passing.iter().zip(&ids) {
        let tries = if *saga == "good" { 1 } else { 4 };
        eventually(saga, || (of(&supervisor.came(), saga).len() == tries).then_some(()));
        assert!(of(&supervisor.came(), saga).iter().all(|event| event["id"] == **id));
    }
    // Meanwhile `Retry-After` was obeyed, in seconds and as a date, and what is refused was not sent again.
    for saga in waiting {
        assert_eq!(of(&supervisor.came(), saga).len(), 1, "{saga}");
    }
    let log = coupon.log();
    let said = |words: &str, id: &str| log.lines().any(|l| l.contains(words) && l.contains(id));
    assert!(said("THE SUPERVISOR REFUSED A REPORT", &wrong), "{log}");
    assert!(said("REPORTS DO NOT GET THROUGH", &ids[1]), "404 is told: {log}");
    assert!(said("REPORTS DO NOT GET THROUGH", &ids[3]), "403 is told: {log}");
    assert!(!log.contains(&ids[2]), "500 passes by itself, and nobody need hear of it: {log}");

    // Kept, and tried once more by the next start.
    coupon.kill();
    let coupon = setting.start();
    eventually("it is sent again", || (of(&supervisor.came(), "wrong").len() == 2).then_some(()));
    assert!(of(&supervisor.came(), "wrong").iter().all(|event| event["id"] == *wrong));
    let later = fail(&coupon, "later");
    eventually("others go on", || of(&supervisor.came(), "later").pop().map(|e| e["id"] == *later));
    assert_eq!(of(&supervisor.came(), "wrong").len(), 2, "once, and not for ever");
}

/// More than a report may tell: one of each action and state goes first, then what may have taken effect.
fn a_report_of_a_long_saga_keeps_what_matters(language: Language, store: Store) {
    let folder = scratch();
    let supervisor = Played::start(|_, _| Some((202, vec![], json!({}))));
    let mut setting = Setting::new(language, store, folder.path());
    setting.supervisor.clone_from(&supervisor.url);
    setting.keys = "";
    drop(setting.start()); // its tables are there now
    let file = rusqlite::Connection::open(&setting.database).expect("it is a file");
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)";
    file.execute_batch(&format!(
        "{many} INSERT INTO requests (id, saga, action, fingerprint, body, context, state, worker, status, answer)
           SELECT 'r-' || i, 'long', 'redeem', '', '{{}}', '{{}}',
             CASE WHEN i > 2400 THEN 'succeeded' ELSE 'failed' END, '', 200, '{{}}' FROM n;
         INSERT INTO calls (id, saga, request, service, action, state)
           VALUES ('c-1', 'long', 'r-1', 'printer', 'print', 'unknown')"
    ))
    .expect("written");
    drop(file);

    let coupon = setting.start();
    fail(&coupon, "long");
    let told = eventually("the report comes", || of(&supervisor.came(), "long").pop().cloned());
    let history = told["data"]["history"].as_array().expect("a list");
    let count = |state: &str| history.iter().filter(|entry| entry["state"] == state).count();
    assert_eq!((history.len(), count("succeeded"), count("unknown")), (1000, 100, 1));

    // Its History comes in pages, and leaves nothing out.
    let (mut seen, mut pages, mut after) = (std::collections::BTreeSet::new(), 0, String::new());
    loop {
        let page = coupon.get(&format!("/amends/v1/history/long{after}"));
        assert_eq!((page.status, page.header("saga-id")), (200, Some("long")), "{page:?}");
        pages += 1;
        for entry in page.body["entries"].as_array().expect("a list") {
            assert!(seen.insert(entry["requestId"].to_string()), "told twice: {entry}");
        }
        match page.body["next"].as_str() {
            Some(next) => after = format!("?after={next}"),
            None => break,
        }
    }
    assert_eq!((seen.len(), pages), (2502, 3));
}
