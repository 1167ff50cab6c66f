//! Whose turn an input of the loop takes: each service that reports has turns of its own, and so has each person.

use amends_engine::{Actor, Input};
use std::sync::Arc;

/// Who takes turns with others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A service that an active rulebook knows, with its reports and its sagas.
    Service(Arc<str>),
    /// All other services together: names can be made up, and so none of these has turns of its own.
    Strangers,
    /// Late outcomes of steps, and the ends of sagas, of one sender: they name no service, so whoever is known by a
    /// token, or is at one address, has turns of their own.
    Outcomes(Arc<str>),
    /// A person, or a program that acts.
    Person(Arc<str>),
}

impl Source {
    /// Whoever an input comes from.
    pub(crate) fn of(input: &Input, knows: impl Fn(&str) -> bool) -> Self {
        let service = |name: &str| match knows(name) {
            true => Self::Service(name.into()),
            false => Self::Strangers,
        };
        // Who is known beyond doubt is told apart by that; a name may be anything.
        let person =
            |who: &Actor| Self::Person(Arc::clone(who.principal.as_ref().unwrap_or(&who.name)));
        match input {
            Input::Report { report, .. } => service(report.service()),
            Input::SagaBegan { begin, .. } => service(&begin.service),
            // Their sender stands beside them; see `Supervisor::call_back`.
            Input::StepCalledBack { .. } | Input::SagaEnded { .. } => Self::Outcomes("".into()),
            Input::StepAct { actor, .. }
            | Input::CaseAct { actor, .. }
            | Input::QuestionAct { actor, .. }
            | Input::StrangerAct { actor, .. }
            | Input::Pause { actor, .. }
            | Input::HoldRule { actor, .. }
            | Input::Limit { actor, .. }
            | Input::Audit { actor, .. } => person(actor),
            Input::Activate { activation, .. } => person(&activation.actor),
            Input::Mend { mend, .. } => person(&mend.actor),
            Input::Erase { erase, .. } => person(&erase.actor),
            // They don't come from outside, and wait in no line.
            Input::StepEnded { .. }
            | Input::EndedElsewhere { .. }
            | Input::HistoryEnded { .. }
            | Input::Unheld(_)
            | Input::Tick => Self::Outcomes("".into()),
        }
    }
}

/// In words, for whoever is told that its share is used up.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service(name) => write!(f, "`{name}`"),
            Self::Strangers => f.write_str("services that no active rulebook knows"),
            Self::Outcomes(sender) if sender.is_empty() => {
                f.write_str("late outcomes and ends of sagas")
            }
            Self::Outcomes(sender) => write!(f, "late outcomes and ends of sagas of `{sender}`"),
            Self::Person(name) => write!(f, "`{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::SagaId;

    fn pause(actor: Actor) -> Input {
        let (service, reason) = ("payment".into(), "x".into());
        Input::Pause { service, paused: true, actor, reason, ticket: 1 }
    }

    #[test]
    fn each_person_has_turns_of_their_own_and_outcomes_without_a_sender_share_theirs() {
        let of = |input: &Input| Source::of(input, |name| name == "payment");
        assert_ne!(of(&pause("ann".into())), of(&pause("bob".into())));
        let known = |name: &str| {
            pause(Actor { principal: Some("token:gateway".into()), ..Actor::from(name) })
        };
        assert_eq!(of(&known("ann")), of(&known("bob")), "one token has the turns of one");
        let saga = SagaId::new("o-1").expect("a saga id");
        assert_eq!(of(&Input::SagaEnded { saga, ticket: 1 }), Source::Outcomes("".into()));
    }
}
