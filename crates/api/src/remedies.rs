//! What a person can do about each state: the acts that can help, the one that helps most often first. With `signs.rs`
//! every state has a word, a shape, a colour and an act, and all views take them from here. Whether an act is possible
//! now is the engine's table; this one says which of the possible ones to offer first.

use crate::{
    BulkActName, BulkState, CaseState, Cause, QuestionEffect, QuestionKind, ServiceHealth,
    StepActName, StepStateName, StuckReason,
};
use amends_protocol::{Outcome, words};

words! {
    /// Something that a person can do about a state.
    Remedy, "remedy" {
        /// Approve what waits for it.
        Approve = "approve",
        /// Try it again now.
        Retry = "retry",
        /// Replace the data of its request.
        Edit = "edit",
        /// Go without it.
        Waive = "waive",
        /// Write down an outcome that was reached outside.
        Record = "record",
        /// Answer its questions.
        Answer = "answer",
        /// Answer its reports anew with the active rulebook.
        Replan = "replan",
        /// Add steps by hand.
        Plan = "plan",
        /// Let the service be asked again.
        Resume = "resume",
        /// Let what a rule asks for be sent again.
        Release = "release",
        /// Start what was stopped, or not begun.
        Start = "start",
        /// Stop what is going on.
        Stop = "stop",
        /// Repair what is stored of it.
        Repair = "repair",
        /// Settle it without what can't be repaired.
        Discard = "discard",
    }
}

impl Remedy {
    /// The act on a step that it is; none if it is about something else.
    #[must_use]
    pub const fn on_step(self) -> Option<StepActName> {
        Some(match self {
            Self::Approve => StepActName::Approve,
            Self::Retry => StepActName::Retry,
            Self::Edit => StepActName::Edit,
            Self::Waive => StepActName::Waive,
            Self::Record => StepActName::Record,
            Self::Answer
            | Self::Replan
            | Self::Plan
            | Self::Resume
            | Self::Release
            | Self::Start
            | Self::Stop
            | Self::Repair
            | Self::Discard => return None,
        })
    }

    /// The bulk act that it is on many; none if it is done one by one.
    #[must_use]
    pub const fn on_many(self) -> Option<BulkActName> {
        Some(match self {
            Self::Approve => BulkActName::Approve,
            Self::Retry => BulkActName::Retry,
            Self::Waive => BulkActName::Waive,
            Self::Replan => BulkActName::Replan,
            Self::Edit
            | Self::Record
            | Self::Answer
            | Self::Plan
            | Self::Resume
            | Self::Release
            | Self::Start
            | Self::Stop
            | Self::Repair
            | Self::Discard => return None,
        })
    }
}

/// Something of a closed list that people can do something about, or that goes on by itself.
pub trait Remedied: Copy {
    /// What can help, the most likely first; empty where nobody is needed and no act would change anything.
    fn remedies(self) -> &'static [Remedy];
}

/// Of a case that can't be worked on.
pub const OF_QUARANTINED: &[Remedy] = &[Remedy::Repair, Remedy::Discard];

impl Remedied for CaseState {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Open | Self::Settled => &[],
            // Its steps and questions say which.
            Self::Stuck => &[Remedy::Retry, Remedy::Waive, Remedy::Record, Remedy::Answer],
            Self::Unmatched => &[Remedy::Replan, Remedy::Plan],
        }
    }
}

impl Remedied for StepStateName {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Due => &[Remedy::Retry],
            // Its reason says which.
            Self::Stuck => &[Remedy::Retry, Remedy::Waive, Remedy::Record],
            // Somebody may mean it in earnest.
            Self::Shadow => &[Remedy::Retry],
            Self::Waiting | Self::InFlight | Self::Accepted | Self::Done | Self::Superseded => &[],
        }
    }
}

impl Remedied for Outcome {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Refused => StuckReason::Refused.remedies(),
            // It can be taken back.
            Self::Waived => &[Remedy::Retry, Remedy::Record],
            Self::Compensated
            | Self::AlreadyCompensated
            | Self::NothingToCompensate
            | Self::Retried
            | Self::Notified
            | Self::NotFenceable => &[],
        }
    }
}

impl Remedied for StuckReason {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            // Asked again, it refuses again, unless something has changed there.
            Self::Refused => &[Remedy::Waive, Remedy::Record, Remedy::Retry],
            Self::OutOfAttempts | Self::OutOfTime => {
                &[Remedy::Retry, Remedy::Waive, Remedy::Record]
            }
            Self::Rejected | Self::Unsendable => {
                &[Remedy::Edit, Remedy::Retry, Remedy::Waive, Remedy::Record]
            }
            Self::AwaitsApproval => &[Remedy::Approve, Remedy::Waive],
        }
    }
}

impl Remedied for Cause {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Unreachable | Self::NoAnswer | Self::Status | Self::Busy => {
                &[Remedy::Retry, Remedy::Waive]
            }
            Self::Refused => StuckReason::Refused.remedies(),
            Self::Rejected => StuckReason::Rejected.remedies(),
            Self::Unsendable => StuckReason::Unsendable.remedies(),
            Self::Approval => StuckReason::AwaitsApproval.remedies(),
            Self::Unmatched => CaseState::Unmatched.remedies(),
            Self::Question => &[Remedy::Answer],
            Self::Paused => &[Remedy::Resume],
            Self::Held => &[Remedy::Release],
            // One a second is tried, and at the first other answer all go.
            Self::Rejecting => &[Remedy::Waive],
            Self::History
            | Self::Accepted
            | Self::Callers
            | Self::Stage
            | Self::Queued
            | Self::Asked => &[],
        }
    }
}

impl Remedied for QuestionKind {
    fn remedies(self) -> &'static [Remedy] {
        &[Remedy::Answer]
    }
}

impl Remedied for QuestionEffect {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Hold => &[Remedy::Answer],
            Self::Note => &[],
        }
    }
}

impl Remedied for ServiceHealth {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Paused => &[Remedy::Resume],
            Self::Failing | Self::Probing | Self::OutOfReach | Self::Rejecting => &[Remedy::Retry],
            Self::Healthy | Self::Idle => &[],
        }
    }
}

impl Remedied for BulkState {
    fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::Preview | Self::Stopped => &[Remedy::Start],
            Self::Running => &[Remedy::Stop],
            Self::Done => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signs::{Signed, Tone};
    use std::collections::BTreeSet;
    use std::fmt::Debug;

    /// INVARIANT: what is shown as needing a person names an act that can help, and none twice.
    fn what_is_red_can_be_helped<T: Signed + Remedied + Debug>(all: &[T]) {
        for one in all {
            let remedies = one.remedies();
            let each: BTreeSet<_> = remedies.iter().collect();
            assert_eq!(each.len(), remedies.len(), "{one:?}");
            assert!(one.sign().tone != Tone::Bad || !remedies.is_empty(), "{one:?}");
        }
    }

    #[test]
    fn every_state_that_needs_a_person_has_an_act() {
        what_is_red_can_be_helped(CaseState::ALL);
        what_is_red_can_be_helped(StepStateName::ALL);
        what_is_red_can_be_helped(Outcome::ALL);
        what_is_red_can_be_helped(StuckReason::ALL);
        what_is_red_can_be_helped(Cause::ALL);
        what_is_red_can_be_helped(QuestionKind::ALL);
        what_is_red_can_be_helped(QuestionEffect::ALL);
        what_is_red_can_be_helped(ServiceHealth::ALL);
        what_is_red_can_be_helped(BulkState::ALL);
        assert!(!OF_QUARANTINED.is_empty());
    }

    #[test]
    fn the_act_that_helps_comes_first() {
        let first = |reason: StuckReason| reason.remedies()[0];
        assert_eq!(first(StuckReason::Refused), Remedy::Waive, "asked again it refuses again");
        assert_eq!(first(StuckReason::OutOfAttempts), Remedy::Retry);
        assert_eq!(first(StuckReason::Rejected), Remedy::Edit, "the request is wrong");
        assert_eq!(first(StuckReason::AwaitsApproval), Remedy::Approve);
        assert_eq!(Cause::Unreachable.remedies()[0], Remedy::Retry);
        assert!(Cause::Accepted.remedies().is_empty(), "it goes on by itself");
        let acts = Remedy::ALL.iter().filter_map(|remedy| remedy.on_step());
        assert_eq!(acts.collect::<BTreeSet<_>>().len(), StepActName::ALL.len());
    }
}
