//! W3C Trace Context, level 1: reads a `traceparent`, makes the one of an attempt. Starts no span and records nothing.

use amends_protocol::{CaseId, StepId};
use std::fmt;

/// Bytes of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traceparent {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl Traceparent {
    /// Reads a header's value; none if it is invalid, which is never an error: the trace starts anew then. Of a higher
    /// version the part that version 00 knows is read.
    pub(crate) fn parse(text: &str) -> Option<Self> {
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

    /// The context of one attempt of a step: in the report's trace, or in a new one that all of the case share. Ids
    /// derive from the step and the attempt, so that a repeated run sends the same bytes.
    pub(crate) fn of_attempt(report: Option<&str>, step: StepId, attempt: u32) -> Self {
        let span = nonzero(mix(mix(step.tag ^ u64::from(step.ordinal))
            ^ mix(step.case.0)
            ^ u64::from(attempt)));
        Self { span, ..Self::of_case(report, step.case) }
    }

    /// The context of what a case does with a report, told apart by `what`.
    pub(crate) fn of_report(report: Option<&str>, case: CaseId, what: &str) -> Self {
        let span = what.bytes().fold(mix(case.0), |sum, byte| mix(sum ^ u64::from(byte)));
        Self { span: nonzero(span), ..Self::of_case(report, case) }
    }

    fn of_case(report: Option<&str>, case: CaseId) -> Self {
        report.and_then(Self::parse).unwrap_or_else(|| {
            let high = u128::from(nonzero(mix(case.0.wrapping_add(0xa3e0_d5aa))));
            let low = u128::from(mix(case.0));
            Self { trace: high << 64 | low, span: nonzero(mix(case.0)), sampled: false }
        })
    }

    /// 32 lower-case hex digits.
    pub(crate) fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// 16 lower-case hex digits.
    pub(crate) fn span_id(self) -> String {
        format!("{:016x}", self.span)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads every bit of the input over the output.
fn mix(mut n: u64) -> u64 {
    n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// All-zero ids are invalid.
fn nonzero(n: u64) -> u64 {
    n.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn step() -> StepId {
        StepId { case: CaseId(17), ordinal: 3, tag: 0x9f86_d081_884c_7d65 }
    }

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

    #[test]
    fn each_attempt_is_its_own_span_of_the_reports_trace() {
        let first = Traceparent::of_attempt(Some(PARENT), step(), 1).to_string();
        let second = Traceparent::of_attempt(Some(PARENT), step(), 2).to_string();
        assert_eq!(first[..36], PARENT[..36]);
        assert_ne!(first[36..52], second[36..52]);
        assert!(first.ends_with("-01"), "the parent's sampling goes on: {first}");
        assert_eq!(first, Traceparent::of_attempt(Some(PARENT), step(), 1).to_string());
    }

    #[test]
    fn without_a_valid_parent_the_attempts_of_a_case_share_a_new_trace() {
        let first = Traceparent::of_attempt(Some("junk"), step(), 1).to_string();
        let other = Traceparent::of_attempt(None, StepId { ordinal: 4, ..step() }, 1).to_string();
        assert!(Traceparent::parse(&first).is_some());
        assert_eq!(first[..36], other[..36]);
        assert_ne!(first, other);
    }
}
