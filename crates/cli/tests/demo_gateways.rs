//! Services that are deployed behind gateways: what 404, 401 and 503 that nobody of them said leave behind, and whether
//! anybody is asked.
#![cfg(feature = "demo")]

use amends_demo::Summary;
use amends_protocol::CaseState;
use std::process::Command;

#[test]
fn every_case_settles_by_itself_while_gateways_answer_for_services_that_are_deployed() {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["demo", "--gateways", "--deploy-seconds", "1", "--orders", "60", "--seed", "5"])
        .args(["--fault-rate", "0.6", "--json"])
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let summary: Summary =
        serde_json::from_slice(&output.stdout).expect("one JSON object on standard output");
    let gateways = summary.gateways.expect("the run was one with gateways");
    assert_eq!(gateways.deploys, 18);
    let statuses: Vec<_> = gateways.turned_away.keys().copied().collect();
    assert_eq!(statuses, [401, 404, 503], "{gateways}");
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
}
