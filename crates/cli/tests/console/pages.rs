//! Every page, empty and full: it fits, everybody can use it, nothing complains, and it says what it is there to say.

use crate::browser::Browser;
use crate::house::{House, go, judge};
use crate::plain_http::request;
use crate::support::{Supervisor, eventually, scratch};
use serde_json::Value;

#[test]
fn an_empty_house_teaches_how_to_begin() {
    let folder = scratch();
    let supervisor = Supervisor::start(folder.path(), &["--data", "data"]);
    let browser = Browser::start();
    for (path, name, says) in [
        ("/", "empty-overview", "No report has come yet"),
        ("/cases", "empty-cases", "A case begins with the first report about a saga"),
        ("/cases?view=causes", "empty-causes", "No work is open."),
        ("/questions", "empty-questions", "No question is open."),
        ("/rules", "empty-rules", "No rulebook is active"),
        ("/services", "empty-services", "no service is known"),
        ("/bulk", "empty-bulk", "None yet."),
        ("/audit", "empty-audit", "Nobody has done anything yet."),
    ] {
        go(&browser, &supervisor.url, path);
        browser.see_in("main", says);
        judge(&browser, name);
    }
}

/// A case that went well, three that are stuck, a pause and a bulk act that stopped by itself.
fn busy() -> (House, String, String) {
    let house = House::open(200, "auto");
    let settled = house.supervisor.report("order-1");
    house.is_in_state(&settled, "settled");
    let stuck = house.stuck("order-2");
    house.stuck("order-3");
    house.stuck("order-4");
    let retry = ["cases", "retry", "--state", "stuck", "--reason", "once more", "--yes"];
    house.supervisor.run(&retry).exits(4);
    let pause = ["services", "pause", "billing", "--reason", "maintenance until ten"];
    house.supervisor.run(&pause).exits(0);
    (house, settled, stuck)
}

#[test]
fn the_pages_of_a_busy_house() {
    let (house, settled, stuck) = busy();
    let groups = house.supervisor.run(&["cases", "groups", "--json"]).exits(0).json();
    let group = groups[0]["id"].as_str().expect("a group").to_owned();
    for (path, name, says) in [
        ("/".to_owned(), "overview", "3 cases need a person"),
        ("/cases".to_owned(), "cases", "order-1"),
        ("/cases?state=stuck&service=billing".to_owned(), "cases-filtered", "order-4"),
        ("/cases?q=nobody".to_owned(), "cases-nothing-found", "No case fits this filter"),
        ("/cases?view=causes".to_owned(), "causes", "billing refuses"),
        (format!("/cases?group={group}"), "group", "billing refuses"),
        (format!("/cases/{stuck}"), "case-stuck", "Needs a person"),
        (format!("/cases/{settled}"), "case-settled", "no further activity"),
        ("/services".to_owned(), "services", "maintenance until ten"),
        ("/bulk".to_owned(), "bulk-acts", "once more"),
        ("/bulk/b-1".to_owned(), "bulk-stopped", "failed again"),
        (format!("/bulk/new?group={group}&act=retry"), "bulk-new", "Freeze this set"),
        ("/audit".to_owned(), "audit", "maintenance until ten"),
    ] {
        house.go(&path);
        house.browser.see_in("main", says);
        judge(&house.browser, name);
    }
}

#[test]
fn the_pages_of_rules() {
    let (house, ..) = busy();
    let address = house.supervisor.url.trim_start_matches("http://");
    let (_, book) =
        request(address, "GET", "/v1/rulebooks/shop", "application/json", "").expect("it answers");
    let book: Value = serde_json::from_str(&book).expect("JSON");
    let hash = book["hash"].as_str().expect("a hash").to_owned();
    for (path, name, says) in [
        ("/rules".to_owned(), "rules", "2 services, 2 actions, 1 rules"),
        ("/rules/shop".to_owned(), "rulebook", "At a glance"),
        (format!("/rules/shop/versions/{hash}"), "rulebook-version", "this one"),
        ("/rules/shop/edit".to_owned(), "rulebook-edit", "See what would change"),
        ("/rules/new".to_owned(), "rulebook-new", "See what would change"),
    ] {
        house.go(&path);
        house.browser.see_in("main", says);
        judge(&house.browser, name);
    }
}

#[test]
fn cases_past_the_objective_of_their_rule_are_told_and_listed() {
    let house = House::open(409, "auto\n    objective: 100ms");
    house.go("/");
    house.browser.see_in("#headline", "All is well");
    let case = house.stuck("order-1");
    house.go("/");
    house.browser.see_in("#figure-late", "1 late");
    house.browser.click("#figure-late");
    house.browser.see_in("#group h2", "Cases that are late");
    house.browser.see_in("#list", &case);
    judge(&house.browser, "cases-late");
    house.browser.click_named_in("#group", "Retry all…");
    house.browser.see_in("h1", "retry 1 step?");
    house.go("/rules/shop");
    house.browser.see_in("#rules", "100ms");
    house.browser.is_content();
}

#[test]
fn a_page_that_is_not_there_says_so_and_leads_back() {
    let house = House::open(200, "auto");
    house.go("/cases/c-404");
    house.browser.see_in("main", "there is no case");
    // Chromium itself complains of the status.
    let complaints = house.browser.complaints();
    assert!(complaints.iter().all(|c| c.contains("404")), "{complaints:?}");
    judge(&house.browser, "not-found");
    house.browser.click_named("Back");
    house.browser.see_in("h1", "Cases");
}

#[test]
fn news_come_by_themselves() {
    let house = House::open(409, "auto");
    house.go("/");
    house.browser.see_in("#wire-state", "live");
    house.browser.see_in("#headline", "All is well");
    // A mark that a loaded page would not have.
    house.browser.script("window.mark = 'the same page'", &[]);
    house.supervisor.report("order-1");
    house.browser.see_in("#figure-stuck", "1");
    house.browser.see_in("#headline", "1 case needs a person");
    house.browser.see_in("#troubles", "compensate billing.charge");
    assert_eq!(house.browser.script("return window.mark", &[]), "the same page");
    house.browser.is_content();
}

#[test]
fn what_a_person_types_stays_while_news_come() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.go(&format!("/cases/{case}"));
    let reason = "#needs input[name=reason]";
    house.browser.fill(reason, "half a sent");
    house.billing.answer_with(200);
    let retried = ["cases", "retry", "--state", "stuck", "--reason", "x", "--yes"];
    // Another report about the same saga, and an act elsewhere, change the page below.
    house.supervisor.report("order-1");
    let reports = "return document.querySelectorAll('#reports h3').length === 2";
    house.browser.wait_script("the second report is shown", reports, &[]);
    assert_eq!(
        house.browser.script(
            "return arguments[0] && document.querySelector(arguments[0]).value",
            &[reason.into()]
        ),
        "half a sent"
    );
    house.supervisor.run(&retried).exits(0);
    eventually("it settles", || (house.supervisor.case(&case)["state"] == "settled").then_some(()));
    house.browser.see_in(".head", "settled");
    house.browser.see_no("#needs");
}

#[test]
fn a_filter_is_in_the_address_and_can_be_shared() {
    let house = House::open(200, "auto");
    let settled = house.supervisor.report("order-1");
    house.is_in_state(&settled, "settled");
    house.stuck("order-2");
    house.go("/cases");
    house.browser.choose("#filters select[name=state]", "stuck");
    house.browser.choose("#filters select[name=sort]", "oldest");
    house.browser.click_named_in("#filters", "Filter");
    house.browser.wait_script("it is filtered", "return location.search !== ''", &[]);
    assert_eq!(house.browser.address(), "/cases?state=stuck&sort=oldest");
    house.browser.see_in("#list", "order-2");
    assert!(!house.browser.text("#list").contains("order-1"));
    // Whoever is sent the link sees the same.
    house.go("/cases?state=stuck&sort=oldest");
    house.browser.see_in("#list", "order-2");
    house.browser.click_named("Clear");
    house.browser.see_in("#list", "order-1");
    house.browser.fill("#filters input[name=q]", "order-1");
    house.browser.press("\u{e007}");
    house.browser.see_no("#c-2");
    assert_eq!(house.browser.address(), "/cases?q=order-1");
    for (kind, holds) in [("NDJSON", "\"sagaId\":\"order-1\""), ("CSV", "id,saga_id,")] {
        let link = "return [...document.querySelectorAll('#list a')].find(a => a.innerText === arguments[0]).href";
        let export = house.browser.script(link, &[kind.into()]);
        let read = "return fetch(arguments[0]).then(answer => answer.text())";
        let text = house.browser.script(read, &[export]);
        let text = text.as_str().expect("text");
        assert!(text.contains(holds) && !text.contains("order-2"), "{kind}: {text}");
    }
    house.browser.is_content();
}
