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
    assert!(text.starts_with("payment/report-1 ") && text.contains("\n\nREPORT"), "{text}");
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
fn a_part_of_the_failure_points_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wide.yaml");
    let calls: Vec<_> = (0..40).map(|n| format!("'s.a{n}?'")).collect();
    let actions: Vec<_> = (0..40).map(|n| format!("a{n}: {{ compensation: x }}")).collect();
    fs::write(
        &path,
        format!(
            "rulebook: wide\nservices: {{ s: {{ url: 'http://s', actions: {{ top: {{ compensation: x, calls: [{}] }}, {} }} }} }}\nrules: [{{ on: '*/*', compensate: recorded }}]\n",
            calls.join(", "),
            actions.join(", ")
        ),
    )
    .expect("writable");
    let name = path.to_str().expect("UTF-8");
    let written = rules(&["derive", name, "--write", "reports"]);
    assert!(out(&written).starts_with("# 2199023255591 failure points, of which the first 20000"));
    assert!(told(&written).contains("of which the first 20000"), "{}", told(&written));
    assert_eq!(rules(&["derive", name, "--silent", "--write", "reports"]).status.code(), Some(2));
}

#[test]
fn check_looks_at_a_file_once_and_at_tests_that_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("food-order.yaml");
    fs::copy(DEMO, &path).expect("writable");
    let name = path.to_str().expect("UTF-8");
    let place = folder.path().to_str().expect("UTF-8");
    let twice = rules(&["check", name, place, name]);
    assert_eq!(twice.status.code(), Some(0), "{}", told(&twice));
    assert!(told(&twice).contains("1 rulebook checked"), "{}", told(&twice));
    let severity = ["--severity", "rule-without-test=warning"];
    let untested = rules(&[&["check", name], &severity[..]].concat());
    assert!(told(&untested).contains("rule-without-test"), "{}", told(&untested));
    let tests = folder.path().join("food-order.test.yaml");
    fs::write(&tests, "rulebook: food-order.yaml\ntests: [{ nmae: x }]\n").expect("writable");
    let broken = rules(&[&["check", name], &severity[..]].concat());
    assert_eq!(broken.status.code(), Some(1));
    assert!(told(&broken).contains("nmae"), "{}", told(&broken));
    assert!(!told(&broken).contains("rule-without-test"), "{}", told(&broken));
}

#[cfg(unix)]
#[test]
fn formatting_keeps_links_line_ends_rights_and_the_files_of_others() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let text = "rulebook:   shop\r\nrules: [{on: '*/*',   compensate: recorded}]\r\n";
    fs::create_dir(at("shared")).expect("writable");
    fs::write(at("shared/r.yaml"), text).expect("writable");
    fs::set_permissions(at("shared/r.yaml"), fs::Permissions::from_mode(0o640)).expect("ours");
    fs::write(at("shared/r.yaml.formatted"), "somebody's").expect("writable");
    symlink("shared/r.yaml", at("link.yaml")).expect("a link");
    let link = at("link.yaml").display().to_string();
    let done = rules(&["fmt", &link]);
    assert_eq!(done.status.code(), Some(0), "{}", told(&done));
    assert!(fs::symlink_metadata(at("link.yaml")).expect("there").is_symlink());
    let now = fs::read_to_string(at("shared/r.yaml")).expect("readable");
    assert_eq!(now, "rulebook: shop\r\nrules: [{ on: '*/*', compensate: recorded }]\r\n");
    let rights = fs::metadata(at("shared/r.yaml")).expect("there").permissions().mode();
    assert_eq!(rights & 0o777, 0o640);
    let others = fs::read_to_string(at("shared/r.yaml.formatted")).expect("still there");
    assert_eq!(others, "somebody's");
    assert_eq!(fs::read_dir(at("shared")).expect("readable").count(), 2, "nothing else is left");
    assert_eq!(rules(&["fmt", "--check", &link]).status.code(), Some(0), "in its form");
}

#[test]
fn one_file_that_cannot_be_formatted_keeps_no_other_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| fs::write(at(name), text).expect("writable");
    write("broken.yaml", "rulebook: [");
    write("last.yaml", "rulebook:   shop\n");
    write("good.yaml", "rulebook: shop\n");
    let all = ["broken.yaml", "missing.yaml", "last.yaml", "good.yaml"].map(at);
    let [broken, missing, last, good] = &all;
    let checked = json(&["fmt", "--check", "--json", broken, last, good]);
    let states: Vec<_> =
        checked["files"].as_array().expect("a list").iter().map(|f| &f["state"]).collect();
    assert_eq!(states, ["broken", "would_change", "unchanged"]);
    assert_eq!(checked["files"][0]["diagnostic"]["code"], "yaml-syntax");
    let done = rules(&["fmt", broken, missing, last, good]);
    assert_eq!(done.status.code(), Some(6), "{}", told(&done));
    assert!(told(&done).contains("missing.yaml") && told(&done).contains("yaml-syntax"));
    assert_eq!(fs::read_to_string(last).expect("readable"), "rulebook: shop\n");
    let place = folder.path().display().to_string();
    let folder_named = rules(&["fmt", &place]);
    assert_eq!(folder_named.status.code(), Some(6));
    assert!(told(&folder_named).contains("is a folder"), "{}", told(&folder_named));
    assert_eq!(rules(&["fmt", "--json", "-"]).status.code(), Some(2));
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
    assert_eq!(json(&["schema", "--json"]), json(&["schema"]));
    assert_eq!(json(&["schema"])["title"], "Amends rulebook");
    assert_eq!(json(&["schema", "--manifest"])["title"], "Amends manifest");
    let why = out(&rules(&[
        "explain", "--rules", DEMO, "--source", "payment", "--code", "odd", "--action", "pay",
    ]));
    let (plan, changes) = why.split_once("what would change it:").expect("it says so");
    assert!(plan.contains("answered by */*"), "{why}");
    let more = "if the Histories say that these happened too: undo coupon.redeem";
    assert!(changes.contains(more), "{why}");
    // Nothing else has taken effect by then: the coupon is redeemed first, and an order stands only at its end.
    let first = out(&rules(&[
        "explain", "--rules", DEMO, "--source", "coupon", "--code", "odd", "--action", "redeem",
    ]));
    assert!(!first.contains("what would change it:"), "{first}");
}
