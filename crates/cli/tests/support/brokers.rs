//! What the tests of `amends kafka` and `amends nats` share.

use super::{Done, Supervisor, command, eventually, finish};
use std::collections::BTreeSet;
use std::path::Path;

/// Reports in each round, and how often the supervisor is killed.
const REPORTS: usize = 60;
const ROUNDS: usize = 3;

/// A run of `amends WAY …` by the configuration of the folder.
pub fn run(folder: &Path, way: &str, arguments: &[&str]) -> Done {
    let mut run = command();
    finish(run.current_dir(folder).arg(way).args(arguments).args(["--config", "amends.toml"]))
}

/// Waits until nothing is left at the broker.
pub fn is_read(folder: &Path, way: &str) {
    eventually("all are read", || {
        let lag = run(folder, way, &["lag", "--json"]).exits(0).json();
        let in_hand = lag["inHand"].as_u64().unwrap_or(0);
        (lag["waiting"] == 0 && in_hand == 0).then_some(())
    });
}

/// A report of a shop, as an event.
pub fn event(n: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"dev.amends.report.v1","source":"shop","id":"r-{n}","subject":"o-{n}","data":{{"code":"failed"}}}}"#
    )
}

/// Waits until the report of this number has its case.
pub fn is_taken(supervisor: &Supervisor, n: usize) {
    let saga = format!("o-{n}");
    eventually("it is taken", || {
        let page = supervisor.run(&["cases", "list", "--limit", "1", "--saga", &saga, "--json"]);
        page.stdout.contains("o-").then_some(())
    });
}

/// The sagas of all cases, each as often as it has one.
pub fn sagas(supervisor: &Supervisor) -> Vec<String> {
    let listed = supervisor.run(&["export", "--format", "ndjson"]).exits(0).stdout;
    let cases = listed.lines().map(serde_json::from_str::<serde_json::Value>);
    cases.map(|case| case.expect("JSON")["sagaId"].as_str().expect("a saga").to_owned()).collect()
}

/// A supervisor is killed again and again while reports come: each has one case in the end.
pub fn loses_none_and_takes_none_twice(
    folder: &Path,
    way: &str,
    publish: impl Fn(std::ops::Range<usize>),
) {
    let arguments = ["--config", "amends.toml", "--data", "data"];
    for round in 0..ROUNDS {
        let first = round * REPORTS;
        publish(first..first + REPORTS);
        let mut supervisor = Supervisor::start(folder, &arguments);
        // Somewhere among them: some are committed in the store, some there and at the broker, some are in hand, some
        // wait.
        is_taken(&supervisor, first + round * 7);
        supervisor.kill();
    }
    let supervisor = Supervisor::start(folder, &arguments);
    is_read(folder, way);
    let sagas = sagas(&supervisor);
    let apart: BTreeSet<&String> = sagas.iter().collect();
    assert_eq!((sagas.len(), apart.len()), (ROUNDS * REPORTS, ROUNDS * REPORTS));
}
