//! Every act on one step or one case, by its form: what it does, what the case tells of it, what the audit keeps.

use crate::house::{House, NAME, judge};
use serde_json::Value;

/// The one step of a case.
fn step(house: &House, case: &str) -> Value {
    house.supervisor.case(case)["plan"][0].clone()
}

/// The case and the audit tell who did this, and why.
#[track_caller]
fn is_told(house: &House, case: &str, act: &str, reason: &str) {
    for part in [NAME, act, reason] {
        house.browser.see_in("#acts", part);
    }
    house.go(&format!("/audit?case={case}"));
    for part in [NAME, act, reason, case] {
        house.browser.see_in("#acts tbody", part);
    }
}

#[test]
fn retry_now() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.billing.answer_with(200);
    house.go(&format!("/cases/{case}"));
    house.browser.see_in("#needs", "refused");
    house.act("#needs", "the bank says yes now", "Retry now");
    house.browser.see_in(".head", "settled");
    house.browser.see_in("#plan tbody", "undone");
    assert_eq!(step(&house, &case)["outcome"], "compensated");
    is_told(&house, &case, "retry", "the bank says yes now");
    // The name is remembered for the next act.
    let next = house.stuck("order-2");
    house.go(&format!("/cases/{next}"));
    house.browser.see("#needs");
    let field = "return document.querySelector('#needs input[name=actor]').value";
    assert_eq!(house.browser.script(field, &[]), NAME);
    house.browser.is_content();
}

#[test]
fn edit_and_retry() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.billing.answer_with(200);
    house.go(&format!("/cases/{case}"));
    house.browser.unfold("#needs details");
    let data = "return document.querySelector('#needs textarea[name=data]').value";
    let shown = house.browser.script(data, &[]);
    assert!(shown.as_str().expect("text").contains("\"p-17\""), "{shown}");
    judge(&house.browser, "case-edit");
    house.browser.fill("#needs textarea[name=data]", r#"{"paymentId": "p-99", "amount": 7}"#);
    house.act("#needs", "the payment had another number", "Edit and retry");
    house.browser.see_in(".head", "settled");
    let requests = house.billing.requests();
    let last = requests.last().expect("one was sent");
    assert!(last.starts_with("/payments/p-99/refund ") && last.contains('7'), "{requests:?}");
    is_told(&house, &case, "edit", "the payment had another number");
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.go(&format!("/cases/{case}"));
    house.browser.unfold("#needs details");
    house.browser.fill("#needs textarea[name=data]", "{ no JSON");
    house.act("#needs", "a slip", "Edit and retry");
    house.browser.see_in("main", "Nothing was changed.");
    house.browser.complaints(); // of the status 400
    judge(&house.browser, "failure");
    house.browser.click_named("Back");
    house.browser.see("#needs");
    assert_eq!(step(&house, &case)["state"], "stuck");
}

#[test]
fn waive() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.go(&format!("/cases/{case}"));
    house.act("#needs", "refunded in cash at the till", "Waive");
    house.browser.see_in("#plan tbody", "waived");
    house.browser.see_in("#plan tbody", &format!("decided by {NAME}"));
    house.browser.see_in(".head", "settled");
    assert_eq!(step(&house, &case)["outcome"], "waived");
    is_told(&house, &case, "waive", "refunded in cash at the till");
}

#[test]
fn record_an_outcome() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.go(&format!("/cases/{case}"));
    house.browser.unfold("#needs details");
    house.browser.choose("#needs select[name=outcome]", "compensated");
    house.act("#needs", "the bank did it by telephone", "Record outcome");
    house.browser.see_in("#plan tbody", "undone");
    assert_eq!(step(&house, &case)["outcome"], "compensated");
    is_told(&house, &case, "record", "the bank did it by telephone");
}

#[test]
fn approve() {
    let house = House::open(200, "ask");
    let case = house.supervisor.report("order-1");
    house.is_in_state(&case, "stuck");
    house.go("/");
    house.browser.see_in("#figure-approval", "1");
    house.go(&format!("/cases/{case}"));
    house.browser.see_in("#needs", "The rule asks before this is sent.");
    judge(&house.browser, "case-asks");
    assert_eq!(house.billing.requests(), Vec::<String>::new(), "nothing is sent before a yes");
    house.act("#needs", "the amount is right", "Approve");
    house.browser.see_in(".head", "settled");
    is_told(&house, &case, "approve", "the amount is right");
}

#[test]
fn retry_all_of_a_case() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.billing.answer_with(200);
    house.go(&format!("/cases/{case}"));
    house.browser.unfold("#case-acts");
    house.act("#case-acts", "all of it again", "Retry all now");
    house.browser.see_in(".head", "settled");
    is_told(&house, &case, "retry", "all of it again");
}

#[test]
fn pause_resume_and_limits_of_a_service() {
    let house = House::open(200, "auto");
    house.go("/services");
    let fold = "#act-billing";
    house.browser.unfold(fold);
    let dispatch = "#act-billing form.dispatch";
    let limits = "#act-billing form.limits";
    house.act(dispatch, "maintenance until ten", "Pause");
    house.browser.see_in("#billing", &format!("Paused by {NAME}"));
    let case = house.supervisor.report("order-1");
    house.go("/");
    house.browser.see_in("#headline", "billing is paused");
    house.browser.see_in("#service-billing", "paused");
    assert_eq!(house.billing.requests(), Vec::<String>::new(), "nothing is sent in a pause");

    house.go("/services#billing");
    house.browser.unfold(fold);
    judge(&house.browser, "service-paused");
    house.act(dispatch, "it is back", "Resume");
    house.browser.see_no("#billing .notice");
    house.is_in_state(&case, "settled");

    house.browser.unfold(fold);
    house.browser.fill(&format!("{fold} input[name=concurrency]"), "3");
    house.browser.fill(&format!("{fold} input[name=per_second]"), "20");
    house.act(limits, "it is slow today", "Set limits");
    house.browser.see_in("#billing", "of at most 3 at once, at most 20 a second");
    house.browser.see_in("#billing", "it is slow today");
    house.browser.unfold(fold);
    house.act(limits, "quick again", "Back to the rulebook's");
    house.browser.see_in("#billing", "of at most 16 at once");
    house.go("/audit");
    for part in ["pause", "resume", "maintenance until ten", "it is slow today", "quick again"] {
        house.browser.see_in("#acts", part);
    }
    house.browser.is_content();
}

#[test]
fn the_keyboard_is_enough() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.billing.answer_with(200);
    house.go(&format!("/cases/{case}"));
    house.browser.press_until("\u{e004}", ".skip");
    house.browser.press("\u{e007}");
    house.browser.press_until("\u{e004}", "#needs input[name=reason]");
    house.browser.press("by keyboard");
    house.browser.press_until("\u{e004}", "#needs input[name=actor]");
    house.browser.press(NAME);
    house.browser.press_until("\u{e004}", "#needs button[value=retry]");
    house.browser.press("\u{e007}");
    house.browser.see_in(".head", "settled");
    is_told(&house, &case, "retry", "by keyboard");
}
