//! Compares what a page shows with what took place: every header and member that is shown. Ids that are made up anew and
//! times may differ, but an id that is shown twice must be the same one twice.

use super::page::Message;
use amends_protocol::Timestamp;
use serde_json::Value;
use std::collections::HashMap;

/// What an id of the page really was.
pub type Names = HashMap<String, String>;

/// A message as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub start: String,
    pub headers: http::HeaderMap,
    pub body: Value,
}

/// Where the message differs from what is shown, in words; empty if nowhere.
pub fn differences(shown: &Message, sent: &Sent, names: &mut Names) -> Vec<String> {
    let mut found = Vec::new();
    if shown.start != sent.start {
        found.push(format!("`{}` is shown, `{}` was it", shown.start, sent.start));
    }
    for (name, value) in &shown.headers {
        let value = value.to_str().expect("text");
        match sent.headers.get(name).map(|sent| sent.to_str().unwrap_or_default()) {
            Some(there) if header_agrees(name.as_str(), value, there, names) => {}
            there => found.push(format!("`{name}: {value}` is shown, {there:?} was it")),
        }
    }
    if let Some((_, body)) = &shown.body {
        members("", body, &sent.body, names, &mut found);
    }
    found
}

fn header_agrees(name: &str, shown: &str, sent: &str, names: &mut Names) -> bool {
    let signature = |text: &str| text.strip_prefix("v1,").is_some_and(|code| code.len() == 44);
    match name {
        "webhook-timestamp" => shown.parse::<u64>().is_ok() && sent.parse::<u64>().is_ok(),
        // A new timestamp, so another signature; the page's own is computed anew by a test.
        "webhook-signature" => signature(shown) && signature(sent),
        // Of the supervisor's own span only the trace is the page's: its id is made of the step's.
        "traceparent" if sent.len() == shown.len() => sent.get(..TRACE) == shown.get(..TRACE),
        _ => text_agrees(shown, sent, names),
    }
}

/// Bytes of version and trace id in a `traceparent`.
const TRACE: usize = "00-0af7651916cd43dd8448eb211c80319c".len();

fn text_agrees(shown: &str, sent: &str, names: &mut Names) -> bool {
    let (shown, sent) = match (unquoted(shown), unquoted(sent)) {
        (Some(shown), Some(sent)) => (shown, sent),
        _ => (shown, sent),
    };
    let (shown_step, sent_step) = (step_place(shown), step_place(sent));
    let is_step = shown_step.is_some() && shown_step == sent_step;
    let is_proof = is_proof(shown) && is_proof(sent);
    if is_step || is_proof || (is_made_up(shown) && is_made_up(sent)) {
        return names.entry(shown.to_owned()).or_insert_with(|| sent.to_owned()) == sent;
    }
    shown == sent || (Timestamp::parse(shown).is_ok() && Timestamp::parse(sent).is_ok())
}

fn members(path: &str, shown: &Value, sent: &Value, names: &mut Names, found: &mut Vec<String>) {
    match (shown, sent) {
        (Value::Object(shown), Value::Object(sent)) => {
            for (key, value) in shown {
                let path = format!("{path}/{key}");
                match sent.get(key) {
                    Some(there) => members(&path, value, there, names, found),
                    None => found.push(format!("{path} is shown and was not there")),
                }
            }
        }
        (Value::Array(shown), Value::Array(sent)) if shown.len() == sent.len() => {
            for (place, (shown, sent)) in shown.iter().zip(sent).enumerate() {
                members(&format!("{path}/{place}"), shown, sent, names, found);
            }
        }
        (Value::String(shown), Value::String(sent)) if text_agrees(shown, sent, names) => {}
        (shown, sent) if shown == sent => {}
        (shown, sent) => found.push(format!("{path}: `{shown}` is shown, `{sent}` was it")),
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// `s-1-2` of the step id `s-1-2-acdf886f9db8b2d4`: the rest is made with the store's salt, new in every run.
fn step_place(text: &str) -> Option<&str> {
    let (place, tag) = text.rsplit_once('-')?;
    let is_tag = tag.len() == 16 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_tag && place.starts_with("s-")).then_some(place)
}

/// What proves a callback: made with the store's salt too.
fn is_proof(text: &str) -> bool {
    let digits = text.strip_prefix("p-").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A UUID: new in every run.
fn is_made_up(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Every message that differs from this one in a single thing: its start, a header, a member of its body.
pub fn spoilt(shown: &Message) -> Vec<(String, Message)> {
    let mut all =
        vec![("start".to_owned(), Message { start: format!("{}0", shown.start), ..shown.clone() })];
    for name in shown.headers.keys() {
        let mut other = shown.clone();
        other.headers.insert(name, http::HeaderValue::from_static("spoilt"));
        all.push((name.to_string(), other));
    }
    if let Some((kind, body)) = &shown.body {
        let mut paths = Vec::new();
        leaves("", body, &mut paths);
        for path in paths {
            let mut body = body.clone();
            if let Some(leaf) = body.pointer_mut(&path) {
                *leaf = match leaf {
                    Value::Bool(said) => Value::Bool(!*said),
                    Value::Number(_) => Value::from(-1),
                    Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                        Value::from("spoilt")
                    }
                };
            }
            all.push((path, Message { body: Some((kind.clone(), body)), ..shown.clone() }));
        }
    }
    all
}

fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(key, value)| leaves(&format!("{path}/{key}"), value, found));
        }
        Value::Array(items) if !items.is_empty() => {
            let items = items.iter().enumerate();
            items.for_each(|(place, value)| leaves(&format!("{path}/{place}"), value, found));
        }
        _ => found.push(path.to_owned()),
    }
}
