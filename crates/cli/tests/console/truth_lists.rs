//! The lists of the console say nothing untrue either: questions and what was answered, the one verdict on a rulebook,
//! bulk acts, what is held. Each page hears by itself of what happens while it is open.

use crate::house::{House, act, go, judge};
use crate::support::eventually;
use crate::truth::{
    agree, agree_by_itself, case_differs, list_differs, offered, same, spelled, texts, the, told,
};
use amends_api::signs::{HELD, Signed};
use amends_api::{
    BulkView, CaseDetail, DiagnosticView, Page, QuestionView, RuleHoldView, RulebookVerdict,
};
use serde_json::{Value, json};

/// The ids of all elements of a selector, in the order of the page.
fn ids(house: &House, selector: &str) -> Value {
    let script = "return [...document.querySelectorAll(arguments[0])].map(e => e.id)";
    house.browser.script(script, &[json!(selector)])
}

fn questions_differ(house: &House) -> Option<String> {
    let said: Page<QuestionView> = told(house, "/v1/questions");
    let wanted: Vec<String> = said.items.iter().map(|one| one.id.to_string()).collect();
    let one = |question: &QuestionView| {
        let place = format!("#{}", question.id);
        let mut may: Vec<String> = question.may.iter().map(ToString::to_string).collect();
        may.sort_unstable();
        let effect = spelled(question.effect.sign());
        same(&place, &the(house, &format!("{place} h3 .sign")), &effect)
            .or_else(|| {
                let sentence = format!("{}.", question.sentence);
                same(&place, &the(house, &format!("{place} > p")), &sentence)
            })
            .or_else(|| same(&place, &offered(house, &place), &may))
    };
    same("questions", &ids(house, "#questions .stuck-step"), &json!(wanted))
        .or_else(|| said.items.iter().find_map(one))
}

fn answers_differ(house: &House, case: &str) -> Option<String> {
    let said: CaseDetail = told(house, &format!("/v1/cases/{case}"));
    let asked = said.answers.iter().map(|one| one.sentence.clone()).collect();
    let why = said.answers.iter().map(|one| one.reason.clone()).collect();
    same("asked", &texts(house, "#answers td[data-label=question]"), &asked)
        .or_else(|| same("why", &texts(house, "#answers td[data-label=why]"), &why))
}

#[test]
fn questions_are_the_same_on_their_page_on_the_case_and_over_the_api() {
    let house = House::open(404, "auto");
    let cases = ["order-1", "order-2"].map(|saga| house.supervisor.report(saga));
    cases.iter().for_each(|case| house.is_in_state(case, "stuck"));
    agree(&house, "/questions", questions_differ);
    let open: Page<QuestionView> = told(&house, "/v1/questions");
    assert_eq!(open.items.len(), 2);

    // Answered elsewhere while the page is open.
    let answered = open.items.iter().find(|one| one.case_id.to_string() == cases[0]);
    let id = answered.expect("of the first case").id.to_string();
    let record = ["questions", "answer", &id, "--record", "compensated", "--reason", "by hand"];
    house.supervisor.run(&record).exits(0);
    agree_by_itself(&house, "/questions", questions_differ);
    assert_eq!(ids(&house, "#questions .stuck-step").as_array().map(Vec::len), Some(1));

    // Nothing of the case says any more that there was nothing to undo: a person knows better.
    let page = format!("/cases/{}", cases[0]);
    agree(&house, &page, |house| case_differs(house, &cases[0]));
    agree_by_itself(&house, &page, |house| answers_differ(house, &cases[0]));
    let case: CaseDetail = told(&house, &format!("/v1/cases/{}", cases[0]));
    assert!(case.summary.sentence.contains("; undone; "), "{}", case.summary.sentence);
    for shown in [the(&house, "#sentence"), texts(&house, "#plan tbody .sign").join(" ")] {
        assert!(!shown.contains("nothing to undo") && shown.contains("undone"), "{shown}");
    }
    house.browser.see_in("#plan tbody", "by its service: had nothing to undo");
    judge(&house.browser, "case-recorded");
}

/// The codes of all findings, in the order in which they are told.
fn codes(findings: &[DiagnosticView]) -> Vec<String> {
    findings.iter().map(|one| format!("{}[{}]", one.severity, one.code)).collect()
}

/// The codes of a text that is drawn for people.
fn codes_of_text(text: &str) -> Vec<String> {
    let heads = text.lines().filter_map(|line| Some(line.split_once(": ")?.0));
    let is_head =
        |head: &&str| ["error[", "warning[", "note["].iter().any(|begin| head.starts_with(begin));
    heads.filter(is_head).map(str::to_owned).collect()
}

#[test]
fn the_verdict_on_a_rulebook_is_one_for_command_api_preview_and_page() {
    // Something to find: the report is not said to carry the fields that the refund needs.
    let house = House::with_rules(200, "auto", |text| {
        let declared = "    reports:\n      out-of-stock: { in: sell, after: [billing.charge] }\n";
        text.replace("  billing:\n", &format!("{declared}  billing:\n"))
    });
    let verdict: RulebookVerdict = told(&house, "/v1/rulebooks/shop/verdict?proof=wait");
    let wanted = codes(&verdict.findings);
    assert!(!wanted.is_empty(), "{verdict:?}");

    let command =
        house.supervisor.run(&["rules", "check", house.rules(), "--json"]).exits(0).json();
    let command: Vec<DiagnosticView> =
        serde_json::from_value(command["diagnostics"].clone()).expect("findings");
    assert_eq!(codes(&command), wanted, "the command and the API");

    let drawn = |place: &str| {
        let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
        let text = house.browser.script(script, &[json!(format!("{place} pre"))]);
        codes_of_text(text.as_str().unwrap_or_default())
    };
    agree(&house, "/rules/shop", |_| same("page", &drawn("#findings"), &wanted));
    house.browser.see_in("#proof", "Proved");
    let text = std::fs::read_to_string(house.rules()).expect("the file");
    house.go("/rules/shop/edit");
    // Another text of the same rules: what is as it was would not be looked at.
    house.browser.fill("#edit-form textarea[name=text]", &format!("{text}# once more\n"));
    house.browser.click_named("See what would change");
    eventually("the preview says it too", || (drawn("#findings") == wanted).then_some(()));
    house.browser.is_content();
}

fn bulks_differ(house: &House) -> Option<String> {
    let said: Vec<BulkView> = told(house, "/v1/bulk");
    let rows = texts(house, "main tbody tr");
    let one = |(place, bulk): (usize, &BulkView)| {
        let row = format!("main tbody tr:nth-child({})", place + 1);
        let p = &bulk.progress;
        let numbers = [bulk.matched, p.succeeded, p.failed, p.left];
        let numbers = numbers.iter().map(u64::to_string).collect();
        let state = spelled(bulk.state.sign());
        same(&row, &texts(house, &format!("{row} td.number")), &numbers)
            .or_else(|| same(&row, &the(house, &format!("{row} .sign")), &state))
    };
    same("bulk acts", &rows.len(), &said.len()).or_else(|| said.iter().enumerate().find_map(one))
}

#[test]
fn bulk_acts_are_listed_as_they_stand_while_they_run_stop_and_end() {
    let house = House::open(409, "auto");
    house.stuck("order-1");
    house.stuck("order-2");
    house.supervisor.run(&["services", "pause", "billing", "--reason", "for a moment"]).exits(0);
    let wanted = json!({ "act": "retry", "reason": "once more", "filter": { "state": "stuck" } });
    house.post("/v1/bulk", &wanted).expect("made");
    house.post("/v1/bulk/b-1/start", &json!({})).expect("started");
    agree(&house, "/bulk", bulks_differ);
    house.browser.see_in("main tbody", "running");

    // The list is open: it hears of the stop, and of the end.
    house.supervisor.run(&["bulk", "stop", "b-1", "--reason", "wait for the bank"]).exits(0);
    agree_by_itself(&house, "/bulk", bulks_differ);
    house.browser.see_in("main tbody", "stopped");
    house.billing.answer_with(200);
    house.supervisor.run(&["services", "resume", "billing", "--reason", "on"]).exits(0);
    let again = json!({ "reason": "the bank is back" });
    eventually("its last wave has ended, so that it goes on", || {
        house.post("/v1/bulk/b-1/start", &again).ok()
    });
    house.browser.see_in("main tbody", "done");
    agree_by_itself(&house, "/bulk", bulks_differ);
    house.browser.is_content();
}

fn holds_differ(house: &House) -> Option<String> {
    let said: Vec<RuleHoldView> = told(house, "/v1/rulebooks/shop/hold");
    let one = |hold: &RuleHoldView| {
        let what = hold.rule.as_ref().map_or("all rules".to_owned(), |rule| format!("rule {rule}"));
        format!("{} {what} by {}", spelled(HELD), hold.by)
    };
    let wanted: Vec<String> = said.iter().map(one).collect();
    let shown = texts(house, "#holds .release > p");
    let matches = shown.len() == wanted.len()
        && shown.iter().zip(&wanted).all(|(shown, wanted)| shown.starts_with(wanted));
    (!matches).then(|| format!("holds: the page shows {shown:?}, the API says {wanted:?}"))
}

#[test]
fn what_is_held_is_held_on_every_page_until_it_is_released() {
    let house = House::open(200, "auto");
    house.supervisor.run(&["rules", "hold", "shop", "--reason", "it refunds twice"]).exits(0);
    let case = house.supervisor.report("order-1");
    eventually("the step waits", || {
        (house.supervisor.case(&case)["plan"][0]["cause"] == "held").then_some(())
    });
    let page = format!("/cases/{case}");
    agree(&house, "/rules/shop", holds_differ);
    assert_eq!(texts(&house, "#holds .release").len(), 1);
    house.go("/rules");
    house.browser.see_in("#book-shop", &spelled(HELD));
    house.go("/");
    house.browser.see_in("#causes tbody", "held");
    house.browser.see_in("#causes tbody", "billing waits for the release of");
    agree(&house, "/cases", list_differs);
    agree(&house, &page, |house| case_differs(house, &case));
    house.browser.see_in("#sentence", "waits for the release of its rule");
    assert!(house.billing.requests().is_empty(), "nothing was sent");
    judge(&house.browser, "case-held");

    // By the console; the page of the case, open elsewhere, would hear of it.
    go(&house.browser, &house.supervisor.url, "/rules/shop");
    act(&house.browser, "#holds .release", "the rule is mended", "Release");
    house.browser.see_in("#holds", "Nothing.");
    agree_by_itself(&house, "/rules/shop", holds_differ);
    house.is_in_state(&case, "settled");
    agree(&house, &page, |house| case_differs(house, &case));
    assert_eq!(house.billing.requests().len(), 1);
    house.browser.is_content();
}

#[test]
fn the_open_page_of_a_held_case_hears_of_the_release() {
    let house = House::open(200, "auto");
    house.supervisor.run(&["rules", "hold", "shop", "*/*", "--reason", "a look first"]).exits(0);
    let case = house.supervisor.report("order-1");
    let page = format!("/cases/{case}");
    house.go(&page);
    house.browser.see_in("#sentence", "waits for the release of its rule");
    house.supervisor.run(&["rules", "release", "shop", "*/*", "--reason", "it is right"]).exits(0);
    house.browser.see_in(".head", "settled");
    agree_by_itself(&house, &page, |house| case_differs(house, &case));
    house.browser.is_content();
}
