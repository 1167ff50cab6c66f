//! W3C Trace Context, level 1: reads and writes a `traceparent`. Starts no trace of its own.

use std::fmt;

/// Bytes of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// A valid `traceparent`. Neither id is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace: u128,
    /// The span within it.
    pub span: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl Traceparent {
    /// Reads a header's value; none if it is invalid, which is never an error: the trace starts anew then. Of a higher
    /// version the part that version 00 knows is read.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let known = text.get(..LENGTH)?;
        let (version, rest) = known.split_once('-')?;
        let mut parts = rest.split('-');
        let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let shape = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !shape || parts.next().is_some() || ![version, trace, span, flags].into_iter().all(hex) {
            return None;
        }
        let longer = &text[LENGTH..];
        if version == "ff"
            || (version == "00" && !longer.is_empty())
            || !(longer.is_empty() || longer.starts_with('-'))
        {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok()?;
        let span = u64::from_str_radix(span, 16).ok()?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// 16 lower-case hex digits.
    #[must_use]
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::Traceparent;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_context_survives_read_and_print() {
        assert_eq!(Traceparent::parse(PARENT).expect("valid").to_string(), PARENT);
    }

    #[test]
    fn unknown_flags_are_masked_and_a_higher_version_is_sent_on_as_00() {
        let read = |text: &str| Traceparent::parse(text).map(|t| t.to_string());
        assert_eq!(read(&PARENT.replace("-01", "-ff")).as_deref(), Some(PARENT));
        assert_eq!(read(&format!("cc{}-what-comes", &PARENT[2..])).as_deref(), Some(PARENT));
    }

    #[test]
    fn an_invalid_context_is_none() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let cases = [
            "",
            "00",
            &PARENT[..54],
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &format!("{PARENT}-more"),
            &format!("cc{}x", &PARENT[2..]),
            &PARENT.replace("4bf9", "4bg9"),
            &PARENT.replace("4bf9", "é92"),
            &PARENT.replace("4bf9", "+bf9"),
            &zero_trace,
            &zero_span,
        ];
        for text in cases {
            assert_eq!(Traceparent::parse(text), None, "{text:?} must not be read");
        }
    }
}
