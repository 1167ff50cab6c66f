//! Open questions, answered by a person at the console: each form does what it says, what it says is what the API says,
//! and nothing is answered by a slip or twice.

use crate::browser::Browser;
use crate::house::{House, NAME, judge};
use crate::support::eventually;
use serde_json::{Value, json};

const ENTER: &str = "\u{e007}";

/// A charge that shop says succeeded, and of which billing says that there is nothing to refund.
#[track_caller]
fn contradicted(house: &House, saga: &str) -> String {
    let case = house.supervisor.report(saga);
    house.is_in_state(&case, "stuck");
    case
}

/// The open questions of a case, by the API.
#[track_caller]
fn open(house: &House, case: &str) -> Vec<Value> {
    let case = house.api(&format!("/v1/cases/{case}"));
    case["questions"].as_array().cloned().unwrap_or_default()
}

/// The id of the one open question of a case.
#[track_caller]
fn the_question(house: &House, case: &str) -> String {
    let open = open(house, case);
    let [one] = open.as_slice() else { panic!("one question: {open:?}") };
    one["id"].as_str().expect("an id").to_owned()
}

/// The page has the questions that the API has, each with the sentence and the acts that the API tells.
#[track_caller]
fn says_what_the_api_says(house: &House, case: &str) {
    let told = open(house, case);
    assert!(!told.is_empty(), "{case} has open questions");
    for question in told {
        let id = question["id"].as_str().expect("an id");
        house.browser.see_in(&format!("#{id}"), question["sentence"].as_str().expect("text"));
        let script = "return [...document.getElementById(arguments[0])
            .querySelectorAll('button[name=act]')].map(button => button.value).sort()";
        let mut may: Vec<&str> =
            question["may"].as_array().expect("acts").iter().filter_map(Value::as_str).collect();
        may.sort_unstable();
        assert_eq!(house.browser.script(script, &[json!(id)]), json!(may), "{question}");
    }
}

/// What people answered, oldest first.
fn answers(house: &House, case: &str) -> Vec<(String, String)> {
    let case = house.api(&format!("/v1/cases/{case}"));
    let acts = case["acts"].as_array().cloned().unwrap_or_default();
    let text = |act: &Value, name: &str| act[name].as_str().unwrap_or_default().to_owned();
    let answers = acts.iter().filter(|act| act["act"] == "answer");
    answers.map(|act| (text(act, "actor"), text(act, "reason"))).collect()
}

/// Only a conflict was complained of.
#[track_caller]
fn has_met_a_conflict(browser: &Browser) {
    let complaints = browser.complaints();
    assert!(
        !complaints.is_empty() && complaints.iter().all(|c| c.contains("409")),
        "{complaints:?}"
    );
}

#[test]
fn enter_answers_nothing_and_asking_again_ends_a_contradiction() {
    let house = House::open(404, "auto");
    let case = contradicted(&house, "order-1");
    house.go(&format!("/cases/{case}"));
    house.browser.see_in("#needs", "there was nothing to undo of billing.charge");
    says_what_the_api_says(&house, &case);
    judge(&house.browser, "case-question");

    house.browser.fill("#needs input[name=actor]", NAME);
    house.browser.fill("#needs input[name=reason]", "a slip");
    house.browser.press(ENTER);
    house.billing.answer_with(200);
    house.browser.click("#needs input[name=mayHaveRun]");
    house.act("#needs", "billing had lost a node", "Ask again");
    house.browser.see_in(".head", "settled");
    house.browser.see_in("#plan tbody", "undone");
    house.browser.see_no("#needs");
    assert_eq!(
        answers(&house, &case),
        [(NAME.to_owned(), "billing had lost a node".to_owned())],
        "the slip answered nothing"
    );
    assert_eq!(house.billing.requests().len(), 2);
    house.browser.is_content();
}

#[test]
fn questions_are_recorded_and_accepted_where_they_are_listed() {
    let house = House::open(404, "auto");
    let (first, second) = (contradicted(&house, "order-1"), contradicted(&house, "order-2"));
    let of_first = format!("#{}", the_question(&house, &first));
    let of_second = format!("#{}", the_question(&house, &second));
    house.go("/questions");
    for (case, saga) in [(&first, "order-1"), (&second, "order-2")] {
        says_what_the_api_says(&house, case);
        house.browser.see_in("#questions", saga);
    }
    judge(&house.browser, "questions");
    house.browser.choose(&format!("{of_first} select[name=outcome]"), "compensated");
    house.act(&of_first, "refunded in the bank portal", "Record it");
    house.browser.see_in("#evidence", "by a person");
    for part in ["refunded in the bank portal", NAME, "record: undone"] {
        house.browser.see_in("#answers", part);
    }

    house.go("/questions");
    house.browser.see_no(&of_first);
    house.act(&of_second, "shop had misread an answer", "Accept it as it is");
    house.browser.see_in("#evidence", "by a person");
    house.browser.see_in("#answers", "accept");
    for (case, act) in [(&first, "record"), (&second, "accept")] {
        let told = house.api(&format!("/v1/cases/{case}"));
        assert_eq!((&told["closedOn"], &told["settledBy"]), (&json!("by_person"), &json!(NAME)));
        assert_eq!(
            (&told["answers"][0]["act"], &told["answers"][0]["by"]),
            (&json!(act), &json!(NAME))
        );
    }
    house.go("/questions");
    house.browser.see_in("main", "No question is open.");
    house.browser.is_content();
}

#[test]
fn all_that_a_filter_finds_are_accepted_in_waves() {
    let house = House::open(404, "auto");
    let cases: Vec<_> = (1..=3).map(|n| contradicted(&house, &format!("order-{n}"))).collect();
    house.go("/");
    house.browser.see_in("#figure-questions", "3");
    house.browser.click("#figure-questions");
    house.browser.click("main .tools a[href*=contradiction]");
    house.browser.see_text("Accept all of these…");
    house.browser.click_named("Accept all of these…");
    house.browser.see_in("h1", "accept 3 questions?");
    judge(&house.browser, "bulk-accept");
    house.act("#proposal", "billing lost its table", "Freeze this set");
    house.browser.see_in("#progress", "Nothing has been done yet");
    assert!(cases.iter().all(|case| open(&house, case).len() == 1), "only looked at");
    house.act("#progress", "", "Start");
    house.browser.see_in("main .head", "done");
    for case in &cases {
        house.is_in_state(case, "settled");
        assert_eq!(answers(&house, case), [(NAME.to_owned(), "billing lost its table".to_owned())]);
    }
    house.go("/questions?kind=contradiction");
    house.browser.see_in("main", "No question is open here.");
    house.browser.is_content();
}

#[test]
fn an_answer_that_comes_too_late_is_told_so_and_changes_nothing() {
    let house = House::open(404, "auto");
    let case = contradicted(&house, "order-1");
    let question = the_question(&house, &case);
    house.go(&format!("/cases/{case}"));
    house.browser.see("#needs");
    // The form as it was a moment ago: the page takes its own away as soon as the question is over.
    let keep = "window.late = document.querySelector('#needs form').cloneNode(true)";
    house.browser.script(keep, &[]);
    let quicker = ["questions", "answer", &question, "--accept", "--reason", "I was quicker"];
    house.supervisor.run(&quicker).exits(0);
    house.browser.see_no("#needs");
    let send = "document.body.append(window.late);
        window.late.querySelector('[name=actor]').value = arguments[0];
        window.late.querySelector('[name=reason]').value = 'I was late';
        window.late.requestSubmit(window.late.querySelector('button[value=record]'))";
    house.browser.script(send, &[json!(NAME)]);
    house.browser.see_in("main", "tester has answered question");
    house.browser.see_in("main", "nothing was changed");
    house.browser.see_in("main", "I was late");
    has_met_a_conflict(&house.browser);
    judge(&house.browser, "question-too-late");
    house.browser.click_named("Back");
    house.browser.see_in(".head", "settled");
    assert_eq!(answers(&house, &case), [("tester".to_owned(), "I was quicker".to_owned())]);
}

/// Two callers tell of the same charge, each with another payment.
fn in_conflict() -> (House, String) {
    let house = House::with_rules(200, "auto", |text| {
        let till = "  till: { actions: { ring: { effect: none, calls: [billing.charge] } } }\n  billing:\n    url";
        text.replace("  billing:\n    url", till)
    });
    let charged = |payment: &str| {
        json!([{
            "service": "billing", "action": "charge", "requestId": "q-1", "state": "succeeded",
            "data": { "paymentId": payment, "amount": 12 },
        }])
    };
    // Nothing goes out before both have told.
    house.supervisor.run(&["services", "pause", "billing", "--reason", "for a moment"]).exits(0);
    let case = house.tell("shop", "order-1", charged("p-1"));
    assert_eq!(house.tell("till", "order-1", charged("p-2")), case);
    house.supervisor.run(&["services", "resume", "billing", "--reason", "on"]).exits(0);
    house.is_in_state(&case, "stuck");
    (house, case)
}

#[test]
fn a_value_is_chosen_and_the_request_goes_out_with_it() {
    let (house, case) = in_conflict();
    house.go("/questions");
    let says = "shop says paymentId = \"p-1\", and till says \"p-2\"";
    house.browser.see_in("#questions", says);
    house.browser.click_named("Choose a value on the page of its case");
    house.browser.see_in("#needs", says);
    says_what_the_api_says(&house, &case);
    judge(&house.browser, "case-data-conflict");
    let question = the_question(&house, &case);
    let place = format!("#{question}");
    let values = "return [...document.querySelectorAll('#needs select[name=value] option')].map(o => o.value)";
    assert_eq!(house.browser.script(values, &[]), json!(["\"p-1\"", "\"p-2\""]));
    assert_eq!(house.billing.requests(), Vec::<String>::new(), "nothing goes out in doubt");

    house.browser.choose(&format!("{place} select[name=value]"), "\\\"p-2\\\"");
    house.act(&place, "so in the bank portal", "Choose it");
    house.browser.see_in(".head", "settled");
    house.browser.see_in("#plan tbody", "undone");
    house.browser.see_in("#answers", "choose: \"p-2\"");
    let requests = house.billing.requests();
    let [one] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(one.starts_with("/payments/p-2/refund "), "{one}");
    let told = house.api(&format!("/v1/cases/{case}"));
    assert_eq!(told["answers"][0]["value"], "p-2");
    assert_ne!(told["closedOn"], "by_person", "the service has undone it");
    house.browser.is_content();
}

/// Cases of a rulebook that is held by every stranger tell of `mail.send`.
fn with_a_stranger() -> House {
    House::with_rules(200, "auto", |text| text + "strangers: hold\n")
}

#[track_caller]
fn stranger(house: &House) -> Value {
    let told = house.api("/v1/strangers?rulebook=shop");
    let told = told.as_array().expect("a list");
    told.iter().find(|one| one["action"] == "mail.send").cloned().unwrap_or_default()
}

#[track_caller]
fn tells_of_mail(house: &House, saga: &str) -> String {
    let sent =
        json!([{ "service": "mail", "action": "send", "requestId": "m-1", "state": "succeeded" }]);
    house.tell("shop", saga, sent)
}

#[test]
fn a_stranger_is_ignored_for_all_cases_and_taken_back() {
    let house = with_a_stranger();
    let (first, second) = (tells_of_mail(&house, "order-1"), tells_of_mail(&house, "order-2"));
    house.is_in_state(&first, "stuck");
    house.is_in_state(&second, "stuck");
    house.go(&format!("/cases/{first}"));
    house.browser.see_in("#needs", "shop tells of mail.send, which the rulebook does not know");
    says_what_the_api_says(&house, &first);
    judge(&house.browser, "case-stranger");

    house.go("/questions");
    house.browser.see_in("#strangers", "nothing yet");
    judge(&house.browser, "strangers");
    house.act("#strangers", "it only tells the customer", "Ignore it");
    for part in ["ignore", NAME, "it only tells the customer"] {
        house.browser.see_in("#strangers", part);
    }
    assert_eq!(stranger(&house)["decision"]["act"], "ignore");
    // Both go on, though one answer was given.
    house.is_in_state(&first, "settled");
    house.is_in_state(&second, "settled");
    assert_eq!(house.api(&format!("/v1/cases/{first}"))["closedOn"], "quiet");

    house.go("/questions#strangers");
    house.act("#strangers", "it sends coupons now", "Take it back");
    house.browser.see_in("#strangers", "nothing yet");
    assert!(stranger(&house)["decision"].is_null());
    let third = tells_of_mail(&house, "order-3");
    house.is_in_state(&third, "stuck");
    assert_eq!(house.supervisor.case(&first)["state"], "settled", "what has settled stays so");
    house.go("/audit");
    for part in ["ignore", "reconsider", "it sends coupons now"] {
        house.browser.see_in("#acts", part);
    }
    house.browser.is_content();
}

#[test]
fn a_stranger_that_will_be_declared_waits_for_its_rulebook() {
    let house = with_a_stranger();
    let case = tells_of_mail(&house, "order-1");
    house.is_in_state(&case, "stuck");
    house.go(&format!("/cases/{case}"));
    let place = format!("#{}", the_question(&house, &case));
    house.act(&place, "the rulebook comes tomorrow", "It will be declared");
    eventually("that is what was said", || {
        (stranger(&house)["decision"]["act"] == "declare").then_some(())
    });
    house.browser.see_in(".head", "stuck");
    house.go("/questions");
    house.browser.see_in("#strangers", "the rulebook comes tomorrow");

    let declared = "  mail: { actions: { send: { effect: none } } }\n  billing:\n    url";
    house.change_rules(|text| text.replace("  billing:\n    url", declared));
    eventually("the new version is active", || {
        (stranger(&house)["declared"] == true).then_some(())
    });
    house.go("/questions");
    house.browser.click_named("1 wait for this: replan…");
    house.browser.see_in("h1", "replan 1 case?");
    house.act("#proposal", "it is declared now", "Freeze this set");
    house.browser.see_in("#progress", "Nothing has been done yet");
    house.act("#progress", "", "Start");
    house.is_in_state(&case, "settled");
    house.go("/questions");
    house.browser.see_in("main", "No question is open.");
    house.browser.is_content();
}

#[test]
fn a_try_that_may_have_run_is_repeated_under_a_new_key_only_after_a_look() {
    let house = House::open(500, "auto");
    let case = house.supervisor.report("order-1");
    house.is_in_state(&case, "stuck");
    house.billing.answer_with(200);
    house.go(&format!("/cases/{case}"));
    house.browser.unfold("#needs details");
    house.browser.click("#needs input[name=new_key]");
    house.act("#needs", "once more", "Retry now");
    house.browser.see_in("main", "may have run");
    house.browser.see_in("main", "Nothing was changed.");
    has_met_a_conflict(&house.browser);
    house.browser.click_named("Back");

    house.browser.unfold("#needs details");
    house.browser.click("#needs input[name=new_key]");
    house.browser.click("#needs input[name=may_have_run]");
    house.act("#needs", "nothing of it in the bank portal", "Retry now");
    house.browser.see_in(".head", "settled");
    house.browser.see_in("#plan tbody", "undone");
    house.browser.is_content();
}
