//! Open questions and strangers at the command line: listed, told, answered one by one and in bulk, each with its exit
//! code; and the rulebooks of a running supervisor, activated and looked at.

mod support;

use serde_json::{Value, json};
use support::{
    Legacy, Supervisor, amends, eventually, feed, scratch, shop_rules, unused_address, write,
};
use tempfile::TempDir;

/// A shop with a till whose billing service answers with this status. These lines end its rulebook.
struct Shop {
    supervisor: Supervisor,
    billing: Legacy,
    rules: String,
    folder: TempDir,
}

impl Shop {
    fn open(status: u16, more: &str) -> Self {
        let folder = scratch();
        let billing = Legacy::start(status);
        let rules = shop_rules(folder.path(), &billing.address, "auto");
        let text = std::fs::read_to_string(&rules).expect("a file of ours");
        let till = "  till: { actions: { ring: { effect: none, calls: [billing.charge] } } }\n  billing:\n    url";
        let text = text.replace("  billing:\n    url", till) + more;
        let rules = write(folder.path(), "shop.yaml", &text);
        let supervisor = Supervisor::start(folder.path(), &["--data", "data"]);
        let activate = ["rules", "activate", &rules, "--reason", "to begin with"];
        supervisor.run(&activate).exits(0);
        Self { supervisor, billing, rules, folder }
    }

    /// Reports that something failed at a caller, with this History; gives the case.
    fn tell(&self, source: &str, saga: &str, history: Value) -> String {
        let event = json!({
            "specversion": "1.0", "type": "dev.amends.report.v1", "source": source,
            "id": format!("{source}-{saga}"), "subject": saga,
            "data": { "code": "out-of-stock", "history": history, "data": { "paymentId": "p", "amount": 1 } },
        });
        let mut send = support::command();
        send.args(["report", "send", "-"]).env("AMENDS_URL", &self.supervisor.url);
        feed(&mut send, &event.to_string()).exits(0).stdout.trim().to_owned()
    }

    fn charged(&self, source: &str, saga: &str, data: Value) -> String {
        let charge = json!([{
            "service": "billing", "action": "charge", "requestId": "q-1", "state": "succeeded", "data": data,
        }]);
        self.tell(source, saga, charge)
    }

    /// The id of the one open question of a case, once it is open.
    fn question(&self, case: &str) -> String {
        eventually("it is asked", || {
            let listed = self.run(&["questions", "list", "--case", case, "--json"], 0).json();
            let [one] = listed["items"].as_array()?.as_slice() else { return None };
            one["id"].as_str().map(str::to_owned)
        })
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> support::Done {
        self.supervisor.run(arguments).exits(code)
    }

    #[track_caller]
    fn is(&self, case: &str, state: &str) {
        eventually(&format!("{case} is {state}"), || {
            (self.supervisor.case(case)["state"] == state).then_some(())
        });
    }
}

#[test]
fn a_question_is_listed_told_and_answered_once() {
    let shop = Shop::open(404, "");
    let none = shop.run(&["questions"], 0);
    assert_eq!((none.stdout.as_str(), none.stderr.trim()), ("", "no question is open"));
    let case = shop.charged("shop", "order-1", json!({}));
    let id = shop.question(&case);

    let listed = shop.run(&["questions"], 0).stdout;
    for part in [&id, &case, "contradiction", "order-1", "there was nothing to undo"] {
        assert!(listed.contains(part), "`{part}` is missing in\n{listed}");
    }
    let other = shop.run(&["questions", "list", "--kind", "dropped", "--json"], 0).json();
    assert_eq!(other["items"], json!([]));
    shop.run(&["questions", "list", "--kind", "odd"], 2);

    let told = shop.run(&["questions", "show", &id], 0).stdout;
    for part in ["shop", "q-1", "succeeded", "nothing_to_compensate", "--accept", "--ask-again"] {
        assert!(told.contains(part), "`{part}` is missing in\n{told}");
    }
    let as_json = shop.run(&["questions", "show", &id, "--json"], 0).json();
    assert_eq!(as_json["statements"].as_array().map(Vec::len), Some(2), "{as_json}");

    let answer = ["questions", "answer", &id, "--reason", "refunded in the bank portal"];
    shop.run(&answer, 2);
    shop.run(&[&answer[..], &["--accept", "--ask-again"]].concat(), 2);
    shop.run(&[&answer[..], &["--record", "odd"]].concat(), 2);
    let refused = shop.run(&[&answer[..], &["--record", "waived"]].concat(), 4).stderr;
    assert!(refused.contains("`accept` it if it goes without"), "{refused}");
    let refused = shop.run(&[&answer[..], &["--ignore"]].concat(), 4).stderr;
    assert!(refused.contains("possible: accept, record, ask_again"), "{refused}");
    let nobody = shop.run(&[&answer[..], &["--choose", "p-1"]].concat(), 2).stderr;
    assert!(nobody.contains("is no data conflict"), "{nobody}");
    let done = shop.run(&[&answer[..], &["--record", "compensated"]].concat(), 0).stdout;
    assert_eq!(done.trim(), format!("{id} answered; 0 open in case {case}"));
    shop.is(&case, "settled");

    let late = shop.run(&[&answer[..], &["--accept"]].concat(), 4).stderr;
    assert!(late.contains("tester has answered") && late.contains("by `record`"), "{late}");
    shop.run(&["questions", "show", &id], 5);
    let nobody = format!("q-{}-0000000000000000", case.trim_start_matches("c-"));
    shop.run(&["questions", "answer", &nobody, "--accept", "--reason", "x"], 5);
    shop.run(&["questions", "answer", "q-9999-0000000000000000", "--accept", "--reason", "x"], 5);
    shop.run(&["questions", "show", "no-question"], 2);
    let url = format!("http://{}", unused_address());
    amends(&["questions", "--url", &url]).exits(3);
}

#[test]
fn whoever_can_tell_is_asked_again() {
    let shop = Shop::open(404, "");
    let case = shop.charged("shop", "order-1", json!({}));
    let id = shop.question(&case);
    shop.billing.answer_with(200);
    let again = ["questions", "answer", &id, "--ask-again", "--reason", "billing is mended"];
    let done = shop.run(&[&again[..], &["--json"]].concat(), 0).json();
    assert_eq!((&done["id"], &done["open"]), (&json!(id), &json!([])));
    shop.is(&case, "settled");
    assert_eq!(shop.billing.requests().len(), 2);
    assert_eq!(shop.supervisor.case(&case)["plan"][0]["outcome"], "compensated");
    // Nobody answered it: better evidence has ended it.
    let late = shop.run(&again, 5).stderr;
    assert!(late.contains("it has ended by itself"), "{late}");
}

#[test]
fn many_are_accepted_after_a_rehearsal_and_a_yes() {
    let shop = Shop::open(404, "");
    let cases: Vec<_> =
        (1..=3).map(|n| shop.charged("shop", &format!("order-{n}"), json!({}))).collect();
    cases.iter().for_each(|case| drop(shop.question(case)));
    let accept = |more: &[&str], code| {
        let all = ["questions", "answer", "--accept", "--reason", "billing lost its table"];
        shop.run(&[&all[..], more].concat(), code)
    };
    let which = accept(&[], 2).stderr;
    assert!(which.contains("say which questions"), "{which}");
    let filter = ["--kind", "contradiction", "--service", "billing"];
    let rehearsed = accept(&[&filter[..], &["--dry-run"]].concat(), 0);
    assert_eq!(rehearsed.stderr.trim(), "would accept 3 questions");
    assert!(cases.iter().all(|case| rehearsed.stdout.contains(case.as_str())), "{rehearsed:?}");
    let unasked = accept(&filter, 2).stderr;
    assert!(unasked.contains("add --yes"), "{unasked}");
    let wide = ["questions", "answer", "--record", "compensated", "--kind", "contradiction"];
    shop.run(&[&wide[..], &["--reason", "x"]].concat(), 2);
    let asked = ["questions", "answer", "--ask-again", "--may-have-run", "--kind", "contradiction"];
    shop.run(&[&asked[..], &["--reason", "x"]].concat(), 2);

    let done = accept(&[&filter[..], &["--yes"]].concat(), 0).stdout;
    assert_eq!(done.trim(), "accepted 3 of 3 questions");
    for case in &cases {
        shop.is(case, "settled");
        assert_eq!(shop.supervisor.case(case)["closedOn"], "by_person");
    }
    let none = accept(&[&filter[..], &["--yes"]].concat(), 0).stderr;
    assert_eq!(none.trim(), "no question matches");
}

#[test]
fn one_of_the_told_values_is_chosen() {
    let shop = Shop::open(200, "");
    shop.run(&["services", "pause", "billing", "--reason", "for a moment"], 0);
    let case = shop.charged("shop", "order-1", json!({ "paymentId": "p-1", "amount": 12 }));
    shop.charged("till", "order-1", json!({ "paymentId": "p-2", "amount": 12 }));
    shop.run(&["services", "resume", "billing", "--reason", "on"], 0);
    let id = shop.question(&case);
    let choose = |value: &str, code| {
        shop.run(&["questions", "answer", &id, "--choose", value, "--reason", "so it is"], code)
    };
    let wrong = choose("p-3", 2).stderr;
    assert!(wrong.contains("nobody says `p-3`; told are \"p-1\" and \"p-2\""), "{wrong}");
    choose("p-2", 0);
    shop.is(&case, "settled");
    let requests = shop.billing.requests();
    assert!(
        matches!(requests.as_slice(), [one] if one.starts_with("/payments/p-2/refund ")),
        "{requests:?}"
    );
    assert_eq!(shop.supervisor.case(&case)["answers"][0]["value"], "p-2");
}

#[test]
fn what_is_said_of_a_stranger_holds_for_all_cases_of_its_rulebook() {
    let shop = Shop::open(200, "strangers: hold\n");
    let none = shop.run(&["questions", "strangers"], 0).stderr;
    assert_eq!(none.trim(), "no stranger has been told of");
    let sent =
        json!([{ "service": "mail", "action": "send", "requestId": "m-1", "state": "succeeded" }]);
    let cases =
        [shop.tell("shop", "order-1", sent.clone()), shop.tell("shop", "order-2", sent.clone())];
    cases.iter().for_each(|case| shop.is(case, "stuck"));
    let listed = shop.run(&["questions", "strangers", "--rulebook", "shop", "--json"], 0).json();
    assert_eq!(
        (&listed[0]["action"], &listed[0]["waiting"], &listed[0]["may"]),
        (&json!("mail.send"), &json!(2), &json!(["ignore", "declare"]))
    );
    assert_eq!(
        shop.run(&["questions", "strangers", "--rulebook", "other", "--json"], 0).json(),
        json!([])
    );

    let say = |rulebook: &str, name: &str, word: &str, code| {
        shop.run(&["questions", "stranger", rulebook, name, word, "--reason", "so"], code)
    };
    say("shop", "mail.send", "--reconsider", 5);
    say("other", "mail.send", "--ignore", 5);
    say("shop", "mail", "--ignore", 2);
    let known = say("shop", "billing.charge", "--ignore", 4).stderr;
    assert!(known.contains("it is no stranger"), "{known}");
    shop.run(&["questions", "stranger", "shop", "mail.send", "--reason", "so"], 2);

    let said = say("shop", "mail.send", "--ignore", 0).stdout;
    assert!(said.contains("ignore") && said.contains("tester"), "{said}");
    cases.iter().for_each(|case| shop.is(case, "settled"));
    say("shop", "mail.send", "--reconsider", 0);
    let third = shop.tell("shop", "order-3", sent);
    let id = shop.question(&third);
    shop.run(&["questions", "answer", &id, "--declare", "--reason", "it comes tomorrow"], 0);
    shop.is(&third, "stuck");

    // The version that declares it says who has waited for it.
    let text = std::fs::read_to_string(&shop.rules).expect("a file of ours");
    let mail = "  mail: { actions: { send: { effect: none } } }\n  billing:\n    url";
    let declares =
        write(shop.folder.path(), "next.yaml", &text.replace("  billing:\n    url", mail));
    let activate = ["rules", "activate", &declares, "--reason", "mail is ours now"];
    let offer = shop.run(&activate, 0).stdout;
    assert!(
        offer.contains("1 case waits for mail.send: amends cases replan --group g-"),
        "{offer}"
    );
    let strangers = shop.run(&["questions", "strangers"], 0);
    assert!(strangers.stdout.contains("declared now"), "{strangers:?}");
    assert!(strangers.stderr.contains("amends cases replan --group g-"), "{strangers:?}");
}

#[test]
fn what_would_be_stuck_is_told_on_every_rung() {
    let sent =
        json!([{ "service": "mail", "action": "send", "requestId": "m-1", "state": "succeeded" }]);
    for (more, mode, stuck, would_be) in [
        ("strangers: hold\n", "shadow", 0, 1),
        ("questions: { stranger: note }\nstrangers: hold\n", "auto", 0, 1),
        ("strangers: hold\n", "auto", 1, 0),
    ] {
        let shop = Shop::open(200, more);
        let text = std::fs::read_to_string(&shop.rules).expect("a file of ours");
        let rules = write(
            shop.folder.path(),
            "rung.yaml",
            &text.replace("mode: auto", &format!("mode: {mode}")),
        );
        shop.run(&["rules", "activate", &rules, "--reason", "the next rung"], 0);
        let none = shop.run(&["rules", "status", "shop"], 0).stdout;
        assert!(none.contains("no case yet"), "{none}");
        let case = shop.tell("shop", "order-1", sent.clone());
        shop.is(&case, if stuck == 1 { "stuck" } else { "settled" });
        let told = shop.run(&["rules", "status", "shop", "--json"], 0).json();
        let kinds = told["questions"]["kinds"].as_array().expect("a list").iter();
        let stranger = kinds.clone().find(|one| one["kind"] == "stranger").expect("all kinds");
        assert_eq!(
            (&stranger["stuck"], &stranger["wouldBeStuck"], &stranger["example"]),
            (&json!(stuck), &json!(would_be), &json!(case)),
            "{more}{mode}: {told}"
        );
        assert!(kinds.filter(|one| one["kind"] != "stranger").all(|one| one["example"].is_null()));
        let shown = shop.run(&["rules", "status", "shop"], 0).stdout;
        assert!(shown.contains("of its newest 1 cases") && shown.contains("stranger"), "{shown}");
    }
}

#[test]
fn a_rulebook_is_activated_looked_at_and_taken_back() {
    let shop = Shop::open(200, "");
    let hash = || {
        let stands = shop.run(&["rules", "status", "shop", "--json"], 0).json();
        stands["hash"].as_str().expect("a text").to_owned()
    };
    let first = hash();
    let text = std::fs::read_to_string(&shop.rules).expect("a file of ours");
    let next =
        write(shop.folder.path(), "next.yaml", &text.replace("quiet: 200ms", "quiet: 300ms"));
    let activate = |path: &str, more: &[&str], code| {
        let all = ["rules", "activate", path, "--reason", "patience"];
        shop.run(&[&all[..], more].concat(), code)
    };
    let told = activate(&next, &["--json"], 0).json();
    let second = hash();
    assert_eq!((&told["rulebook"]["hash"], &told["waiting"]), (&json!(second), &json!([])));
    assert_ne!(first, second);
    shop.run(&["rules", "activate", &next], 2);

    assert_eq!(told["verdict"]["hash"], told["rulebook"]["hash"], "{told}");
    let careless = "rulebook: shop
services:
  order: { url: \"http://127.0.0.1:1\", actions: { place: { compensation: cancel, calls: [pay.charge] } } }
  pay: { url: \"http://127.0.0.1:1\", actions: { charge: { compensation: refund } } }
rules: [{ on: \"*/*\", compensate: [order.place] }]
";
    let careless = write(shop.folder.path(), "careless.yaml", careless);
    let left = activate(&careless, &["--proof"], 4).stderr;
    assert!(left.contains("under-compensation"), "{left}");

    let broken = write(shop.folder.path(), "broken.yaml", &text.replace("recorded", "recoded"));
    let wrong = activate(&broken, &[], 1).stderr;
    assert!(wrong.contains("broken.yaml") && wrong.contains("recoded"), "{wrong}");
    activate("/nowhere.yaml", &[], 6);
    let rival =
        write(shop.folder.path(), "rival.yaml", &text.replace("rulebook: shop", "rulebook: rival"));
    let refused = activate(&rival, &[], 4).stderr;
    assert!(refused.contains("belongs to two rulebooks"), "{refused}");
    let url = format!("http://{}", unused_address());
    activate(&next, &["--url", &url], 3);
    assert_eq!(hash(), second, "what was refused changed nothing");

    let listed = shop.run(&["rules", "list", "--all", "--json"], 0).json();
    let active: Vec<_> =
        listed.as_array().expect("a list").iter().map(|b| b["active"] == true).collect();
    assert_eq!(active, [true, false]);
    assert!(shop.run(&["rules", "list"], 0).stdout.contains("✓ active"));
    let back = ["rules", "rollback", "shop", "--reason", "as before"];
    let unasked = shop.run(&back, 2).stderr;
    assert!(unasked.contains("add --yes"), "{unasked}");
    let told = shop.run(&[&back[..], &["--yes", "--json"]].concat(), 0).json();
    assert_eq!(told["hash"], json!(first));
    shop.run(&["rules", "rollback", "drinks", "--reason", "x", "--yes"], 5);
    shop.run(&["rules", "status", "drinks"], 5);
    shop.run(&["rules", "drift", "--rulebook", "drinks"], 5);
    let drift = shop.run(&["rules", "drift", "--json", "--exit-code"], 0).json();
    assert_eq!(drift["undeclared"], json!([]));
}
