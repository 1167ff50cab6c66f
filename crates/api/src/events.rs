//! What happens, as it is told to whoever listens. Plain data.

use crate::{
    AuditActName, BreakerState, CaseState, EventKind, QuestionKind, StepStateName, StuckReason,
};
use amends_protocol::{CaseId, Outcome, StepId, Timestamp, UnknownWord};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Something that happened, as the event stream tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// What it is about.
    pub kind: EventKind,
    /// The case, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub case_id: Option<CaseId>,
    /// The step, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub step_id: Option<StepId>,
    /// The service or `service.action`, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The new state, in a word of the list of its kind.
    pub state: EventState,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl EventView {
    /// One that says no more than what became of it: its kind is that of its state.
    #[must_use]
    pub const fn new(at: Timestamp, state: EventState) -> Self {
        Self {
            at,
            kind: state.kind(),
            case_id: None,
            step_id: None,
            subject: None,
            state,
            message: None,
        }
    }
}

/// What became of what an event is about. Every word is that of another list, where there is one.
#[derive(Clone, Copy, Debug)]
pub enum EventState {
    /// A report entered a case.
    Received,
    /// Steps joined a plan.
    Planned,
    /// A History was read.
    Answered,
    /// A step changed its state.
    Step(StepStateName),
    /// A step has ended.
    Ended(Outcome),
    /// A step needs a person.
    Stuck(StuckReason),
    /// A case changed its state.
    Case(CaseState),
    /// Somebody did this.
    Act(AuditActName),
    /// A question holds its case.
    Question(QuestionKind),
    /// A service's circuit breaker changed.
    Breaker(BreakerState),
    /// The Histories of a service can be read again.
    Available,
    /// The Histories of a service can't be read any more.
    Unavailable,
    /// A case can't be worked on.
    Quarantined,
    /// Something else that is stored can't be read.
    Unreadable,
    /// A version of a rulebook became active.
    Active,
}

impl EventState {
    /// What an event with this state is about.
    #[must_use]
    pub const fn kind(self) -> EventKind {
        match self {
            Self::Received => EventKind::Report,
            Self::Planned => EventKind::Plan,
            Self::Answered => EventKind::HistoryRead,
            Self::Step(_) | Self::Ended(_) | Self::Stuck(_) => EventKind::Step,
            Self::Case(_) => EventKind::Case,
            Self::Act(_) => EventKind::Act,
            Self::Question(_) => EventKind::Question,
            Self::Breaker(_) => EventKind::Breaker,
            Self::Available | Self::Unavailable => EventKind::Histories,
            Self::Quarantined | Self::Unreadable => EventKind::Quarantine,
            Self::Active => EventKind::Rulebook,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Planned => "planned",
            Self::Answered => "answered",
            Self::Step(state) => state.as_str(),
            Self::Ended(outcome) => outcome.as_str(),
            Self::Stuck(reason) => stuck(reason),
            Self::Case(state) => state.as_str(),
            Self::Act(act) => act.as_str(),
            Self::Question(kind) => kind.as_str(),
            Self::Breaker(state) => state.as_str(),
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Quarantined => "quarantined",
            Self::Unreadable => "unreadable",
            Self::Active => "active",
        }
    }

    /// Every state that an event can tell, kind by kind. A step that is done tells its outcome, one that is stuck the
    /// reason.
    pub fn all() -> impl Iterator<Item = Self> {
        let steps = StepStateName::ALL
            .iter()
            .filter(|state| !matches!(state, StepStateName::Done | StepStateName::Stuck));
        [Self::Received, Self::Planned, Self::Answered]
            .into_iter()
            .chain(steps.map(|state| Self::Step(*state)))
            .chain(Outcome::ALL.iter().map(|outcome| Self::Ended(*outcome)))
            .chain(StuckReason::ALL.iter().map(|reason| Self::Stuck(*reason)))
            .chain(CaseState::ALL.iter().map(|state| Self::Case(*state)))
            .chain(AuditActName::ALL.iter().map(|act| Self::Act(*act)))
            .chain(QuestionKind::ALL.iter().map(|kind| Self::Question(*kind)))
            .chain(BreakerState::ALL.iter().map(|state| Self::Breaker(*state)))
            .chain([Self::Available, Self::Unavailable, Self::Quarantined, Self::Unreadable])
            .chain([Self::Active])
    }

    /// Every word, once: two kinds may share one (`open` is said of cases and of breakers).
    #[must_use]
    pub fn words() -> Vec<&'static str> {
        let mut words: Vec<&str> = Vec::new();
        for state in Self::all() {
            if !words.contains(&state.as_str()) {
                words.push(state.as_str());
            }
        }
        words
    }
}

/// A step that is stuck, with its reason, in one word of the wire.
const fn stuck(reason: StuckReason) -> &'static str {
    match reason {
        StuckReason::Refused => "stuck: refused",
        StuckReason::OutOfAttempts => "stuck: out_of_attempts",
        StuckReason::OutOfTime => "stuck: out_of_time",
        StuckReason::Rejected => "stuck: rejected",
        StuckReason::Unsendable => "stuck: unsendable",
        StuckReason::AwaitsApproval => "stuck: awaits_approval",
    }
}

/// By the word: `open` is the same state in an event that was read, whose kind stands beside it.
impl PartialEq for EventState {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for EventState {}

impl fmt::Display for EventState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::all().find(|state| state.as_str() == text).ok_or_else(|| UnknownWord {
            what: "state of an event",
            text: text.to_owned(),
            known: &[],
        })
    }
}

impl Serialize for EventState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
mod openapi {
    use super::EventState;
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    use utoipa::openapi::{RefOr, Schema};
    use utoipa::{PartialSchema, ToSchema};

    impl PartialSchema for EventState {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some("What became of what an event is about."))
                .enum_values(Some(Self::words()))
                .into()
        }
    }

    impl ToSchema for EventState {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        for state in EventState::all() {
            let written = serde_json::to_string(&state).expect("a word");
            assert_eq!(serde_json::from_str::<EventState>(&written).expect("reads"), state);
        }
        serde_json::from_str::<EventState>("\"stuck\"").expect("a case can be");
        serde_json::from_str::<EventState>("\"done\"").expect_err("an outcome is told");
    }

    #[test]
    fn a_step_that_is_stuck_tells_the_reason_by_its_word() {
        for reason in StuckReason::ALL {
            let told = EventState::Stuck(*reason);
            assert_eq!(told.as_str(), format!("stuck: {reason}"));
        }
    }

    #[test]
    fn every_kind_of_event_has_a_state_and_no_word_twice() {
        for kind in EventKind::ALL {
            let mut words: Vec<_> = EventState::all().filter(|s| s.kind() == *kind).collect();
            assert!(!words.is_empty(), "{kind}");
            while let Some(word) = words.pop() {
                assert!(!words.contains(&word), "{kind}: {word}");
            }
        }
    }
}
