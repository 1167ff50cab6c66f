//! The demo with everything on that keeps others out: what must hold holds as without, kills and gateways included, and
//! every attack on it is refused.
#![cfg(feature = "demo")]

#[path = "support/demo.rs"]
mod demo;

use amends_api::CaseState;
use amends_demo::Summary;
use demo::summary;

/// Attacks that don't hang on what has happened in the run.
const ATTACKS: usize = 11;

#[track_caller]
fn holds(summary: &Summary) {
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    assert!(summary.attacks.len() >= ATTACKS, "{:?}", summary.attacks);
    assert!(summary.attacks.iter().all(|attack| attack.refused), "{:?}", summary.attacks);
}

#[test]
fn kills_leave_nothing_half_done_behind_tls_and_every_attack_is_refused() {
    let run = ["--secure", "--chaos", "--orders", "24", "--kills", "7", "--seed", "3"];
    let summary = summary(&run);
    holds(&summary);
    assert_eq!(summary.chaos.as_ref().map(|chaos| chaos.kills), Some(7));
    // There were cases, so the outcome of a step was among the attacks.
    assert_eq!(summary.attacks.len(), ATTACKS + 1, "{:?}", summary.attacks);
}

#[test]
fn gateways_of_the_marketplace_show_certificates_to_both_sides() {
    let run = ["--secure", "--gateways", "--deploy-seconds", "1", "--orders", "16", "--seed", "5"];
    let summary = summary(&[&run[..], &["--business", "marketplace"]].concat());
    holds(&summary);
    assert!(summary.gateways.is_some_and(|gateways| gateways.deploys > 0));
}
