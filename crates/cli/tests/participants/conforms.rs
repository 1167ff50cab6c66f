//! Each participant passes every check of the conformance kit that can be tried on it.

use crate::rig::{KEY, Language, Setting, Store};
use crate::support::{command, finish, scratch, unused_address, write};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

crate::in_each_language_on_each_database!(
    it_passes_every_check,
    it_passes_every_check_when_its_undos_are_slow,
);

/// The kit starts the participant itself, and kills it now and then: nothing is left out but what it need not do.
fn it_passes_every_check(language: Language, store: Store) {
    let folder = scratch();
    let listen = unused_address();
    let setting =
        Setting { listen: listen.clone(), ..Setting::new(language, store, folder.path()) };
    let (setting, config) = arranged(setting);
    let config = format!("{config}process: {}\n", process(&setting));
    let config = write(folder.path(), "participant.yaml", &config);
    // Nobody needs to answer a step with 202.
    passes(&format!("http://{listen}"), &config, &["step-accepted"]);
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

fn it_passes_every_check_when_its_undos_are_slow(language: Language, store: Store) {
    let folder = scratch();
    let setting = Setting { undo_takes_s: "0.02", ..Setting::new(language, store, folder.path()) };
    let (setting, config) = arranged(setting);
    let config = write(folder.path(), "participant.yaml", &config);
    let participant = setting.start();
    passes(&participant.url, &config, &NO_MEANS_FOR);
}

/// Told where the kit plays the others; with the configuration that says so to the kit.
fn arranged(setting: Setting) -> (Setting, String) {
    let (supervisor, printer) = (unused_address(), unused_address());
    let config = std::fs::read_to_string(setting.language.folder().join("participant.yaml"))
        .expect("it has a configuration")
        .replace("127.0.0.1:7190", &supervisor)
        .replace("127.0.0.1:7191", &printer);
    let [supervisor, printer] = [supervisor, printer].map(|address| format!("http://{address}"));
    (Setting { supervisor, printer, ..setting }, config)
}

/// What the configuration says of how a participant is started.
fn process(setting: &Setting) -> Value {
    let command = setting.command();
    let text = |text: &OsStr| text.to_str().expect("UTF-8").to_owned();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let env = command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?))));
    json!({
        "command": words.map(text).collect::<Vec<_>>(), "env": env.collect::<BTreeMap<_, _>>(),
    })
}

#[track_caller]
fn passes(url: &str, config: &str, cannot_be_tried: &[&str]) {
    let done = finish(
        command().args(["conform", url, "--config", config, "--json"]).env("SIGNING_KEYS", KEY),
    );
    let examined = done.json();
    let of = |verdict: &str| -> Vec<&Value> {
        let all = examined["checks"].as_array().expect("a list");
        all.iter().filter(|one| one["verdict"] == verdict).collect()
    };
    assert_eq!((of("failed"), of("blocked")), (vec![], vec![]));
    let with = |verdict: &str| -> BTreeSet<String> {
        of(verdict).iter().map(|one| one["check"].as_str().expect("text").to_owned()).collect()
    };
    let cannot_be_tried: BTreeSet<String> =
        cannot_be_tried.iter().map(|check| (*check).to_owned()).collect();
    assert_eq!(with("skipped"), cannot_be_tried);
    let listed = finish(command().args(["conform", "--list", "--json"])).exits(0).json();
    let listed = listed.as_array().expect("a list").iter();
    let listed: BTreeSet<_> =
        listed.map(|one| one["check"].as_str().expect("text").to_owned()).collect();
    assert_eq!(with("passed"), &listed - &cannot_be_tried);
    done.exits(0);
}
