//! The numbers that stand for words in the tables. A number is never given to another word: stored rows keep it for
//! ever.

use amends_api::{CaseState, ClosedOn, StepStateName, StuckReason};
use amends_engine::{ReportRole, SagaState};
use amends_protocol::{Outcome, Verb};

/// A word that is stored as a number.
pub(crate) trait Coded: Copy + 'static {
    /// What it is, for messages.
    const WHAT: &'static str;
    /// Its number.
    fn code(self) -> i64;
    /// The word with this number.
    fn from_code(code: i64) -> Option<Self>;
}

macro_rules! codes {
    ($($name:ident, $what:literal { $($variant:ident = $code:literal),+ $(,)? })+) => {$(
        impl Coded for $name {
            const WHAT: &'static str = $what;

            fn code(self) -> i64 {
                match self { $(Self::$variant => $code),+ }
            }

            fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    )+};
}

codes! {
    Verb, "verb" { Compensate = 0, Retry = 1, Notify = 2 }
    CaseState, "case state" { Open = 0, Stuck = 1, Unmatched = 2, Settled = 3 }
    ClosedOn, "closing evidence" { Proven = 0, Quiet = 1, Forward = 2, ByPerson = 3 }
    StepStateName, "step state" {
        Waiting = 0, Due = 1, InFlight = 2, Accepted = 3, Done = 4, Stuck = 5, Superseded = 6, Shadow = 7,
    }
    Outcome, "outcome" {
        Compensated = 0, AlreadyCompensated = 1, NothingToCompensate = 2, Retried = 3, Notified = 4, Refused = 5,
        Waived = 6, NotFenceable = 7,
    }
    StuckReason, "reason of being stuck" {
        Refused = 0, OutOfAttempts = 1, OutOfTime = 2, Rejected = 3, Unsendable = 4, AwaitsApproval = 5,
    }
    SagaState, "saga state" { Begun = 0, Ended = 1, Overdue = 2 }
}

/// Tells a role as two numbers.
pub(crate) fn role_code(role: ReportRole) -> (i64, Option<i64>) {
    match role {
        ReportRole::Rule(rule) => (0, Some(i64::from(rule))),
        ReportRole::Derived => (1, None),
        ReportRole::AwaitsRoot(until) => (2, Some(until)),
        ReportRole::Unmatched => (3, None),
        ReportRole::RuleHeld(rule) => (4, Some(i64::from(rule))),
        ReportRole::ByHand => (5, None),
        ReportRole::Excess => (6, None),
    }
}

/// The role that two numbers tell.
pub(crate) fn role_from(code: i64, arg: Option<i64>) -> Option<ReportRole> {
    match (code, arg) {
        (0, Some(rule)) => u32::try_from(rule).ok().map(ReportRole::Rule),
        (1, _) => Some(ReportRole::Derived),
        (2, Some(until)) => Some(ReportRole::AwaitsRoot(until)),
        (3, _) => Some(ReportRole::Unmatched),
        (4, Some(rule)) => u32::try_from(rule).ok().map(ReportRole::RuleHeld),
        (5, _) => Some(ReportRole::ByHand),
        (6, _) => Some(ReportRole::Excess),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_come_back<T: Coded + PartialEq + std::fmt::Debug>(words: &[T]) {
        for &word in words {
            assert_eq!(T::from_code(word.code()), Some(word), "{}", T::WHAT);
        }
        assert_eq!(T::from_code(words.len() as i64), None, "{}", T::WHAT);
    }

    #[test]
    fn every_word_has_its_own_number() {
        all_come_back(Verb::ALL);
        all_come_back(CaseState::ALL);
        all_come_back(ClosedOn::ALL);
        all_come_back(StepStateName::ALL);
        all_come_back(Outcome::ALL);
        all_come_back(StuckReason::ALL);
        all_come_back(&[SagaState::Begun, SagaState::Ended, SagaState::Overdue]);
    }
}
