//! The closed lists of the product: verbs, outcomes, states. Each word is written here once.

use std::fmt;

/// A word that is not on its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// Which list, e.g. `outcome`.
    pub what: &'static str,
    /// The text as it came in.
    pub text: String,
    /// The words that are on the list.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} `{}`; one of: {}", self.what, self.text, self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

// A text is a `tt`: a `literal` comes in a group of its own, in which the OpenAPI derive does not see it.
// What follows a text after `|` is what it was called before: it is read, and never written.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal {
        $($(#[$vmeta:meta])* $variant:ident = $text:tt $(| $before:tt)*),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text $(, alias = $before)*)] $variant),+ }

        impl $name {
            /// Every word of the list, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            const TEXTS: &'static [&'static str] = &[$($text),+];

            /// The word on the wire, in the store and on the screen.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownWord> {
                match text {
                    $($text $(| $before)* => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord { what: $what, text: text.to_owned(), known: Self::TEXTS }),
                }
            }
        }
    };
}

pub(crate) use words;

words! {
    /// What a step asks of a service.
    Verb, "verb" {
        /// Undo every request of the action in the saga and let none take effect afterwards.
        Compensate = "compensate",
        /// Run the stored request again, forward.
        Retry = "retry",
        /// Send a (correcting) message.
        Notify = "notify",
    }
}

words! {
    /// How a step ended.
    Outcome, "outcome" {
        /// The effect was there and is undone.
        Compensated = "compensated",
        /// An earlier request had undone it.
        AlreadyCompensated = "already_compensated",
        /// There was nothing to undo; a tombstone refuses the late original.
        NothingToCompensate = "nothing_to_compensate",
        /// The action ran (or had run) to its end.
        Retried = "retried",
        /// The message went out.
        Notified = "notified",
        /// The service says that it cannot, for good.
        Refused = "refused",
        /// A person decided to go without, with a reason.
        Waived = "waived",
        /// Of a fence: its service puts up none, so whether it still calls others is not known.
        NotFenceable = "not_fenceable",
    }
}

impl Outcome {
    /// Whether a service says it: the others are a person's decision and the supervisor's reading.
    #[must_use]
    pub const fn is_said_by_services(self) -> bool {
        !matches!(self, Self::Waived | Self::NotFenceable)
    }
}

impl Verb {
    /// The outcome of a step that is done and says no more.
    #[must_use]
    pub const fn ends_as(self) -> Outcome {
        match self {
            Self::Compensate => Outcome::Compensated,
            Self::Retry => Outcome::Retried,
            Self::Notify => Outcome::Notified,
        }
    }

    /// The outcome of a step for which there was nothing to do.
    #[must_use]
    pub const fn ends_as_nothing(self) -> Outcome {
        match self {
            Self::Compensate => Outcome::NothingToCompensate,
            Self::Retry | Self::Notify => self.ends_as(),
        }
    }

    /// The outcome of a step that had been done before, by whomever.
    #[must_use]
    pub const fn ends_as_already(self) -> Outcome {
        match self {
            Self::Compensate => Outcome::AlreadyCompensated,
            Self::Retry | Self::Notify => self.ends_as(),
        }
    }

    /// Every outcome that says that a step of this verb is done. `refused`, `waived` and `not_fenceable` end a step
    /// without that.
    #[must_use]
    pub const fn outcomes(self) -> &'static [Outcome] {
        match self {
            Self::Compensate => {
                &[Outcome::Compensated, Outcome::AlreadyCompensated, Outcome::NothingToCompensate]
            }
            Self::Retry => &[Outcome::Retried],
            Self::Notify => &[Outcome::Notified],
        }
    }

    /// Whether the outcome says that a step of this verb is done.
    #[must_use]
    pub fn may_end(self, outcome: Outcome) -> bool {
        self.outcomes().contains(&outcome)
    }
}

words! {
    /// What a History says of one request. A report's evidence uses the first four.
    HistoryState, "history state" {
        /// It began; nobody knows yet how it ended.
        Started = "started",
        /// It took effect.
        Succeeded = "succeeded",
        /// It took no effect, and the service that says so can prove it.
        Failed = "failed",
        /// It may or may not have taken effect.
        Unknown = "unknown",
        /// It took effect and was undone.
        Compensated = "compensated",
        /// It never took effect and never will: a tombstone refuses it.
        Fenced = "fenced",
    }
}

impl HistoryState {
    /// Whether a request in this state happened or may have happened, and is not undone.
    #[must_use]
    pub const fn may_have_effect(self) -> bool {
        match self {
            Self::Started | Self::Succeeded | Self::Unknown => true,
            Self::Failed | Self::Compensated | Self::Fenced => false,
        }
    }

    /// How much it says of a request, as statements of equal standing are joined.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Started => 0,
            Self::Unknown => 1,
            Self::Failed => 2,
            Self::Fenced => 3,
            Self::Succeeded => 4,
            Self::Compensated => 5,
        }
    }

    /// Two statements of equal standing about one request.
    #[must_use]
    pub const fn joined(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

words! {
    /// The state of a case.
    CaseState, "case state" {
        /// Work goes on by itself.
        Open = "open",
        /// At least one step needs a person; all others go on.
        Stuck = "stuck",
        /// No rule answers the report; a person picks a plan.
        Unmatched = "unmatched",
        /// Nothing is left to do.
        Settled = "settled",
    }
}

words! {
    /// On what evidence a case was settled.
    ClosedOn, "closing evidence" {
        /// Everything that could stand has answered or is fenced: nothing can still take effect.
        Proven = "proven" | "fenced",
        /// Nothing had to be undone; what was retried answered.
        Forward = "forward",
        /// Not proven, and nothing was heard for the declared time. The case says what may still stand.
        Quiet = "quiet",
        /// A person said so, with a reason. The case says what may still stand.
        ByPerson = "by_person" | "by_hand",
    }
}

words! {
    /// Whether something of an action may still stand in a saga.
    Verdict, "verdict" {
        /// Its own service has undone it and refuses what comes late.
        Undone = "undone",
        /// Its own service says that it has no effect, and nobody is left who could send another request.
        NoEffect = "no_effect",
        /// Whoever could have called it has ended and tells of no call.
        NeverReached = "never_reached",
        /// The rulebook declares nothing to undo for it.
        NoUndo = "no_undo",
        /// It stands and stays: the saga is past a pivot.
        Kept = "kept",
        /// It may stand.
        MayStand = "may_stand",
    }
}

words! {
    /// In what a witness said something.
    Source, "source of a statement" {
        /// A report.
        Report = "report",
        /// The service's History, read by the supervisor.
        History = "history",
        /// The answer to a step.
        Answer = "answer",
        /// A callback about a step.
        Callback = "callback",
        /// A person's act.
        Person = "person",
    }
}

words! {
    /// The state of a step, as shown; `done` has an outcome, `stuck` a reason.
    StepStateName, "step state" {
        /// An earlier stage is not finished.
        Waiting = "waiting",
        /// Will be sent at a known time.
        Due = "due",
        /// Sent; the answer is awaited.
        InFlight = "in_flight",
        /// The service took it (202) and works on it.
        Accepted = "accepted",
        /// Ended with an outcome.
        Done = "done",
        /// Needs a person.
        Stuck = "stuck",
        /// A retry that a compensation replaced; it is never sent again.
        Superseded = "superseded",
        /// Planned by a rule in shadow mode; never sent.
        Shadow = "shadow",
    }
}

impl StepStateName {
    /// Whether the step still has to come to an end, by itself or by a person.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        match self {
            Self::Waiting | Self::Due | Self::InFlight | Self::Accepted | Self::Stuck => true,
            Self::Done | Self::Superseded | Self::Shadow => false,
        }
    }

    /// Whether the step comes to an end by itself: unfinished, and no person is needed.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        self.is_unfinished() && !matches!(self, Self::Stuck)
    }
}

words! {
    /// Why a step needs a person.
    StuckReason, "reason of being stuck" {
        /// The service refused for good.
        Refused = "refused",
        /// The policy's number of attempts is used up.
        OutOfAttempts = "out_of_attempts",
        /// The policy's time is used up.
        OutOfTime = "out_of_time",
        /// The service calls the request itself wrong, again and again (a 4xx that nobody mapped): a fault of the
        /// rulebook, of the data or of ours.
        Rejected = "rejected",
        /// The request cannot be built, e.g. a placeholder that the report does not fill.
        Unsendable = "unsendable",
        /// The rule (or its limit) wants a person's yes first.
        AwaitsApproval = "awaits_approval",
    }
}

words! {
    /// What a person can do to a step: the name of a [`crate::resources::StepAct`].
    StepActName, "act on a step" {
        /// Say yes to a step that waits for it.
        Approve = "approve",
        /// Try it (again) now; of a waived step, take the waiver back.
        Retry = "retry",
        /// Replace the data of its request, then try it.
        Edit = "edit",
        /// Go without it.
        Waive = "waive",
        /// Write down an outcome that was reached outside.
        Record = "record",
    }
}

words! {
    /// What a person can do to a case: the name of a [`crate::resources::CaseAct`].
    CaseActName, "act on a case" {
        /// Try its stuck steps, and those that wait for their next try, now.
        Retry = "retry",
        /// Answer its reports anew with the active rulebook.
        Replan = "replan",
        /// Add steps by hand.
        Plan = "plan",
        /// Close it by hand.
        Settle = "settle",
    }
}

words! {
    /// Why a piece of open work is not done yet.
    Cause, "cause" {
        /// Nobody answers at the service: connection refused, no such name, a gateway that says so.
        Unreachable = "unreachable",
        /// Asked, and no answer came: a time limit, a broken connection.
        NoAnswer = "no_answer",
        /// The service answered with a status that ends nothing.
        Status = "status",
        /// The service wants to be asked later (409, 429, 503).
        Busy = "busy",
        /// The service refused for good.
        Refused = "refused",
        /// The service calls the request itself wrong.
        Rejected = "rejected",
        /// The service gives one definite answer to whatever it is asked: an expired key, a moved address, a deploy.
        Rejecting = "rejecting",
        /// The request cannot be built.
        Unsendable = "unsendable",
        /// Waits for a person's yes.
        Approval = "approval",
        /// No rule answers the report.
        Unmatched = "unmatched",
        /// What is known leaves in doubt whether something still stands, and a person must say.
        Question = "question",
        /// An operator has paused the service.
        Paused = "paused",
        /// The service took it and works on it.
        Accepted = "accepted",
        /// An earlier stage is not finished.
        Stage = "stage",
        /// What it undoes may still be on its way, since whoever calls it has not ended.
        Callers = "callers",
        /// Its turn has not come yet.
        Queued = "queued",
        /// Sent; the answer is awaited.
        Asked = "asked",
    }
}

impl Cause {
    /// Whether something is wrong, rather than on its way.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        match self {
            Self::Unreachable
            | Self::NoAnswer
            | Self::Status
            | Self::Busy
            | Self::Refused
            | Self::Rejected
            | Self::Rejecting
            | Self::Unsendable
            | Self::Approval
            | Self::Unmatched
            | Self::Question
            | Self::Paused => true,
            Self::Accepted | Self::Stage | Self::Callers | Self::Queued | Self::Asked => false,
        }
    }
}

words! {
    /// What evidence can leave in doubt.
    QuestionKind, "kind of question" {
        /// Evidence says that something took effect, and its service that there was nothing to undo.
        Contradiction = "contradiction",
        /// Somebody tells of a service or an action that the rulebook does not know.
        Stranger = "stranger",
        /// Evidence had no room, so that an action or a request of it may be missing.
        Dropped = "dropped",
        /// A History that the case needs could not be read for a long time.
        HistoryUnavailable = "history_unavailable",
        /// Two sources give different values for what undoing one request needs.
        DataConflict = "data_conflict",
        /// What came before an effect that nothing can undo is to be undone, and that effect may stand.
        PastThePivot = "past_the_pivot",
    }
}

words! {
    /// What a question does to its case.
    QuestionEffect, "effect of a question" {
        /// The case is stuck and does not settle before it is answered.
        Hold = "hold",
        /// It is only shown.
        Note = "note",
    }
}

words! {
    /// What a person can do about a question: the name of a [`crate::resources::QuestionAct`].
    QuestionActName, "act on a question" {
        /// Take the doubt as it is; the case then closes by a person.
        Accept = "accept",
        /// Write down how it was ended outside.
        Record = "record",
        /// Ask whoever can tell once more.
        AskAgain = "ask_again",
        /// Say which of several values is right.
        Choose = "choose",
        /// Nobody needs to hear of this stranger, in any case of its rulebook.
        Ignore = "ignore",
        /// The rulebook will declare this stranger.
        Declare = "declare",
    }
}

words! {
    /// What a person can say of a name that a rulebook does not know: the name of a
    /// [`crate::resources::StrangerAct`].
    StrangerActName, "act on a stranger" {
        /// Nobody needs to hear of it, in any case of the rulebook.
        Ignore = "ignore",
        /// The rulebook will declare it.
        Declare = "declare",
        /// Take back what was said of it.
        Reconsider = "reconsider",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_survives_print_and_parse() {
        for &o in Outcome::ALL {
            assert_eq!(o.as_str().parse(), Ok(o));
            assert_eq!(serde_json::to_value(o).expect("plain"), o.as_str());
        }
    }

    #[test]
    fn an_outcome_ends_steps_of_one_verb_only() {
        for &outcome in Outcome::ALL {
            let verbs = Verb::ALL.iter().filter(|v| v.may_end(outcome)).count();
            let ends_no_verb =
                matches!(outcome, Outcome::Refused | Outcome::Waived | Outcome::NotFenceable);
            assert_eq!(verbs, usize::from(!ends_no_verb), "{outcome}");
        }
        assert!(Verb::ALL.iter().all(|v| v.may_end(v.ends_as()) && v.may_end(v.ends_as_nothing())));
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let error = "undo".parse::<Verb>().expect_err("not a verb").to_string();
        assert_eq!(error, "unknown verb `undo`; one of: compensate, retry, notify");
    }
}
