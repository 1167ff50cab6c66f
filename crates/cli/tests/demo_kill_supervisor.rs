//! The supervisor is killed with SIGKILL ten times in the middle of a run, and nothing is lost.
#![cfg(feature = "demo")]

use amends_demo::Summary;
use amends_protocol::CaseState;
use std::process::Command;

#[test]
fn ten_kills_of_the_supervisor_lose_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args([
            "demo",
            "--orders",
            "40",
            "--seed",
            "11",
            "--fault-rate",
            "0.6",
            "--kill-supervisor",
            "10",
            "--json",
        ])
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let summary: Summary =
        serde_json::from_slice(&output.stdout).expect("one JSON object on standard output");
    assert_eq!(summary.kills, 10);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    // Faults were planned, so there are cases; every single one has settled by itself.
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    assert!(summary.orders.completed > 0 && summary.orders.cancelled > 0, "{:?}", summary.orders);
}
