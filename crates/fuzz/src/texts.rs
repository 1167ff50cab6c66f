//! Short texts: what stands in headers, cursors and keys, and what people are shown.

use crate::message::split;
use amends_api::access::Grant;
use amends_api::plain::{on_one_line, steers};
use amends_protocol::wire::signature::{Signed, SigningKey, TOLERANCE_SECONDS, key_bytes, verify};
use amends_protocol::wire::{Traceparent, baggage, cloudevents, percent};
use std::str::from_utf8;

/// The supervisor's clock in these tests.
const NOW: i64 = 1_767_225_600;

/// Three lines are the three headers, what follows the body. Nobody without a key signs, and whoever has it signs these
/// bytes and no others.
pub fn signature(data: &[u8]) {
    let (id, rest) = split(data, b"\n");
    let (timestamp, rest) = split(rest, b"\n");
    let (signatures, body) = split(rest, b"\n");
    let (Ok(id), Ok(timestamp), Ok(signatures)) =
        (from_utf8(id), from_utf8(timestamp), from_utf8(signatures))
    else {
        return;
    };
    let key = [SigningKey::of_bytes(b"a key that nobody else has")];
    let by_others = Signed { id, timestamp, signatures };
    assert!(verify(&key, by_others, body, NOW).is_err(), "a made-up signature is believed");
    let Ok(seconds) = timestamp.parse::<i64>() else { return };
    // A number that is written otherwise is another text to sign.
    if seconds.to_string() != timestamp {
        return;
    }
    let signed = key[0].sign(id, seconds, body);
    let ours = Signed { id, timestamp, signatures: &signed };
    let is_late = seconds.abs_diff(NOW) > TOLERANCE_SECONDS.unsigned_abs();
    let refused = is_late || id.contains('.');
    assert_eq!(verify(&key, ours, body, NOW).is_err(), refused, "{id} {timestamp}");
    let longer = [body, b"x"].concat();
    assert!(verify(&key, ours, &longer, NOW).is_err(), "one signature is for two bodies");
}

pub fn signing_key(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    match key_bytes(text) {
        Ok(bytes) => assert!((24..=64).contains(&bytes.len())),
        // It goes to logs and screens.
        Err(why) => {
            let secret = text.trim();
            assert!(secret.len() < 24 || !why.contains(secret), "the mistake tells the key");
        }
    }
}

/// A cursor that is taken names one place, and is written again as that place.
pub fn cursor(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    if let Some(again) = amends_store::fuzz::cursor(text) {
        assert_eq!(amends_store::fuzz::cursor(&again).as_deref(), Some(again.as_str()));
    }
}

/// What somebody is allowed: as it is written it is read again, and it allows the same.
pub fn grant(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    if let Ok(grant) = text.parse::<Grant>() {
        assert_eq!(grant.to_string().parse::<Grant>().as_ref(), Ok(&grant), "{text}");
        assert!(!text.contains(char::is_whitespace), "`{text}` is a grant");
    }
}

pub fn baggage(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    let told = (baggage::key(text), baggage::value(text));
    let written = baggage::member("saga-id", text);
    assert_eq!(baggage::key(&written), "saga-id");
    assert_eq!(baggage::value(&written).as_deref(), Some(text), "{told:?}");
    assert!(!written.contains([',', ';', ' ', '\r', '\n']), "{written}");
}

pub fn traceparent(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    if let Some(parent) = Traceparent::parse(text) {
        assert_eq!(Traceparent::parse(&parent.to_string()), Some(parent));
    }
}

/// The value of a `ce-` header: read, written and read it is the same.
pub fn attribute(data: &[u8]) {
    if let Ok(text) = cloudevents::decode(data) {
        let written = percent::attribute(&text).to_string();
        assert_eq!(cloudevents::decode(written.as_bytes()).as_deref(), Ok(text.as_str()));
    }
}

/// Whatever a text holds, on one line of a terminal it steers nothing.
pub fn shown(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let line = on_one_line(&text);
    assert!(!line.contains(steers), "{line:?}");
    assert_eq!(on_one_line(&line), line, "a second time changes it");
}
