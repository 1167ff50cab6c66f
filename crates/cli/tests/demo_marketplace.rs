//! The marketplace of the demo: every planned fault, kills, and what is said where its name is wrong.
#![cfg(feature = "demo")]

#[path = "support/demo.rs"]
mod demo;

use amends_api::{CaseState, ClosedOn};
use amends_demo::Summary;
use amends_demo::market::faults::Fault;
use demo::summary;
use std::process::Command;

#[track_caller]
fn run(options: &[&str]) -> Summary {
    let summary = summary(&[&["--business", "marketplace"][..], options].concat());
    assert_eq!(summary.business, "marketplace");
    assert_eq!(summary.invariants.len(), 6);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    summary
}

#[test]
fn every_fault_ends_whole_or_leaves_nothing_and_what_is_paid_out_goes_forward() {
    let faults: Vec<_> = Fault::ALL.iter().map(|fault| fault.kind().word).collect();
    let orders = (faults.len() + 3).to_string();
    let summary =
        run(&["--orders", &orders, "--seed", "2", "--clients", "1", "--faults", &faults.join(",")]);
    assert_eq!(summary.faults.len(), faults.len());
    // Each of these can only come from its fault; with one customer at a time nobody else is dragged along.
    for report in [
        "stock/sold-out",
        "card/declined",
        "voucher/spent",
        "loyalty/book-locked",
        "payout/refused",
        "checkout/transfer-unknown",
        "email/no-relay",
    ] {
        assert_eq!(summary.reports.get(report).map(|report| report.count), Some(1), "{report}");
    }
    // Two faults kill the checkout, and it goes on; two concern the points alone, two the mail, one the answer about a
    // payment that took place.
    let forward = 7;
    assert_eq!(summary.orders.cancelled, faults.len() as i64 - forward);
    assert!(summary.closed_on.contains_key(&ClosedOn::Forward), "{:?}", summary.closed_on);
    // The late message was refused, and so taken off the queue.
    let messages = summary.invariants.iter().find(|invariant| invariant.name == "messages");
    let evidence = &messages.expect("it is judged").evidence;
    assert!(!evidence.contains(" 0 refused"), "{evidence}");
}

#[test]
fn kills_of_anybody_leave_nothing_half_done() {
    let summary = run(&["--chaos", "--orders", "30", "--kills", "9", "--seed", "3"]);
    let chaos = summary.chaos.expect("the run was one with chaos");
    assert_eq!((chaos.kills, chaos.kills_by_process.len()), (9, 9), "{chaos}");
}

#[test]
fn an_unknown_business_is_told_which_there_are() {
    for wrong in [&["demo", "--business", "bakery"][..], &["demo", "--business"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_amends"))
            .args(wrong)
            .output()
            .expect("the binary runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("food-order") && told.contains("marketplace"), "{told}");
    }
}

#[test]
fn a_fault_of_the_other_business_is_told_apart() {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["demo", "--business", "marketplace", "--faults", "coupon-raced"])
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("`marketplace` knows no fault `coupon-raced`"), "{told}");
    assert!(told.contains("transfer-refused"), "{told}");
}
