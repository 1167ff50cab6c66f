//! The part of a message that many cases share: without ids, so that one trouble makes one group. It is for grouping
//! and reading; nothing is decided by it.

use std::borrow::Cow;
use std::sync::Arc;

/// Longest fingerprint, in bytes: a line.
const FINGERPRINT_LIMIT: usize = 160;
/// Digits from which a plain number is taken for an id; ports, statuses and most durations have fewer.
const ID_DIGITS: usize = 6;
/// Stands for what was left out.
const GAP: char = '…';

/// A message without the saga's id, if one is given, and without words that look like ids.
pub(crate) fn message_fingerprint(message: &str, saga: &str) -> Arc<str> {
    let message = match !saga.is_empty() && message.contains(saga) {
        true => Cow::Owned(message.replace(saga, "…")),
        false => Cow::Borrowed(message),
    };
    let mut out = String::with_capacity(message.len().min(FINGERPRINT_LIMIT));
    let mut rest = &*message;
    while !rest.is_empty() && out.len() < FINGERPRINT_LIMIT {
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if looks_like_an_id(word) {
            out.push(GAP);
        } else {
            out.push_str(word);
        }
        let mut others = after.chars();
        out.extend(others.next());
        rest = others.as_str();
    }
    let mut end = out.len().min(FINGERPRINT_LIMIT);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out[..end].trim().into()
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

fn looks_like_an_id(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    digits >= ID_DIGITS || (digits > 0 && digits < word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_left_out_and_what_tells_the_trouble_stays() {
        for (message, expected) in [
            ("connection refused: 127.0.0.1:7103", "connection refused: 127.0.0.1:7103"),
            ("HTTP 503: try later", "HTTP 503: try later"),
            ("no answer within 10000 ms", "no answer within 10000 ms"),
            ("order o-17 is unknown", "order … is unknown"),
            ("no booking 0190f4a2-77aa-7c3e-b8f2-6d1f0a3b9c5d", "no booking …"),
            ("account 12345678 is closed", "account … is closed"),
            ("saga-of-kim failed", "… failed"),
            ("", ""),
        ] {
            assert_eq!(&*message_fingerprint(message, "saga-of-kim"), expected, "{message}");
        }
        assert!(message_fingerprint(&"é".repeat(1_000), "x").len() <= FINGERPRINT_LIMIT);
    }
}
