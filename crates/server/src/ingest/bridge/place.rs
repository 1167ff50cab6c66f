//! A place in an event: in its body, in its key, among its headers, or the channel that it came on.

use crate::ingest::fault::{Fault, invalid};
use crate::ingest::message::check_size;
use amends_protocol::check_keys;
use serde_json::Value;
use std::cell::OnceCell;
use std::fmt;

/// An event as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign<'a> {
    /// Where it lies at its broker.
    pub(crate) place: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: &'a [(String, Vec<u8>)],
    pub(crate) body: &'a [u8],
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventPlace {
    /// In the body, by a JSON Pointer (RFC 6901); an empty one is the whole.
    Body(String),
    /// In the key of a message, likewise; an empty one is the whole, as text.
    Key(String),
    /// The header of this name.
    Header(String),
    /// The topic or the subject.
    Channel,
}

impl EventPlace {
    /// Reads a place; none if the text is written as none is.
    ///
    /// # Errors
    /// It is written as one, and wrong.
    pub(super) fn read(text: &str) -> Result<Option<Self>, String> {
        if text.starts_with('/') {
            return pointer(text).map(|text| Some(Self::Body(text)));
        }
        if let Some(name) = text.strip_prefix("header:") {
            return match name.is_empty() {
                true => Err("`header:` must be followed by the name of a header".to_owned()),
                false => Ok(Some(Self::Header(name.to_owned()))),
            };
        }
        if let Some(rest) = text.strip_prefix("key:") {
            return match rest.is_empty() || rest.starts_with('/') {
                true => pointer(rest).map(|text| Some(Self::Key(text))),
                false => Err(format!(
                    "`{text}` must be `key:` for the whole key, or `key:/field` for a part of a key in JSON"
                )),
            };
        }
        match text {
            "channel:" => Ok(Some(Self::Channel)),
            _ => Ok(None),
        }
    }

    /// Whether it can be read before the body is.
    pub(super) fn is_outside(&self) -> bool {
        !matches!(self, Self::Body(_))
    }
}

impl fmt::Display for EventPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(pointer) => f.write_str(pointer),
            Self::Key(pointer) => write!(f, "key:{pointer}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Channel => f.write_str("channel:"),
        }
    }
}

/// A pointer whose `~` all mean something.
fn pointer(text: &str) -> Result<String, String> {
    let mut parts = text.split('~').skip(1);
    match parts.all(|part| part.starts_with(['0', '1'])) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is no JSON Pointer: write `~` as `~0`, and a `/` in a name as `~1`"
        )),
    }
}

/// An event in which places are looked up; what is JSON is read once, when it is asked for first.
pub(super) struct Looked<'a> {
    event: Foreign<'a>,
    body: OnceCell<Result<Value, Fault>>,
    key: OnceCell<Value>,
}

impl<'a> Looked<'a> {
    pub(super) fn at(event: Foreign<'a>) -> Self {
        Self { event, body: OnceCell::new(), key: OnceCell::new() }
    }

    /// What stands there; none if nothing does, or `null`.
    ///
    /// # Errors
    /// The body can't be read at all.
    pub(super) fn value(&self, place: &EventPlace) -> Result<Option<Value>, Fault> {
        let found = match place {
            EventPlace::Body(pointer) => self.body()?.pointer(pointer).cloned(),
            EventPlace::Key(pointer) if pointer.is_empty() => self.event.key.and_then(text),
            EventPlace::Key(pointer) => self.key().pointer(pointer).cloned(),
            EventPlace::Header(name) => {
                let mut named =
                    self.event.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
                // Of several, Kafka's clients take the last.
                named.next_back().and_then(|(_, value)| text(value))
            }
            EventPlace::Channel => Some(Value::String(self.event.channel.to_owned())),
        };
        Ok(found.filter(|value| !value.is_null()))
    }

    fn body(&self) -> Result<&Value, Fault> {
        self.body.get_or_init(|| json(self.event.body)).as_ref().map_err(Clone::clone)
    }

    /// The key as JSON; one that is none has no parts.
    fn key(&self) -> &Value {
        self.key.get_or_init(|| {
            let key = self.event.key.unwrap_or_default();
            let is_plain = check_keys(key).is_ok();
            serde_json::from_slice(key).ok().filter(|_| is_plain).unwrap_or_default()
        })
    }
}

/// A body. An empty one (in Kafka: a key that was deleted) holds nothing.
fn json(body: &[u8]) -> Result<Value, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    check_size(body)?;
    if body.first() == Some(&0) {
        return Err(invalid(
            "the message is no JSON: it begins as Avro, Protobuf or JSON Schema of a schema registry do; let a connector \
             convert it to plain JSON",
        ));
    }
    check_keys(body).map_err(|error| invalid(format!("in the message, {error}")))?;
    serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the message is no JSON: {error}")))
}

/// A text of a header or a key. Some libraries write it as JSON, in quotes.
fn text(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let quoted = text.strip_prefix('"').and_then(|_| serde_json::from_str::<String>(text).ok());
    Some(Value::String(quoted.unwrap_or_else(|| text.to_owned())))
}
