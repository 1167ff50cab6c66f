//! CloudEvents 1.0 over HTTP: how an event is packed, and how its attributes stand in headers.

use super::percent;

/// How events are packed, told by `Content-Type` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The body is the data, attributes are headers.
    Binary,
    /// The body is the whole event.
    Structured,
    /// The body is a list of whole events.
    Batch,
}

impl Mode {
    /// The batch prefix begins with the structured one, so it is tested first; case does not matter.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        let begins = |prefix: &str| {
            content_type
                .as_bytes()
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        if begins("application/cloudevents-batch") {
            Self::Batch
        } else if begins("application/cloudevents") {
            Self::Structured
        } else {
            Self::Binary
        }
    }
}

/// Reads the value of a `ce-` header: double-quoted strings are undone, then exactly one round of percent-decoding.
///
/// # Errors
/// Says what is wrong with the text.
pub fn decode(raw: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(raw).ok().filter(|t| t.is_ascii());
    let text = text.ok_or("holds a byte outside ASCII; encode it as `%XX` of UTF-8")?;
    let unquoted = if text.contains('"') { unquote(text)? } else { text.to_owned() };
    percent::decode(&unquoted)
        .ok_or_else(|| format!("`{unquoted}` is not UTF-8 once percent-decoded"))
}

/// RFC 9110 section 5.6.4: what stands between quotes counts without them, and a backslash takes the next character.
fn unquote(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => plain.push(chars.next().ok_or("ends within a quoted string")?),
            _ => plain.push(c),
        }
    }
    if quoted {
        Err("ends within a quoted string; close it, or encode `\"` as `%22`".to_owned())
    } else {
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn values_are_unquoted_then_decoded_once() {
        for (raw, wanted) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("lower%e2%82%ac", "lower€"),
            ("\"two words\"", "two words"),
            ("\"a \\\"b\\\" \\\\c\"", "a \"b\" \\c"),
            ("a\"b c\"d", "ab cd"),
            ("\"%20\"", " "),
            ("%2520", "%20"),
            ("100%", "100%"),
            ("%zz", "%zz"),
        ] {
            assert_eq!(decode(raw.as_bytes()).as_deref(), Ok(wanted), "{raw}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for raw in ["%C0%A0", "%FF", "%E2%82", "\"open", "\"open\\"] {
            assert!(decode(raw.as_bytes()).is_err(), "{raw} must be refused");
        }
        assert!(decode("naïve".as_bytes()).is_err());
        assert!(decode(&[0xff]).is_err());
    }
}
