//! The hero flow: a service is down (its database is gone, so it answers 500 to everybody), hundreds of cases wait in one
//! group that names the cause; it comes back; one click with a preview drains them in a ramp; all settle, with their
//! evidence shown.

use crate::browser::Browser;
use crate::house::{NAME, act, go, judge, report_many};
use crate::support::{Legacy, Supervisor, scratch, shop_rules};

const CASES: usize = 300;

#[test]
fn hundreds_wait_for_one_service_and_one_click_drains_them() {
    let folder = scratch();
    let billing = Legacy::start(500);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    let browser = Browser::start();

    go(&browser, &supervisor.url, "/");
    browser.see_in("#headline", "All is well");
    report_many(&supervisor, "order", CASES);
    browser.see_in("#headline", "300 cases need a person");
    browser.see_in("#causes", "billing answers with an error: 300 stuck since");
    browser.see_in("#causes", "HTTP 500");
    assert_eq!(browser.count("#causes tbody tr"), 1, "one group, however many cases");
    let asked = billing.requests().len();
    judge(&browser, "hero-1-down");

    // It comes back.
    billing.answer_with(200);
    browser.click_named_in("#causes", "Retry all…");
    browser.see_in("h1", "retry 300 steps?");
    browser.see_in("#proposal", "billing");
    judge(&browser, "hero-2-preview");
    act(&browser, "#proposal", "billing is back", "Freeze this set");
    browser.see_in("#progress", "Nothing has been done yet");
    assert_eq!(billing.requests().len(), asked, "looking sends nothing");
    act(&browser, "#progress", "", "Start");
    browser.see_in("main .head", "done");
    browser.see_in("#progress", "300 done, 0 failed again, 0 not changed, 0 left; wave 5");
    judge(&browser, "hero-3-drained");
    assert_eq!(billing.requests().len(), asked + CASES, "each refund was asked for once more");

    go(&browser, &supervisor.url, "/");
    browser.see_in("#figure-settled", "300");
    browser.see_in("#headline", "All is well");
    judge(&browser, "hero-4-settled");
    go(&browser, &supervisor.url, "/cases?state=settled&q=order-77");
    browser.see_in("#list", "order-77");
    browser.click("#list tbody a");
    browser.see_in("#evidence", "no further activity");
    browser.see_in("#plan", "undone");
    browser.see_in("#acts", NAME);
    browser.see_in("#acts", "billing is back");
    browser.is_content();
}
