//! The supervisor is killed with SIGKILL ten times in the middle of a run, and nothing is lost.
#![cfg(feature = "demo")]

#[path = "support/demo.rs"]
mod demo;

use amends_api::CaseState;
use demo::summary;

#[test]
fn ten_kills_of_the_supervisor_lose_nothing() {
    let run = ["--orders", "40", "--seed", "11", "--fault-rate", "0.6", "--kill-supervisor", "10"];
    let summary = summary(&run);
    assert_eq!(summary.kills, 10);
    // Kills of an idle supervisor would prove nothing.
    let open = &summary.open_at_kills;
    assert_eq!(open.len(), 10, "each kill is counted: {open:?}");
    assert!(open.iter().sum::<u64>() > 0, "no kill met an open case: {open:?}");
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    // Faults were planned, so there are cases; every single one has settled by itself.
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    assert!(summary.orders.completed > 0 && summary.orders.cancelled > 0, "{:?}", summary.orders);
}
