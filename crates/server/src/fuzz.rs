//! Readers of what comes from outside, for those who throw made-up input at them (`crates/fuzz`). Only with the feature
//! `fuzz`: the product has none of it.

use crate::access::{Shown, shown};
pub use crate::dispatch::fuzz::{MESSAGE_LIMIT, Said, history_answer, step_answer};
pub use crate::identity::fuzz as identity;
use crate::ingest::envelope;
use crate::ingest::{Binding, Channels, Message, Tried, TriedMessage, read_bridges};
use amends_api::ReportWay;
use amends_protocol::Report;
use http::HeaderMap;
use std::sync::LazyLock;

/// A report in binary mode.
///
/// # Errors
/// Says what is wrong with it.
pub fn report_binary(headers: &HeaderMap, body: &[u8]) -> Result<Report, String> {
    envelope::read_binary(headers, body).map_err(|fault| fault.detail)
}

/// A report in structured mode.
///
/// # Errors
/// Says what is wrong with it.
pub fn report_structured(headers: &HeaderMap, body: &[u8]) -> Result<Report, String> {
    envelope::read_structured(headers, body).map_err(|fault| fault.detail)
}

/// Reports in one batch, each with what is wrong with it.
///
/// # Errors
/// Says what is wrong with the batch.
pub fn report_batch(
    headers: &HeaderMap,
    body: &[u8],
    limit: usize,
) -> Result<Vec<Result<Report, String>>, String> {
    let events = envelope::read_batch(headers, body, limit).map_err(|fault| fault.detail)?;
    Ok(events.into_iter().map(|one| one.map_err(|fault| fault.detail)).collect())
}

/// A report in a message of a broker, as Kafka's binding has it or as that of NATS.
///
/// # Errors
/// Says what is wrong with it.
pub fn report_message(
    is_kafka: bool,
    headers: &[(String, Vec<u8>)],
    body: &[u8],
) -> Result<Report, String> {
    let binding = if is_kafka { Binding::Kafka } else { Binding::Nats };
    Message { binding, headers, body }.read().map_err(|fault| fault.detail)
}

/// A bridge that looks everywhere.
const BRIDGE: &str = r#"
topics = ["events"]
services = ["payment", "order"]
when = { "/status" = ["FAILED", 13, true], "header:type" = "failure" }
saga = "/order/id"
source = "key:/service"
id = "/events/0/id"
code = { at = "/error/code", values = { CARD_DECLINED = "card-declined" }, otherwise = "failed" }
action = "/action"
entry = "header:entry"
request_id = "/payment~1id"
time = "/at"
message = "/error"
[data]
whole = "channel:"
amount = "/amount"
card.token = "/card"
"#;

/// What a bridge makes of an event; none if it tells of no failure. A header `key` is the key of its message.
///
/// # Errors
/// Says what is wrong with it.
pub fn report_bridged(
    headers: &[(String, Vec<u8>)],
    body: &[u8],
) -> Result<Option<Report>, String> {
    static CHANNELS: LazyLock<Channels> = LazyLock::new(|| {
        let table = BRIDGE.parse();
        let (bridges, wrong) = read_bridges(vec![("fuzz".to_owned(), Ok(table.expect("TOML")))]);
        assert!(wrong.is_empty(), "{wrong:?}");
        Channels { bridges, ..Channels::default() }
    });
    let key = headers.iter().find(|(name, _)| name == "key").map(|(_, key)| key.clone());
    let (channel, headers, body) = ("events".to_owned(), headers.to_vec(), body.to_vec());
    match CHANNELS.try_message(ReportWay::Kafka, &TriedMessage { channel, key, headers, body }) {
        Tried::Report { report, .. } => Ok(Some(*report)),
        Tried::Skipped(_) => Ok(None),
        Tried::Rejected(_, why) => Err(why),
    }
}

/// What the headers of a request show, without and with TLS: a token, or the value of a session's cookie; none if they
/// show nothing.
///
/// # Errors
/// Says what is wrong with it.
pub fn credential(headers: &HeaderMap, secure: bool) -> Result<Option<&str>, String> {
    match shown(headers, secure) {
        Ok(Shown::Token(text) | Shown::Session(text)) => Ok(Some(text)),
        Ok(Shown::Nothing) => Ok(None),
        Err(problem) => Err(problem.detail.unwrap_or_default()),
    }
}
