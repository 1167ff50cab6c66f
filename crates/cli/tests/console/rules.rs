//! Rulebooks by the console: what would change is seen before it is so; cases without a rule get one, or a plan by hand.

use crate::browser::Browser;
use crate::house::{NAME, act, go, judge};
use crate::support::{Legacy, Supervisor, eventually, scratch, shop_rules};
use tempfile::TempDir;

/// A shop whose rulebook, loaded by hand so that no file takes its place again, answers one report alone.
fn shop() -> (TempDir, Legacy, Supervisor, Browser) {
    let folder = scratch();
    let billing = Legacy::start(200);
    let supervisor = Supervisor::start(folder.path(), &["--data", "data"]);
    (folder, billing, supervisor, Browser::start())
}

/// The text of the rulebook, with a rule for this report.
fn rulebook(folder: &TempDir, billing: &Legacy, on: &str) -> String {
    let path = shop_rules(folder.path(), &billing.address, "auto");
    let text = std::fs::read_to_string(path).expect("a file");
    text.replace("\"*/*\"", &format!("\"{on}\""))
}

/// Puts a text into the editor and looks at what it would change.
#[track_caller]
fn write_rules(browser: &Browser, url: &str, page: &str, text: &str) {
    go(browser, url, page);
    browser.fill("#edit-form textarea[name=text]", text);
    browser.click_named("See what would change");
}

fn state(supervisor: &Supervisor, case: &str, wanted: &str) {
    eventually(wanted, || (supervisor.case(case)["state"] == wanted).then_some(()));
}

#[test]
fn a_rulebook_is_added_previewed_and_activated_and_a_case_replanned() {
    let (folder, billing, supervisor, browser) = shop();
    let first = rulebook(&folder, &billing, "shop/closed");
    write_rules(&browser, &supervisor.url, "/rules/new", &first);
    browser.see_in("#changes", "A new rulebook: 2 services, 1 rules.");
    judge(&browser, "rulebook-preview-new");
    act(&browser, "#changes", "we begin", "Activate");
    browser.see_in("h1", "Rulebook shop");

    let case = supervisor.report("order-1");
    state(&supervisor, &case, "unmatched");
    go(&browser, &supervisor.url, "/");
    browser.see_in("#figure-unmatched", "1");
    browser.click_named_in("#troubles", &case);
    browser.see_in("#needs", "No rule answers this report.");
    judge(&browser, "case-unmatched");

    // A mistake is shown where it stands, and can be mended in place.
    let broken = rulebook(&folder, &billing, "*/*").replace("recorded", "recoded");
    write_rules(&browser, &supervisor.url, "/rules/shop/edit", &broken);
    browser.see_in("#findings", "`recoded` is not an action");
    assert_eq!(browser.count("#changes"), 0, "what is wrong cannot be activated");
    browser.complaints(); // of the status 422
    judge(&browser, "rulebook-preview-wrong");
    browser.fill("textarea[name=text]", &broken.replace("recoded", "recorded"));
    browser.click_named("Look again");
    browser.see_in("#changes", "answered by */* instead of no rule");
    judge(&browser, "rulebook-preview");
    act(&browser, "#changes", "every report needs an answer", "Activate");
    browser.see_in("#versions", "active");
    assert_eq!(browser.count("#versions tbody tr"), 2);
    browser.see_in("#doubts", "contradiction");

    // The old version is still there, with the difference.
    let old = "return [...document.querySelectorAll('#versions tbody tr')]
        .find(row => !row.innerText.includes('active')).querySelector('a').getAttribute('href')";
    let old = browser.script(old, &[]);
    go(&browser, &supervisor.url, old.as_str().expect("an address"));
    browser.see_in("#diff", "Against the active version");
    judge(&browser, "rulebook-diff");

    go(&browser, &supervisor.url, &format!("/cases/{case}"));
    browser.unfold("#case-acts");
    act(&browser, "#case-acts", "there is a rule now", "Replan");
    browser.see_in(".head", "settled");
    browser.see_in("#reports", "*/*");
    browser.see_in("#acts", "there is a rule now");
    go(&browser, &supervisor.url, "/audit");
    for part in ["activate", "every report needs an answer", "replan", NAME] {
        browser.see_in("#acts", part);
    }
    browser.is_content();
}

#[test]
fn a_case_without_a_rule_is_planned_by_hand() {
    let (folder, billing, supervisor, browser) = shop();
    write_rules(
        &browser,
        &supervisor.url,
        "/rules/new",
        &rulebook(&folder, &billing, "shop/closed"),
    );
    act(&browser, "#changes", "we begin", "Activate");
    browser.see_in("h1", "Rulebook shop");
    let case = supervisor.report("order-1");
    state(&supervisor, &case, "unmatched");
    go(&browser, &supervisor.url, &format!("/cases/{case}"));
    browser.click("#case-acts input[value='billing.charge']");
    act(&browser, "#case-acts", "it was charged", "Add these steps");
    browser.see_in("#plan tbody", "compensate billing.charge");
    browser.see_in("#plan tbody", "undone");
    browser.see_in("#acts", "it was charged");
    assert_eq!(billing.requests().len(), 1);
    browser.is_content();
}

#[test]
fn a_case_in_which_nothing_is_left_to_do_is_settled_by_hand() {
    let (folder, billing, supervisor, browser) = shop();
    // An hour of silence would settle it; a person knows better.
    let rules = rulebook(&folder, &billing, "shop/closed").replace("quiet: 200ms", "quiet: 1h");
    write_rules(&browser, &supervisor.url, "/rules/new", &rules);
    act(&browser, "#changes", "we begin", "Activate");
    browser.see_in("h1", "Rulebook shop");
    let case = supervisor.report("order-1");
    state(&supervisor, &case, "unmatched");
    go(&browser, &supervisor.url, &format!("/cases/{case}"));
    act(&browser, "#case-acts", "a test order, nothing was charged", "Settle by hand");
    browser.see_in(".head", "settled");
    browser.see_in("#evidence", "by a person");
    browser.see_in("#acts", "a test order, nothing was charged");
    assert_eq!(billing.requests(), Vec::<String>::new());
    browser.is_content();
}
