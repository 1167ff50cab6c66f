//! The one table of what may happen to a step: every state against every event, in one total match. What a person may do
//! is the table beside it, `transition/allowed.rs`.
//!
//! It decides nothing else: when an event applies is the business of the files that name it.

mod allowed;

pub use allowed::{CaseBooks, claiming, plannable, sharing};
pub(crate) use allowed::{check, check_on_case};

use crate::StepState;
use amends_api::{StepStateName, StuckReason};
use amends_protocol::{Outcome, Timestamp};
use std::fmt;
use std::sync::Arc;

/// What can happen to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StepEvent {
    /// Its stage has come.
    Open(Timestamp),
    /// Its stage has come, and the rule wants a person's yes.
    Hold,
    /// There is no request that it could be for.
    Void,
    /// Before it could be sent, the plan got a step of an earlier stage that is not finished.
    CloseStage,
    /// Its service's queue has room: it is sent.
    Launch,
    /// The service answered with an outcome.
    Answer(Outcome),
    /// The service took it and works on it.
    Accept { poll_at: Timestamp, until: Timestamp, location: Option<Arc<str>> },
    /// The try failed, another one follows.
    Fail(Timestamp),
    /// Only a person can help.
    Stick(StuckReason),
    /// Waiting is cut short: the service has returned, or a person wants it now.
    Expedite(Timestamp),
    /// A compensation replaces this retry.
    Supersede,
    /// A person (or a rule that is not in shadow mode) wants it done after all.
    Retry(Timestamp),
    /// A person decided how it ended.
    Decide(Outcome),
    /// Evidence contradicts that there was nothing to undo, and a person has it asked anew. What was undone stays.
    Doubt(Timestamp),
}

/// An event that a step in this state cannot meet. For an operator's act it is a conflict; elsewhere it is a fault of
/// the engine, which then leaves the step as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Illegal {
    pub(crate) state: StepStateName,
    pub(crate) event: &'static str,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a step that is `{}` cannot {}", self.state, self.event)
    }
}

impl StepEvent {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Open(_) => "be opened",
            Self::Hold => "be held for approval",
            Self::Void => "end without a request",
            Self::CloseStage => "go back to waiting",
            Self::Launch => "be sent",
            Self::Answer(_) => "be answered",
            Self::Accept { .. } => "be accepted",
            Self::Fail(_) => "fail",
            Self::Stick(_) => "get stuck",
            Self::Expedite(_) => "be expedited",
            Self::Supersede => "be superseded",
            Self::Retry(_) => "be tried again",
            Self::Decide(_) => "be decided by hand",
            Self::Doubt(_) => "be asked for in doubt",
        }
    }
}

/// The state after `event`.
pub(crate) fn next(state: &StepState, event: StepEvent) -> Result<StepState, Illegal> {
    use StepEvent as E;
    use StepState as S;
    let illegal = |event: &StepEvent| Illegal { state: state.name(), event: event.verb() };
    match (state, event) {
        (S::Waiting, E::Open(at)) => Ok(S::Due(at)),
        (S::Waiting, E::Hold) => Ok(S::Stuck(StuckReason::AwaitsApproval)),
        (S::Waiting, E::Void) => Ok(S::Done(Outcome::NothingToCompensate)),
        (S::Waiting | S::Due(_) | S::Stuck(_), E::Supersede) => Ok(S::Superseded),
        // Backward beats forward, but only once the try under way has ended: this event comes with its end.
        (S::InFlight | S::Accepted { .. }, E::Supersede) => Ok(S::Superseded),
        (S::Due(_), E::CloseStage) => Ok(S::Waiting),
        (S::Due(_), E::Launch) => Ok(S::InFlight),
        (S::Due(_), E::Expedite(at)) => Ok(S::Due(at)),
        (S::Due(_), E::Stick(reason)) => Ok(S::Stuck(reason)),
        // A callback may come before the 202 that announces it, or after the supervisor stopped waiting for it.
        (
            S::Waiting | S::Due(_) | S::InFlight | S::Accepted { .. } | S::Stuck(_),
            E::Answer(outcome),
        ) => Ok(S::Done(outcome)),
        (S::InFlight | S::Accepted { .. }, E::Accept { poll_at, until, location }) => {
            Ok(S::Accepted { poll_at, until, location })
        }
        (S::InFlight | S::Accepted { .. }, E::Fail(at)) => Ok(S::Due(at)),
        (S::InFlight | S::Accepted { .. }, E::Stick(reason)) => Ok(S::Stuck(reason)),
        (S::Stuck(_) | S::Due(_), E::Retry(at)) => Ok(S::Due(at)),
        // A waiver can be taken back, or give way to an outcome; what a service did cannot.
        (S::Done(Outcome::Waived), event @ E::Decide(Outcome::Waived)) => Err(illegal(&event)),
        (S::Done(Outcome::Waived), E::Retry(at)) => Ok(S::Due(at)),
        (S::Done(Outcome::NothingToCompensate), E::Doubt(at)) => Ok(S::Due(at)),
        (S::Shadow, E::Retry(_)) => Ok(S::Waiting),
        (
            S::Waiting
            | S::Due(_)
            | S::InFlight
            | S::Accepted { .. }
            | S::Stuck(_)
            | S::Done(Outcome::Waived),
            E::Decide(outcome),
        ) => Ok(S::Done(outcome)),
        // Only a step that waits has a stage to come, and something that may be missing.
        (_, event @ (E::Open(_) | E::Hold | E::Void | E::Doubt(_))) => Err(illegal(&event)),
        (
            S::Waiting | S::Stuck(_),
            event @ (E::CloseStage
            | E::Launch
            | E::Accept { .. }
            | E::Fail(_)
            | E::Stick(_)
            | E::Expedite(_)),
        )
        | (S::Waiting, event @ E::Retry(_))
        | (S::Due(_), event @ (E::Accept { .. } | E::Fail(_)))
        | (
            S::InFlight | S::Accepted { .. },
            event @ (E::CloseStage | E::Launch | E::Expedite(_) | E::Retry(_)),
        )
        | (
            S::Done(_) | S::Superseded | S::Shadow,
            event @ (E::CloseStage
            | E::Launch
            | E::Answer(_)
            | E::Accept { .. }
            | E::Fail(_)
            | E::Stick(_)
            | E::Expedite(_)
            | E::Supersede
            | E::Retry(_)
            | E::Decide(_)),
        ) => Err(illegal(&event)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(7);

    fn states() -> Vec<StepState> {
        vec![
            StepState::Waiting,
            StepState::Due(T),
            StepState::InFlight,
            StepState::Accepted { poll_at: T, until: T, location: None },
            StepState::Done(Outcome::Compensated),
            StepState::Done(Outcome::NothingToCompensate),
            StepState::Done(Outcome::Waived),
            StepState::Stuck(StuckReason::Refused),
            StepState::Superseded,
            StepState::Shadow,
        ]
    }

    fn events() -> Vec<StepEvent> {
        vec![
            StepEvent::Open(T),
            StepEvent::Hold,
            StepEvent::Void,
            StepEvent::CloseStage,
            StepEvent::Launch,
            StepEvent::Answer(Outcome::Compensated),
            StepEvent::Accept { poll_at: T, until: T, location: None },
            StepEvent::Fail(T),
            StepEvent::Stick(StuckReason::OutOfTime),
            StepEvent::Expedite(T),
            StepEvent::Supersede,
            StepEvent::Retry(T),
            StepEvent::Decide(Outcome::Waived),
            StepEvent::Doubt(T),
        ]
    }

    /// The whole table as a picture: rows are states, columns events in the order above; `.` is illegal.
    #[test]
    fn the_table() {
        let mut picture = String::new();
        for state in states() {
            let row: String = events()
                .into_iter()
                .map(|event| match next(&state, event) {
                    Ok(StepState::Waiting) => 'w',
                    Ok(StepState::Due(_)) => 'd',
                    Ok(StepState::InFlight) => 'f',
                    Ok(StepState::Accepted { .. }) => 'a',
                    Ok(StepState::Done(_)) => 'D',
                    Ok(StepState::Stuck(_)) => 'S',
                    Ok(StepState::Superseded) => 's',
                    Ok(StepState::Shadow) => 'h',
                    Err(_) => '.',
                })
                .collect();
            picture.push_str(&row);
            picture.push('\n');
        }
        let expected = "\
d S D . . D . . . . s . D .
. . . w f D . . S d s d D .
. . . . . D a d S . s . D .
. . . . . D a d S . s . D .
. . . . . . . . . . . . . .
. . . . . . . . . . . . . d
. . . . . . . . . . . d . .
. . . . . D . . . . s d D .
. . . . . . . . . . . . . .
. . . . . . . . . . . w . .
"
        .replace(' ', "");
        assert_eq!(picture, expected);
    }

    #[test]
    fn a_waiver_gives_way_to_an_outcome_but_is_not_given_twice() {
        let waived = StepState::Done(Outcome::Waived);
        let recorded = next(&waived, StepEvent::Decide(Outcome::Compensated));
        assert_eq!(recorded, Ok(StepState::Done(Outcome::Compensated)));
        assert!(next(&waived, StepEvent::Decide(Outcome::Waived)).is_err());
    }

    /// INVARIANT 3: an outcome that a service gave never leads to another request.
    #[test]
    fn what_a_service_did_stays_done() {
        for event in events() {
            assert!(next(&StepState::Done(Outcome::Compensated), event).is_err());
        }
    }
}
