//! `amends rules …` as a person runs it: on the demo's rulebook, and on one with a forgotten step.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/rulebook/food-order.yaml");

fn rules(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.arg("rules").args(arguments).env_remove("COLUMNS");
    command.output().expect("the binary starts")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn json(arguments: &[&str]) -> Value {
    let output = rules(arguments);
    serde_json::from_str(&out(&output))
        .unwrap_or_else(|e| panic!("{e}\n{}{}", out(&output), told(&output)))
}

/// The demo's rulebook without the coupon's compensation in its first rule.
fn forgetful(folder: &Path) -> String {
    let text = fs::read_to_string(DEMO).expect("readable");
    let text = text.replacen(
        "[coupon.redeem, delivery.request, rider.match]",
        "[delivery.request, rider.match]",
        1,
    );
    let path = folder.join("forgetful.yaml");
    fs::write(&path, text).expect("writable");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn the_matrix_of_the_demo_fits_a_terminal_and_holds_no_colours_in_a_pipe() {
    let text = out(&rules(&["matrix", DEMO]));
    assert!(text.starts_with("REPORT") && text.contains("payment/report-1"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    assert!(!text.contains('\u{1b}'));
    let list = out(&rules(&["matrix", DEMO, "--format", "list", "--only", "payment/report-2"]));
    assert_eq!(list, "payment/report-2: undo delivery.request, rider.match; notify sms.send\n");
    assert!(out(&rules(&["matrix", DEMO, "--format", "svg"])).starts_with("<svg "));
    let data = json(&["matrix", DEMO, "--json"]);
    assert_eq!(data["rulebook"], "food-order");
    assert_eq!(json(&["matrix", DEMO, "--format", "json"]), data);
}

#[test]
fn a_forgotten_step_is_found_shown_and_told_to_code_review() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = forgetful(folder.path());
    let good = rules(&["check", DEMO]);
    assert_eq!(good.status.code(), Some(0), "{}", told(&good));
    let bad = rules(&["check", &path]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        told(&bad).contains(
            "error[under-compensation]: `payment/report-1` leaves behind `coupon.redeem`"
        ),
        "{}",
        told(&bad)
    );
    let sarif = json(&["check", &path, "--sarif"]);
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "under-compensation");
    for (flags, code) in [
        (["--severity", "under-compensation=off"], 0),
        (["--severity", "under-compensation=note"], 0),
        (["--severity", "under-compensation=error"], 1),
    ] {
        assert_eq!(
            rules(&["check", &path, flags[0], flags[1]]).status.code(),
            Some(code),
            "{flags:?}"
        );
    }
    assert_eq!(rules(&["check", &path, "--load-only"]).status.code(), Some(0));
    let unknown = rules(&["check", &path, "--severity", "under-compensaton=off"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", told(&unknown));
    let change = out(&rules(&["diff", DEMO, &path]));
    assert!(
        change.contains("payment/report-1") && change.contains("- compensate coupon.redeem"),
        "{change}"
    );
    assert_eq!(rules(&["diff", DEMO, &path, "--exit-code"]).status.code(), Some(1));
}

#[test]
fn what_derive_writes_is_a_rulebook_without_a_finding() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("explicit.yaml");
    fs::write(&path, out(&rules(&["derive", DEMO, "--write", "rulebook"]))).expect("writable");
    let checked = rules(&["check", path.to_str().expect("UTF-8"), "--deny-warnings"]);
    assert_eq!(checked.status.code(), Some(0), "{}", told(&checked));
    assert_eq!(json(&["derive", DEMO, "--json"])["total"], 19);
    let silent = out(&rules(&["derive", DEMO, "--silent"]));
    assert_eq!(silent.lines().count(), 1 + 15, "{silent}");
}

#[test]
fn formatting_is_done_once_and_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.yaml");
    fs::write(&path, "rulebook:   shop # the shop\nrules: [{on: '*/*',   compensate: recorded}]\n")
        .expect("writable");
    let name = path.to_str().expect("UTF-8");
    assert_eq!(rules(&["fmt", "--check", name]).status.code(), Some(1));
    assert_eq!(rules(&["fmt", name]).status.code(), Some(0));
    let text = fs::read_to_string(&path).expect("readable");
    assert_eq!(text, "rulebook: shop  # the shop\nrules: [{ on: '*/*', compensate: recorded }]\n");
    assert_eq!(rules(&["fmt", "--check", name]).status.code(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing lies beside it");
    fs::write(&path, "rulebook: [").expect("writable");
    let broken = rules(&["fmt", name]);
    assert!(
        broken.status.code() == Some(1) && told(&broken).contains("yaml-syntax"),
        "{}",
        told(&broken)
    );
    assert_eq!(fs::read_to_string(&path).expect("readable"), "rulebook: [");
}

#[test]
fn graphs_schemas_and_explanations_come_out() {
    let chart =
        out(&rules(&["graph", DEMO, "--report", "payment/report-1", "--format", "mermaid"]));
    assert!(chart.contains("flowchart LR") && chart.contains("undo"), "{chart}");
    let unknown = rules(&["graph", DEMO, "--report", "payment/report-7"]);
    assert!(told(&unknown).contains("`payment/report-7`"), "{}", told(&unknown));
    let given_up = json(&["graph", DEMO, "--report", "order/report-1", "--given-up", "--json"]);
    let kinds = given_up["nodes"].as_array().expect("nodes").iter();
    let undone = kinds.filter(|n| n["kind"] == "compensate").count();
    assert_eq!(undone, 4, "payment, coupon, delivery and rider: {given_up}");
    let never = rules(&["graph", DEMO, "--report", "order/report-2", "--given-up"]);
    assert!(told(&never).contains("`order/report-2` gives anything up"), "{}", told(&never));
    assert_eq!(json(&["schema"])["title"], "Amends rulebook");
    assert_eq!(json(&["schema", "--manifest"])["title"], "Amends manifest");
    let why = out(&rules(&[
        "explain", "--rules", DEMO, "--source", "coupon", "--code", "odd", "--action", "redeem",
    ]));
    let (plan, changes) = why.split_once("what would change it:").expect("it says so");
    assert!(plan.contains("answered by */*"), "{why}");
    let more = "if the Histories say that these happened too: undo order.place";
    assert!(changes.contains(more), "{why}");
}
