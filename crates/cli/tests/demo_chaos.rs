//! Every service and the supervisor are killed with SIGKILL in the middle of a run: nothing half done remains, and what
//! does not come back is found out.
#![cfg(feature = "demo")]

#[path = "support/demo.rs"]
mod demo;

use amends_api::CaseState;
use demo::summary;
use std::process::Command;

#[test]
fn eight_kills_of_anybody_leave_nothing_half_done() {
    let summary = summary(&["--chaos", "--orders", "60", "--kills", "8", "--seed", "3"]);
    assert_eq!(summary.orders.total, 60);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);

    let closed: u64 = summary.closed_on.values().sum();
    assert_eq!(Some(&closed), summary.cases.get(&CaseState::Settled), "{:?}", summary.closed_on);

    let chaos = summary.chaos.expect("the run was one with chaos");
    let victims: Vec<_> = chaos.kills_by_process.keys().map(String::as_str).collect();
    assert_eq!(victims, ["coupon", "delivery", "order", "payment", "rider", "sms", "supervisor"]);
    assert_eq!((chaos.kills, chaos.kills_by_process.values().sum()), (8, 8));
    // The plan of this seed has faults for each of these, beside the kills.
    assert!(chaos.null_compensations > 0 && chaos.refused_late > 0, "{chaos}");
    assert!(chaos.crash_reports > 0, "{chaos}");
}

#[test]
fn after_the_tables_people_read_a_line_about_chaos() {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["demo", "--chaos", "--orders", "10", "--kills", "7", "--seed", "4"])
        .output()
        .expect("the binary runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kills =
        "chaos: kills 7 (coupon 1, delivery 1, order 1, payment 1, rider 1, sms 1, supervisor 1), ";
    assert!(shown.lines().last().is_some_and(|line| line.starts_with(kills)), "{shown}");
    let words = shown.lines().rev().nth(1);
    assert!(words.is_some_and(|line| line.starts_with("cases: ")), "{shown}");
}

/// Runs with an executable that can't start one of its processes a second time.
#[cfg(unix)]
async fn run_without_return(victim: &str) -> amends_demo::Verdict {
    use clap::Parser;
    use std::os::unix::fs::PermissionsExt;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        demo: amends_demo::DemoOptions,
    }

    let folder = tempfile::tempdir().expect("a temporary folder");
    let exe = folder.path().join("amends");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'{victim}'*) mkdir \"$0.started\" 2>&- || exit 9;; esac\nexec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_amends")
    );
    std::fs::write(&exe, script).expect("a file");
    std::fs::set_permissions(&exe, PermissionsExt::from_mode(0o755)).expect("ours");
    let data = folder.path().join("run").display().to_string();
    let line =
        ["demo", "--chaos", "--orders", "30", "--kills", "7", "--seed", "5", "--data", &data];
    let verdict = amends_demo::run(CommandLine::parse_from(line).demo, &exe).await;
    verdict.expect("a verdict, whatever happens")
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_come_back_is_a_finding() {
    let verdict = run_without_return("--service coupon").await;
    assert_eq!(verdict, amends_demo::Verdict::Bad);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_does_not_come_back_is_a_finding() {
    let verdict = run_without_return("serve --rules").await;
    assert_eq!(verdict, amends_demo::Verdict::Bad);
}
