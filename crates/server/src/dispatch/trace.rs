//! The trace of what the supervisor sends: in the report's trace, or in a new one that all of the case share. Starts no
//! span and records nothing.

use amends_protocol::wire::Traceparent;
use amends_protocol::{CaseId, StepId};

/// The context of one attempt of a step. Ids derive from the step and the attempt, so that a repeated run sends the
/// same bytes.
pub(crate) fn of_attempt(report: Option<&str>, step: StepId, attempt: u32) -> Traceparent {
    let span = nonzero(mix(mix(step.tag ^ u64::from(step.ordinal))
        ^ mix(step.case.0)
        ^ u64::from(attempt)));
    Traceparent { span, ..of_case(report, step.case) }
}

/// The context of what a case does with a report, told apart by `what`.
pub(crate) fn of_report(report: Option<&str>, case: CaseId, what: &str) -> Traceparent {
    let span = what.bytes().fold(mix(case.0), |sum, byte| mix(sum ^ u64::from(byte)));
    Traceparent { span: nonzero(span), ..of_case(report, case) }
}

/// The trace that everything belongs to that a case does with a report, as it stands in headers.
pub(crate) fn trace_id(report: Option<&str>, case: CaseId) -> String {
    format!("{:032x}", of_case(report, case).trace)
}

fn of_case(report: Option<&str>, case: CaseId) -> Traceparent {
    report.and_then(Traceparent::parse).unwrap_or_else(|| {
        let high = u128::from(nonzero(mix(case.0.wrapping_add(0xa3e0_d5aa))));
        let low = u128::from(mix(case.0));
        Traceparent { trace: high << 64 | low, span: nonzero(mix(case.0)), sampled: false }
    })
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
        StepId { case: CaseId(17), ordinal: 3, tag: 0x9f86_d081_884c_7d65, part: None }
    }

    #[test]
    fn each_attempt_is_its_own_span_of_the_reports_trace() {
        let first = of_attempt(Some(PARENT), step(), 1).to_string();
        let second = of_attempt(Some(PARENT), step(), 2).to_string();
        assert_eq!(first[..36], PARENT[..36]);
        assert_ne!(first[36..52], second[36..52]);
        assert!(first.ends_with("-01"), "the parent's sampling goes on: {first}");
        assert_eq!(first, of_attempt(Some(PARENT), step(), 1).to_string());
    }

    #[test]
    fn without_a_valid_parent_the_attempts_of_a_case_share_a_new_trace() {
        let first = of_attempt(Some("junk"), step(), 1).to_string();
        let other = of_attempt(None, StepId { ordinal: 4, ..step() }, 1).to_string();
        assert!(Traceparent::parse(&first).is_some());
        assert_eq!(first[..36], other[..36]);
        assert_ne!(first, other);
    }
}
