//! Services that are deployed behind gateways: what 404, 401 and 503 that nobody of them said leave behind, and whether
//! anybody is asked.
#![cfg(feature = "demo")]

#[path = "support/demo.rs"]
mod demo;

use amends_api::CaseState;
use demo::summary;

#[test]
fn every_case_settles_by_itself_while_gateways_answer_for_services_that_are_deployed() {
    let run = ["--gateways", "--deploy-seconds", "1", "--orders", "60", "--seed", "5"];
    let summary = summary(&[&run[..], &["--fault-rate", "0.6"]].concat());
    let gateways = summary.gateways.expect("the run was one with gateways");
    assert_eq!(gateways.deploys, 18);
    let statuses: Vec<_> = gateways.turned_away.keys().copied().collect();
    assert_eq!(statuses, [401, 404, 503], "{gateways}");
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
}
