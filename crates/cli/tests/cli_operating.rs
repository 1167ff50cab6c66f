//! An operator at the command line: seeing what is held up and why, mending it in bulk, and finding what is wrong with
//! the installation.

mod support;

use serde_json::Value;
use support::{Legacy, Supervisor, amends, eventually, scratch, shop_rules, unused_address, write};
use tempfile::TempDir;

/// A supervisor whose billing service answers with this status.
fn shop(status: u16) -> (TempDir, Legacy, Supervisor) {
    let folder = scratch();
    let billing = Legacy::start(status);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    (folder, billing, supervisor)
}

fn groups(supervisor: &Supervisor) -> Value {
    supervisor.run(&["cases", "groups", "--json"]).exits(0).json()
}

#[test]
fn a_group_names_the_cause_and_is_drained_in_a_ramp() {
    let (_folder, billing, supervisor) = shop(409);
    for n in 0..8 {
        supervisor.report(&format!("order-{n}"));
    }
    let group = eventually("all eight are refused", || {
        groups(&supervisor).as_array()?.iter().find(|g| g["count"] == 8).cloned()
    });
    let id = group["id"].as_str().expect("an id");
    let shown = supervisor.run(&["cases", "groups"]).exits(0).stdout;
    assert!(shown.contains("billing refuses: 8 stuck since "), "{shown}");
    let listed = supervisor.run(&["cases", "list", "--group", id, "--json"]).exits(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(8));

    let retry = ["cases", "retry", "--group", id, "--reason", "the bank is back"];
    let dry = supervisor.run(&[&retry[..], &["--dry-run"]].concat()).exits(0);
    assert!(dry.stderr.contains("would retry 8 steps"), "{}", dry.stderr);
    let vain = supervisor.run(&[&retry[..], &["--yes"]].concat()).exits(4);
    assert!(vain.stdout.contains("retried 0 of 8 steps"), "{}", vain.stdout);
    assert!(
        vain.stderr.contains("b-1 stopped with 7 left: 1 of 1 failed again"),
        "{}",
        vain.stderr
    );

    billing.answer_with(200);
    let rest = supervisor.run(&["bulk", "start", "b-1", "--reason", "now it is"]).exits(4);
    assert!(rest.stdout.contains("done 7 of 8 steps"), "{}", rest.stdout);
    let all = supervisor.run(&["bulk", "list"]).exits(0).stdout;
    assert!(all.contains("8 of 8") && all.contains("the bank is back"), "{all}");
    supervisor.run(&["bulk", "stop", "b-1"]).exits(4);
    supervisor.run(&["bulk", "watch", "b-9"]).exits(5);
}

#[test]
fn many_cases_get_the_rule_that_they_lacked() {
    let folder = scratch();
    let billing = Legacy::start(200);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let text = std::fs::read_to_string(&rules).expect("a file");
    std::fs::write(&rules, text.replace("\"*/*\"", "\"shop/closed\"")).expect("our folder");
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    let cases: Vec<_> = (0..3).map(|n| supervisor.report(&format!("order-{n}"))).collect();
    // The mended file also says something else of a service, which tells when it is active.
    let mended = text.replace("  billing:\n", "  billing:\n    concurrency: 7\n");
    std::fs::write(&rules, mended).expect("our folder");
    eventually("the mended rulebook is active", || {
        let services = supervisor.run(&["services", "--json"]).exits(0).json();
        (services[0]["concurrency"] == 7).then_some(())
    });

    let replan = ["cases", "replan", "--state", "unmatched", "--reason", "there is a rule now"];
    let dry = supervisor.run(&[&replan[..], &["--dry-run"]].concat()).exits(0);
    assert!(dry.stderr.contains("would replan 3 cases"), "{}", dry.stderr);
    assert!(cases.iter().all(|case| dry.stdout.contains(case.as_str())), "{}", dry.stdout);
    let unasked = supervisor.run(&replan).exits(2);
    assert!(unasked.stderr.contains("add --yes"), "{}", unasked.stderr);
    let everything = supervisor.run(&["cases", "replan", "--reason", "x", "--yes"]).exits(2);
    assert!(everything.stderr.contains("say which cases"), "{}", everything.stderr);
    let done = supervisor.run(&[&replan[..], &["--yes"]].concat()).exits(0);
    assert!(done.stdout.contains("replanned 3 of 3 cases"), "{}", done.stdout);
    for case in &cases {
        eventually("it settles", || (supervisor.case(case)["state"] == "settled").then_some(()));
    }
    assert_eq!(billing.requests().len(), 3);
}

#[test]
fn services_are_shown_paused_and_limited() {
    let (_folder, _billing, supervisor) = shop(200);
    let paused = ["services", "pause", "billing", "--reason", "maintenance until ten"];
    let shown = supervisor.run(&paused).exits(0).stdout;
    assert!(shown.contains("paused by tester: maintenance until ten"), "{shown}");
    let limited = ["services", "limit", "billing", "--per-second", "5", "--reason", "slow today"];
    let shown = supervisor.run(&limited).exits(0).stdout;
    assert!(shown.contains("5 a second by tester: slow today"), "{shown}");
    supervisor.run(&["services", "resume", "billing", "--reason", "back"]).exits(0);
    let all = supervisor.run(&["services"]).exits(0).stdout;
    assert!(all.contains("○ idle") && all.contains("5 a second"), "{all}");
    let json = supervisor.run(&["services", "--json"]).exits(0).json();
    assert_eq!(json.as_array().map(Vec::len), Some(2), "{json}");
    supervisor.run(&["services", "pause", "nobody", "--reason", "x"]).exits(5);
}

#[test]
fn a_rule_that_does_harm_is_held_and_released() {
    let (_folder, billing, supervisor) = shop(200);
    let hold = ["rules", "hold", "shop", "*/*", "--reason", "it refunds twice"];
    let told = supervisor.run(&hold).exits(0).stdout;
    assert!(told.contains("⊟ held: rule */* of rulebook shop, by tester since "), "{told}");
    assert!(told.contains("to undo: amends rules release shop '*/*'"), "{told}");
    let case = supervisor.report("order-1");
    let waiting = eventually("it is planned", || {
        let steps = supervisor.case(&case)["plan"].clone();
        (steps[0]["cause"] == "held").then_some(steps)
    });
    assert_eq!(waiting[0]["attempts"], 0, "{waiting}");
    let status = supervisor.run(&["rules", "status", "shop"]).exits(0).stdout;
    assert!(status.contains("✓ active, ‖ 1 rule held"), "{status}");
    assert!(status.contains("because it refunds twice") && status.contains("check: "), "{status}");
    let shown = supervisor.run(&["cases", "show", &case]).exits(0).stdout;
    assert!(shown.contains("held: rule */* of rulebook shop, by tester"), "{shown}");
    assert!(billing.requests().is_empty(), "{:?}", billing.requests());

    let unknown = ["rules", "hold", "shop", "pay/none", "--reason", "x"];
    assert!(supervisor.run(&unknown).exits(5).stderr.contains("*/*"));
    supervisor.run(&["rules", "hold", "shop"]).exits(2);
    let release = ["rules", "release", "shop", "*/*", "--reason", "mended"];
    let told = supervisor.run(&release).exits(0).stdout;
    assert_eq!(told.trim(), "nothing of shop is held");
    eventually("it settles", || (supervisor.case(&case)["state"] == "settled").then_some(()));
    let json = supervisor.run(&[&hold[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(json[0]["rule"], "*/*", "{json}");
}

#[test]
fn cases_are_exported_in_both_formats() {
    let (folder, _billing, supervisor) = shop(200);
    let case = supervisor.report("order-1");
    eventually("it settles", || (supervisor.case(&case)["state"] == "settled").then_some(()));
    let lines = supervisor.run(&["export", "--state", "settled"]).exits(0).stdout;
    let row: Value = serde_json::from_str(lines.trim()).expect("one JSON object");
    assert_eq!(row["id"], case.as_str());
    assert!(row["sentence"].as_str().expect("text").contains("undone"), "{row}");
    let file = folder.path().join("cases.csv");
    let to = file.to_str().expect("UTF-8");
    supervisor.run(&["export", "--format", "csv", "--to", to]).exits(0);
    let sheet = std::fs::read_to_string(&file).expect("written");
    assert!(sheet.starts_with("id,saga_id,") && sheet.contains(",order-1,settled,"), "{sheet}");
    let again = supervisor.run(&["export", "--to", to]).exits(6);
    assert!(again.stderr.contains("cannot create"), "{}", again.stderr);
}

#[test]
fn top_prints_one_frame_that_fits() {
    let (_folder, _billing, supervisor) = shop(409);
    supervisor.report("order-1");
    let frame = eventually("the stuck case is shown", || {
        let frame = supervisor.run(&["top", "--once"]).exits(0).stdout;
        frame.contains("■ 1 stuck").then_some(frame)
    });
    assert!(frame.contains("billing refuses: 1 stuck"), "{frame}");
    assert!(frame.lines().count() <= 24 && !frame.contains('\x1b'), "{frame}");
    assert!(frame.lines().all(|line| line.chars().count() <= 80), "{frame}");
    amends(&["top", "--once", "--url", &format!("http://{}", unused_address())]).exits(3);
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_healthy_house() {
    let (folder, billing, supervisor) = shop(200);
    let rules = folder.path().join("shop.yaml");
    let data = folder.path().join("data");
    let (rules, data) = (rules.to_str().expect("UTF-8"), data.to_str().expect("UTF-8"));
    let text = supervisor.run(&["doctor", "--rules", rules, "--data", data]).exits(0).stdout;
    for part in [
        "✓ ok    configuration",
        "in use by a supervisor",
        "disk space: ",
        "✓ ok    supervisor: it is ready",
        "✓ ok    service billing: ",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    drop(billing);
}

#[test]
fn the_doctor_names_what_is_wrong_and_how_to_mend_it() {
    let folder = scratch();
    let rules = shop_rules(folder.path(), &unused_address(), "auto");
    let nobody = format!("http://{}", unused_address());
    let data = folder.path().join("none");
    let data = data.to_str().expect("UTF-8");
    let doctor = |rules: &str| {
        amends(&["doctor", "--rules", rules, "--data", data, "--url", &nobody, "--json"])
    };
    let found = doctor(&rules).exits(1).json();
    let verdict = |check: &str| {
        let all = found.as_array().expect("findings");
        let one =
            all.iter().find(|f| f["check"] == check).unwrap_or_else(|| panic!("{check}: {found}"));
        assert!(one["help"].is_string() || one["verdict"] == "ok", "{one}");
        one["verdict"].as_str().expect("a verdict").to_owned()
    };
    assert_eq!(verdict("store"), "warn", "there is none yet");
    assert_eq!(verdict("supervisor"), "warn", "it may not have been started");
    assert_eq!(verdict("service billing"), "fail");

    let broken = write(folder.path(), "broken.yaml", "rulebook: [");
    let found = doctor(&broken).exits(1).stdout;
    assert!(found.contains("amends rules check"), "{found}");
    let config = write(folder.path(), "amends.toml", "listen = 7");
    let found = amends(&["doctor", "--config", &config, "--url", &nobody]).exits(1).stdout;
    assert!(found.contains("✗ fail  configuration: `listen` is 7"), "{found}");
}
