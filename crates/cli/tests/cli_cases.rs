//! `amends cases`, `report` and `backup` against a real supervisor and a service that knows nothing of Amends.

#[path = "console/plain_http.rs"]
mod plain_http;
mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use support::process::{Process, Streams};
use support::{
    Legacy, Supervisor, amends, command, eventually, feed, scratch, shop_rules, unused_address,
    write,
};
use tempfile::TempDir;

/// A supervisor with the shop's rulebook and the legacy billing service.
fn shop(status: u16, mode: &str) -> (TempDir, Legacy, Supervisor) {
    let folder = scratch();
    let billing = Legacy::start(status);
    let rules = shop_rules(folder.path(), &billing.address, mode);
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    (folder, billing, supervisor)
}

fn step(supervisor: &Supervisor, case: &str, wanted: &str) -> Value {
    eventually(wanted, || {
        let step = supervisor.case(case)["plan"][0].clone();
        let is_so = step["state"] == wanted || step["outcome"] == wanted;
        is_so.then_some(step)
    })
}

fn is_settled(supervisor: &Supervisor, case: &str) {
    eventually("the case settles", || (supervisor.case(case)["state"] == "settled").then_some(()));
}

#[test]
fn a_report_is_answered_by_the_refund_and_the_story_is_told() {
    let (_folder, billing, supervisor) = shop(200, "auto");
    let case = supervisor.report("order-1");
    step(&supervisor, &case, "compensated");
    is_settled(&supervisor, &case);
    assert_eq!(billing.requests(), ["/payments/p-17/refund {\"amount\":12}"]);

    let story = supervisor.run(&["cases", "show", &case, "--attempts"]).exits(0).stdout;
    for part in [
        "is settled: shop/out-of-stock of saga order-1",
        "rulebook shop",
        "the last one was broken",
        "rule */*",
        "compensate billing.charge",
        "compensated",
        "200",
    ] {
        assert!(story.contains(part), "`{part}` is missing in\n{story}");
    }
    let list = supervisor
        .run(&["cases", "list", "--state", "settled", "--report", "shop/*"])
        .exits(0)
        .stdout;
    assert!(list.contains(&case) && list.contains("1 done"), "{list}");
    let none = supervisor.run(&["cases", "list", "--state", "stuck"]).exits(0);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "no case matches\n"));
}

#[test]
fn what_a_settled_case_claims_is_shown_and_kept_in_a_file() {
    let (folder, _billing, supervisor) = shop(200, "auto");
    let case = supervisor.report("order-1");
    step(&supervisor, &case, "compensated");
    supervisor.run(&["sagas", "end", "order-1"]).exits(0);
    is_settled(&supervisor, &case);
    let shown = supervisor.run(&["cases", "proof", &case]).exits(0).stdout;
    for part in ["quiet", "billing.charge", "may stand", "puts up no fence", "Who said what"] {
        assert!(shown.contains(part), "`{part}` is missing in\n{shown}");
    }
    let csv = supervisor.run(&["cases", "proof", &case, "-o", "csv"]).exits(0).stdout;
    assert_eq!(csv.lines().count(), 2, "one case is one row: {csv}");
    let yaml = supervisor.run(&["cases", "proof", &case, "-o", "yaml"]).exits(0).stdout;
    assert!(yaml.contains(&format!("caseId: {case}")), "{yaml}");
    supervisor.run(&["cases", "proof", &case, "-o", "yaml", "--json"]).exits(2);
    let file = folder.path().join("proof.json");
    let path = file.to_str().expect("plain");
    let keep = ["cases", "proof", &case, "--output", path];
    supervisor.run(&keep).exits(0);
    let kept = std::fs::read_to_string(&file).expect("written");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!((&kept["caseId"], &kept["closedOn"]), (&case.as_str().into(), &"quiet".into()));
    supervisor.run(&keep).exits(6);
    supervisor.run(&["cases", "proof", &case, "--to", path]).exits(6);
    let listed = supervisor.run(&["cases", "list", "--closed-on", "quiet,by_hand"]).exits(0);
    assert!(listed.stdout.contains(&case), "{}", listed.stdout);
    let none = supervisor.run(&["cases", "list", "--closed-on", "proven"]).exits(0);
    assert!(!none.stdout.contains(&case), "{}", none.stdout);
    supervisor.run(&["sagas", "end", "nobody-knows-it"]).exits(5);
}

#[test]
fn the_same_report_twice_is_one_case() {
    let (folder, _billing, supervisor) = shop(200, "auto");
    let bare = r#"{"source": "shop", "id": "r-1", "sagaId": "order-1", "code": "out-of-stock"}"#;
    let path = write(folder.path(), "report.json", bare);
    let first = supervisor.run(&["report", "send", &path, "--json"]).exits(0).json();
    assert_eq!(first["duplicate"], false);
    let mut again = command();
    again.args(["report", "send", "-", "--json"]).env("AMENDS_URL", &supervisor.url);
    let again = feed(&mut again, bare).exits(0).json();
    assert_eq!((&again["duplicate"], &again["caseId"]), (&Value::Bool(true), &first["caseId"]));
}

#[test]
fn a_refused_step_is_retried_when_the_service_has_come_round() {
    let (_folder, billing, supervisor) = shop(409, "auto");
    let case = supervisor.report("order-1");
    assert_eq!(step(&supervisor, &case, "stuck")["reason"], "refused");
    assert!(supervisor.run(&["cases", "list", "--state", "stuck"]).exits(0).stdout.contains(&case));

    billing.answer_with(204);
    supervisor
        .run(&["cases", "retry", &case, "--yes", "--reason", "the card works again"])
        .exits(0);
    step(&supervisor, &case, "compensated");
    is_settled(&supervisor, &case);
    let act = supervisor.case(&case)["acts"][0].clone();
    assert_eq!((&act["actor"], &act["reason"]), (&"tester".into(), &"the card works again".into()));
}

#[test]
fn a_retry_can_carry_other_data() {
    let (_folder, billing, supervisor) = shop(409, "auto");
    let case = supervisor.report("order-1");
    let id = step(&supervisor, &case, "stuck")["id"].as_str().expect("an id").to_owned();
    billing.answer_with(200);
    let data = ["--data", "paymentId=p-18", "--data", "amount:=13"];
    let retry = ["cases", "retry", &id, "--reason", "another payment was meant"];
    supervisor.run(&[&retry[..], &data[..]].concat()).exits(0);
    step(&supervisor, &case, "compensated");
    assert_eq!(
        billing.requests().last().map(String::as_str),
        Some("/payments/p-18/refund {\"amount\":13}")
    );
}

#[test]
fn many_steps_are_counted_confirmed_and_waived_at_once() {
    let (_folder, _billing, supervisor) = shop(409, "auto");
    let cases: Vec<_> = (1..=3).map(|n| supervisor.report(&format!("order-{n}"))).collect();
    for case in &cases {
        step(&supervisor, case, "stuck");
    }
    let waive = |more: &[&str]| {
        let all = ["cases", "waive", "--service", "billing", "--reason", "refunded by the bank"];
        supervisor.run(&[&all[..], more].concat())
    };
    let unconfirmed = waive(&[]).exits(2);
    assert!(
        unconfirmed.stderr.contains("this would waive 3 steps; add --yes"),
        "{}",
        unconfirmed.stderr
    );
    let rehearsed = waive(&["--dry-run"]).exits(0);
    assert_eq!(rehearsed.stdout.lines().count(), 3, "{}", rehearsed.stdout);
    assert_eq!(
        supervisor.case(&cases[0])["plan"][0]["state"],
        "stuck",
        "a rehearsal changes nothing"
    );

    assert_eq!(waive(&["--yes"]).exits(0).stdout, "waived 3 of 3 steps\n");
    for case in &cases {
        assert_eq!(step(&supervisor, case, "waived")["decidedBy"], "tester");
        is_settled(&supervisor, case);
    }
}

#[test]
fn an_outcome_that_was_reached_outside_is_written_down() {
    let (_folder, _billing, supervisor) = shop(409, "auto");
    let case = supervisor.report("order-1");
    let id = step(&supervisor, &case, "stuck")["id"].as_str().expect("an id").to_owned();
    let resolve = |outcome: &str| {
        supervisor.run(&[
            "cases",
            "resolve",
            &id,
            "--outcome",
            outcome,
            "--actor",
            "ann",
            "--reason",
            "paid in cash",
        ])
    };
    let wrong = resolve("notified").exits(4);
    assert!(wrong.stderr.starts_with("error: "), "{}", wrong.stderr);
    let done = resolve("compensated").exits(0).stdout;
    assert!(done.contains("compensated by ann"), "{done}");
    resolve("compensated").exits(4);
}

#[test]
fn a_rule_that_asks_first_waits_for_a_yes() {
    let (_folder, billing, supervisor) = shop(200, "ask");
    let case = supervisor.report("order-1");
    assert_eq!(step(&supervisor, &case, "stuck")["reason"], "awaits_approval");
    assert!(billing.requests().is_empty(), "nothing is sent before the yes");
    supervisor.run(&["cases", "approve", &case, "--yes", "--reason", "checked"]).exits(0);
    step(&supervisor, &case, "compensated");
}

#[test]
fn what_a_shadow_rule_recorded_is_sent_only_when_a_person_says_so() {
    let (_folder, billing, supervisor) = shop(200, "shadow");
    let case = supervisor.report("order-1");
    let id = step(&supervisor, &case, "shadow")["id"].as_str().expect("an id").to_owned();
    assert!(billing.requests().is_empty(), "a shadow sends nothing");
    supervisor.run(&["cases", "retry", &id, "--reason", "for real now"]).exits(0);
    step(&supervisor, &case, "compensated");
}

#[test]
fn steps_are_planned_by_hand_and_a_case_is_closed_by_hand() {
    let (_folder, billing, supervisor) = shop(409, "auto");
    // Nothing is known to have happened, so the plan is empty.
    let report = ["report", "send", "--source", "shop", "--saga", "order-1", "--code", "odd"];
    let data = ["--data", "paymentId=p-17", "--data", "amount:=12"];
    let case = supervisor.run(&[&report[..], &data[..]].concat()).exits(0).stdout.trim().to_owned();
    let plan = |more: &[&str]| {
        supervisor
            .run(&[&["cases", "plan", &case, "--reason", "asked the customer"], more].concat())
    };
    plan(&[]).exits(2);
    let unknown = plan(&["--compensate", "billing.chrage"]).exits(4);
    assert!(unknown.stderr.contains("`billing.chrage`"), "{}", unknown.stderr);
    plan(&["--compensate", "billing.charge"]).exits(0);
    let stuck = step(&supervisor, &case, "stuck");
    assert_eq!(billing.requests().len(), 1);

    let settle = || supervisor.run(&["cases", "settle", &case, "--reason", "nothing left to do"]);
    let early = settle().exits(4);
    assert!(early.stderr.contains("[conflict]"), "{}", early.stderr);
    let id = stuck["id"].as_str().expect("an id");
    supervisor.run(&["cases", "waive", id, "--reason", "paid in cash"]).exits(0);
    // It may have settled by itself by now; then there is nothing to close.
    let closed = settle();
    assert!(closed.code == 0 || closed.stderr.contains("the case is settled"), "{}", closed.stderr);
    is_settled(&supervisor, &case);
    supervisor.run(&["cases", "settle", "c-99", "--reason", "x"]).exits(5);
}

#[test]
fn a_watched_case_ends_the_watching_by_being_settled() {
    let (_folder, billing, supervisor) = shop(503, "auto");
    let case = supervisor.report("order-1");
    let mut watch = command();
    watch.args(["cases", "watch", &case, "--json"]).env("AMENDS_URL", &supervisor.url);
    let streams = Streams { stdout: Stdio::piped(), stderr: Stdio::piped(), ..Streams::none() };
    let watcher = Process::start(&mut watch, streams, "the binary runs");
    eventually("the service is asked", || (!billing.requests().is_empty()).then_some(()));
    billing.answer_with(200);
    // A busy service may be left alone for a while; a person needn't wait.
    supervisor.run(&["cases", "retry", &case, "--yes", "--reason", "it is back"]);
    let output = watcher.output(); // it ends with the case
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object per line"))
        .collect();
    // The case may have been settled before the stream was open; then there is nothing to follow.
    if let Some(last) = events.last() {
        assert_eq!((&last["kind"], &last["state"]), (&"case".into(), &"settled".into()));
    }
    let again = supervisor.run(&["cases", "watch", &case]).exits(0);
    assert!(again.stderr.contains("is settled"), "{}", again.stderr);
}

#[test]
fn a_watcher_outlives_a_killed_supervisor() {
    let (folder, _billing, supervisor) = shop(409, "auto");
    let case = supervisor.report("order-1");
    let id = step(&supervisor, &case, "stuck")["id"].as_str().expect("an id").to_owned();
    let url = supervisor.url.clone();
    let mut watch = command();
    watch.args(["cases", "watch", &case]).env("AMENDS_URL", &url);
    let streams = Streams { stderr: Stdio::piped(), ..Streams::none() };
    let mut watcher = Process::start(&mut watch, streams, "the binary runs");
    // Its first line says that the stream is open.
    let mut told = BufReader::new(watcher.stderr.take().expect("piped"));
    let mut line = String::new();
    told.read_line(&mut line).expect("a line");
    assert!(line.contains("is stuck"), "{line}");

    drop(supervisor); // killed
    let address = url.strip_prefix("http://").expect("an http address");
    let supervisor = Supervisor::start_at(address, folder.path(), &["--data", "data"]);
    supervisor.run(&["cases", "waive", &id, "--reason", "paid in cash"]).exits(0);
    assert!(watcher.wait().expect("it is our child").success());
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let (_folder, _billing, supervisor) = shop(200, "auto");
    let gone = supervisor.run(&["cases", "show", "c-99"]).exits(5);
    assert!(gone.stderr.contains("[not-found]"), "{}", gone.stderr);
    let refused = supervisor.run(&["cases", "list", "--report", "nonsense"]).exits(4);
    assert!(refused.stderr.contains("[invalid-filter]"), "{}", refused.stderr);
    supervisor.run(&["cases", "show", "two words"]).exits(2);
    supervisor.run(&["cases", "waive", "--reason", "x"]).exits(2);
    supervisor.run(&["report", "send", "--source", "shop"]).exits(2);
    let nobody = format!("http://{}", unused_address());
    amends(&["cases", "watch", "c-1", "--url", &nobody]).exits(3);
    let silent = amends(&["cases", "list", "--url", &nobody]).exits(3);
    assert!(
        silent.stderr.contains(&nobody) && silent.stderr.contains("amends serve"),
        "{}",
        silent.stderr
    );
}

#[test]
fn the_store_of_a_running_supervisor_is_backed_up_and_restored() {
    let (folder, _billing, supervisor) = shop(409, "auto");
    let case = supervisor.report("order-1");
    step(&supervisor, &case, "stuck");
    let made = supervisor.run(&["backup"]).exits(0).stdout;
    let named = supervisor.run(&["backup", "--name", "named.sqlite", "--json"]).exits(0).json();
    let named = named["path"].as_str().expect("a path");
    assert!(named.ends_with("named.sqlite"), "{named}");
    supervisor.run(&["backup", "--name", "named.sqlite"]).exits(4);
    supervisor.run(&["backup", "--name", "../named.sqlite"]).exits(4);

    for (copy, place) in [(made.trim(), "first"), (named, "second")] {
        std::fs::create_dir(folder.path().join(place)).expect("ours");
        std::fs::copy(copy, folder.path().join(place).join("amends.sqlite")).expect("a copy");
        let restored = Supervisor::start(folder.path(), &["--data", place]);
        step(&restored, &case, "stuck");
    }
}

#[test]
fn the_store_of_a_stopped_supervisor_is_backed_up_and_restored() {
    let (folder, _billing, supervisor) = shop(409, "auto");
    let case = supervisor.report("order-1");
    step(&supervisor, &case, "stuck");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let backup = || amends(&["backup", "--data", &path("data"), "--to", &path("copy.sqlite")]);

    let locked = backup().exits(6);
    assert!(locked.stderr.starts_with("error: "), "{}", locked.stderr);
    supervisor.stop();
    backup().exits(0);
    backup().exits(6);
    amends(&["backup", "--data", &path("nowhere"), "--to", &path("other.sqlite")]).exits(6);
    amends(&["backup", "--data", &path("data")]).exits(2);
    amends(&["backup", "--to", &path("other.sqlite")]).exits(2);

    std::fs::create_dir(path("restored")).expect("ours");
    std::fs::copy(path("copy.sqlite"), path("restored/amends.sqlite")).expect("the copy is there");
    let restored = Supervisor::start(folder.path(), &["--data", "restored"]);
    assert_eq!(restored.case(&case)["plan"][0]["state"], "stuck");
}

/// The same filter means the same steps for everybody who takes one: CLI, API, and the bulk act that the console makes.
#[test]
fn one_filter_means_the_same_steps_everywhere() {
    let (_folder, billing, supervisor) = shop(409, "auto");
    let stuck: Vec<String> = ["order-1", "order-2"].map(|saga| supervisor.report(saga)).into();
    let ids: Vec<Value> =
        stuck.iter().map(|case| step(&supervisor, case, "stuck")["id"].clone()).collect();
    let given_up = supervisor.report("order-3");
    let given_up = step(&supervisor, &given_up, "stuck")["id"].as_str().expect("an id").to_owned();
    supervisor.run(&["cases", "waive", &given_up, "--reason", "paid in cash"]).exits(0);
    billing.answer_with(200);
    let ended = supervisor.report("order-4");
    step(&supervisor, &ended, "compensated");

    let address = supervisor.url.trim_start_matches("http://");
    let post = |path: &str, kind: &str, body: &str| {
        plain_http::request(address, "POST", path, kind, body).expect("it answers")
    };
    for act in ["retry", "waive"] {
        let arguments =
            ["cases", act, "--service", "billing", "--reason", "x", "--dry-run", "--json"];
        let by_cli = supervisor.run(&arguments).exits(0).json()["ids"].clone();
        let body = serde_json::json!({
            "act": {"act": act, "reason": "x"}, "filter": {"service": "billing"}, "dryRun": true,
        });
        let (_, by_api) = post("/v1/steps:act", "application/json", &body.to_string());
        let by_api: Value = serde_json::from_str(&by_api).expect("JSON");
        let form = format!("act={act}&reason=x&actor=ann&filter.service=billing");
        let (status, _) = post("/bulk", "application/x-www-form-urlencoded", &form);
        assert_eq!(status, 303);
        let bulks = supervisor.run(&["bulk", "list", "--json"]).exits(0).json();
        let sample = bulks[0]["sample"].as_array().expect("a sample");
        let by_console: Vec<&Value> = sample.iter().map(|one| &one["stepId"]).collect();
        assert_eq!(by_cli, Value::from(ids.clone()), "{act}");
        assert_eq!(by_api["ids"], by_cli, "{act}");
        assert_eq!(by_console, ids.iter().collect::<Vec<_>>(), "{act}");
        assert_eq!((&bulks[0]["matched"], &by_api["matched"]), (&2.into(), &2.into()), "{act}");
    }
}
