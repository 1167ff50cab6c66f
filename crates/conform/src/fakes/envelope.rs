//! Reads CloudEvents 1.0 over HTTP in all three modes, and writes down every mistake instead of stopping at the first.

use super::listener::Came;
use amends_protocol::wire::cloudevents::{self, Mode};
use amends_protocol::{REPORT_TYPE, SagaId, Timestamp, is_opaque_name};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// A report as it came, with what is wrong with its envelope.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReceivedReport {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) subject: String,
    pub(crate) data: Value,
    /// For people; a supervisor would refuse the event for any of them.
    pub(crate) mistakes: Vec<String>,
}

impl ReceivedReport {
    /// The service that `source` names: the part after the last `/` or `:`.
    pub(crate) fn service(&self) -> &str {
        let trimmed = self.source.trim_end_matches('/');
        trimmed.rsplit(['/', ':']).next().unwrap_or(trimmed)
    }

    /// A text of the data.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.data[key].as_str()
    }
}

/// The events of one request.
pub(crate) fn read(came: &Came) -> Vec<ReceivedReport> {
    let content_type = came.header("content-type").unwrap_or_default().trim().to_ascii_lowercase();
    match Mode::of(&content_type) {
        Mode::Batch => match serde_json::from_slice::<Vec<Map<String, Value>>>(&came.body) {
            Ok(events) => events.into_iter().map(structured).collect(),
            Err(error) => {
                vec![unreadable(format!("the batch is not a JSON list of events: {error}"))]
            }
        },
        Mode::Structured => match serde_json::from_slice(&came.body) {
            Ok(members) => vec![structured(members)],
            Err(error) => vec![unreadable(format!("the event is not a JSON object: {error}"))],
        },
        Mode::Binary => vec![binary(came, &content_type)],
    }
}

fn unreadable(mistake: String) -> ReceivedReport {
    ReceivedReport { mistakes: vec![mistake], ..ReceivedReport::default() }
}

fn binary(came: &Came, content_type: &str) -> ReceivedReport {
    let mut mistakes = Vec::new();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !(essence == "application/json" || essence.ends_with("+json") || essence.is_empty()) {
        mistakes.push(format!("`Content-Type` is `{content_type}`, not `application/json`"));
    }
    if came.headers.contains_key("ce-datacontenttype") {
        mistakes.push("`ce-datacontenttype` must not be there in binary mode".to_owned());
    }
    let data = serde_json::from_slice(&came.body).unwrap_or_else(|error| {
        mistakes.push(format!("the data is not JSON: {error}"));
        Value::Null
    });
    let attribute = |name: &str, mistakes: &mut Vec<String>| {
        let mut values = came.headers.get_all(format!("ce-{name}")).iter();
        let first = values.next()?;
        if values.next().is_some() {
            mistakes.push(format!("`ce-{name}` is there twice"));
        }
        let decoded = cloudevents::decode(first.as_bytes());
        decoded.map_err(|why| mistakes.push(format!("`ce-{name}` {why}"))).ok()
    };
    judge(attribute, data, mistakes)
}

fn structured(members: Map<String, Value>) -> ReceivedReport {
    let mut mistakes = Vec::new();
    let data = match (members.get("data"), members.get("data_base64")) {
        (Some(data), None) => data.clone(),
        (None, Some(encoded)) => {
            let bytes = encoded.as_str().and_then(|text| STANDARD.decode(text).ok());
            let data = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            data.unwrap_or_else(|| {
                mistakes.push("`data_base64` is not base64 of JSON".to_owned());
                Value::Null
            })
        }
        (Some(_), Some(_)) => {
            mistakes.push("`data` and `data_base64` exclude each other".to_owned());
            Value::Null
        }
        (None, None) => {
            mistakes.push("the event has no `data`".to_owned());
            Value::Null
        }
    };
    let attribute = |name: &str, mistakes: &mut Vec<String>| match members.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => {
            mistakes.push(format!("the attribute `{name}` is `{other}`, not a text"));
            None
        }
    };
    judge(attribute, data, mistakes)
}

fn judge(
    attribute: impl Fn(&str, &mut Vec<String>) -> Option<String>,
    data: Value,
    mut mistakes: Vec<String>,
) -> ReceivedReport {
    let mut taken = |name: &str| attribute(name, &mut mistakes).unwrap_or_default();
    let (version, kind) = (taken("specversion"), taken("type"));
    let (id, source, subject) = (taken("id"), taken("source"), taken("subject"));
    let time = taken("time");
    let mut demand = |holds: bool, mistake: String| {
        if !holds {
            mistakes.push(mistake);
        }
    };
    demand(version == "1.0", format!("`specversion` is `{version}`, not `1.0`"));
    demand(kind == REPORT_TYPE, format!("`type` is `{kind}`, not `{REPORT_TYPE}`"));
    let rule = "1 to 128 bytes of printable ASCII without spaces";
    demand(is_opaque_name(&id), format!("`id` is `{id}`, not {rule}"));
    demand(SagaId::new(&subject).is_ok(), format!("`subject` is `{subject}`, not {rule}"));
    demand(!source.is_empty(), "`source` is missing".to_owned());
    demand(
        time.is_empty() || Timestamp::parse(&time).is_ok(),
        format!("`time` is `{time}`, not an RFC 3339 time"),
    );
    demand(data["code"].is_string(), "the data has no `code`".to_owned());
    ReceivedReport { id, source, subject, data, mistakes }
}

#[cfg(test)]
mod tests {
    use super::{Came, read};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;

    fn came(headers: &[(&str, &str)], body: &str) -> Came {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a header's name");
            map.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        Came { path: "/v1/reports".to_owned(), headers: map, body: body.to_owned().into() }
    }

    const BINARY: &[(&str, &str)] = &[
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.amends.report.v1"),
        ("ce-source", "//shop.example/payment"),
        ("ce-id", "r-1"),
        ("ce-subject", "a%22b"),
    ];

    #[test]
    fn the_three_modes_say_the_same() {
        let event = json!({
            "specversion": "1.0", "type": "dev.amends.report.v1", "source": "//shop.example/payment", "id": "r-1",
            "subject": "a\"b", "data": { "code": "used" },
        });
        let ways = [
            came(BINARY, r#"{"code":"used"}"#),
            came(&[("content-type", "application/cloudevents+json")], &event.to_string()),
            came(
                &[("content-type", "application/cloudevents-batch+json")],
                &json!([event]).to_string(),
            ),
        ];
        for way in ways {
            let events = read(&way);
            let [event] = events.as_slice() else { panic!("one event: {events:?}") };
            assert_eq!(event.mistakes, Vec::<String>::new());
            assert_eq!((event.id.as_str(), event.subject.as_str()), ("r-1", "a\"b"));
            assert_eq!((event.service(), event.text("code")), ("payment", Some("used")));
        }
    }

    #[test]
    fn every_mistake_is_written_down() {
        let headers =
            [("content-type", "text/plain"), ("ce-specversion", "0.3"), ("ce-subject", "a%20b")];
        let events = read(&came(&headers, "no json"));
        // Content type, data, version, type, id, subject, source, code.
        assert_eq!(events[0].mistakes.len(), 8, "{:?}", events[0].mistakes);
        assert_eq!(
            read(&came(&[("content-type", "application/cloudevents+json")], "[]"))[0]
                .mistakes
                .len(),
            1
        );
    }
}
