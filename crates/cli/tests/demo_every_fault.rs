//! Every planned fault at least once in one run, all at the same time: each order ends whole or leaves nothing behind.
#![cfg(feature = "demo")]

use amends_demo::Summary;
use amends_demo::faults::Fault;
use std::process::{Command, Stdio};

#[test]
fn every_fault_ends_in_all_or_nothing() {
    let faults: Vec<_> = Fault::ALL.iter().chain(Fault::ALL).map(|fault| fault.as_str()).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["demo", "--orders", "40", "--seed", "2", "--json", "--faults", &faults.join(",")])
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let summary: Summary =
        serde_json::from_slice(&output.stdout).expect("one JSON object on standard output");
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    assert_eq!(summary.faults.len(), Fault::ALL.len());
    assert!(summary.faults.values().all(|count| *count == 2), "{:?}", summary.faults);
    // The faults really struck: each of these reports can only come from its fault.
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
        assert!(
            summary.reports.contains_key(report),
            "no {report} in {:?}",
            summary.reports.keys()
        );
    }
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
    assert!(code.is_some_and(|code| code != 0), "it ended with {code:?} after {rest:?}");
    assert!(!std::path::Path::new(&folder).exists(), "`{folder}` is left behind");
}
