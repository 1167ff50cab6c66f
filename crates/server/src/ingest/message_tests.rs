//! Each sentence of the bindings of Kafka and NATS that matters here, as a test; and what HTTP takes, they take.

use super::*;
use crate::ingest::envelope;
use amends_protocol::REPORT_TYPE;
use http::HeaderMap;
use serde_json::json;

type Headers<'a> = &'a [(String, Vec<u8>)];

const DATA: &[u8] = br#"{"code":"report-1","action":"pay"}"#;

fn attributes(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let pairs = [
        ("specversion", "1.0"),
        ("type", REPORT_TYPE),
        ("source", "//shop.example/payment"),
        ("id", "r-1"),
        ("subject", "order-1"),
    ];
    let named =
        |(name, value): (&str, &str)| (format!("{prefix}{name}"), value.as_bytes().to_vec());
    let mut all: Vec<_> = pairs.into_iter().map(named).collect();
    all.push(("content-type".to_owned(), b"application/json".to_vec()));
    all
}

fn structured() -> Vec<u8> {
    let data: serde_json::Value = serde_json::from_slice(DATA).expect("JSON");
    let event = json!({
        "specversion": "1.0", "type": REPORT_TYPE, "source": "//shop.example/payment", "id": "r-1",
        "subject": "order-1", "data": data,
    });
    event.to_string().into_bytes()
}

fn read(binding: Binding, headers: &[(String, Vec<u8>)], body: &[u8]) -> Result<Report, Fault> {
    Message { binding, headers, body }.read()
}

fn kind(text: &str) -> Vec<(String, Vec<u8>)> {
    vec![("content-type".to_owned(), text.as_bytes().to_vec())]
}

/// The same as over HTTP.
fn over_http() -> Report {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/cloudevents+json".parse().expect("a value"));
    envelope::read_structured(&headers, &structured()).expect("a report")
}

#[test]
fn one_report_is_the_same_on_every_way_and_in_every_mode() {
    let body = structured();
    let cloudevents = kind("application/cloudevents+json; charset=UTF-8");
    assert_eq!(read(Binding::Kafka, &cloudevents, &body), Ok(over_http()));
    assert_eq!(read(Binding::Kafka, &attributes("ce_"), DATA), Ok(over_http()));
    assert_eq!(read(Binding::Nats, &[], &body), Ok(over_http()), "NATS needs no header");
    assert_eq!(read(Binding::Nats, &cloudevents, &body), Ok(over_http()));
    assert_eq!(
        read(Binding::Nats, &attributes("ce-"), DATA),
        Ok(over_http()),
        "not claimed, but read"
    );
    assert_eq!(
        read(Binding::Kafka, &[], &body),
        Ok(over_http()),
        "without any header it is the whole event"
    );
}

#[test]
fn a_value_of_kafka_stands_as_it_is_and_one_of_nats_is_encoded() {
    let with_id = |prefix: &str, id: &str| {
        let mut headers = attributes(prefix);
        headers
            .iter_mut()
            .filter(|(name, _)| name.ends_with("_id") || name.ends_with("-id"))
            .for_each(|(_, value)| *value = id.as_bytes().to_vec());
        headers
    };
    let of_kafka = read(Binding::Kafka, &with_id("ce_", "r%2D1"), DATA).expect("a report");
    let of_nats = read(Binding::Nats, &with_id("ce-", "r%2D1"), DATA).expect("a report");
    assert_eq!((&*of_kafka.id, &*of_nats.id), ("r%2D1", "r-1"));
}

#[test]
fn what_is_no_report_says_where_and_how_to_mend_it() {
    let without = |prefix: &str, name: &str| {
        let mut headers = attributes(prefix);
        headers.retain(|(n, _)| *n != format!("{prefix}{name}"));
        headers
    };
    let mut twice = attributes("ce_");
    twice.push(("ce_id".to_owned(), b"r-2".to_vec()));
    let mut torn = attributes("ce_");
    torn.push(("traceparent".to_owned(), vec![0xff]));
    assert!(read(Binding::Kafka, &torn, DATA).is_ok(), "a trace that can't be read is ignored");
    torn.push(("ce_time".to_owned(), vec![0xff]));
    let long = vec![b' '; MESSAGE_LIMIT + 1];
    let body = structured();
    let batch = kind("application/cloudevents-batch+json");
    let avro = kind("application/cloudevents+avro");
    let cases: [(Binding, Headers<'_>, &[u8], ProblemCode, &str); 11] = [
        (
            Binding::Kafka,
            &without("ce_", "subject"),
            DATA,
            ProblemCode::InvalidReport,
            "`ce_subject` is missing",
        ),
        (
            Binding::Nats,
            &without("ce-", "id"),
            DATA,
            ProblemCode::InvalidReport,
            "`ce-id` is missing",
        ),
        (Binding::Kafka, &twice, DATA, ProblemCode::InvalidReport, "`ce_id` is there twice"),
        (Binding::Kafka, &torn, DATA, ProblemCode::InvalidReport, "`ce_time` is not UTF-8"),
        (Binding::Kafka, &batch, b"[]", ProblemCode::InvalidReport, "a message is one event"),
        (
            Binding::Kafka,
            &avro,
            &body,
            ProblemCode::UnsupportedMediaType,
            "application/cloudevents+avro",
        ),
        (
            Binding::Kafka,
            &kind("text/plain"),
            b"hello",
            ProblemCode::UnsupportedMediaType,
            "`text/plain`",
        ),
        (Binding::Nats, &[], b"hello", ProblemCode::InvalidReport, "not a JSON object"),
        (Binding::Nats, &[], b"", ProblemCode::InvalidReport, "the message is empty"),
        (Binding::Nats, &[], &long, ProblemCode::TooLarge, "at most 921600"),
        // A mode of another binding is no mode of this one.
        (
            Binding::Nats,
            &attributes("ce_"),
            DATA,
            ProblemCode::InvalidReport,
            "the event has no `data`",
        ),
    ];
    for (binding, headers, body, code, says) in cases {
        let fault = read(binding, headers, body).expect_err(says);
        assert_eq!(fault.code, code, "{says}: {}", fault.detail);
        assert!(fault.detail.contains(says), "{says}: {}", fault.detail);
    }
}
