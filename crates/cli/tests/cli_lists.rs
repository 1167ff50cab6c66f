//! What is there, for people and for programs: shapes of lists, one case by its saga, waiting, events, the audit.

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use support::process::{Process, Streams};
use support::{Legacy, Supervisor, command, eventually, scratch, shop_rules};
use tempfile::TempDir;

/// A supervisor whose billing answers with this status, and a case of it, `c-1` of `order-1`.
fn shop(status: u16) -> (TempDir, Legacy, Supervisor) {
    let folder = scratch();
    let billing = Legacy::start(status);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    supervisor.report("order-1");
    (folder, billing, supervisor)
}

fn is(supervisor: &Supervisor, state: &str) {
    eventually(state, || (supervisor.case("c-1")["state"] == state).then_some(()));
}

#[test]
fn every_list_is_there_in_every_shape() {
    let (_folder, _billing, supervisor) = shop(409);
    is(&supervisor, "stuck");
    supervisor.run(&["services", "pause", "billing", "--reason", "=1+1"]).exits(0);
    let lists = [
        ("cases list", "id"),
        ("cases groups", "id"),
        ("services", "name"),
        ("rules list", "name"),
        ("audit", "number"),
        ("questions", ""),
        ("questions strangers", ""),
        ("quarantine", ""),
        ("bulk list", ""),
        ("config show", "key"),
    ];
    for (list, first) in lists {
        let run = |shape: &str| {
            let arguments: Vec<&str> = list.split(' ').chain(["-o", shape]).collect();
            supervisor.run(&arguments).exits(0).stdout
        };
        let json: Value = serde_json::from_str(&run("json")).expect(list);
        let arguments: Vec<&str> = list.split(' ').chain(["--json"]).collect();
        let short = supervisor.run(&arguments).exits(0).json();
        assert_eq!(json.is_array(), short.is_array(), "{list}");
        let (csv, yaml) = (run("csv"), run("yaml"));
        let (usual, wide) = (run("table"), run("wide"));
        let columns = |table: &str| table.lines().next().map_or(0, |head| head.split("  ").count());
        assert!(columns(&wide) >= columns(&usual), "{list}: {wide}");
        if first.is_empty() {
            continue;
        }
        let n = json.as_array().map_or(0, Vec::len);
        assert_eq!(csv.lines().count(), n + 1, "{list}: a head and a row for each: {csv}");
        assert!(csv.starts_with(first), "{list}: the order is the API's: {csv}");
        assert!(yaml.starts_with(&format!("- {first}: ")), "{list}: {yaml}");
    }
    let acts = supervisor.run(&["audit", "-o", "csv"]).exits(0).stdout;
    assert!(acts.contains(",'=1+1"), "a reason is no formula: {acts}");
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => cell.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

#[test]
fn csv_and_top_show_what_the_api_tells() {
    let (_folder, _billing, supervisor) = shop(409);
    is(&supervisor, "stuck");
    let mut compared = 0;
    for list in ["cases list", "cases groups", "rules list", "services"] {
        let run = |shape: &str| {
            let arguments: Vec<&str> = list.split(' ').chain(["-o", shape]).collect();
            supervisor.run(&arguments).exits(0)
        };
        let (told, csv) = (run("json").json(), run("csv").stdout);
        let mut lines = csv.lines();
        let head = cells(lines.next().expect("a head"));
        for (item, line) in told.as_array().expect("a list").iter().zip(lines) {
            for (name, cell) in head.iter().zip(cells(line)) {
                let wanted = match &item[name] {
                    Value::String(text) => text.clone(),
                    one @ (Value::Bool(_) | Value::Number(_)) => one.to_string(),
                    // Objects and lists have columns of their own; what is absent has none.
                    Value::Null | Value::Array(_) | Value::Object(_) => continue,
                };
                let cell = cell.strip_prefix('\'').unwrap_or(&cell);
                assert_eq!(cell, wanted, "{list}: {name} in {line}");
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "only {compared} cells");

    let services = supervisor.run(&["services", "--json"]).exits(0).json();
    let top = supervisor.run(&["top", "--once"]).exits(0).stdout;
    for (state, count) in [("stuck", 1), ("open", 0), ("settled", 0), ("unmatched", 0)] {
        assert!(top.contains(&format!(" {count} {state}")), "{state} in {top}");
    }
    for service in services.as_array().expect("a list") {
        let name = service["name"].as_str().expect("a name");
        let line = top.lines().find(|line| line.starts_with(name)).expect(name);
        let mut words = line.split_whitespace().rev();
        let stuck = words.nth(2).expect("WAIT RETRY STUCK ERR P99");
        assert_eq!(stuck, service["progress"]["stuck"].to_string(), "{line}");
    }
    assert!(top.contains("c-1 compensate billing.charge, refused"), "{top}");
}

#[test]
fn a_case_is_found_by_its_saga_and_its_yaml_says_what_its_json_says() {
    let (_folder, _billing, supervisor) = shop(200);
    is(&supervisor, "settled");
    let by_id = supervisor.run(&["cases", "show", "c-1", "--json"]).exits(0).json();
    let by_saga = supervisor.run(&["cases", "show", "order-1", "--json"]).exits(0).json();
    assert_eq!(by_id["id"], by_saga["id"]);
    let yaml = supervisor.run(&["cases", "show", "order-1", "-o", "yaml"]).exits(0).stdout;
    assert!(yaml.starts_with("id: c-1\n") && yaml.contains("\nplan:\n  - id: s-1-1-"), "{yaml}");
    let proof = supervisor.run(&["cases", "proof", "order-1"]).exits(0).stdout;
    assert!(proof.contains("c-1 of saga order-1"), "{proof}");
    let nobody = supervisor.run(&["cases", "show", "order-2"]).exits(5);
    assert!(nobody.stderr.contains("no case of saga `order-2`"), "{}", nobody.stderr);
}

#[test]
fn a_script_waits_until_a_case_stands_as_wanted() {
    let (_folder, billing, supervisor) = shop(409);
    let stuck = supervisor.run(&["cases", "wait", "order-1", "--for", "stuck,settled"]).exits(0);
    assert!(stuck.stdout.starts_with("c-1 is stuck: "), "{}", stuck.stdout);
    let vain = supervisor.run(&["cases", "wait", "c-1", "--timeout", "1ms"]).exits(7);
    assert!(vain.stderr.contains("c-1 is still stuck"), "{}", vain.stderr);

    let mut wait = command();
    wait.args(["cases", "wait", "c-1", "--json"]).env("AMENDS_URL", &supervisor.url);
    let streams = Streams { stdout: Stdio::piped(), ..Streams::none() };
    let waiting = Process::start(&mut wait, streams, "the binary runs");
    billing.answer_with(200);
    supervisor.run(&["cases", "retry", "c-1", "--yes", "--reason", "the bank is back"]).exits(0);
    let output = waiting.output();
    assert!(output.status.success());
    let case: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&case["id"], &case["state"]), (&"c-1".into(), &"settled".into()));
}

#[test]
fn a_watched_list_is_printed_again_when_it_has_changed() {
    let (_folder, billing, supervisor) = shop(409);
    is(&supervisor, "stuck");
    let mut watch = command();
    watch.args(["cases", "list", "--watch"]).env("AMENDS_URL", &supervisor.url);
    let streams = Streams { stdout: Stdio::piped(), ..Streams::none() };
    let mut watching = Process::start(&mut watch, streams, "the binary runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
    let mut until = |word: &str| {
        lines
            .by_ref()
            .map(|line| line.expect("UTF-8"))
            .find(|line| line.contains(word))
            .expect(word)
    };
    assert!(until("c-1").contains("stuck"));
    billing.answer_with(200);
    supervisor.run(&["cases", "retry", "c-1", "--yes", "--reason", "the bank is back"]).exits(0);
    assert!(until("settled").starts_with("c-1"), "without being asked again");
}

#[test]
fn what_people_did_is_told_with_the_reason() {
    let (_folder, _billing, supervisor) = shop(409);
    is(&supervisor, "stuck");
    let waive = ["cases", "waive", "c-1", "--yes", "--reason", "paid in cash"];
    supervisor.run(&waive).exits(0);
    for arguments in [&["audit"][..], &["audit", "--case", "order-1"], &["audit", "--all"]] {
        let told = supervisor.run(arguments).exits(0).stdout;
        assert!(told.contains("tester") && told.contains("paid in cash"), "{arguments:?}: {told}");
    }
    let one = supervisor.run(&["audit", "--limit", "1"]).exits(0);
    assert!(one.stderr.contains("use --all"), "the rulebook was made active, too: {}", one.stderr);
}

#[test]
fn a_service_is_told_with_what_waits_for_it() {
    let (_folder, _billing, supervisor) = shop(409);
    is(&supervisor, "stuck");
    let told = supervisor.run(&["services", "show", "billing"]).exits(0).stdout;
    for part in [
        "billing of rulebook shop is ● healthy, at http://",
        "1 stuck",
        "g-",
        "billing refuses",
        "c-1",
    ] {
        assert!(told.contains(part), "`{part}` is missing in\n{told}");
    }
    let json = supervisor.run(&["services", "show", "billing", "--json"]).exits(0).json();
    assert_eq!(
        (&json["name"], &json["groups"][0]["cause"]),
        (&"billing".into(), &"refused".into())
    );
    let nothing = supervisor.run(&["services", "show", "shop"]).exits(0).stdout;
    assert!(nothing.contains("nothing waits for it"), "{nothing}");
}

#[test]
fn events_can_be_chosen_by_kind() {
    let (_folder, billing, supervisor) = shop(409);
    is(&supervisor, "stuck");
    let mut events = command();
    let arguments = ["events", "--kind", "case,quarantine,question,histories", "--json"];
    events.args(arguments).env("AMENDS_URL", &supervisor.url);
    let streams = Streams { stdout: Stdio::piped(), ..Streams::none() };
    let mut following = Process::start(&mut events, streams, "the binary runs");
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    // Only what happens later is told, so something goes on happening until it is.
    billing.answer_with(200);
    let url = supervisor.url.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let busy = std::thread::spawn(move || {
        for n in 0.. {
            if stopped.try_recv().is_ok() {
                return;
            }
            let saga = format!("more-{n}");
            let report = ["report", "send", "--source", "shop", "--code", "odd", "--saga", &*saga];
            support::finish(command().args(report).env("AMENDS_URL", &url));
        }
    });
    let line = lines.next().expect("an event").expect("UTF-8");
    stop.send(()).expect("it listens");
    busy.join().expect("it ends");
    let event: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["kind"], "case", "{event}");
}

#[test]
fn an_act_on_many_does_not_wait_for_a_paused_service() {
    let (_folder, _billing, supervisor) = shop(409);
    is(&supervisor, "stuck");
    supervisor.run(&["services", "pause", "billing", "--reason", "maintenance"]).exits(0);
    let retry = ["cases", "retry", "--service", "billing", "--yes", "--reason", "try"];
    let held = supervisor.run(&retry).exits(4);
    assert!(held.stderr.contains("b-1 waits: billing is ‖ paused by tester"), "{}", held.stderr);
    assert!(held.stderr.contains("amends services resume billing"), "{}", held.stderr);
    let watched = supervisor.run(&["bulk", "watch", "b-1"]).exits(4);
    assert!(watched.stderr.contains("b-1 waits"), "{}", watched.stderr);
}
