//! Small print of the protocol that the conformance kit does not try: what travels along, what a step may look like.

use crate::rig::{Language, Played, Setting, Store, ask};
use crate::support::{eventually, scratch};
use serde_json::{Value, json};

crate::in_each_language!(
    what_came_with_a_request_goes_on_with_its_calls_and_its_report,
    the_same_contents_are_the_same_however_they_are_written,
    a_step_is_what_it_says_or_refused,
    an_outcome_goes_where_the_step_says,
    a_call_whose_first_try_still_runs_is_asked_again,
);

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn is_trace(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()))
}

fn what_came_with_a_request_goes_on_with_its_calls_and_its_report(
    language: Language,
    store: Store,
) {
    let folder = scratch();
    let supervisor = Played::start(|_, _| Some((202, vec![], json!({}))));
    let printer = Played::start(|_, _| Some((404, vec![], json!({}))));
    let mut setting = Setting::new(language, store, folder.path());
    setting.supervisor.clone_from(&supervisor.url);
    setting.printer.clone_from(&printer.url);
    let coupon = setting.start();
    let body = json!({ "coupon": "C-1", "copies": 1 }).to_string();

    // As much baggage as W3C asks everybody to pass on.
    let members: Vec<String> = (10..73).map(|n| format!("m{n}={}", "x".repeat(120))).collect();
    let baggage = format!("saga-id=order-1,{}", members.join(","));
    assert!(baggage.len() > 7_800 && baggage.len() <= 8_192, "{}", baggage.len());
    let headers = format!(
        "Saga-Id: order-1\r\nRequest-Id: r-1\r\ntraceparent: {TRACE}\r\ntracestate: a=1\r\n\
         baggage: {baggage}\r\nbaggage: amends-entry=order.place\r\nAmends-Caller: shop.sell\r\n"
    );
    let failed = ask(&coupon.url, "POST", "/redeem", &headers, &body).expect("it answers");
    assert_eq!(failed.problem(), "action-failed", "{failed:?}");
    let call = printer.was_asked("/print").expect("it was called");
    for member in members.iter().map(String::as_str).chain(["amends-entry=order.place"]) {
        assert!(call.header("baggage").contains(member), "{member}");
    }
    assert_eq!(call.header("amends-caller"), "coupon.redeem");
    assert_eq!((call.header("traceparent"), call.header("tracestate")), (TRACE, "a=1"));
    let report = eventually("the report comes", || supervisor.was_asked("/v1/reports")).body;
    assert_eq!((&report["traceparent"], &report["tracestate"]), (&json!(TRACE), &json!("a=1")));
    let data = &report["data"];
    assert_eq!((&data["entry"], &data["caller"]), (&json!("order.place"), &json!("shop.sell")));

    // Who brings no trace, or a broken one, gets one, and it is the same in the call and in the report.
    let longer = format!("{TRACE}-more"); // only a later version may have more
    let broken = TRACE.replace("0af7", "0AF7");
    for (saga, trace) in [("order-2", ""), ("order-3", &longer), ("order-4", &broken)] {
        let sent =
            if trace.is_empty() { String::new() } else { format!("traceparent: {trace}\r\n") };
        let headers = format!("Saga-Id: {saga}\r\nRequest-Id: r-{saga}\r\n{sent}");
        ask(&coupon.url, "POST", "/redeem", &headers, &body).expect("it answers");
        let of_saga =
            |all: Vec<crate::rig::Came>| all.into_iter().find(|c| c.header("saga-id") == saga);
        let call = of_saga(printer.came()).expect("it was called");
        assert!(is_trace(call.header("traceparent")), "{call:?}");
        assert_ne!(call.header("traceparent"), trace);
        let report = eventually("the report comes", || {
            supervisor.came().into_iter().find(|came| came.body["subject"] == saga)
        });
        assert_eq!(report.body["traceparent"], call.header("traceparent"));
    }
}

fn the_same_contents_are_the_same_however_they_are_written(language: Language, store: Store) {
    let folder = scratch();
    let coupon = Setting::new(language, store, folder.path()).start();
    let send = |body: &str| {
        let headers = "Saga-Id: order-1\r\nRequest-Id: r-1\r\n";
        ask(&coupon.url, "POST", "/redeem", headers, body).expect("it answers").status
    };
    assert_eq!(send(r#"{"coupon": "C-1", "of": {"b": 1, "a": [1, 2]}}"#), 200);
    assert_eq!(send(r#"{"of":{"a":[1.0,2],"b":1e0},"coupon":"\u0043-1"}"#), 200);
    assert_eq!(
        send(r#"{"coupon": "C-1", "of": {"b": 1, "a": [2, 1]}}"#),
        422,
        "lists have an order"
    );
    assert_eq!(send(r#"{"coupon": "C-1", "of": {"b": 1.5, "a": [1, 2]}}"#), 422);
    assert_eq!(send(r#"{"coupon": NaN}"#), 400, "it is no JSON");
    assert_eq!(send(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), 400);
    assert_eq!(coupon.count("redeemed", "order-1"), 1);
}

fn step(id: &str, saga: &str, action: &str) -> Value {
    json!({ "sagaId": saga, "caseId": "c-1", "stepId": id, "attempt": 1, "action": format!("coupon.{action}"),
            "report": { "service": "order", "code": "cart-lost", "id": "e-1" } })
}

fn a_step_is_what_it_says_or_refused(language: Language, store: Store) {
    let folder = scratch();
    let coupon = Setting { keys: "", ..Setting::new(language, store, folder.path()) }.start();
    assert_eq!(coupon.post("/redeem", "order-1", "r-1", &json!({ "coupon": "C-1" })).status, 200);
    assert_eq!(coupon.post("/redeem", "order-1", "r-2", &json!({ "coupon": "C-1" })).status, 422);

    // Of several requests the named one is meant; it has succeeded, and the other has a step of its own.
    let mut named = step("s-1", "order-1", "redeem");
    named["requestIds"] = json!(["r-1"]);
    let retried = coupon.step("retry", "redeem", &named);
    assert_eq!((retried.status, &retried.body["outcome"]), (200, &json!("retried")), "{retried:?}");
    // Unnamed, or with `null` for absent, the one that failed is meant; its coupon is used, so it fails again.
    for (id, unnamed) in [("s-2", json!([])), ("s-3", Value::Null)] {
        let mut again = step(id, "order-1", "redeem");
        again["requestIds"] = unnamed;
        let again = coupon.step("retry", "redeem", &again);
        assert_eq!((again.status, again.problem()), (503, "unavailable"), "{again:?}");
    }

    // The id of one verb is not another's.
    let other = coupon.step("compensate", "redeem", &step("s-1", "order-1", "redeem"));
    assert_eq!((other.status, other.problem()), (422, "key-reused"), "{other:?}");
    for member in ["sagaId", "stepId", "caseId"] {
        for wrong in [Value::Null, json!(5), json!("two words")] {
            let mut body = step("s-4", "order-1", "redeem");
            body[member] = wrong;
            let refused = coupon.step("compensate", "redeem", &body);
            assert_eq!((refused.status, refused.problem()), (400, "invalid-request"), "{body}");
        }
    }
    assert_eq!(coupon.count("redeemed", "order-1"), 1, "none of them undid it");

    // Every answer says which saga it is about; a refusal tells of the calls, too.
    let cash = json!({ "coupon": "C-2", "cash": true });
    assert_eq!(coupon.post("/redeem", "order-2", "r-3", &cash).status, 200);
    let refused = coupon.step("compensate", "redeem", &step("s-5", "order-2", "redeem"));
    assert_eq!((refused.problem(), &refused.body["history"]), ("refused", &json!([])));
    assert_eq!(refused.header("saga-id"), Some("order-2"));
    let history = coupon.get("/amends/v1/history/order-9");
    assert_eq!((history.status, history.header("saga-id")), (200, Some("order-9")));
}

fn an_outcome_goes_where_the_step_says(language: Language, store: Store) {
    let folder = scratch();
    let elsewhere = Played::start(|_, before| {
        let status = if before.is_empty() { 503 } else { 204 };
        Some((status, vec![], Value::Null))
    });
    let setting = Setting::new(language, store, folder.path());
    let coupon = Setting { keys: "", undo_takes_s: "0.01", ..setting }.start();
    assert_eq!(coupon.post("/redeem", "order-1", "r-1", &json!({ "coupon": "C-1" })).status, 200);
    let mut slow = step("s-1", "order-1", "redeem");
    slow["callback"] = json!({ "proof": "p-1", "url": format!("{}/told/s-1", elsewhere.url) });
    let taken = coupon.step("compensate", "redeem", &slow);
    assert_eq!((taken.status, &taken.body["history"]), (202, &json!([])), "{taken:?}");
    let told = eventually("it is told again", || elsewhere.came().get(1).cloned());
    assert_eq!(told.path, "/told/s-1");
    assert_eq!(told.body, json!({ "outcome": "compensated", "proof": "p-1" }));
    assert!(!coupon.log().contains("p-1"), "a proof is a secret: {}", coupon.log());
}

fn a_call_whose_first_try_still_runs_is_asked_again(language: Language, store: Store) {
    let folder = scratch();
    let printer = Played::start(|_, before| {
        let busy = json!({ "type": "https://amends.dev/problems/in-progress" });
        let kind = ("content-type", "Application/Problem+JSON; charset=utf-8".to_owned());
        Some(if before.is_empty() { (409, vec![kind], busy) } else { (200, vec![], json!({})) })
    });
    let mut setting = Setting::new(language, store, folder.path());
    setting.printer.clone_from(&printer.url);
    let coupon = setting.start();
    let body = json!({ "coupon": "C-1", "copies": 1 });
    assert_eq!(coupon.post("/redeem", "order-1", "r-1", &body).status, 200);
    let ids: Vec<String> =
        printer.came().iter().map(|call| call.header("request-id").to_owned()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}
