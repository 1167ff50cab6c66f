//! `amends rules hits` and `rules diff --replay` on the cases of a real run, and `rules test` and `rules simulate`.
#![cfg(feature = "demo")]

mod support;

use support::{Supervisor, amends, eventually, scratch, write};

const FOOD_ORDER: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const TESTS: &str = include_str!("../../../demo/rulebook/food-order.test.yaml");

#[test]
fn the_cases_of_a_demo_run_tell_which_rules_were_used_and_what_another_rulebook_would_change() {
    let folder = scratch();
    let data = folder.path().join("run");
    let data = data.to_str().expect("UTF-8");
    let faults = "payment-report-1,payment-report-2,order-report-1";
    let run = ["demo", "--orders", "6", "--seed", "1", "--fault-rate", "0", "--json"];
    amends(&[&run[..], &["--faults", faults, "--data", data]].concat()).exits(0);

    let rules = format!("{data}/food-order.yaml");
    let supervisor = Supervisor::start(
        folder.path(),
        &["--rules", &rules, "--data", &format!("{data}/supervisor")],
    );

    let hits = supervisor.run(&["rules", "hits", &rules, "--json"]).exits(0).json();
    let reports = |label: &str| {
        let rules = hits["rules"].as_array().expect("rules");
        let rule = rules.iter().find(|r| r["rule"] == label).expect(label);
        (rule["reports"].as_u64().expect("a number"), rule["lastAt"].is_string())
    };
    for used in ["payment/report-1", "payment/report-2", "order/report-1"] {
        assert_eq!(reports(used), (1, true), "{used}");
    }
    assert_eq!(reports("order/report-3"), (0, false));
    assert_eq!(hits["cases"], 3);
    let csv = supervisor.run(&["rules", "hits", &rules, "-o", "csv"]).exits(0).stdout;
    let known = hits["rules"].as_array().expect("rules").len();
    assert!(csv.starts_with("rule,kind,reports,cases,lastAt,lastCase"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + known, "a row for each rule");
    let shown = supervisor.run(&["rules", "drift", &rules, "-o", "yaml"]).exits(0).stdout;
    assert!(shown.contains("undeclared: []"), "{shown}");
    assert!(supervisor.run(&["rules", "hits", &rules]).exits(0).stdout.contains("never"));

    // The supervisor knows its rulebook itself.
    let of_the_active = |more: &[&str]| {
        let all = [&["rules", "hits", "--json"], more].concat();
        supervisor.run(&all).exits(0).json()
    };
    assert_eq!(of_the_active(&[]), hits);
    assert_eq!(of_the_active(&["--rulebook", "food-order"]), hits);
    drift(&supervisor, folder.path(), &rules);
    let unknown = supervisor.run(&["rules", "hits", "--rulebook", "drinks"]).exits(5);
    assert!(unknown.stderr.contains("`drinks`"), "{}", unknown.stderr);

    // Without the rider: the one case with payment/report-1 would get another plan.
    let text = std::fs::read_to_string(&rules).expect("the run's rulebook");
    let list = "compensate: [coupon.redeem, delivery.request, rider.match]";
    let lesser = text.replace(list, "compensate: [coupon.redeem, delivery.request]");
    assert_ne!(lesser, text);
    let lesser = write(folder.path(), "lesser.yaml", &lesser);
    let saved = folder.path().join("cases.ndjson");
    let saved = saved.to_str().expect("UTF-8");
    let replay = ["rules", "diff", &rules, &lesser, "--replay", "--save", saved, "--exit-code"];
    let told = supervisor.run(&replay).exits(1).stdout;
    assert!(told.contains("payment/report-1: 1 case,"), "{told}");
    assert!(told.contains("- compensate rider.match in stage 1"), "{told}");
    assert!(told.ends_with("1 of 3 cases would get another plan\n"), "{told}");

    let from_file = ["rules", "diff", &rules, &lesser, "--replay-file", saved, "--json"];
    let again = amends(&from_file).exits(0).json();
    assert_eq!((&again["cases"], &again["differ"]), (&3.into(), &1.into()));
    let same = amends(&["rules", "diff", &rules, &rules, "--replay-file", saved]).exits(0).stdout;
    assert_eq!(same, "0 of 3 cases would get another plan\n");
}

/// A call that was taken out of the rulebook is named, with a case that shows it.
fn drift(supervisor: &Supervisor, folder: &std::path::Path, rules: &str) {
    let clean = supervisor.run(&["rules", "drift", "--exit-code"]).exits(0).stdout;
    assert_eq!(clean, "3 cases; nothing in them is undeclared\n");
    let text = std::fs::read_to_string(rules).expect("the run's rulebook");
    let without = text.replace("calls: [rider.match, sms.send]", "calls: [sms.send]");
    assert_ne!(without, text);
    let without = write(folder, "without.yaml", &without);
    let drift = ["rules", "drift", &without, "--exit-code"];
    let told = supervisor.run(&drift).exits(1).stdout;
    assert!(told.contains("-> rider.match"), "{told}");
    let told = supervisor.run(&["rules", "drift", &without, "--json"]).exits(0).json();
    let [only] = told["undeclared"].as_array().expect("a list").as_slice() else {
        panic!("{told}");
    };
    assert_eq!((&only["kind"], &only["action"]), (&"call".into(), &"rider.match".into()));
    assert!(only["lastCase"].as_str().is_some_and(|case| case.starts_with("c-")), "{only}");
}

#[test]
fn of_several_rulebooks_the_one_to_count_is_named() {
    let folder = scratch();
    let books = folder.path().join("rules");
    std::fs::create_dir(&books).expect("ours");
    for name in ["food", "drinks"] {
        let text = format!("rulebook: {name}\nrules: [{{ on: \"*/*\", compensate: recorded }}]\n");
        write(&books, &format!("{name}.yaml"), &text);
    }
    let rules = books.to_str().expect("UTF-8");
    let supervisor = Supervisor::start(folder.path(), &["--rules", rules, "--data", "data"]);
    let told = supervisor.run(&["rules", "hits"]).exits(2).stderr;
    assert!(told.contains("choose one with --rulebook: drinks, food"), "{told}");
    supervisor.run(&["rules", "hits", "--rulebook", "food"]).exits(0);

    let empty = Supervisor::start(folder.path(), &["--data", "other"]);
    let told = empty.run(&["rules", "hits"]).exits(2).stderr;
    assert!(told.contains("has no rulebook"), "{told}");
}

#[test]
fn a_version_of_before_becomes_active_again_and_the_way_back_is_told() {
    let folder = scratch();
    let text = "rulebook: shop\nrules: [{ on: \"*/*\", compensate: recorded }]\n";
    let rules = write(folder.path(), "shop.yaml", text);
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    let versions = || supervisor.run(&["rules", "list", "--all", "--json"]).exits(0).json();
    let active = || {
        let all = versions();
        let all = all.as_array().expect("a list");
        let active = all.iter().find(|version| version["active"] == true).expect("one");
        active["hash"].as_str().expect("a text").to_owned()
    };
    let first = active();
    let back = ["rules", "rollback", "shop", "--reason", "as before", "--yes"];
    let told = supervisor.run(&back).exits(2).stderr;
    assert!(told.contains("`shop` has only one version"), "{told}");

    write(folder.path(), "shop.yaml", &text.replace("recorded", "all"));
    let second =
        eventually("the changed file is taken", || Some(active()).filter(|hash| *hash != first));
    let rehearsed = [&back[..], &["--dry-run"]].concat();
    let told = supervisor.run(&rehearsed).exits(0).stdout;
    assert!(told.starts_with("would take `shop` from"), "{told}");
    assert_eq!(active(), second, "a rehearsal changes nothing");

    let told = supervisor.run(&back).exits(0).stdout;
    assert_eq!(active(), first);
    assert!(told.contains(&format!("--to {}", &second[..12])), "the way back: {told}");
    let stands = supervisor.run(&["rules", "status", "shop"]).exits(0).stdout;
    assert!(stands.contains("its file says something else"), "{stands}");
    assert!(stands.contains("of before"), "both versions are listed: {stands}");
    let told =
        supervisor.run(&["rules", "rollback", "shop", "--to", "zz", "--reason", "x", "--yes"]);
    assert!(told.exits(2).stderr.contains("has no version `zz`"));
    supervisor.run(&["rules", "status", "drinks"]).exits(5);
}

#[test]
fn tests_beside_a_rulebook_pass_and_fail_with_their_lines() {
    let folder = scratch();
    write(folder.path(), "food-order.yaml", FOOD_ORDER);
    let tests = write(folder.path(), "food-order.test.yaml", TESTS);
    let place = folder.path().to_str().expect("UTF-8");
    let junit = folder.path().join("results.xml");
    let passed = amends(&["rules", "test", place, "--junit", junit.to_str().expect("UTF-8")]);
    let passed = passed.exits(0).stdout;
    assert!(passed.contains("reached: 6 of 6 rules"), "{passed}");
    assert!(passed.ends_with("9 passed, 0 failed\n"), "{passed}");
    let xml = std::fs::read_to_string(junit).expect("written");
    assert!(xml.contains("tests=\"9\" failures=\"0\""), "{xml}");
    let rulebook = folder.path().join("food-order.yaml");
    let named = amends(&["rules", "test", rulebook.to_str().expect("UTF-8")]).exits(0).stdout;
    assert!(named.ends_with("9 passed, 0 failed\n"), "the tests beside it: {named}");
    // A folder of rulebooks is not disturbed by the tests in it.
    amends(&["rules", "show", place]).exits(0);

    let lesser =
        FOOD_ORDER.replace("[coupon.redeem, delivery.request, rider.match]", "[coupon.redeem]");
    let lesser = write(folder.path(), "lesser.yaml", &lesser);
    let failed = amends(&["rules", "test", &tests, "--rules", &lesser]).exits(1).stdout;
    assert!(failed.contains("FAILED"), "{failed}");
    assert!(failed.contains("food-order.test.yaml:5 the payment failed"), "{failed}");
    assert!(failed.contains("expected, not in the plan: compensate rider.match"), "{failed}");
}

#[test]
fn a_mistake_in_a_test_file_is_shown_with_its_place() {
    let folder = scratch();
    write(folder.path(), "food-order.yaml", FOOD_ORDER);
    let tests = TESTS.replace("payment.pay: unknown", "payment.pay: perhaps");
    let tests = write(folder.path(), "food-order.test.yaml", &tests);
    let junit = folder.path().join("results.xml");
    let run = ["rules", "test", &tests, "--json", "--junit", junit.to_str().expect("UTF-8")];
    let failed = amends(&run).exits(1);
    let told = &failed.stderr;
    assert!(told.contains("food-order.test.yaml:25"), "{told}");
    assert!(told.contains("`perhaps` cannot stand in a History"), "{told}");

    // A program that reads the results doesn't take what is missing for passed.
    let broken = &failed.json()["broken"][0];
    assert_eq!((&broken["file"], &broken["diagnostics"][0]["line"]), (&tests.into(), &25.into()));
    let xml = std::fs::read_to_string(junit).expect("written");
    assert!(xml.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{xml}");
}

#[test]
fn tests_of_a_broken_rulebook_are_told_as_broken_and_the_others_run() {
    let folder = scratch();
    write(folder.path(), "food-order.yaml", FOOD_ORDER);
    write(folder.path(), "food-order.test.yaml", TESTS);
    write(folder.path(), "broken.yaml", "rulebook: [");
    write(folder.path(), "broken.test.yaml", "tests: []");
    let failed = amends(&["rules", "test", folder.path().to_str().expect("UTF-8")]).exits(1);
    assert!(failed.stderr.contains("error[yaml-syntax]"), "{}", failed.stderr);
    assert!(
        failed.stdout.ends_with("9 passed, 0 failed, 1 file could not be run\n"),
        "{}",
        failed.stdout
    );
}

#[test]
fn a_simulation_that_plays_nothing_or_a_part_does_not_pass_in_silence() {
    let folder = scratch();
    let rules = write(folder.path(), "rules.yaml", FOOD_ORDER);
    for option in ["--schedules", "--stories"] {
        amends(&["rules", "simulate", &rules, option, "0"]).exits(2);
    }
    let part = amends(&["rules", "simulate", &rules, "--single", "--schedules", "1"]).exits(0);
    assert!(part.stderr.contains("warning: one fault: only a part was played"), "{}", part.stderr);
    assert!(part.stdout.contains(": 1 schedule in "), "{}", part.stdout);
    assert!(part.stdout.contains("never answered, so nothing is known of them: "));
}

#[test]
fn a_missing_step_makes_a_story() {
    let folder = scratch();
    let rules = write(folder.path(), "rules.yaml", FOOD_ORDER);
    let fine = amends(&["rules", "simulate", &rules, "--single", "--json"]).exits(0).json();
    assert_eq!(fine["failed"], 0);
    assert_eq!(fine["tiers"][0]["played"], fine["tiers"][0]["all"]);

    let lesser = FOOD_ORDER.replace(
        "[coupon.redeem, delivery.request, rider.match]",
        "[coupon.redeem, delivery.request]",
    );
    let lesser = write(folder.path(), "lesser.yaml", &lesser);
    let told = amends(&["rules", "simulate", &lesser, "--stories", "1"]).exits(1).stdout;
    for part in [
        "left behind: rider.match (would take: compensate rider.match)",
        "rule `payment/report-1` answers",
        "the supervisor asks: compensate coupon.redeem: compensated",
    ] {
        assert!(told.contains(part), "`{part}` is missing in\n{told}");
    }
}
