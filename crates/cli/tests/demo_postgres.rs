//! The demo with its cases in a PostgreSQL that is killed like everybody else and whose connections are cut: nothing
//! half done remains.
#![cfg(all(feature = "demo", feature = "postgres"))]

#[path = "support/demo.rs"]
mod demo;

use amends_api::CaseState;
use demo::summary;

#[test]
fn a_database_that_is_killed_and_cut_off_loses_nothing() {
    let run = ["--store", "postgres", "--chaos", "--orders", "40", "--kills", "9", "--seed", "3"];
    let summary = summary(&run);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    let chaos = summary.chaos.expect("the run was one with chaos");
    assert_eq!(chaos.kills, 9);
    let killed =
        ["database", "connections", "supervisor"].map(|name| chaos.kills_by_process.get(name));
    assert_eq!(killed, [Some(&1); 3], "{chaos}");
}
