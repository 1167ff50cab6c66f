//! The closed lists of what the supervisor shows and what people may do. Each word is written here once.

use amends_protocol::{Outcome, words};

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
    /// What a report is in its case.
    ReportStanding, "standing of a report" {
        /// A rule answers it.
        Rule = "rule",
        /// A rule answers it, and its steps wait for a person.
        RuleHeld = "rule_held",
        /// A person answers it.
        ByHand = "by_hand",
        /// It follows from another report of the case.
        Derived = "derived",
        /// It names a cause that has not come yet.
        AwaitsRoot = "awaits_root",
        /// No rule answers it.
        Unmatched = "unmatched",
        /// It came when the case was full: it asks for nothing, and what it tells of requests counts.
        Excess = "excess",
    }
}

words! {
    /// How a report comes, where it does not come by our own API: by which broker.
    ReportWay, "way of a report" {
        /// A stream of NATS JetStream.
        Nats = "nats",
        /// A topic of Kafka.
        Kafka = "kafka",
    }
}

impl ReportWay {
    /// The broker's name, as its makers write it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nats => "NATS",
            Self::Kafka => "Kafka",
        }
    }
}

words! {
    /// How something came that could not be taken: by a broker, or by another node.
    RejectedWay, "way of a rejected message" {
        /// A stream of NATS JetStream.
        Nats = "nats",
        /// A topic of Kafka.
        Kafka = "kafka",
        /// A letter of another node, which had taken it over HTTP or from a broker.
        Node = "node",
    }
}

impl From<ReportWay> for RejectedWay {
    fn from(way: ReportWay) -> Self {
        match way {
            ReportWay::Nats => Self::Nats,
            ReportWay::Kafka => Self::Kafka,
        }
    }
}

impl RejectedWay {
    /// The broker, if it was one.
    #[must_use]
    pub const fn broker(self) -> Option<ReportWay> {
        match self {
            Self::Nats => Some(ReportWay::Nats),
            Self::Kafka => Some(ReportWay::Kafka),
            Self::Node => None,
        }
    }
}

words! {
    /// How bad a finding in a rulebook is.
    FindingSeverity, "severity" {
        /// The rulebook cannot be used.
        Error = "error",
        /// It can be used, but probably says something else than was meant.
        Warning = "warning",
        /// Nothing is wrong; it could be said better, or cheaper.
        Note = "note",
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
        /// The service says the request itself is invalid, again and again (a 4xx that nobody mapped): a fault of the
        /// rulebook, of the data or of ours.
        Rejected = "rejected",
        /// The request cannot be built, e.g. a placeholder that the report does not fill.
        Unsendable = "unsendable",
        /// The rule (or its limit) wants a person's yes first.
        AwaitsApproval = "awaits_approval",
    }
}

words! {
    /// What a person can do to a step: the name of a [`crate::StepAct`].
    StepActName, "act on a step" {
        /// Approve a step that waits for it.
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
    /// What a person can do to a case: the name of a [`crate::CaseAct`].
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
        /// The service's History could not be read; it is asked for again.
        History = "history",
        /// The service wants to be asked later (409, 429, 503).
        Busy = "busy",
        /// The service refused for good.
        Refused = "refused",
        /// The service says the request itself is invalid.
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
        /// An operator holds the rule that asks for it.
        Held = "held",
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
            | Self::History
            | Self::Busy
            | Self::Refused
            | Self::Rejected
            | Self::Rejecting
            | Self::Unsendable
            | Self::Approval
            | Self::Unmatched
            | Self::Question
            | Self::Paused
            | Self::Held => true,
            Self::Accepted | Self::Stage | Self::Callers | Self::Queued | Self::Asked => false,
        }
    }
}

words! {
    /// How a service is, all in all.
    ServiceHealth, "health of a service" {
        /// It answers.
        Healthy = "healthy",
        /// Nothing was asked of it in the last five minutes, so that nobody knows.
        Idle = "idle",
        /// None of its last requests got a final answer.
        Failing = "failing",
        /// It was out of reach, and is being asked once.
        Probing = "probing",
        /// Nobody answers there; it is asked once a second.
        OutOfReach = "out_of_reach",
        /// It gives one definite answer to whatever it is asked.
        Rejecting = "rejecting",
        /// An operator has paused it.
        Paused = "paused",
    }
}

impl ServiceHealth {
    /// Whether something is wrong with it.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        match self {
            Self::Failing | Self::Probing | Self::OutOfReach | Self::Rejecting => true,
            Self::Healthy | Self::Idle | Self::Paused => false,
        }
    }
}

words! {
    /// How a node is that shares the store with others.
    NodeState, "state of a node" {
        /// It works on what it holds.
        Alive = "alive",
        /// It was told to give back what it holds, and still holds some.
        Draining = "draining",
        /// It has given back all of it, and takes nothing.
        Drained = "drained",
        /// It has not shown itself for seconds: the others take what it held.
        Silent = "silent",
    }
}

words! {
    /// The state of a service's circuit breaker.
    BreakerState, "state of a breaker" {
        /// Requests go out.
        Closed = "closed",
        /// Given up for the moment.
        Open = "open",
        /// One request is under way; its answer decides.
        Probing = "probing",
        /// It gives one definite answer, such as 401, to all steps: they wait.
        Rejecting = "rejecting",
    }
}

words! {
    /// How one try of a step ended: with an outcome, or with something else.
    AttemptResult, "result of a try" {
        /// The effect was there and is undone.
        Compensated = "compensated",
        /// An earlier request had undone it.
        AlreadyCompensated = "already_compensated",
        /// There was nothing to undo.
        NothingToCompensate = "nothing_to_compensate",
        /// The action ran (or had run) to its end.
        Retried = "retried",
        /// The message went out.
        Notified = "notified",
        /// The service says that it cannot, for good.
        Refused = "refused",
        /// A person, or a rule, decided to go without.
        Waived = "waived",
        /// The service puts up no fence.
        NotFenceable = "not_fenceable",
        /// The service took it (202) and works on it.
        Accepted = "accepted",
        /// The service says again and again that the request itself is invalid.
        Rejected = "rejected",
        /// A definite answer (a 3xx or 4xx that nobody mapped).
        Definite = "definite",
        /// The request could not be built.
        Unsendable = "unsendable",
        /// The service wants to be asked later (409, 429, 503).
        Busy = "busy",
        /// It was not sent: the connection was refused, or the name did not resolve.
        NotSent = "not_sent",
        /// It was sent, and nobody knows what became of it.
        Unknown = "unknown",
    }
}

impl From<Outcome> for AttemptResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Compensated => Self::Compensated,
            Outcome::AlreadyCompensated => Self::AlreadyCompensated,
            Outcome::NothingToCompensate => Self::NothingToCompensate,
            Outcome::Retried => Self::Retried,
            Outcome::Notified => Self::Notified,
            Outcome::Refused => Self::Refused,
            Outcome::Waived => Self::Waived,
            Outcome::NotFenceable => Self::NotFenceable,
        }
    }
}

words! {
    /// Why something needs a person: a reason of being stuck, a kind of question, or that no rule answers.
    TroubleReason, "reason of a trouble" {
        /// No rule answers the report.
        Unmatched = "unmatched",
        /// The service refused for good.
        Refused = "refused",
        /// The policy's number of attempts is used up.
        OutOfAttempts = "out_of_attempts",
        /// The policy's time is used up.
        OutOfTime = "out_of_time",
        /// The service says the request itself is invalid.
        Rejected = "rejected",
        /// The request cannot be built.
        Unsendable = "unsendable",
        /// The rule (or its limit) wants a person's yes first.
        AwaitsApproval = "awaits_approval",
        /// Evidence says that something took effect, and its service that there was nothing to undo.
        Contradiction = "contradiction",
        /// Somebody tells of a service or an action that the rulebook does not know.
        Stranger = "stranger",
        /// Evidence had no room.
        Dropped = "dropped",
        /// A History that the case needs could not be read for a long time.
        HistoryUnavailable = "history_unavailable",
        /// Two sources give different values for what undoing one request needs.
        DataConflict = "data_conflict",
        /// What came before an effect that nothing can undo is to be undone, and that effect may stand.
        PastThePivot = "past_the_pivot",
    }
}

impl From<StuckReason> for TroubleReason {
    fn from(reason: StuckReason) -> Self {
        match reason {
            StuckReason::Refused => Self::Refused,
            StuckReason::OutOfAttempts => Self::OutOfAttempts,
            StuckReason::OutOfTime => Self::OutOfTime,
            StuckReason::Rejected => Self::Rejected,
            StuckReason::Unsendable => Self::Unsendable,
            StuckReason::AwaitsApproval => Self::AwaitsApproval,
        }
    }
}

impl From<QuestionKind> for TroubleReason {
    fn from(kind: QuestionKind) -> Self {
        match kind {
            QuestionKind::Contradiction => Self::Contradiction,
            QuestionKind::Stranger => Self::Stranger,
            QuestionKind::Dropped => Self::Dropped,
            QuestionKind::HistoryUnavailable => Self::HistoryUnavailable,
            QuestionKind::DataConflict => Self::DataConflict,
            QuestionKind::PastThePivot => Self::PastThePivot,
        }
    }
}

words! {
    /// What an event is about.
    EventKind, "kind of event" {
        /// A report entered a case.
        Report = "report",
        /// Steps joined a plan.
        Plan = "plan",
        /// A step changed its state.
        Step = "step",
        /// A case changed its state.
        Case = "case",
        /// A History was read.
        HistoryRead = "history" | "walk",
        /// A person, or the supervisor in place of one, did something.
        Act = "act",
        /// A question holds its case.
        Question = "question",
        /// A service's circuit breaker changed.
        Breaker = "breaker",
        /// The Histories of a service can't be read any more, or can again.
        Histories = "histories",
        /// Something stored can't be worked on.
        Quarantine = "quarantine",
        /// A version of a rulebook became active.
        Rulebook = "rulebook",
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
    /// What a person can do about a question: the name of a [`crate::QuestionAct`].
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
    /// [`crate::StrangerAct`].
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
    fn a_word_that_stands_on_two_lists_is_the_same_word() {
        for outcome in Outcome::ALL {
            assert_eq!(AttemptResult::from(*outcome).as_str(), outcome.as_str());
        }
        for reason in StuckReason::ALL {
            assert_eq!(TroubleReason::from(*reason).as_str(), reason.as_str());
        }
        for kind in QuestionKind::ALL {
            assert_eq!(TroubleReason::from(*kind).as_str(), kind.as_str());
        }
        assert_eq!(TroubleReason::Unmatched.as_str(), CaseState::Unmatched.as_str());
    }
}
