//! The demo with its reports going by a broker that is killed like everybody else: each report arrives, and none works
//! twice.
#![cfg(all(feature = "demo", any(feature = "kafka", feature = "nats")))]

#[path = "support/demo.rs"]
mod demo;

use amends_api::CaseState;
use demo::summary;

#[cfg(feature = "nats")]
#[test]
fn a_nats_that_is_killed_loses_no_report_and_nothing_works_twice() {
    holds("nats");
}

#[cfg(feature = "kafka")]
#[test]
fn a_kafka_that_is_killed_loses_no_report_and_nothing_works_twice() {
    holds("kafka");
}

#[track_caller]
fn holds(broker: &str) {
    let run = ["--broker", broker, "--chaos", "--orders", "40", "--kills", "8", "--seed", "3"];
    let summary = summary(&run);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    let chaos = summary.chaos.expect("the run was one with chaos");
    assert_eq!((chaos.kills, chaos.kills_by_process.get(broker)), (8, Some(&1)));
    let published = summary.published.expect("the run had a broker");
    assert!(published.published > 0 && published.published == published.taken, "{published}");
    assert_eq!((published.lost, published.doubled_in_effect, published.kills), (0, 0, 1));
    let told: u64 = summary.reports.values().map(|report| report.count).sum();
    assert_eq!(told, published.taken, "no report came by another way");
}
