//! Each participant passes every check of the conformance kit that can be tried on it.

use crate::rig::{KEY, Language, Setting, Store};
use crate::support::{command, finish, scratch, unused_address, write};
use serde_json::Value;
use std::collections::BTreeSet;

crate::in_each_language_on_each_database!(
    it_passes_every_check,
    it_passes_every_check_when_its_undos_are_slow,
);

fn it_passes_every_check(language: Language, store: Store) {
    passes_every_check(language, store, "0");
}

fn it_passes_every_check_when_its_undos_are_slow(language: Language, store: Store) {
    passes_every_check(language, store, "0.02");
}

/// Checks that need a participant which the conformance kit starts itself; here the test does.
const NO_MEANS_FOR: [&str; 7] = [
    "restart-call",
    "restart-crashed",
    "restart-fence",
    "restart-keeps",
    "restart-refused-report",
    "restart-report",
    "restart-step",
];

fn passes_every_check(language: Language, store: Store, undo_takes_s: &'static str) {
    let folder = scratch();
    let (supervisor, printer) = (unused_address(), unused_address());
    let config = std::fs::read_to_string(language.folder().join("participant.yaml"))
        .expect("it has a configuration")
        .replace("127.0.0.1:7190", &supervisor)
        .replace("127.0.0.1:7191", &printer);
    let config = write(folder.path(), "participant.yaml", &config);
    let [supervisor, printer] = [supervisor, printer].map(|address| format!("http://{address}"));
    let setting = Setting::new(language, store, folder.path());
    let participant = Setting { supervisor, printer, undo_takes_s, ..setting }.start();

    let arguments = ["conform", &participant.url, "--config", &config, "--json"];
    let done = finish(command().args(arguments).env("SIGNING_KEYS", KEY));
    let examined = done.json();
    let of = |verdict: &str| -> Vec<&Value> {
        let all = examined["checks"].as_array().expect("a list");
        all.iter().filter(|one| one["verdict"] == verdict).collect()
    };
    assert_eq!((of("failed"), of("blocked")), (vec![], vec![]));
    let with = |verdict: &str| -> BTreeSet<String> {
        of(verdict).iter().map(|one| one["check"].as_str().expect("text").to_owned()).collect()
    };
    let mut cannot_be_tried = NO_MEANS_FOR.map(str::to_owned).into_iter().collect::<BTreeSet<_>>();
    if undo_takes_s == "0" {
        cannot_be_tried.insert("step-accepted".to_owned()); // nobody needs to answer a step with 202
    }
    assert_eq!(with("skipped"), cannot_be_tried);
    let listed = finish(command().args(["conform", "--list", "--json"])).exits(0).json();
    let listed = listed.as_array().expect("a list").iter();
    let listed: BTreeSet<_> =
        listed.map(|one| one["check"].as_str().expect("text").to_owned()).collect();
    assert_eq!(with("passed"), &listed - &cannot_be_tried);
    done.exits(0);
}
