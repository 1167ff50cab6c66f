//! What a bridge makes of events: reports, skipped ones, and those of which no report can be made.

use super::super::spring::{SPRING, bridge};
use super::*;
use serde_json::json;

const PLACE: &str = "kafka/payment.failed/3/42";

fn event() -> Value {
    json!({
        "eventId": "e-1", "order": { "id": "order-17" }, "status": "FAILED", "paymentId": 4711,
        "error": { "code": "CARD_DECLINED", "message": "the bank says no" }, "occurredAt": "2026-11-29T12:00:00+09:00",
        "amount": 12.50, "card": { "token": "t-1" },
    })
}

fn header(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

fn read(
    text: &str,
    headers: &[(String, Vec<u8>)],
    key: Option<&str>,
    body: &str,
) -> Result<Bridged, Fault> {
    let key = key.map(str::as_bytes);
    let channel = "payment.failed";
    let foreign = Foreign { place: PLACE, channel, key, headers, body: body.as_bytes() };
    bridge(text).read(ReportWay::Kafka, foreign)
}

fn of_spring(body: &Value) -> Result<Bridged, Fault> {
    read(SPRING, &[header("__TypeId__", "com.shop.PaymentFailed")], None, &body.to_string())
}

fn report(found: Result<Bridged, Fault>) -> (Report, Vec<String>) {
    match found {
        Ok(Bridged::Report { report, left_out }) => (*report, left_out),
        other => panic!("no report: {other:?}"),
    }
}

#[test]
fn an_event_becomes_the_report_that_the_bridge_says() {
    let (report, left_out) = report(of_spring(&event()));
    assert_eq!(left_out, [] as [String; 0]);
    assert_eq!(
        (report.service(), &*report.id, report.saga_id.as_str()),
        ("payment", "e-1", "order-17")
    );
    assert_eq!(report.time, Timestamp::parse("2026-11-29T03:00:00Z").ok());
    let data = serde_json::to_value(&report.data).expect("JSON");
    assert_eq!(
        data,
        json!({
            "code": "card-declined", "action": "charge", "entry": "order.place", "requestId": "4711", "message": "the bank says no",
            "data": { "paymentId": 4711, "amount": 12.50, "card": { "token": "t-1" } },
        })
    );
}

#[test]
fn what_tells_of_no_failure_is_skipped() {
    let mut paid = event();
    paid["status"] = json!("PAID");
    let Ok(Bridged::Skipped(why)) = of_spring(&paid) else { panic!("a failure") };
    assert!(why.contains(r#"`/status` is `"PAID"`"#) && why.contains(r#"`"FAILED"`"#), "{why}");
    // Another type on the same topic, in whatever form; and a key that was deleted.
    let other = read(SPRING, &[header("__TypeId__", "com.shop.Refunded")], None, "\u{0}binary");
    assert!(matches!(other, Ok(Bridged::Skipped(_))), "{other:?}");
    let deleted = read(SPRING, &[header("__TypeId__", "com.shop.PaymentFailed")], None, "");
    assert!(matches!(deleted, Ok(Bridged::Skipped(_))), "{deleted:?}");
}

#[test]
fn conditions_compare_kinds_but_headers_as_text() {
    for (status, is_meant) in [
        (json!("FAILED"), true),
        (json!(13), true),
        (json!("13"), true),
        (json!(true), true),
        (json!(13.5), false),
        (json!(false), false),
        (json!(null), false),
        (json!(["FAILED"]), false),
    ] {
        let mut told = event();
        told["status"] = status.clone();
        assert_eq!(matches!(of_spring(&told), Ok(Bridged::Report { .. })), is_meant, "{status}");
    }
    // Spring Cloud Stream writes headers as JSON.
    let quoted = read(
        SPRING,
        &[header("__typeid__", r#""com.shop.PaymentFailed""#)],
        None,
        &event().to_string(),
    );
    assert!(matches!(quoted, Ok(Bridged::Report { .. })), "{quoted:?}");
}

#[test]
fn what_a_report_needs_and_is_not_there_is_told() {
    for (path, value, told) in [
        ("/order", json!({}), "`saga`: `/order/id` is not there"),
        ("/order/id", json!(null), "`saga`: `/order/id` is not there"),
        ("/order/id", json!({}), "`saga`, from `/order/id`, is an object"),
        ("/order/id", json!("a b"), "`saga`, from `/order/id`"),
        ("/eventId", json!(null), "`id`: `/eventId` is not there"),
        ("/eventId", json!("a b"), "`id`, from `/eventId`, is `a b`"),
        ("/error/code", json!([]), "`code`, from `/error/code`, is a list"),
        ("/card/token", json!({ "deep": "x" }), ""),
    ] {
        let mut told_event = event();
        *told_event.pointer_mut(path).expect("there") = value;
        match (of_spring(&told_event), told) {
            (Ok(_), "") => {}
            (Err(fault), told) => {
                assert!(fault.detail.contains(told), "{path}: {}", fault.detail);
                assert!(fault.detail.starts_with("by the bridge `spring`: "), "{}", fault.detail);
            }
            (Ok(found), told) => panic!("{told}: {found:?}"),
        }
    }
    let strict = SPRING.replace(r#", otherwise = "failed""#, "");
    let headers = [header("__TypeId__", "com.shop.PaymentFailed")];
    let fault =
        read(&strict, &headers, None, &event().to_string().replace("CARD_DECLINED", "FRAUD"));
    assert!(
        fault.is_err_and(|fault| fault
            .detail
            .contains("is `FRAUD`, for which `values` has no word"))
    );
    for (body, told) in [("\u{0}\u{1}", "schema registry"), ("{", "no JSON"), ("[]", "")] {
        match read(SPRING, &headers, None, body) {
            Err(fault) => {
                assert!(!told.is_empty() && fault.detail.contains(told), "{}", fault.detail)
            }
            Ok(found) => assert!(told.is_empty() && matches!(found, Bridged::Skipped(_))),
        }
    }
}

#[test]
fn what_a_report_does_not_need_is_left_out_and_told() {
    let mut poor = event();
    for name in ["paymentId", "occurredAt", "card"] {
        poor.as_object_mut().expect("an object").remove(name);
    }
    poor["error"]["message"] = json!("ü".repeat(REPORT_MESSAGE_LIMIT));
    let (report, left_out) = report(of_spring(&poor));
    assert_eq!((report.time, report.data.request_id), (None, None));
    assert_eq!(report.data.message.map(|text| text.len()), Some(REPORT_MESSAGE_LIMIT));
    let told = ["`request_id`", "`message`", "`data.card.token`", "`data.paymentId`", "`time`"];
    assert_eq!(left_out.len(), told.len(), "{left_out:#?}");
    for told in told {
        assert!(left_out.iter().any(|why| why.starts_with(told)), "{told}: {left_out:#?}");
    }
}

#[test]
fn times_are_read_as_libraries_write_them() {
    let noon = Timestamp::parse("2026-11-29T12:00:00Z").ok();
    for (told, time) in [
        (json!("2026-11-29T12:00:00Z"), noon),
        (json!("2026-11-29T21:00:00+09:00"), noon),
        (json!(1_795_953_600_000_i64), noon),
        (json!(1_795_953_600), noon),
        (json!("2026-11-29T12:00:00"), None),
        (json!([2026, 11, 29, 12, 0]), None),
        (json!(1e300), None),
    ] {
        let mut event = event();
        event["occurredAt"] = told.clone();
        assert_eq!(report(of_spring(&event)).0.time, time, "{told}");
    }
}

#[test]
fn keys_headers_and_the_channel_say_things_too() {
    let text = "topics = ['payment.failed']\nsaga = 'key:/orderId'\nsource = 'header:service'\nservices = ['payment']\n\
                code = { at = 'channel:', values = { 'payment.failed' = 'failed' } }\ndata = { key = 'key:' }";
    let key = r#"{"orderId":17}"#;
    let (found, _) =
        report(read(text, &[header("service", "payment")], Some(key), "no JSON at all"));
    assert_eq!((found.saga_id.as_str(), &*found.data.code), ("17", "failed"));
    assert_eq!(found.data.data["key"], key);
    assert_eq!(found.id, PLACE, "without an id of its own, its place is one");
    let fault = read(text, &[header("service", "order")], Some(key), "{}");
    assert!(fault.is_err_and(|fault| fault.code == amends_protocol::ProblemCode::Forbidden));
    let deleted = read(text, &[header("service", "payment")], Some(key), "");
    assert!(matches!(deleted, Ok(Bridged::Skipped(_))), "a key that was deleted is no failure");
    let whole = "topics = ['payment.failed']\nsaga = 'key:'\nsource = 'payment'\ncode = 'failed'";
    for key in ["order-17", r#""order-17""#] {
        let (found, _) = report(read(whole, &[], Some(key), "{}"));
        assert_eq!(found.saga_id.as_str(), "order-17");
    }
    assert!(read(whole, &[], None, "{}").is_err());
}

#[test]
fn a_place_that_is_no_id_becomes_one() {
    assert_eq!(id_of_place(PLACE), PLACE);
    let long = format!("nats/S/1@2/{}", "x".repeat(300));
    assert_eq!(id_of_place(&long), id_of_place(&long));
    assert!(is_opaque_name(&id_of_place(&long)) && is_opaque_name(&id_of_place("a b")));
}

#[test]
fn what_can_not_be_kept_is_refused() {
    let headers = [header("__TypeId__", "com.shop.PaymentFailed")];
    let reserved = event().to_string().replace(r#""token""#, r#""$serde_json::private::Number""#);
    assert!(read(SPRING, &headers, None, &reserved).is_err());
    let deep = format!("{}1{}", "[".repeat(110), "]".repeat(110));
    let deep = event().to_string().replace("12.5", &deep);
    assert!(read(SPRING, &headers, None, &deep).is_err());
}
