//! Why something is not done, in a sentence: the one wording for a case's sentence, alerts and events.

use crate::{BreakerState, StuckReason};

/// Why a step of a service needs a person.
#[must_use]
pub fn stuck_sentence(service: &str, reason: StuckReason) -> String {
    match reason {
        StuckReason::Refused => format!("{service} refuses"),
        StuckReason::OutOfAttempts => format!("{service} out of attempts"),
        StuckReason::OutOfTime => format!("{service} out of time"),
        StuckReason::Rejected => format!("{service} says the request is invalid"),
        StuckReason::Unsendable => format!("the request to {service} cannot be built"),
        StuckReason::AwaitsApproval => format!("{service} waits for approval"),
    }
}

/// What has become of a service.
#[must_use]
pub fn breaker_sentence(service: &str, state: BreakerState) -> String {
    match state {
        BreakerState::Closed => format!("{service} answers again"),
        BreakerState::Open => format!("{service} is out of reach"),
        BreakerState::Probing => format!("{service} is asked once, to see whether it is back"),
        BreakerState::Rejecting => format!("{service} rejects whatever it is asked"),
    }
}

/// Whether the Histories of a service can be read.
#[must_use]
pub fn histories_sentence(service: &str, available: bool) -> String {
    match available {
        true => format!("Histories of {service} can be read again"),
        false => format!("no History of {service} can be read"),
    }
}

/// A sentence with what was said beside it.
#[must_use]
pub fn with_detail(sentence: String, detail: Option<&str>) -> String {
    match detail.filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{sentence}: {detail}"),
        None => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sentence_holds_a_word_for_machines() {
        let stuck = StuckReason::ALL.iter().map(|reason| stuck_sentence("payment", *reason));
        let breaker = BreakerState::ALL.iter().map(|state| breaker_sentence("payment", *state));
        let histories = [true, false].map(|available| histories_sentence("payment", available));
        for sentence in stuck.chain(breaker).chain(histories) {
            assert!(sentence.contains("payment") && !sentence.contains('_'), "{sentence}");
        }
        let refused = stuck_sentence("payment", StuckReason::Refused);
        assert_eq!(with_detail(refused, Some("closed")), "payment refuses: closed");
    }
}
