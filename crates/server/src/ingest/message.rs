//! Reads a report out of a message of a broker, by the CloudEvents bindings of Kafka and of NATS, both 1.0.2. Pure.

use super::envelope::{STRUCTURED, of_attributes, of_json_format};
use super::fault::{Fault, invalid};
use amends_api::ReportWay;
use amends_protocol::wire::cloudevents::{Mode, decode};
use amends_protocol::{BROKER_MESSAGE_LIMIT, ProblemCode, Report, headers};
#[cfg(any(feature = "kafka", feature = "nats"))]
use serde_json::Value;

/// Most bytes of a message.
pub(crate) const MESSAGE_LIMIT: usize = BROKER_MESSAGE_LIMIT;

/// How events stand in a broker's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Both modes; attributes are headers `ce_…` of plain UTF-8.
    Kafka,
    /// Structured mode, whatever the headers say. The binary form is read as well, with headers `ce-…` as over HTTP:
    /// the binding has none, and people send it.
    Nats,
}

impl Binding {
    /// What headers of attributes begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Kafka => "ce_",
            Self::Nats => "ce-",
        }
    }

    /// The way that it is of.
    pub(crate) const fn way(self) -> ReportWay {
        match self {
            Self::Kafka => ReportWay::Kafka,
            Self::Nats => ReportWay::Nats,
        }
    }
}

/// That a message is not larger than what is taken.
pub(super) fn check_size(body: &[u8]) -> Result<(), Fault> {
    if body.len() <= MESSAGE_LIMIT {
        return Ok(());
    }
    let detail = format!(
        "the message has {} bytes; at most {MESSAGE_LIMIT} are taken from a broker; send less `data`, or report over HTTP",
        body.len()
    );
    Err(Fault::new(ProblemCode::TooLarge, detail))
}

/// What a message says of itself.
#[cfg(any(feature = "kafka", feature = "nats"))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) source: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) subject: Option<String>,
}

/// A message as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) binding: Binding,
    /// In their order; a name may be there twice.
    pub(crate) headers: &'a [(String, Vec<u8>)],
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The report in it.
    ///
    /// # Errors
    /// What is wrong with it, and how to mend it.
    pub(crate) fn read(&self) -> Result<Report, Fault> {
        check_size(self.body)?;
        if self.body.is_empty() {
            return Err(invalid("the message is empty; a report has data with at least `code`"));
        }
        let kind = self.text("content-type")?.unwrap_or_default();
        let hop = self.text(headers::TRACEPARENT).ok().flatten().map(str::to_owned);
        match Mode::of(kind) {
            Mode::Batch => {
                Err(invalid("a message is one event; send each event as a message of its own"))
            }
            Mode::Structured => of_json_format(kind, self.body, hop),
            Mode::Binary if self.is_binary() => self.binary(kind, hop),
            Mode::Binary => of_json_format(STRUCTURED, self.body, hop),
        }
    }

    /// What it says of itself, as far as that can be read: for people, believed by nobody.
    #[cfg(any(feature = "kafka", feature = "nats"))]
    pub(crate) fn told(&self) -> Told {
        if self.is_binary() {
            let prefix = self.binding.prefix();
            let text = |name: &str| {
                self.text(&format!("{prefix}{name}")).ok().flatten().map(str::to_owned)
            };
            return Told { source: text("source"), id: text("id"), subject: text("subject") };
        }
        let event: Value = serde_json::from_slice(self.body).unwrap_or_default();
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        Told { source: text("source"), id: text("id"), subject: text("subject") }
    }

    /// Whether its attributes are headers.
    fn is_binary(&self) -> bool {
        match self.binding {
            // The mode is told by the content type alone; without one, by the headers that binary mode demands.
            Binding::Kafka => self.has("ce_specversion") || self.has("content-type"),
            Binding::Nats => self.has("ce-specversion"),
        }
    }

    fn binary(&self, kind: &str, hop: Option<String>) -> Result<Report, Fault> {
        let header = |name: &str| format!("{}{name}", self.binding.prefix());
        let attribute = |name: &str| {
            let text = self.text(&header(name))?;
            match self.binding {
                Binding::Kafka => Ok(text.map(str::to_owned)),
                Binding::Nats => text
                    .map(|text| decode(text.as_bytes()))
                    .transpose()
                    .map_err(|what| invalid(format!("the header `{}` {what}", header(name)))),
            }
        };
        let named = |name: &str| format!("the header `{}`", header(name));
        of_attributes(kind, &attribute, &named, self.body, hop)
    }

    /// A header, which may be there once.
    fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [value] => std::str::from_utf8(value)
                .map(|text| Some(text.trim()))
                .map_err(|_| invalid(format!("the header `{name}` is not UTF-8"))),
            _ => Err(invalid(format!("the header `{name}` is there twice; send it once"))),
        }
    }

    fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    fn all(&self, name: &str) -> Vec<&'a [u8]> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice()).collect()
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
