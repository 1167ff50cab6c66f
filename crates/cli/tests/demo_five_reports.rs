//! The five predefined rules, each met by one order: exactly the steps that the rule lists are asked for and done.
#![cfg(feature = "demo")]

#[path = "support/demo.rs"]
mod demo;

use amends_demo::ReportCount;
use demo::summary;
use std::collections::BTreeMap;

const FIVE: &str = "payment-report-1,payment-report-2,order-report-1,order-report-2,order-report-3";

/// What a rule leads to: `service.action` and the outcome, each once.
fn steps(expected: &[(&str, &str)]) -> BTreeMap<String, BTreeMap<String, u64>> {
    expected
        .iter()
        .map(|(action, outcome)| {
            ((*action).to_owned(), BTreeMap::from([((*outcome).to_owned(), 1)]))
        })
        .collect()
}

#[test]
fn each_of_the_five_reports_leads_to_exactly_its_steps() {
    let summary = summary(&["--orders", "5", "--clients", "1", "--seed", "5", "--faults", FIVE]);

    let undone = "compensated";
    let cancellation = ("sms.send-cancellation", "notified");
    let coupon = ("coupon.redeem", undone);
    let delivery = ("delivery.request", undone);
    let rider = ("rider.match", undone);
    let payment = ("payment.pay", undone);
    let rules = [
        ("payment/report-1", steps(&[coupon, delivery, rider, cancellation])),
        ("payment/report-2", steps(&[delivery, rider, cancellation])),
        ("order/report-1", steps(&[("order.place", "retried")])),
        ("order/report-2", steps(&[payment, delivery, rider, cancellation])),
        ("order/report-3", steps(&[payment, coupon, delivery, rider, cancellation])),
    ];
    for (report, steps) in &rules {
        let expected = ReportCount { count: 1, steps: steps.clone() };
        assert_eq!(summary.reports.get(*report), Some(&expected), "{report}");
    }
    // The order fails because its payment failed: two reports that only follow from others, without steps of their own.
    let derived = ReportCount { count: 2, steps: BTreeMap::new() };
    assert_eq!(summary.reports.get("order/downstream"), Some(&derived));
    assert_eq!(summary.reports.len(), rules.len() + 1, "{:?}", summary.reports.keys());
    // The one order that is only retried stands; the others left nothing behind.
    assert_eq!(
        (summary.orders.total, summary.orders.completed, summary.orders.cancelled),
        (5, 1, 4)
    );
    assert_eq!(summary.invariants.len(), 5);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
}
