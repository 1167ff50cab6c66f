//! The audit is verified: over the API, from the file, against an anchor, and by a program that shares no line with
//! ours.

mod support;

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Done, Legacy, Supervisor, amends, eventually, scratch, shop_rules};
use tempfile::TempDir;

/// Three acts on a shop whose billing refuses.
fn acted_upon() -> (TempDir, Legacy, Supervisor) {
    let folder = scratch();
    let billing = Legacy::start(409);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    let case = supervisor.report("order-1");
    let step = eventually("its step is stuck", || {
        let shown = supervisor.case(&case);
        let step = shown["plan"].as_array()?.iter().find(|step| step["state"] == "stuck")?.clone();
        step["id"].as_str().map(str::to_owned)
    });
    let reason = "paid back by hand, ticket \u{e9}12";
    supervisor.run(&["cases", "waive", &step, "--reason", reason]).exits(0);
    supervisor.run(&["services", "pause", "billing", "--reason", "deployment"]).exits(0);
    (folder, billing, supervisor)
}

fn file(folder: &Path) -> PathBuf {
    folder.join("data/amends.sqlite")
}

fn verify(folder: &Path, more: &[&str]) -> Done {
    let data = folder.join("data");
    amends(&[&["audit", "verify", "--data", data.to_str().expect("unicode")], more].concat())
}

fn anchor(done: &Done) -> String {
    let line = done.stdout.lines().find_map(|line| line.strip_prefix("anchor "));
    line.expect("it prints an anchor").to_owned()
}

/// The program that `docs/guides/audit.md` shows.
fn page_program(folder: &Path) -> (bool, String) {
    let page = include_str!("../../../docs/guides/audit.md");
    let (_, program) = page.split_once("```python\n").expect("the page has it");
    let (program, _) = program.split_once("```").expect("to its end");
    assert!(program.lines().count() <= 30, "it is told to be short");
    let own =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../participants/python/.venv/bin/python");
    let python = if own.exists() { own } else { PathBuf::from("python3") };
    let run =
        Command::new(python).args(["-c", program]).arg(file(folder)).output().expect("Python runs");
    let said = [run.stdout, run.stderr].concat();
    (run.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
}

#[test]
fn three_ways_to_verify_come_to_the_same_end() {
    let (folder, _billing, supervisor) = acted_upon();
    let live = supervisor.run(&["audit", "verify"]).exits(0);
    assert!(live.stdout.contains("all as they were written"), "{}", live.stdout);
    let beside = verify(folder.path(), &[]).exits(0);
    assert_eq!(anchor(&live), anchor(&beside));
    assert_eq!(page_program(folder.path()), (true, format!("anchor {}", anchor(&live))));
    let json = supervisor.run(&["audit", "verify", "--json"]).exits(0).json();
    let told =
        format!("{}:{}", json["last"]["number"], json["last"]["digest"].as_str().expect("text"));
    assert_eq!(told, anchor(&live));

    supervisor.run(&["services", "resume", "billing", "--reason", "done"]).exits(0);
    let kept = anchor(&live);
    for done in [
        supervisor.run(&["audit", "verify", "--anchor", &kept]),
        verify(folder.path(), &["--anchor", &kept]),
    ] {
        assert_ne!(anchor(&done.exits(0)), kept, "there is one more");
    }
    supervisor.run(&["audit", "verify", "--anchor", "3"]).exits(2);
}

#[test]
fn a_reason_that_was_changed_in_the_file_is_found_by_all_three() {
    let (folder, _billing, supervisor) = acted_upon();
    let change = |sql: &str| {
        let store = Connection::open(file(folder.path())).expect("opens");
        store.execute_batch(sql).expect(sql);
    };
    change("UPDATE acts SET reason = 'as agreed' WHERE act = 'waive'");
    let at = eventually("the reason is another", || {
        let acts = supervisor.run(&["audit", "--json"]).exits(0).json();
        let found = acts.as_array()?.iter().find(|act| act["reason"] == "as agreed")?.clone();
        found["number"].as_u64()
    });
    let found = format!("entry {at} is not what was written");
    for done in [supervisor.run(&["audit", "verify"]), verify(folder.path(), &[])] {
        let done = done.exits(1);
        assert!(done.stdout.contains(&found) && !done.stdout.contains("anchor"), "{}", done.stdout);
    }
    assert_eq!(page_program(folder.path()), (false, found));
}

#[test]
fn a_folder_without_a_store_is_an_error() {
    let folder = scratch();
    let done = verify(folder.path(), &[]).exits(6);
    assert!(done.stderr.contains("there is no store at"), "{}", done.stderr);
}
