//! Percent-encoding, RFC 3986.

use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode,
};
use std::fmt;

/// All but the unreserved characters.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, but for the slashes between the parts of a path.
const PATH: &AsciiSet = &PART.remove(b'/');
/// What must be encoded in one segment of a path (RFC 3986 `pchar`, without sub-delimiters that servers read specially).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b';')
    .add(b'+')
    .add(b'&')
    .add(b'=')
    .add(b',');
/// What CloudEvents asks to encode in a header's value.
const ATTRIBUTE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// One part of an address or a value within a header: everything but unreserved characters is encoded, so that it stays
/// within its place.
#[must_use]
pub fn part(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, PART)
}

/// The same, and unreserved marks too: only letters and digits stay.
#[must_use]
pub fn strict(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// One segment of a path; what may stand there stays as it is.
#[must_use]
pub fn segment(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, SEGMENT)
}

/// A path whose slashes stay.
#[must_use]
pub fn path(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, PATH)
}

/// The value of a CloudEvents attribute in a header.
#[must_use]
pub fn attribute(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ATTRIBUTE)
}

/// Undoes one round; none if the bytes are not UTF-8 then. A `%` that begins no pair of hex digits stays as it is.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_keeps_what_it_can_hold() {
        let text = "a b/é%\"~";
        assert_eq!(part(text).to_string(), "a%20b%2F%C3%A9%25%22~");
        assert_eq!(strict("order-1").to_string(), "order%2D1");
        assert_eq!(segment("order:1/é~").to_string(), "order:1%2F%C3%A9~");
        assert_eq!(path(text).to_string(), "a%20b/%C3%A9%25%22~");
        assert_eq!(attribute(text).to_string(), "a%20b/%C3%A9%25%22~");
        assert_eq!(attribute("order/1?a=b,c").to_string(), "order/1?a=b,c");
        for encoded in [part(text).to_string(), path(text).to_string(), attribute(text).to_string()]
        {
            assert_eq!(decode(&encoded).as_deref(), Some(text));
        }
        assert_eq!(decode("%C0%A0"), None);
    }
}
