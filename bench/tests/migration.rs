//! The move of a store in which work is under way, with few cases: the benchmark fails where anything is not as it was.

use serde_json::Value;
use std::process::Command;

#[test]
fn work_that_is_under_way_goes_on_in_postgres() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_amends-bench"));
    bench.args([
        "migration",
        "--settled",
        "300",
        "--open",
        "60",
        "--in-flight",
        "8",
        "--accepted",
        "8",
    ]);
    let done = bench.output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let result: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let after = &result["after"];
    assert_eq!(
        (&after["callbacksTaken"], &after["askedAgainUnderTheSameKey"]),
        (&8.into(), &8.into())
    );
    assert_eq!(after["cases"], 300 + 60 + 8 + 8);
    let tables = result["move"]["tables"].as_array().expect("tables");
    assert!(tables.iter().any(|table| table["name"] == "cases" && table["rows"] == 300 + 60 + 16));
}
