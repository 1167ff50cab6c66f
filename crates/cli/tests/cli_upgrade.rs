//! Before an upgrade: the store of an older version is judged by this one, and nothing of it changes.

mod support;

use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use support::{amends, scratch};

/// A store as version 4 of the schema held it.
const STORE: &str = include_str!("data/store-4.sql");

fn store(folder: &Path, more: &str) -> String {
    let conn = Connection::open(folder.join("amends.sqlite")).expect("opens");
    conn.execute_batch(STORE).expect("a store of before");
    conn.execute_batch(more).expect("what the test makes of it");
    folder.to_str().expect("UTF-8").to_owned()
}

fn preview(data: &str, more: &[&str]) -> Value {
    let all = ["upgrade", "preview", "--data", data, "--days", "36500", "--output", "json"];
    amends(&[&all[..], more].concat()).exits(0).json()
}

#[test]
fn a_store_of_before_is_read_as_it_lies_and_nothing_would_change() {
    let folder = scratch();
    let data = store(folder.path(), "");
    let file = folder.path().join("amends.sqlite");
    let before = std::fs::read(&file).expect("a file");
    let all = ["upgrade", "preview", "--data", &data, "--days", "36500", "--exit-code"];
    let told = amends(&all).exits(0).stdout;
    assert!(told.starts_with("2 cases looked at, 0 open and 2 settled: 0 would change"), "{told}");
    let none = amends(&["upgrade", "preview", "--data", &data, "--days", "0"]).exits(0).stdout;
    assert!(none.starts_with("0 cases looked at"), "older than asked for: {none}");
    assert!(std::fs::read(&file).expect("a file") == before, "the original stays as it was");
    let missing = amends(&["upgrade", "preview", "--data", "nowhere"]).exits(6);
    assert!(missing.stderr.contains("no store at `nowhere/amends.sqlite`"), "{}", missing.stderr);
}

#[test]
fn what_would_be_planned_otherwise_is_told_step_by_step() {
    let folder = scratch();
    let last = "DELETE FROM steps WHERE key = (SELECT max(key) FROM steps WHERE key >> 20 = 2)";
    let data = store(folder.path(), last);
    let found = preview(&data, &[]);
    assert_eq!((&found["changed"], &found["stuck"]), (&json!(1), &json!(0)), "{found}");
    let group = &found["groups"][0];
    assert_eq!(group["differences"], json!(["+ notify sms.send-cancellation"]), "{found}");
    assert_eq!((&group["example"], &group["cases"]), (&json!("c-2"), &json!(1)), "{found}");
    let all = ["upgrade", "preview", "--data", &data, "--days", "36500", "--exit-code"];
    let told = amends(&all).exits(1).stdout;
    assert!(told.contains("payment/report-1: 1 case, e.g. c-2\n  + notify sms"), "{told}");
}

#[test]
fn what_this_version_leaves_in_doubt_is_counted_by_rulebook_and_kind() {
    let folder = scratch();
    let lost = "UPDATE cases SET memo = json_set(memo, '$.dropped', \
        json('[{\"by\":\"order\",\"why\":\"limit\"}]')) WHERE id = 1";
    let data = store(folder.path(), lost);
    let found = preview(&data, &[]);
    let asked = json!([{
        "rulebook": "food-order", "kind": "dropped", "effect": "hold", "cases": 1, "examples": ["c-1"],
    }]);
    assert_eq!((&found["questions"], &found["stuck"]), (&asked, &json!(1)), "{found}");
    assert_eq!(found["groups"][0]["differences"], json!(["asks: dropped: order"]), "{found}");
    let all = ["upgrade", "preview", "--data", &data, "--days", "36500", "--exit-code"];
    let told = amends(&all).exits(1).stdout;
    let line = "food-order: dropped evidence, holds the case: 1 case, e.g. c-1\n";
    assert!(told.contains(line), "{told}");
}

#[test]
fn what_this_version_could_not_read_is_told_with_the_reason() {
    let folder = scratch();
    let broken = "
        UPDATE cases SET state = 0, settled_at = NULL, closed_on = NULL;
        UPDATE cases SET memo = 'x' WHERE id = 1;
        UPDATE rulebooks SET sources = '[[\"a.yaml\", \"no rulebook\"]]'";
    let data = store(folder.path(), broken);
    let found = preview(&data, &[]);
    assert_eq!((&found["open"], &found["quarantined"]), (&json!(2), &json!(2)), "{found}");
    let row = found["unreadable"][0]["row"].as_str().expect("a rulebook");
    assert!(row.starts_with("rulebook `food-order` ("), "{found}");
    let told = found["groups"].to_string();
    assert!(told.contains("quarantined: rulebook `food-order`"), "{found}");
    assert!(told.contains("quarantined: expected value"), "{found}");
}
