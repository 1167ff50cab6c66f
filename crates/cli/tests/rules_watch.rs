//! `amends rules test --watch` as a person has it beside an editor: every saved file is followed by a run, a broken one too.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use support::process::{Process, Streams};
use support::{amends, command, scratch, write};

const FOOD_ORDER: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const TESTS: &str = include_str!("../../../demo/rulebook/food-order.test.yaml");

/// A run comes within a second; a loaded machine gets more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A watcher, and every line that it says on either stream.
struct Watcher {
    _process: Process,
    lines: Receiver<String>,
}

impl Watcher {
    fn of(path: &str) -> Self {
        let streams = Streams { stdout: Stdio::piped(), stderr: Stdio::piped(), ..Streams::none() };
        let mut watch = command();
        watch.args(["rules", "test", path, "--watch"]);
        let mut process = Process::start(&mut watch, streams, "the binary runs");
        let (say, lines) = mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(process.stdout.take().expect("piped")),
            Box::new(process.stderr.take().expect("piped")),
        ];
        for stream in streams {
            let say = say.clone();
            std::thread::spawn(move || {
                let said = BufReader::new(stream).lines().map_while(Result::ok);
                // Nobody listens any more once the test is over.
                said.map_while(|line| say.send(line).ok()).for_each(drop);
            });
        }
        Self { _process: process, lines }
    }

    /// Waits for a line with this text; gives all that was said until then.
    #[track_caller]
    fn until(&self, text: &str) -> String {
        self.until_all(&[text])
    }

    /// Waits for all of these, in any order: lines of two streams may overtake each other.
    #[track_caller]
    fn until_all(&self, texts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        while let Some(text) = texts.iter().find(|text| !said.contains(**text)) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => said = said + &line + "\n",
                Err(RecvTimeoutError::Timeout) => panic!("`{text}` never comes after\n{said}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended after\n{said}"),
            }
        }
        said
    }
}

#[test]
fn every_change_is_followed_by_a_run_and_a_broken_file_ends_nothing() {
    let folder = scratch();
    let save = |name: &str, text: &str| write(folder.path(), name, text);
    save("food-order.yaml", FOOD_ORDER);
    let watcher = Watcher::of(&save("food-order.test.yaml", TESTS));
    let told = watcher.until_all(&["9 passed, 0 failed", "waiting for a change of"]);
    assert!(told.contains("food-order.test.yaml`") && told.contains("Ctrl-C ends it"), "{told}");

    let list = "compensate: [coupon.redeem, delivery.request, rider.match]";
    save("food-order.yaml", &FOOD_ORDER.replacen(list, "compensate: [coupon.redeem]", 1));
    let second = watcher.until_all(&["8 passed, 1 failed", "changed: `"]);
    assert!(second.contains("food-order.yaml`"), "{second}");
    assert!(second.contains("expected, not in the plan: compensate rider.match"), "{second}");
    assert!(!second.contains('\u{1b}'), "only a terminal is cleared: {second:?}");

    save("food-order.yaml", "rulebook: [");
    watcher.until_all(&["error[yaml-syntax]", "waiting for a change of"]);
    std::fs::remove_file(folder.path().join("food-order.test.yaml")).expect("it was there");
    watcher.until("cannot read");

    save("food-order.yaml", FOOD_ORDER);
    save("food-order.test.yaml", TESTS);
    watcher.until("9 passed, 0 failed");
}

#[test]
fn a_manifest_in_another_folder_is_watched_too() {
    let folder = scratch();
    std::fs::create_dir(folder.path().join("services")).expect("ours");
    let manifest =
        "service: order\nurl: \"http://order:80\"\nactions: { place: { compensation: cancel } }\n";
    write(folder.path(), "services/order.yaml", manifest);
    let rules = "rulebook: shop\nimport: [services/order.yaml]\nrules: [{ on: \"*/*\", compensate: recorded }]\n";
    write(folder.path(), "shop.yaml", rules);
    let test = "tests: [{ name: late, report: order/late, action: place, expect: { plan: [{ compensate: [order.place] }] } }]\n";
    let watcher = Watcher::of(&write(folder.path(), "shop.test.yaml", test));
    watcher.until_all(&["1 passed, 0 failed", "waiting for a change of"]);
    write(
        folder.path(),
        "services/order.yaml",
        &manifest.replace("compensation: cancel", "effect: none"),
    );
    let second = watcher.until_all(&["0 passed, 1 failed", "changed: `"]);
    assert!(second.contains("order.yaml`"), "{second}");
}

#[test]
fn what_was_never_there_is_not_waited_for() {
    let folder = scratch();
    let path = folder.path().join("food-order.test.yaml");
    let told = amends(&["rules", "test", path.to_str().expect("UTF-8"), "--watch"]).exits(6).stderr;
    assert!(told.contains("food-order.test.yaml` is not there"), "{told}");
}
