//! What a message of a broker is: a report in our own form, or what a bridge makes of an event in another. Pure.

use super::bridge::{Bridged, Foreign, bridges_of};
use super::channels::Channels;
use super::fault::Fault;
#[cfg(any(feature = "kafka", feature = "nats"))]
use super::message::Told;
use super::message::{Binding, Message};
use super::trust::speaks_there;
use amends_api::ReportWay;
use amends_protocol::{ProblemCode, Report};

/// The header that holds a message's key while it lies among the rejected ones. No header of a broker begins so.
const KEY: &str = ":key";

/// Headers in their order; a name may be there twice.
type Headers = Vec<(String, Vec<u8>)>;

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Report {
        report: Box<Report>,
        /// The bridge that made it, and what of the event it left out.
        by: Option<(String, Vec<String>)>,
    },
    /// An event that tells of no failure: why.
    Skipped(String),
}

/// Reads a message by whatever reads its channel.
///
/// # Errors
/// No report can be made of it, or its service may not report there: why, and what to mend.
pub(crate) fn hear(
    binding: Binding,
    event: Foreign<'_>,
    channels: &Channels,
) -> Result<Heard, Fault> {
    let way = binding.way();
    let bridges = bridges_of(&channels.bridges, way, event.channel);
    let mut skipped = None;
    for bridge in &bridges {
        match bridge.read(way, event)? {
            Bridged::Report { report, left_out } => {
                return Ok(Heard::Report { report, by: Some((bridge.name.clone(), left_out)) });
            }
            Bridged::Skipped(why) => skipped = Some(why),
        }
    }
    if let Some(why) = skipped {
        return Ok(Heard::Skipped(why));
    }
    let report = Message { binding, headers: event.headers, body: event.body }.read()?;
    speaks_there(channels.of(way), event.channel, report.service())?;
    Ok(Heard::Report { report: Box::new(report), by: None })
}

/// What a message says of itself, as far as that can be read: for people, believed by nobody.
#[cfg(any(feature = "kafka", feature = "nats"))]
pub(super) fn told(binding: Binding, event: Foreign<'_>, channels: &Channels) -> Told {
    let bridges = bridges_of(&channels.bridges, binding.way(), event.channel);
    if bridges.is_empty() {
        return Message { binding, headers: event.headers, body: event.body }.told();
    }
    let saga = bridges.iter().find_map(|bridge| bridge.saga_of(event));
    Told { subject: saga, ..Told::default() }
}

/// Headers as they lie among the rejected messages: with the key, if there is one.
#[cfg(any(feature = "kafka", feature = "nats", test))]
pub(super) fn with_key(headers: &[(String, Vec<u8>)], key: Option<&[u8]>) -> Headers {
    let key = key.map(|key| (KEY.to_owned(), key.to_vec()));
    // First: of too many headers, the last are left out.
    key.into_iter().chain(headers.iter().cloned()).collect()
}

/// Headers and key of a rejected message.
pub(super) fn without_key(mut headers: Headers) -> (Headers, Option<Vec<u8>>) {
    match headers.first().is_some_and(|(name, _)| name == KEY) {
        true => {
            let (_, key) = headers.remove(0);
            (headers, Some(key))
        }
        false => (headers, None),
    }
}

/// A message that somebody wants to try.
#[derive(Clone, Debug, Default)]
pub struct TriedMessage {
    /// The topic or the subject.
    pub channel: String,
    /// Its key, of Kafka.
    pub key: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What would become of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Tried {
    /// It is a report.
    Report {
        /// What would be taken.
        report: Box<Report>,
        /// The bridge that makes it of another event, if one does.
        bridge: Option<String>,
        /// What of the event is missing or can't be used, in sentences.
        left_out: Vec<String>,
    },
    /// It is acknowledged and nothing else: why.
    Skipped(String),
    /// It would be put aside for people: the code, and what is wrong with it.
    Rejected(ProblemCode, String),
}

impl Channels {
    /// What would become of a message that comes on this way. How old it is counts for nothing.
    #[must_use]
    pub fn try_message(&self, way: ReportWay, message: &TriedMessage) -> Tried {
        let binding = match way {
            ReportWay::Kafka => Binding::Kafka,
            ReportWay::Nats => Binding::Nats,
        };
        let TriedMessage { channel, key, headers, body } = message;
        let (place, key) = (format!("{way}/{channel}/0/0"), key.as_deref());
        let event = Foreign { place: &place, channel, key, headers, body };
        match hear(binding, event, self) {
            Ok(Heard::Report { report, by }) => {
                let (bridge, left_out) =
                    by.map_or((None, Vec::new()), |(name, left_out)| (Some(name), left_out));
                Tried::Report { report, bridge, left_out }
            }
            Ok(Heard::Skipped(why)) => Tried::Skipped(why),
            Err(fault) => Tried::Rejected(fault.code, fault.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_with_the_headers_and_comes_back() {
        let headers = vec![("a".to_owned(), b"b".to_vec())];
        assert_eq!(without_key(with_key(&headers, None)), (headers.clone(), None));
        let key = Some(b"order-17".as_slice());
        assert_eq!(without_key(with_key(&headers, key)), (headers, key.map(<[u8]>::to_vec)));
    }
}
