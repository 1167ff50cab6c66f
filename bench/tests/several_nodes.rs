//! Short runs on several nodes: the benchmark fails where a promise is broken, and says which.

use serde_json::Value;
use std::process::Command;

fn run(arguments: &[&str]) -> Value {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_amends-bench"));
    let done = bench.args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr);
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{shown}");
    serde_json::from_str(&shown).expect("JSON")
}

#[test]
fn nodes_that_are_struck_and_their_database_keep_what_they_promise() {
    let told = run(&["nodes", "--rate", "20", "--seconds", "24", "--every", "7"]);
    assert_eq!(told["broken"], serde_json::json!([]));
    let outcome = &told["outcome"];
    assert_eq!((&outcome["acknowledged"], &outcome["lost"]), (&480.into(), &0.into()), "{told}");
    // Four of each usual one; one of five narrow ones, and of 24 by the limited rule: fewer than its limit.
    assert_eq!(outcome["stepsCarriedOut"], (480 - 5 - 24) * 4 + 5 + 24, "{told}");
    let blows = &told["blows"];
    let count = |what: &str| blows[what].as_u64().expect("a number");
    assert!(count("killed") + count("stopped") + count("drained") >= 1, "{blows}");
    assert_eq!(count("databaseKilled"), 1, "{blows}");
}
