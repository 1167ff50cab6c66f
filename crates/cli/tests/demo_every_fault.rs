//! Every planned fault at least once in one run, all at the same time: each order ends whole or leaves nothing behind.
#![cfg(feature = "demo")]

#[path = "support/demo.rs"]
mod demo;

use amends_demo::Summary;
use amends_demo::food::RULEBOOK;
use amends_demo::food::faults::Fault;
use demo::summary;
use std::process::{Command, Stdio};

/// Runs every fault twice, with so many customers at a time.
fn run(clients: &str) -> Summary {
    let mut faults: Vec<_> =
        Fault::ALL.iter().copied().filter(|fault| *fault != Fault::CouponRaced).collect();
    // The rival is the order before it: one that ends well, so that it keeps the coupon.
    let rival = faults.iter().position(|fault| *fault == Fault::RiderFails).expect("on the list");
    faults.insert(rival + 1, Fault::CouponRaced);
    let faults: Vec<_> = faults.iter().chain(&faults).map(|fault| fault.kind().word).collect();
    let faults = faults.join(",");
    let summary =
        summary(&["--orders", "40", "--seed", "2", "--clients", clients, "--faults", &faults]);
    assert_eq!(summary.invariants.len(), 5);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    assert_eq!(summary.faults.len(), Fault::ALL.len());
    assert!(summary.faults.values().all(|count| *count == 2), "{:?}", summary.faults);
    summary
}

#[test]
fn one_after_the_other_every_fault_strikes_and_only_its_own_order() {
    let summary = run("1");
    // Each of these can only come from its fault; with one customer at a time nobody else is dragged along.
    for report in [
        "order/report-1",
        "order/report-2",
        "order/report-3",
        "order/crashed",
        "payment/report-1",
        "payment/report-2",
        "coupon/unavailable",
        "coupon/already-used",
        "delivery/no-capacity",
        "rider/nobody-free",
        "sms/gateway-busy",
    ] {
        assert_eq!(summary.reports.get(report).map(|report| report.count), Some(2), "{report}");
    }
    // Five faults end well: the order is retried, and riders and texts are only ever retried.
    assert_eq!(summary.orders.cancelled, 2 * (Fault::ALL.len() as i64 - 5));
}

#[test]
fn all_at_once_every_order_still_ends_whole_or_leaves_nothing() {
    let summary = run("8");
    assert!(summary.orders.completed > 0 && summary.orders.cancelled > 0, "{:?}", summary.orders);
}

#[test]
fn the_tables_name_every_invariant_and_the_exit_code_is_zero() {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["demo", "--orders", "4", "--seed", "2", "--faults", "payment-report-1"])
        .output()
        .expect("the binary runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    for text in [
        "payment/report-1",
        "coupon.redeem: 1 compensated",
        "all-or-nothing",
        "coupon-once",
        "ledger",
        "rider-and-text",
        "cancellation-text",
        "4 orders: 3 complete, 1 cancelled (0 never begun)",
    ] {
        assert!(shown.contains(text), "`{text}` is missing in\n{shown}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_cleanly_and_leaves_no_folder() {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["demo", "--orders", "1000", "--slow", "--seed", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines =
        BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let first = lines.find(|line| line.contains("data in ")).expect("it says where its data is");
    let folder = first.rsplit("data in ").next().expect("a path").to_owned();
    // The first order is told of only when every process is up.
    lines.find(|line| line.contains(" orders for ")).expect("it tells of its first order");
    let interrupted =
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(interrupted.success());
    let rest: Vec<_> = lines.collect();
    let code = child.wait().expect("it ends").code();
    assert_eq!(code, Some(130), "after {rest:?}");
    assert!(!std::path::Path::new(&folder).exists(), "`{folder}` is left behind");
}

#[test]
fn a_rulebook_that_forgets_a_step_is_found_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = "compensate: [coupon.redeem, delivery.request, rider.match]";
    let forgetful = RULEBOOK.replacen(whole, "compensate: [coupon.redeem, delivery.request]", 1);
    assert_ne!(forgetful, RULEBOOK, "the rule for payment/report-1 is written otherwise");
    let rules = folder.path().join("forgetful.yaml");
    std::fs::write(&rules, forgetful).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args([
            "demo",
            "--orders",
            "1",
            "--seed",
            "2",
            "--json",
            "--faults",
            "payment-report-1",
            "--rules",
        ])
        .arg(&rules)
        .arg("--data")
        .arg(folder.path().join("run"))
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let summary: Summary =
        serde_json::from_slice(&output.stdout).expect("one JSON object on standard output");
    let broken: Vec<_> =
        summary.invariants.iter().filter(|i| !i.held).map(|i| i.name.as_str()).collect();
    assert_eq!(broken, ["all-or-nothing", "rider-and-text"]);
    assert!(
        summary.mishaps.iter().any(|mishap| mishap.contains("is half done")),
        "{:?}",
        summary.mishaps
    );
}
