//! From CloudEvents 1.0 over HTTP to checked reports: pure functions from headers and bytes. Talks to nobody.

use super::check;
use super::fault::{Fault, invalid};
use amends_protocol::causes::of_json;
use amends_protocol::wire::Traceparent;
use amends_protocol::wire::cloudevents::decode;
use amends_protocol::{
    ProblemCode, REPORT_TYPE, Report, ReportData, SagaId, Timestamp, check_keys, headers,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The content type of an event as a JSON object.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";

pub(super) fn unsupported(detail: impl Into<String>) -> Fault {
    Fault::new(ProblemCode::UnsupportedMediaType, detail)
}

/// The content type of a request, without the white space around it.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().trim()
}

/// One event whose attributes are headers.
pub(crate) fn read_binary(headers: &HeaderMap, body: &[u8]) -> Result<Report, Fault> {
    if headers.contains_key("ce-datacontenttype") {
        return Err(invalid(
            "remove the header `ce-datacontenttype`; `Content-Type` says it in binary mode",
        ));
    }
    let attribute = |name: &str| -> Result<Option<String>, Fault> {
        let mut values = headers.get_all(format!("ce-{name}")).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(invalid(format!("the header `ce-{name}` is there twice; send it once")));
        }
        decode(value.as_bytes())
            .map(Some)
            .map_err(|what| invalid(format!("the header `ce-{name}` {what}")))
    };
    let named = |name: &str| format!("the header `ce-{name}`");
    of_attributes(content_type(headers), &attribute, &named, body, header_trace(headers))
}

/// One event whose attributes are read and named as its binding says; `hop` is the trace of this hop.
pub(super) fn of_attributes(
    content_type: &str,
    attribute: Attribute<'_>,
    named: &dyn Fn(&str) -> String,
    body: &[u8],
    hop: Option<String>,
) -> Result<Report, Fault> {
    if !content_type.is_empty() && !is_json(content_type) {
        return Err(unsupported(format!(
            "`{content_type}` is not understood; send a binary event as `application/json` with its attributes as \
             headers, or a structured one as `{STRUCTURED}`"
        )));
    }
    report(attribute, named, data(body)?, hop)
}

/// One event as a JSON object.
pub(crate) fn read_structured(headers: &HeaderMap, body: &[u8]) -> Result<Report, Fault> {
    of_json_format(content_type(headers), body, header_trace(headers))
}

/// One event as a JSON object, of this content type.
pub(super) fn of_json_format(
    content_type: &str,
    body: &[u8],
    hop: Option<String>,
) -> Result<Report, Fault> {
    demand_json_format(content_type, STRUCTURED)?;
    event(body, hop)
}

/// A list of events, each of which may have a fault of its own.
pub(crate) fn read_batch(
    headers: &HeaderMap,
    body: &[u8],
    limit: usize,
) -> Result<Vec<Result<Report, Fault>>, Fault> {
    demand_json_format(content_type(headers), "application/cloudevents-batch+json")?;
    let events: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|e| invalid(format!("the body is not a JSON list of events: {e}")))?;
    if events.len() > limit {
        let detail = format!("the batch has {} events; send at most {limit} at once", events.len());
        return Err(Fault::new(ProblemCode::TooLarge, detail));
    }
    Ok(events.iter().map(|raw| event(raw.get().as_bytes(), None)).collect())
}

fn demand_json_format(content_type: &str, wanted: &str) -> Result<(), Fault> {
    if essence(content_type).eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(unsupported(format!(
        "the event format of `{content_type}` is not understood; send `{wanted}`"
    )))
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    essence == "application/json"
        || essence == "text/json"
        || (essence.contains('/') && essence.ends_with("+json"))
}

fn event(body: &[u8], hop: Option<String>) -> Result<Report, Fault> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body)
        .map_err(|e| invalid(format!("the event is not a JSON object: {e}")))?;
    let attribute = |name: &str| -> Result<Option<String>, Fault> {
        match members.get(name) {
            None => Ok(None),
            Some(raw) => serde_json::from_str::<Option<String>>(raw.get()).map_err(|_| {
                invalid(format!("the attribute `{name}` is `{}`; it must be a text", raw.get()))
            }),
        }
    };
    if let Some(kind) = attribute("datacontenttype")?.filter(|kind| !is_json(kind)) {
        return Err(unsupported(format!(
            "the data is `{kind}`; a report's data is `application/json`"
        )));
    }
    let given = members.get("data").filter(|raw| raw.get() != "null");
    let data = match (given, attribute("data_base64")?) {
        (Some(_), Some(_)) => {
            return Err(invalid("`data` and `data_base64` exclude each other; send one of them"));
        }
        (Some(raw), None) => data(raw.get().as_bytes())?,
        (None, Some(encoded)) => {
            let bytes = STANDARD
                .decode(encoded)
                .map_err(|e| invalid(format!("`data_base64` is not base64: {e}")))?;
            data(&bytes)?
        }
        (None, None) => {
            return Err(invalid("the event has no `data`; give it an object with at least `code`"));
        }
    };
    report(&attribute, &|name| format!("the attribute `{name}`"), data, hop)
}

fn data(body: &[u8]) -> Result<ReportData, Fault> {
    if body.trim_ascii().is_empty() {
        return Err(invalid("the data is empty; give an object with at least `code`"));
    }
    check_keys(body).map_err(|e| invalid(format!("in the data, {e}")))?;
    if body.trim_ascii_start().first() == Some(&b'[') {
        // Serde would take it for the members of an object in their order.
        return Err(invalid("the data is not a report's: it is a list; send an object, `{…}`"));
    }
    serde_json::from_slice(body)
        .map_err(|e| invalid(format!("the data is not a report's: {}", of_json(&e))))
}

/// The trace of this hop, if it is valid.
fn header_trace(headers: &HeaderMap) -> Option<String> {
    headers.get(headers::TRACEPARENT)?.to_str().ok().map(str::to_owned)
}

pub(super) type Attribute<'a> = &'a dyn Fn(&str) -> Result<Option<String>, Fault>;

fn report(
    attribute: Attribute<'_>,
    named: &dyn Fn(&str) -> String,
    data: ReportData,
    hop: Option<String>,
) -> Result<Report, Fault> {
    let required = |name: &str, mend: &str| match attribute(name)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(invalid(format!("{} is missing; {mend}", named(name)))),
    };
    let specversion = required("specversion", "set it to `1.0`")?;
    if specversion != "1.0" {
        return Err(invalid(format!(
            "{} is `{specversion}`; only `1.0` is understood",
            named("specversion")
        )));
    }
    let kind = required("type", &format!("set it to `{REPORT_TYPE}`"))?;
    if kind != REPORT_TYPE {
        return Err(invalid(format!(
            "{} is `{kind}`; a report's is `{REPORT_TYPE}`",
            named("type")
        )));
    }
    let subject = required("subject", "set it to the saga id")?;
    let saga_id =
        SagaId::new(&subject).map_err(|e| invalid(format!("{}: {e}", named("subject"))))?;
    let time = attribute("time")?
        .map(|text| Timestamp::parse(&text).map_err(|e| invalid(format!("{}: {e}", named("time")))))
        .transpose()?;
    // The extension holds the trace that the failure began in, the plain header only this hop. An invalid one is
    // ignored, never an error.
    let valid = |text: &String| Traceparent::parse(text).is_some();
    let traceparent = attribute("traceparent").ok().flatten().filter(valid).or(hop.filter(valid));
    let report = Report {
        id: required("id", "set it to something unique per source")?,
        source: required("source", "set it to the reporting service's name")?,
        saga_id,
        time,
        traceparent,
        data,
    };
    check::report(&report, named)?;
    Ok(report)
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
