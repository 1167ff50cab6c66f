//! The console says nothing untrue: what a page shows is what the API says at the same moment, in one word everywhere.

use crate::house::{House, NAME, judge};
use crate::support::{eventually, unused_address};
use amends_api::signs::{QUARANTINED, Sign, Signed, case_sign, trouble_sign};
use amends_api::{
    CaseDetail, CaseState, CaseSummary, GroupView, Overview, Page, ServiceView, amounts_in_words,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const ENTER: &str = "\u{e007}";

/// What the API says, as its own types read it.
#[track_caller]
pub fn told<T: DeserializeOwned>(house: &House, path: &str) -> T {
    let body = house.api(path);
    serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// The texts of all elements of a selector, blanks squeezed.
pub fn texts(house: &House, selector: &str) -> Vec<String> {
    let script = "return [...document.querySelectorAll(arguments[0])]
        .map(e => e.textContent.replace(/\\s+/g, ' ').trim())";
    serde_json::from_value(house.browser.script(script, &[json!(selector)])).expect("texts")
}

#[track_caller]
pub fn the(house: &House, selector: &str) -> String {
    let mut all = texts(house, selector);
    assert_eq!(all.len(), 1, "`{selector}` of {}: {all:?}", house.browser.address());
    all.remove(0)
}

pub fn spelled(sign: Sign) -> String {
    format!("{} {}", sign.shape, sign.word)
}

/// The class, value and state of every button of an act within a place.
fn buttons(house: &House, place: &str) -> Vec<(String, bool)> {
    let script = "return [...document.querySelectorAll(arguments[0] + ' button[name=act]')]
        .map(b => [b.value + (b.classList.contains('main') ? '!' : ''), !b.disabled])";
    serde_json::from_value(house.browser.script(script, &[json!(place)])).expect("buttons")
}

/// The acts that a place offers, in the order of their names.
pub fn offered(house: &House, place: &str) -> Vec<String> {
    let enabled = buttons(house, place).into_iter().filter(|(_, enabled)| *enabled);
    let mut acts: Vec<String> = enabled.map(|(act, _)| act.replace('!', "")).collect();
    acts.sort_unstable();
    acts
}

/// The one act of a place that stands out.
#[track_caller]
fn main_act(house: &House, place: &str) -> String {
    let all = buttons(house, place);
    let mut main = all.iter().filter(|(act, _)| act.ends_with('!'));
    let (act, enabled) = main.next().unwrap_or_else(|| panic!("{place} has none: {all:?}"));
    assert!(*enabled && main.next().is_none(), "{all:?}");
    act.replace('!', "")
}

#[test]
fn a_pause_is_said_by_the_open_page_of_a_case_and_by_every_other() {
    let house = House::open(200, "auto");
    house.supervisor.run(&["services", "pause", "billing", "--reason", "maintenance"]).exits(0);
    let case = house.supervisor.report("order-1");
    house.go(&format!("/cases/{case}"));
    house.browser.see_in("#sentence", "billing is paused");
    house.browser.see_in("#plan tbody", "paused");
    assert!(!house.browser.text("#plan tbody").contains("next "), "nobody knows when");
    judge(&house.browser, "case-paused");
    house.go("/cases");
    house.browser.see_in("#list tbody", "billing is paused");
    house.go("/cases?view=causes");
    house.browser.see_in("#causes tbody", "paused");
    assert_eq!(house.browser.count("#causes tbody tr"), 1);
    for page in ["/services", "/"] {
        house.go(page);
        house.browser.see_in("main", "‖ paused");
        assert!(!house.browser.text("main").contains("healthy"), "{page}");
    }
    // The page of a case hears of what is of no case.
    house.go(&format!("/cases/{case}"));
    house.browser.see_in("#wire-state", "live");
    house.supervisor.run(&["services", "resume", "billing", "--reason", "on"]).exits(0);
    house.browser.see_in(".head", "settled");
    house.browser.is_content();
}

#[test]
fn a_service_without_a_final_answer_is_failing_and_a_retry_is_what_helps() {
    let house = House::open(500, "auto");
    let case = house.supervisor.report("order-1");
    house.is_in_state(&case, "stuck");
    house.go("/");
    house.browser.see_in("#headline", "billing is failing");
    house.browser.see_in("#service-billing", "! failing");
    house.go("/services");
    house.browser.see_in("#billing", "! failing");
    house.browser.see_in("#billing .notice", "got a final answer");
    judge(&house.browser, "service-failing");
    house.go(&format!("/cases/{case}"));
    house.browser.see("#needs");
    assert_eq!(main_act(&house, "#needs .stuck-step"), "retry");
    house.billing.answer_with(200);
    house.act("#needs", "it is back", "Retry now");
    house.browser.see_in(".head", "settled");
    house.go("/services");
    house.browser.see_in("#billing", "● healthy");
    house.browser.is_content();
}

#[test]
fn the_main_button_is_what_helps_and_what_is_not_possible_says_why() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    house.go(&format!("/cases/{case}"));
    house.browser.see("#needs");
    assert_eq!(main_act(&house, "#needs .stuck-step"), "waive", "asked again, it refuses again");
    house.browser.see_in("#needs", "Record outcome");
    let detail: CaseDetail = told(&house, &format!("/v1/cases/{case}"));
    house.browser.unfold("#case-acts");
    house.browser.see_in("#not-settle", &detail.may_not[&amends_api::CaseActName::Settle]);
    house.go("/cases?view=causes");
    let first = "return document.querySelector('#causes .button.main').innerText";
    assert_eq!(house.browser.script(first, &[]), "Waive all…");
    house.browser.is_content();

    let asks = House::open(200, "ask");
    let case = asks.supervisor.report("order-1");
    asks.is_in_state(&case, "stuck");
    asks.go(&format!("/cases/{case}"));
    asks.browser.see("#needs");
    assert_eq!(main_act(&asks, "#needs .stuck-step"), "approve");
    asks.browser
        .see_in("#needs .why-not", "Retry now: not now, since the step waits for approval.");
    assert!(buttons(&asks, "#needs").contains(&("retry".to_owned(), false)));
}

/// Some service keeps a History, and nobody answers there.
fn with_a_store() -> House {
    let away = unused_address();
    House::with_rules(200, "auto", |text| {
        let store = format!(
            "  store:\n    url: \"http://{away}\"\n    actions: {{ take: {{ compensation: put_back }} }}\n  billing:\n    url"
        );
        text.replace("calls: [billing.charge]", "calls: [store.take, billing.charge]")
            .replace("  billing:\n    url", &store)
    })
}

#[test]
fn a_case_says_at_its_head_which_history_it_waits_for() {
    let house = with_a_store();
    let case = house.supervisor.report("order-1");
    house.go(&format!("/cases/{case}"));
    house.browser.see_in("#sentence", "waits for the History of store since ");
    house.browser.see_in("#sentence", "store unreachable, next try ");
    let said: CaseDetail = told(&house, &format!("/v1/cases/{case}"));
    let walk = said.histories.iter().find(|walk| walk.service == "store").expect("it is asked");
    assert!(walk.since.is_some() && !walk.answered, "{walk:?}");
    house.browser.see_in("#histories", "waited for since");
    judge(&house.browser, "case-history");
    house.supervisor.run(&["services", "pause", "store", "--reason", "it moves"]).exits(0);
    house.browser.see_in("#sentence", "store is paused");
    assert!(!house.browser.text("#sentence").contains("next try"));
    house.browser.is_content();
}

/// Whatever has a text field: its first button does nothing, and that is what Enter presses.
#[test]
fn enter_in_a_text_field_acts_on_nothing() {
    let house = House::open(409, "auto");
    let case = house.stuck("order-1");
    let made = ["cases", "retry", "--state", "stuck", "--reason", "once more", "--yes"];
    house.supervisor.run(&made).exits(4);
    let loose = "return [...document.querySelectorAll('form[method=post]')]
        .filter(form => form.querySelector('input:not([type=hidden]):not([type=checkbox])'))
        .filter(form => !form.action.endsWith('/rules/preview'))
        .filter(form => !form.querySelector('button, input[type=submit]').disabled)
        .map(form => form.action)";
    for page in [
        format!("/cases/{case}"),
        "/services".to_owned(),
        "/questions".to_owned(),
        "/bulk/b-1".to_owned(),
        "/bulk/new?act=waive&service=billing".to_owned(),
        "/rules/shop/edit".to_owned(),
    ] {
        house.go(&page);
        assert_eq!(house.browser.script(loose, &[]), json!([]), "{page}");
    }
    let acts = || house.api("/v1/acts?limit=100")["items"].as_array().map(Vec::len);
    let before = acts();
    for (page, fold, field) in [
        (format!("/cases/{case}"), "#case-acts", "#case-acts input[name=reason]"),
        ("/services".to_owned(), "#act-billing", "#act-billing .limits input[name=per_second]"),
    ] {
        house.go(&page);
        house.browser.unfold(fold);
        let form = |name: &str| format!("{fold} input[name={name}]");
        house.browser.fill(&form("actor"), NAME);
        house.browser.fill(&form("reason"), "a slip");
        house.browser.fill(field, "7");
        house.browser.press(ENTER);
        assert!(house.browser.address().starts_with(&page), "{}", house.browser.address());
    }
    // Whatever was sent would have been taken before this.
    house.supervisor.run(&["services", "pause", "billing", "--reason", "on purpose"]).exits(0);
    assert_eq!(acts(), before.map(|before| before + 1));
}

/// Cases in every state that a person can meet, and one that can't be read.
fn in_every_state() -> House {
    let mut house = House::with_rules(200, "auto", |text| {
        text.replace("rules:\n", "rules:\n  - { on: shop/first-ask, compensate: recorded, mode: ask }\n  - { on: shop/only-look, compensate: recorded, mode: shadow }\n")
    });
    let charged = json!([{
        "service": "billing", "action": "charge", "requestId": "q-1", "state": "succeeded",
        "data": { "paymentId": "p-1", "amount": 12 },
    }]);
    let settled = house.tell("shop", "order-settled", charged.clone());
    house.is_in_state(&settled, "settled");
    house.tell_of("first-ask", "order-asks", charged.clone());
    house.tell_of("only-look", "order-looks", charged.clone());
    house.tell("nobody", "order-unmatched", json!([]));
    house.billing.answer_with(404);
    let doubted = house.tell("shop", "order-doubted", charged.clone());
    house.is_in_state(&doubted, "stuck");
    house.stuck("order-refused");
    let waived = house.stuck("order-waived");
    let waive = ["cases", "waive", &waived, "--reason", "paid in cash", "--yes"];
    house.supervisor.run(&waive).exits(0);
    house.billing.answer_with(202);
    let taken = house.tell("shop", "order-taken", charged.clone());
    eventually("it is taken", || {
        (house.supervisor.case(&taken)["plan"][0]["state"] == "accepted").then_some(())
    });
    house.stuck("order-broken");
    house.restart_after(|data| {
        let store = rusqlite::Connection::open(data.join("amends.sqlite")).expect("opens");
        let damage = "UPDATE cases SET memo = '{\"notes\": 3}' WHERE saga = 'order-broken'";
        assert_eq!(store.execute(damage, []).expect("damaged"), 1);
    });
    house.supervisor.run(&["services", "pause", "billing", "--reason", "for a moment"]).exits(0);
    house.tell("shop", "order-paused", charged);
    house
}

/// Compares a page with the API until both say the same; what differs last is told.
#[track_caller]
pub fn agree(house: &House, page: &str, differ: impl Fn(&House) -> Option<String>) {
    house.go(page);
    agree_by_itself(house, page, differ);
}

/// The same of the page that is open: what has happened since it was fetched, it must have heard of.
#[track_caller]
pub fn agree_by_itself(house: &House, page: &str, differ: impl Fn(&House) -> Option<String>) {
    let mut last = String::new();
    let agreed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the page and the API agree", || match differ(house) {
            None => Some(()),
            Some(difference) => {
                last = difference;
                None
            }
        });
    }));
    assert!(agreed.is_ok(), "{page} differs from the API: {last}");
}

pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, shown: &T, said: &T) -> Option<String> {
    (shown != said).then(|| format!("{what}: the page shows {shown:?}, the API says {said:?}"))
}

fn overview_differs(house: &House) -> Option<String> {
    let said: Overview = told(house, "/v1/overview");
    let groups: Vec<GroupView> = told(house, "/v1/groups");
    let count = |state| said.cases.get(&state).copied().unwrap_or_default();
    let holding = said.questions.values().sum::<u64>();
    let figures = [
        ("#figure-stuck b", count(CaseState::Stuck)),
        ("#figure-unmatched b", count(CaseState::Unmatched)),
        ("#figure-open b", count(CaseState::Open)),
        ("#figure-settled b", count(CaseState::Settled)),
        ("#figure-approval b", said.awaiting_approval),
        ("#figure-questions b", holding),
        ("#figure-quarantine b", said.quarantined + said.unreadable_rows),
    ];
    let figure =
        |(place, number): &(&str, u64)| same(place, &the(house, place), &number.to_string());
    let service = |one: &ServiceView| {
        let row = format!("#service-{}", one.name);
        let p = &one.progress;
        let numbers = [p.done, p.waived, p.waiting, p.in_flight, p.retrying, p.stuck];
        let numbers = numbers.iter().chain([&u64::from(one.queued)]).map(u64::to_string).collect();
        let sign = spelled(one.health.sign());
        same(&row, &texts(house, &format!("{row} td.number")), &numbers)
            .or_else(|| same(&row, &texts(house, &format!("{row} .sign")), &vec![sign]))
    };
    let troubles = said.troubles.iter().map(|trouble| spelled(trouble_sign(trouble.why)));
    let shown: Vec<&GroupView> =
        groups.iter().filter(|group| group.cause.is_trouble()).take(8).collect();
    let ids = "return [...document.querySelectorAll('#causes tbody tr')].map(row => row.id)";
    let listed = house.browser.script(ids, &[]);
    let group = |group: &&GroupView| {
        let row = format!("#{}", group.id);
        let numbers = vec![group.count.to_string(), group.cases.to_string()];
        same(&row, &texts(house, &format!("{row} td.number")), &numbers)
            .or_else(|| {
                same(&row, &the(house, &format!("{row} .sign")), &spelled(group.cause.sign()))
            })
            .or_else(|| {
                same(&row, &the(house, &format!("{row} td:nth-child(2) > a")), &group.title)
            })
    };
    let amounts = amounts_in_words(&said.amounts);
    figures
        .iter()
        .find_map(figure)
        .or_else(|| said.services.iter().find_map(service))
        .or_else(|| same("troubles", &texts(house, "#troubles .sign"), &troubles.collect()))
        .or_else(|| {
            same("groups", &listed, &json!(shown.iter().map(|g| &g.id).collect::<Vec<_>>()))
        })
        .or_else(|| shown.iter().find_map(group))
        .or_else(|| match amounts.is_empty() {
            true => None,
            false => same("amount", &the(house, "#figure-amount b"), &amounts),
        })
}

fn sign_of(case: &CaseSummary) -> String {
    spelled(if case.quarantined { QUARANTINED } else { case_sign(case.state, case.closed_on) })
}

pub fn list_differs(house: &House) -> Option<String> {
    let said: Page<CaseSummary> = told(house, "/v1/cases");
    let ids = "return [...document.querySelectorAll('#list tbody tr')].map(row => row.id)";
    let listed = house.browser.script(ids, &[]);
    let wanted = json!(said.items.iter().map(|case| case.id.to_string()).collect::<Vec<_>>());
    let row = |case: &CaseSummary| {
        let row = format!("#{}", case.id);
        same(&row, &the(house, &format!("{row} .sign")), &sign_of(case))
            .or_else(|| same(&row, &the(house, &format!("{row} td:nth-child(4)")), &case.sentence))
    };
    same("cases", &listed, &wanted).or_else(|| said.items.iter().find_map(row))
}

pub fn case_differs(house: &House, id: &str) -> Option<String> {
    let said: CaseDetail = told(house, &format!("/v1/cases/{id}"));
    let step = |step: &amends_api::StepView| {
        let row = format!("[id='{}']", step.id);
        let tries = format!("{row} > td[data-label=tries]");
        let mut may: Vec<String> = step.may.iter().map(ToString::to_string).collect();
        may.sort_unstable();
        let place = match step.reason {
            Some(_) => format!("[id='needs-{}']", step.id),
            None => row.clone(),
        };
        same(&row, &texts(house, &format!("{row} > td > .sign")), &vec![spelled(step.sign())])
            .or_else(|| same(&tries, &the(house, &tries), &step.attempts.to_string()))
            .or_else(|| same(&place, &offered(house, &place), &may))
    };
    let mut may: Vec<String> = said.may.iter().map(ToString::to_string).collect();
    may.sort_unstable();
    same("sentence", &the(house, "#sentence"), &said.summary.sentence)
        .or_else(|| same("sign", &the(house, ".head > .sign"), &sign_of(&said.summary)))
        .or_else(|| said.plan.iter().find_map(step))
        .or_else(|| same("acts", &offered(house, "#case-acts"), &may))
        .or_else(|| {
            let questions = said.questions.len() as u64;
            same("questions", &house.browser.count("#needs [id^=q-]"), &questions)
        })
}

fn services_differ(house: &House) -> Option<String> {
    let said: Vec<ServiceView> = told(house, "/v1/services");
    said.iter().find_map(|one| {
        let place = format!("#{}", one.name);
        let act = if one.paused { "resume" } else { "pause" };
        same(
            &place,
            &texts(house, &format!("{place} > .head .sign")),
            &vec![spelled(one.health.sign())],
        )
        .or_else(|| {
            same(&place, &offered(house, &format!("{place} .dispatch")), &vec![act.to_owned()])
        })
    })
}

fn quarantine_differs(house: &House) -> Option<String> {
    let said = house.api("/v1/quarantine");
    let cases = said["cases"].as_array().map_or(0, Vec::len);
    let shown = texts(house, "main tbody tr").len();
    same("quarantined", &shown, &cases).or_else(|| (cases == 0).then(|| "none".to_owned()))
}

fn audit_differs(house: &House) -> Option<String> {
    let said = house.api("/v1/acts");
    let said: Vec<String> = said["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|act| format!("{} {}", text(&act["actor"]), text(&act["act"])))
        .collect();
    let actors = texts(house, "#acts td[data-label=who]");
    let acts = texts(house, "#acts td[data-label=what]");
    let shown = actors.iter().zip(acts).map(|(actor, act)| format!("{actor} {act}")).collect();
    same("audit", &shown, &said)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn every_page_says_what_the_api_says() {
    let house = in_every_state();
    agree(&house, "/", overview_differs);
    judge(&house.browser, "truth-overview");
    agree(&house, "/cases", list_differs);
    judge(&house.browser, "truth-cases");
    let all: Page<CaseSummary> = told(&house, "/v1/cases");
    assert!(all.items.len() >= 8, "{} cases", all.items.len());
    for case in all.items.iter().filter(|case| !case.quarantined) {
        let id = case.id.to_string();
        agree(&house, &format!("/cases/{id}"), |house| case_differs(house, &id));
    }
    agree(&house, "/services", services_differ);
    agree(&house, "/quarantine", quarantine_differs);
    agree(&house, "/audit", audit_differs);
    house.browser.is_content();
}

/// The lines of a request, as the page shows it: the first, the headers, the body.
fn request_shown(house: &House, place: &str) -> (String, Vec<String>, Value) {
    let text = house.browser.see(place);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines().map(str::to_owned);
    let first = lines.next().expect("a method and an address");
    (first, lines.collect(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn the_request_that_is_shown_is_the_one_that_was_sent() {
    let house = House::open(409, "auto");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let case = house.tell_in_trace(&format!("00-{trace}-00f067aa0ba902b7-01"), "order-1");
    house.is_in_state(&case, "stuck");
    let said: CaseDetail = told(&house, &format!("/v1/cases/{case}"));
    let step = &said.plan[0];
    assert_eq!(step.trace_id.as_deref(), Some(trace));
    house.go(&format!("/cases/{case}"));
    house.browser.unfold(&format!("[id='more-{}']", step.id));
    house.browser.see_in("#plan", trace);
    let (first, headers, body) = request_shown(&house, &format!("[id='sent-{}']", step.id));
    let sent = house.billing.heard();
    let [one] = sent.as_slice() else { panic!("one request: {sent:?}") };
    assert_eq!(first, format!("POST http://{}{}", house.billing.address, one.path));
    assert_eq!(body, one.body);
    assert!(headers.iter().any(|line| line.starts_with("traceparent: 00-4bf9")), "{headers:?}");
    for line in &headers {
        let (name, value) = line.split_once(": ").expect("a header");
        assert_eq!(one.headers.get(name).map(String::as_str), Some(value), "{line}");
    }
    // What goes over the wire besides is about the connection.
    let shown: Vec<&str> =
        headers.iter().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    let more = one.headers.keys().filter(|name| !shown.contains(&name.as_str()));
    let more: Vec<_> =
        more.filter(|name| !["host", "content-length"].contains(&name.as_str())).collect();
    assert!(more.is_empty(), "{more:?}");

    // An edit replaces what it was made of; then it is not shown as if it were what was sent.
    house.supervisor.run(&["services", "pause", "billing", "--reason", "a moment"]).exits(0);
    house.browser.unfold("#needs details");
    house.browser.fill("#needs textarea[name=data]", r#"{"paymentId": "p-99", "amount": 7}"#);
    house.act("#needs", "another number", "Edit and retry");
    house.browser.unfold(&format!("[id='more-{}']", step.id));
    house.browser.see_in("#plan", "What try 1 sent is not shown");
    let (first, ..) = request_shown(&house, &format!("[id='next-{}']", step.id));
    assert!(first.contains("p-99"), "{first}");
    house.browser.is_content();
}
