//! One act on a selection or on all that a filter finds: shown first, frozen, started by hand, stopped by hand.

use crate::house::{House, judge, report_many};
use crate::support::eventually;

#[test]
fn a_selection_is_waived_and_nothing_else() {
    let house = House::open(409, "auto");
    let (first, second, third) =
        (house.stuck("order-1"), house.stuck("order-2"), house.stuck("order-3"));
    house.go("/cases?state=stuck");
    house.browser.click(&format!("input[value='{first}']"));
    house.browser.click(&format!("input[value='{third}']"));
    house.browser.click_named("Waive selected…");
    house.browser.see_in("h1", "waive 2 steps?");
    judge(&house.browser, "bulk-preview-selection");
    house.act("#proposal", "refunded at the till", "Freeze this set");
    house.browser.see_in("#progress", "Nothing has been done yet");
    assert_eq!(house.supervisor.case(&first)["state"], "stuck", "only looked at");
    house.act("#progress", "", "Start");
    house.browser.see_in("main .head", "done");
    house.is_in_state(&first, "settled");
    house.is_in_state(&third, "settled");
    assert_eq!(house.supervisor.case(&second)["state"], "stuck");
    house.go("/audit");
    house.browser.see_in("#acts", "refunded at the till");
    house.browser.is_content();
}

#[test]
fn all_on_a_page_are_ticked_by_one_box() {
    let house = House::open(409, "auto");
    house.stuck("order-1");
    house.stuck("order-2");
    house.go("/cases");
    house.browser.click("input[data-ticks=case]");
    assert_eq!(house.browser.count("input[name=case]:checked"), 2);
    house.browser.click_named("Replan selected…");
    house.browser.see_in("h1", "replan 2 cases?");
    house.browser.is_content();
}

#[test]
fn a_bulk_act_is_stopped_and_goes_on_later() {
    let house = House::open(409, "auto");
    report_many(&house.supervisor, "order", 40);
    eventually("all are stuck", || {
        let counts = house.supervisor.run(&["cases", "groups", "--json"]).exits(0).json();
        counts.as_array()?.iter().find(|g| g["count"] == 40 && g["stuck"] == true).map(drop)
    });
    house.go("/cases?state=stuck&service=billing");
    house.browser.click_named("Retry all found…");
    house.browser.see_in("h1", "retry 40 steps?");
    house.act("#proposal", "the bank is back", "Freeze this set");
    // Paused, the first wave has no answer, so that the act is under way for as long as the test wants.
    let pause = ["services", "pause", "billing", "--reason", "for a moment"];
    house.supervisor.run(&pause).exits(0);
    house.billing.answer_with(200);
    house.act("#progress", "", "Start");
    house.browser.see_in("main .head", "running");
    house.browser.see_in("#progress", "waits for 1 answer");
    judge(&house.browser, "bulk-running");
    house.act("#progress", "the bank is slow", "Stop");
    house.browser.see_in("main .head", "stopped");
    house.supervisor.run(&["services", "resume", "billing", "--reason", "on"]).exits(0);
    house.act("#progress", "it is quick again", "Go on");
    house.browser.see_in("main .head", "done");
    house.browser.see_in("#progress", "0 left");
    house.go("/");
    house.browser.see_in("#figure-stuck", "0");
    house.browser.is_content();
}

/// A bulk act that was made of all stuck steps and started, as it is shown by its page.
fn started(house: &House) {
    house.go("/cases?state=stuck&service=billing");
    house.browser.click_named("Retry all found…");
    house.act("#proposal", "the bank is back", "Freeze this set");
    house.act("#progress", "", "Start");
}

/// What the page shows of the bulk act is what the API says of it.
#[track_caller]
fn is_stopped_for(house: &House, why: &str) {
    let told = house.api("/v1/bulk/b-1");
    assert_eq!((&told["state"], &told["why"]), (&"stopped".into(), &why.into()), "{told}");
    house.browser.see_in("main .head", "stopped");
    house.browser.see_in("#why", why);
    house.browser.see_in("#progress", &format!("{} left", told["progress"]["left"]));
    house.go("/bulk");
    house.browser.see_in("main tbody", "stopped");
    house.go("/audit");
    for part in ["supervisor", "bulk_stop", why] {
        house.browser.see_in("#acts tbody tr", part);
    }
}

#[test]
fn one_that_stops_by_itself_is_nowhere_shown_as_running() {
    let house = House::open(409, "auto");
    house.stuck("order-1");
    house.stuck("order-2");
    started(&house);
    let mark = "window.mark = 'the same page'; return /running|stopped/.test(document.querySelector('main .head').innerText)";
    house.browser.wait_script("it has begun", mark, &[]);
    house.browser.see_in("main .head", "stopped");
    assert_eq!(house.browser.script("return window.mark", &[]), "the same page");
    let why = house.api("/v1/bulk/b-1")["why"].as_str().expect("it says why").to_owned();
    assert!(why.starts_with("1 of 1 failed again"), "{why}");
    is_stopped_for(&house, &why);
    house.browser.is_content();
}

#[test]
fn one_that_a_restart_interrupts_is_shown_as_stopped_and_goes_on_by_hand() {
    let mut house = House::open(409, "auto");
    house.stuck("order-1");
    house.stuck("order-2");
    house.supervisor.run(&["services", "pause", "billing", "--reason", "for a moment"]).exits(0);
    started(&house);
    house.browser.see_in("#progress", "waits for 1 answer");
    house.restart();
    house.go("/bulk/b-1");
    is_stopped_for(&house, "the supervisor was restarted; start it again to go on");
    house.billing.answer_with(200);
    house.supervisor.run(&["services", "resume", "billing", "--reason", "on"]).exits(0);
    house.go("/bulk/b-1");
    house.act("#progress", "it goes on", "Go on");
    house.browser.see_in("main .head", "done");
    house.browser.see_in("#progress", "0 left");
    house.browser.complaints(); // of the connection that was lost
}
