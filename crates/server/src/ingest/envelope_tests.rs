//! Each sentence of the CloudEvents HTTP binding that matters here, as a test.

use super::*;
use amends_protocol::HistoryState;
use amends_protocol::wire::cloudevents::Mode;
use serde_json::{Value, json};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().expect("a header value"));
    }
    map
}

fn binary() -> Vec<(&'static str, &'static str)> {
    vec![
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", REPORT_TYPE),
        ("ce-source", "//shop.example/payment"),
        ("ce-id", "r-1"),
        ("ce-subject", "order-1"),
    ]
}

fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut pairs: Vec<_> = binary().into_iter().filter(|(n, _)| *n != name).collect();
    pairs.push((name, value));
    pairs
}

const DATA: &[u8] = br#"{"code":"report-1","action":"pay"}"#;

fn read_with(name: &'static str, value: &'static str) -> Result<Report, Fault> {
    read_binary(&headers(&with(name, value)), DATA)
}

fn structured() -> Value {
    json!({
        "specversion": "1.0", "type": REPORT_TYPE, "source": "payment", "id": "r-1", "subject": "order-1",
        "time": "2026-11-01T10:00:00+09:00", "traceparent": TRACE, "anextension": {"any": ["thing"]},
        "data": {"code": "report-1", "history":
            [{"service": "coupon", "action": "redeem", "requestId": "q-1", "state": "unknown"}]}
    })
}

fn read_event(event: &Value) -> Result<Report, Fault> {
    let kind = headers(&[("content-type", "application/cloudevents+json; charset=UTF-8")]);
    read_structured(&kind, event.to_string().as_bytes())
}

fn batch(events: &Value, limit: usize) -> Result<Vec<Result<Report, Fault>>, Fault> {
    let kind = headers(&[("content-type", "application/cloudevents-batch+json")]);
    read_batch(&kind, events.to_string().as_bytes(), limit)
}

#[test]
fn the_content_type_alone_tells_the_modes_apart() {
    for (text, mode) in [
        ("application/cloudevents-batch+json", Mode::Batch),
        ("Application/CloudEvents-BATCH+json; charset=utf-8", Mode::Batch),
        ("application/cloudevents+json", Mode::Structured),
        ("APPLICATION/CLOUDEVENTS+avro", Mode::Structured),
        ("application/cloudevents", Mode::Structured),
        ("application/json", Mode::Binary),
        ("text/plain", Mode::Binary),
        ("", Mode::Binary),
    ] {
        assert_eq!(Mode::of(text), mode, "{text}");
    }
}

#[test]
fn a_binary_event_has_its_attributes_in_headers() {
    let report =
        read_binary(&headers(&with("ce-time", "2026-11-01T10:00:00Z")), DATA).expect("a report");
    assert_eq!(
        (report.service(), &*report.id, report.saga_id.as_str()),
        ("payment", "r-1", "order-1")
    );
    assert_eq!(report.data.action.as_deref(), Some("pay"));
    assert_eq!(report.time, Some(Timestamp::parse("2026-11-01T10:00:00Z").expect("a time")));
}

#[test]
fn header_values_are_decoded_once() {
    assert_eq!(read_with("ce-id", "r%2D1").expect("a report").id, "r-1");
    assert_eq!(read_with("ce-id", "\"r-1\"").expect("a report").id, "r-1");
    assert_eq!(read_with("ce-id", "%2541").expect("a report").id, "%41");
    let fault = read_with("ce-id", "%C0%A0").expect_err("not UTF-8");
    assert_eq!(fault.code, ProblemCode::InvalidReport);
    assert!(fault.detail.contains("`ce-id`"), "{}", fault.detail);
}

#[test]
fn each_required_attribute_is_named_when_it_is_missing() {
    for name in ["specversion", "type", "source", "id", "subject"] {
        let header = format!("ce-{name}");
        let pairs: Vec<_> = binary().into_iter().filter(|(n, _)| *n != header).collect();
        let fault = read_binary(&headers(&pairs), DATA).expect_err("incomplete");
        assert!(fault.detail.contains(&format!("`{header}` is missing")), "{}", fault.detail);
        let mut event = structured();
        event.as_object_mut().expect("an object").remove(name);
        let fault = read_event(&event).expect_err("incomplete");
        assert!(
            fault.detail.contains(&format!("attribute `{name}` is missing")),
            "{}",
            fault.detail
        );
    }
}

#[test]
fn wrong_attributes_are_refused_with_their_name() {
    for (name, value) in [
        ("ce-specversion", "0.3"),
        ("ce-type", "com.example.other"),
        ("ce-subject", "two%20words"),
        ("ce-time", "yesterday"),
        ("ce-id", "two%20words"),
        ("ce-id", ""),
        ("ce-source", "///"),
        ("ce-source", "a%20b"),
    ] {
        let fault = read_with(name, value).expect_err(value);
        assert_eq!(fault.code, ProblemCode::InvalidReport);
        assert!(fault.detail.contains(name), "{name}: {value}: {}", fault.detail);
    }
    let twice: Vec<_> = binary().into_iter().chain([("ce-id", "r-2")]).collect();
    assert!(read_binary(&headers(&twice), DATA).expect_err("twice").detail.contains("twice"));
}

#[test]
fn no_service_speaks_as_the_supervisor() {
    for source in ["supervisor", "//shop.example/supervisor"] {
        let fault = read_with("ce-source", source).expect_err(source);
        assert_eq!(fault.code, ProblemCode::InvalidReport);
        assert!(fault.detail.contains("`ce-source`"), "{}", fault.detail);
        assert!(fault.detail.contains("reserved for the supervisor's own"), "{}", fault.detail);
        let mut event = structured();
        event["source"] = json!(source);
        assert!(read_event(&event).expect_err(source).detail.contains("reserved"));
    }
    let near = read_with("ce-source", "//supervisor/payment").expect("another service");
    assert_eq!(near.service(), "payment");
    assert_eq!(read_with("ce-source", "supervisors").expect("it").service(), "supervisors");
}

#[test]
fn a_datacontenttype_header_is_refused_in_binary_mode() {
    let fault = read_with("ce-datacontenttype", "application/json").expect_err("must not appear");
    assert!(fault.detail.contains("ce-datacontenttype"), "{}", fault.detail);
}

#[test]
fn data_must_be_json() {
    for kind in
        ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.shop.v1+json"]
    {
        assert!(read_with("content-type", kind).is_ok(), "{kind}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "+json"] {
        assert_eq!(
            read_with("content-type", kind).expect_err(kind).code,
            ProblemCode::UnsupportedMediaType
        );
    }
    let without: Vec<_> = binary().into_iter().filter(|(n, _)| *n != "content-type").collect();
    assert!(
        read_binary(&headers(&without), DATA).is_ok(),
        "JSON is what is meant when nothing is said"
    );
}

#[test]
fn faulty_data_says_where() {
    let read =
        |data: &str| read_binary(&headers(&binary()), data.as_bytes()).expect_err(data).detail;
    assert!(read("").contains("empty"));
    assert!(read("{}").contains("`code`"));
    assert!(read("{\"code\": 7}").contains("column"));
    assert!(read("{\"code\": \"a b\"}").contains("`data.code` is `a b`"));
    assert!(read("{\"code\": \"a/b\"}").contains("`data.code`"));
    assert!(read("{\"code\": \"x\", \"causedBy\": [\"ok\", \"\"]}").contains("`data.causedBy[1]`"));
    let entry = r#"{"service":"a","action":"b","requestId":"c d","state":"failed"}"#;
    assert!(
        read(&format!("{{\"code\":\"x\",\"history\":[{entry}]}}"))
            .contains("`data.history[0].requestId`")
    );
    let many = json!({"code": "x", "causedBy": vec!["r"; 65]}).to_string();
    assert!(read(&many).contains("at most 64"));
}

#[test]
fn a_structured_event_has_all_in_its_body() {
    let report = read_event(&structured()).expect("a report");
    assert_eq!(report.service(), "payment");
    assert_eq!(report.traceparent.as_deref(), Some(TRACE));
    assert_eq!(report.time, Some(Timestamp::parse("2026-11-01T01:00:00Z").expect("a time")));
    assert_eq!(report.data.history[0].state, HistoryState::Unknown);
}

#[test]
fn attributes_of_the_wrong_type_are_named() {
    for name in ["specversion", "type", "source", "id", "subject", "time", "datacontenttype"] {
        let mut event = structured();
        event[name] = json!(7);
        let fault = read_event(&event).expect_err("a number");
        assert!(fault.detail.contains(&format!("`{name}` is `7`")), "{}", fault.detail);
    }
    for text in ["", "[]", "{", "null"] {
        let kind = headers(&[("content-type", "application/cloudevents+json")]);
        let fault = read_structured(&kind, text.as_bytes()).expect_err(text);
        assert!(fault.detail.contains("not a JSON object"), "{}", fault.detail);
    }
}

#[test]
fn binary_data_may_be_base64() {
    let mut event = structured();
    let object = event.as_object_mut().expect("an object");
    object.remove("data");
    object.insert("data_base64".to_owned(), STANDARD.encode(DATA).into());
    assert_eq!(read_event(&event).expect("a report").data.code, "report-1");
    event["data"] = json!({"code": "x"});
    assert!(read_event(&event).expect_err("both").detail.contains("exclude each other"));
    let object = event.as_object_mut().expect("an object");
    object.remove("data");
    object.insert("data_base64".to_owned(), "***".into());
    assert!(read_event(&event).expect_err("not base64").detail.contains("base64"));
    event.as_object_mut().expect("an object").remove("data_base64");
    assert!(read_event(&event).expect_err("none").detail.contains("no `data`"));
}

#[test]
fn other_event_formats_are_not_understood() {
    for kind in
        ["application/cloudevents+avro", "application/cloudevents", "application/cloudevents+jsonx"]
    {
        let fault = read_structured(&headers(&[("content-type", kind)]), b"{}").expect_err(kind);
        assert_eq!(fault.code, ProblemCode::UnsupportedMediaType);
    }
    let mut event = structured();
    event["datacontenttype"] = json!("application/xml");
    assert_eq!(read_event(&event).expect_err("xml").code, ProblemCode::UnsupportedMediaType);
}

#[test]
fn the_extensions_trace_stands_above_the_hops_and_an_invalid_one_is_ignored() {
    let trace = |pairs: &[(&'static str, &'static str)]| {
        let all: Vec<_> = binary().into_iter().chain(pairs.iter().copied()).collect();
        read_binary(&headers(&all), DATA).expect("never an error").traceparent
    };
    assert_eq!(trace(&[("ce-traceparent", TRACE), ("traceparent", OTHER)]).as_deref(), Some(TRACE));
    assert_eq!(
        trace(&[("ce-traceparent", "junk"), ("traceparent", OTHER)]).as_deref(),
        Some(OTHER)
    );
    assert_eq!(trace(&[("traceparent", "junk")]), None);
    assert_eq!(trace(&[("ce-traceparent", "%C0%A0")]), None);
    let mut event = structured();
    event["traceparent"] = json!(7);
    assert_eq!(read_event(&event).expect("never an error").traceparent, None);
}

#[test]
fn every_event_of_a_batch_is_read_for_itself() {
    let other = |id: &str| {
        let mut event = structured();
        event["id"] = json!(id);
        event
    };
    let events = batch(&json!([other("a"), {}, other("b"), other("c d")]), 10).expect("a batch");
    let ids: Vec<_> = events.iter().flatten().map(|r| &*r.id).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(events[1].as_ref().expect_err("empty").detail.contains("`data`"));
    assert!(events[3].as_ref().expect_err("a space").detail.contains("`id`"));
    assert!(batch(&json!([]), 10).expect("a batch").is_empty());
    let fault = batch(&json!([1, 2, 3]), 2).expect_err("too many");
    assert_eq!(fault.code, ProblemCode::TooLarge);
    assert!(batch(&structured(), 10).expect_err("no list").detail.contains("list"));
}
