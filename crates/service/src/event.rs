//! A report as the message of a broker: its CloudEvent, and whether a broker takes as much. Sends nothing.

use crate::store::OutgoingReport;
use amends_protocol::{BROKER_MESSAGE_LIMIT, REPORT_TYPE, Timestamp};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What a report's data is.
pub(crate) const JSON: &str = "application/json";

/// The whole event in JSON, as the structured mode of CloudEvents wants it.
///
/// # Errors
/// Why it will never be taken, and how to mend it.
#[cfg_attr(not(feature = "nats"), allow(dead_code))] // Kafka's messages have attributes of their own
pub(crate) fn structured(service: &str, sent: &OutgoingReport) -> Result<Vec<u8>, String> {
    #[derive(Serialize)]
    struct CloudEvent<'a> {
        specversion: &'a str,
        r#type: &'a str,
        source: &'a str,
        id: &'a str,
        subject: &'a str,
        time: String,
        datacontenttype: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<&'a str>,
        partitionkey: &'a str,
        data: &'a RawValue,
    }
    let report = &sent.report;
    let unreadable = |error| format!("the outbox holds a report that is no JSON: {error}");
    let event = CloudEvent {
        specversion: "1.0",
        r#type: REPORT_TYPE,
        source: service,
        id: &report.report_id,
        subject: report.saga.as_str(),
        time: Timestamp(sent.happened_at_ms).to_string(),
        datacontenttype: JSON,
        traceparent: report.traceparent.as_deref(),
        partitionkey: report.saga.as_str(),
        data: serde_json::from_str(&report.data).map_err(unreadable)?,
    };
    let body = serde_json::to_vec(&event).map_err(unreadable)?;
    fits(body.len(), &report.data)?;
    Ok(body)
}

/// That a broker, and the supervisor behind it, takes a message of so many bytes.
///
/// # Errors
/// Which part of the report's data to make smaller.
pub(crate) fn fits(bytes: usize, data: &str) -> Result<(), String> {
    if bytes <= BROKER_MESSAGE_LIMIT {
        return Ok(());
    }
    Err(too_large(bytes, BROKER_MESSAGE_LIMIT, data))
}

/// Says what makes a report too large for whoever takes no more than `limit` bytes.
pub(crate) fn too_large(bytes: usize, limit: usize, data: &str) -> String {
    format!(
        "the report has {bytes} bytes, and a message of the broker at most {limit}{}",
        in_it(data)
    )
}

/// The part to make smaller, to go behind how many bytes there are.
pub(crate) fn in_it(data: &str) -> String {
    match largest_part(data) {
        Some((name, size)) => format!("; `{name}` has {size} of them: make it smaller"),
        None => String::new(),
    }
}

/// The member of the data that takes the most room, and its bytes. Of the business fields it is one of them, since the
/// service gives each by itself (`Failure::with`).
fn largest_part(data: &str) -> Option<(String, usize)> {
    let parts: Value = serde_json::from_str(data).ok()?;
    let members = parts.as_object()?.iter().flat_map(|(name, value)| match value {
        Value::Object(fields) if name == "data" => {
            fields.iter().map(|(field, value)| (format!("data.{field}"), value)).collect()
        }
        _ => vec![(name.clone(), value)],
    });
    members.map(|(name, value)| (name, value.to_string().len())).max_by_key(|(_, size)| *size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ReportRow;
    use amends_protocol::SagaId;
    use serde_json::json;

    fn report(data: &Value) -> OutgoingReport {
        let report = ReportRow {
            report_id: "r-1".to_owned(),
            saga: SagaId::new("order-\"1\"").expect("a saga id"),
            traceparent: Some("00-1".to_owned()),
            data: data.to_string(),
        };
        OutgoingReport { report, happened_at_ms: 0, tries: 0 }
    }

    #[test]
    fn an_event_has_every_attribute_and_the_data_as_it_is() {
        let data = r#"{"code":"a","data":{"amount":12.50000000000000000001}}"#;
        let mut sent = report(&json!({}));
        sent.report.data = data.to_owned();
        let body = structured("payment", &sent).expect("fits");
        let text = String::from_utf8(body).expect("text");
        assert!(text.ends_with(&format!("\"data\":{data}}}")), "{text}");
        let event: Value = serde_json::from_str(&text).expect("JSON");
        for (name, value) in [
            ("specversion", "1.0"),
            ("type", REPORT_TYPE),
            ("source", "payment"),
            ("id", "r-1"),
            ("subject", "order-\"1\""),
            ("partitionkey", "order-\"1\""),
            ("time", "1970-01-01T00:00:00.000Z"),
            ("datacontenttype", JSON),
            ("traceparent", "00-1"),
        ] {
            assert_eq!(event[name], value, "{name}");
        }
    }

    #[test]
    fn what_no_broker_takes_is_refused_with_what_makes_it_so_large() {
        let long = "x".repeat(BROKER_MESSAGE_LIMIT);
        let why = structured(
            "payment",
            &report(&json!({ "code": "a", "data": { "a": 1, "basket": long } })),
        );
        let why = why.expect_err("too large");
        assert!(
            why.contains("at most 921600") && why.contains("`data.basket` has 921602"),
            "{why}"
        );
        let why = structured("payment", &report(&json!({ "code": "a", "history": [long] })));
        assert!(why.expect_err("too large").contains("`history` has"));
        let mut broken = report(&json!({}));
        broken.report.data = "{".to_owned();
        assert!(structured("payment", &broken).expect_err("no JSON").contains("no JSON"));
    }
}
