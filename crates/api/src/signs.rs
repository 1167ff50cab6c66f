//! How states are shown: every word of the closed lists with a shape and a colour, so that none is told by colour
//! alone.
//! One table for console and terminal; how a colour looks is theirs.

use crate::{
    BulkActName, BulkState, CaseState, Cause, ClosedOn, NodeState, QuestionEffect, QuestionKind,
    ServiceHealth, StepStateName, StuckReason, TroubleReason, Verdict,
};
use amends_protocol::Outcome;

/// A word with its shape and its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// For people; as it stands in a sentence.
    pub word: &'static str,
    /// One sign that is told apart without colour, and is in every common font.
    pub shape: &'static str,
    /// What it means.
    pub tone: Tone,
}

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Well ended: green.
    Good,
    /// On its way: blue.
    Going,
    /// Held up, and goes on by itself: amber.
    Waiting,
    /// Needs a person: red.
    Bad,
    /// A person decided: violet.
    Decided,
    /// Neither good nor bad: grey.
    Quiet,
}

impl Tone {
    /// Every tone, in its order.
    pub const ALL: &'static [Self] =
        &[Self::Good, Self::Going, Self::Waiting, Self::Bad, Self::Decided, Self::Quiet];

    /// Its name, e.g. for a CSS class.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Going => "going",
            Self::Waiting => "waiting",
            Self::Bad => "bad",
            Self::Decided => "decided",
            Self::Quiet => "quiet",
        }
    }
}

/// Something of a closed list that has a sign.
pub trait Signed: Copy {
    /// Its sign.
    fn sign(self) -> Sign;
}

const fn sign(word: &'static str, shape: &'static str, tone: Tone) -> Sign {
    Sign { word, shape, tone }
}

impl Signed for CaseState {
    fn sign(self) -> Sign {
        match self {
            Self::Open => sign("open", "◐", Tone::Going),
            Self::Stuck => sign("stuck", "■", Tone::Bad),
            Self::Unmatched => sign("unmatched", "?", Tone::Bad),
            Self::Settled => sign("settled", "✓", Tone::Good),
        }
    }
}

impl Signed for ClosedOn {
    fn sign(self) -> Sign {
        match self {
            Self::Proven => sign("proven", "✓", Tone::Good),
            Self::Forward => sign("forward", "→", Tone::Good),
            Self::Quiet => sign("quiet", "~", Tone::Quiet),
            Self::ByPerson => sign("by a person", "✎", Tone::Decided),
        }
    }
}

impl ClosedOn {
    /// What the word claims, and no more than that; as it stands in a sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Proven => "everything that could stand has answered or is fenced",
            Self::Forward => "nothing had to be undone",
            Self::Quiet => "no further activity",
            Self::ByPerson => "a person closed it",
        }
    }
}

/// How a case is shown where it has one sign: a settled one by its closing word, so that what is not proven does not
/// look as if it were.
#[must_use]
pub fn case_sign(state: CaseState, closed_on: Option<ClosedOn>) -> Sign {
    match (state, closed_on) {
        (CaseState::Settled, Some(closed_on)) => {
            let word = match closed_on {
                ClosedOn::Proven => "settled: proven",
                ClosedOn::Forward => "settled: forward",
                ClosedOn::Quiet => "settled: quiet",
                ClosedOn::ByPerson => "settled by a person",
            };
            Sign { word, ..closed_on.sign() }
        }
        (state, _) => state.sign(),
    }
}

impl Signed for Verdict {
    fn sign(self) -> Sign {
        match self {
            Self::Undone => sign("undone", "✓", Tone::Good),
            Self::NoEffect => sign("no effect", "∅", Tone::Good),
            Self::NeverReached => sign("never reached", "–", Tone::Good),
            Self::NoUndo => sign("has no undo", "→", Tone::Quiet),
            Self::Kept => sign("kept", "⇥", Tone::Quiet),
            Self::MayStand => sign("may stand", "~", Tone::Waiting),
        }
    }
}

impl Signed for StepStateName {
    fn sign(self) -> Sign {
        match self {
            Self::Waiting => sign("waiting", "○", Tone::Quiet),
            Self::Due => sign("due", "◔", Tone::Waiting),
            Self::InFlight => sign("in flight", "►", Tone::Going),
            Self::Accepted => sign("accepted", "◑", Tone::Going),
            Self::Done => sign("done", "✓", Tone::Good),
            Self::Stuck => sign("stuck", "■", Tone::Bad),
            Self::Superseded => sign("superseded", "–", Tone::Quiet),
            Self::Shadow => sign("shadow", "◌", Tone::Quiet),
        }
    }
}

impl Signed for Outcome {
    fn sign(self) -> Sign {
        match self {
            Self::Compensated => sign("undone", "✓", Tone::Good),
            Self::AlreadyCompensated => sign("was undone already", "≡", Tone::Good),
            Self::NothingToCompensate => sign("had nothing to undo", "∅", Tone::Good),
            Self::Retried => sign("retried", "↻", Tone::Good),
            Self::Notified => sign("told", "✉", Tone::Good),
            Self::Refused => sign("refused", "✗", Tone::Bad),
            Self::Waived => sign("waived", "✎", Tone::Decided),
            Self::NotFenceable => sign("puts up no fence", "⊄", Tone::Quiet),
        }
    }
}

impl Signed for StuckReason {
    fn sign(self) -> Sign {
        match self {
            Self::Refused => sign("refused", "✗", Tone::Bad),
            Self::OutOfAttempts => sign("out of attempts", "#", Tone::Bad),
            Self::OutOfTime => sign("out of time", "⌛", Tone::Bad),
            Self::Rejected => sign("rejected", "!", Tone::Bad),
            Self::Unsendable => sign("unsendable", "⊘", Tone::Bad),
            Self::AwaitsApproval => sign("waits for approval", "?", Tone::Waiting),
        }
    }
}

impl Signed for Cause {
    fn sign(self) -> Sign {
        match self {
            Self::Unreachable => sign("unreachable", "⊗", Tone::Bad),
            Self::NoAnswer => sign("no answer", "…", Tone::Waiting),
            Self::Status => sign("answers with an error", "!", Tone::Waiting),
            Self::History => sign("History not read", "⊖", Tone::Waiting),
            Self::Busy => sign("busy", "◔", Tone::Waiting),
            Self::Refused => sign("refused", "✗", Tone::Bad),
            Self::Rejected => sign("rejected", "■", Tone::Bad),
            Self::Rejecting => sign("rejecting", "⊠", Tone::Bad),
            Self::Unsendable => sign("unsendable", "⊘", Tone::Bad),
            Self::Approval => sign("waits for approval", "?", Tone::Waiting),
            Self::Unmatched => sign("no rule", "□", Tone::Bad),
            Self::Question => sign("a question", "¿", Tone::Bad),
            Self::Paused => sign("paused", "‖", Tone::Decided),
            Self::Held => HELD,
            Self::Accepted => sign("accepted", "◑", Tone::Going),
            Self::Callers => sign("waits for its callers", "⇠", Tone::Waiting),
            Self::Stage => sign("an earlier stage first", "○", Tone::Quiet),
            Self::Queued => sign("queued", "≡", Tone::Quiet),
            Self::Asked => sign("asked", "►", Tone::Going),
        }
    }
}

impl Signed for QuestionKind {
    fn sign(self) -> Sign {
        match self {
            Self::Contradiction => sign("contradiction", "≠", Tone::Bad),
            Self::Stranger => sign("stranger", "?", Tone::Bad),
            Self::Dropped => sign("dropped evidence", "…", Tone::Bad),
            Self::HistoryUnavailable => sign("History unavailable", "⊗", Tone::Bad),
            Self::DataConflict => sign("data conflict", "≢", Tone::Bad),
            Self::PastThePivot => sign("past the pivot", "⇥", Tone::Bad),
        }
    }
}

impl Signed for QuestionEffect {
    fn sign(self) -> Sign {
        match self {
            Self::Hold => sign("holds the case", "■", Tone::Bad),
            Self::Note => sign("only shown", "○", Tone::Quiet),
        }
    }
}

impl Signed for BulkState {
    fn sign(self) -> Sign {
        match self {
            Self::Preview => sign("preview", "○", Tone::Quiet),
            Self::Running => sign("running", "►", Tone::Going),
            Self::Stopped => sign("stopped", "■", Tone::Waiting),
            Self::Done => sign("done", "✓", Tone::Good),
        }
    }
}

impl Signed for BulkActName {
    fn sign(self) -> Sign {
        match self {
            Self::Retry => sign("retry", "↻", Tone::Going),
            Self::Waive => sign("waive", "✎", Tone::Decided),
            Self::Approve => sign("approve", "✓", Tone::Decided),
            Self::Replan => sign("replan", "⟳", Tone::Decided),
            Self::Accept => sign("accept", "≈", Tone::Decided),
        }
    }
}

impl Signed for ServiceHealth {
    fn sign(self) -> Sign {
        match self {
            Self::Healthy => sign("healthy", "●", Tone::Good),
            Self::Idle => sign("idle", "○", Tone::Quiet),
            Self::Failing => sign("failing", "!", Tone::Bad),
            Self::Probing => sign("probing", "◐", Tone::Waiting),
            Self::OutOfReach => sign("out of reach", "⊗", Tone::Bad),
            Self::Rejecting => sign("rejecting", "⊠", Tone::Bad),
            Self::Paused => sign("paused", "‖", Tone::Decided),
        }
    }
}

impl Signed for NodeState {
    fn sign(self) -> Sign {
        match self {
            Self::Alive => sign("alive", "●", Tone::Good),
            Self::Draining => sign("draining", "◐", Tone::Waiting),
            Self::Drained => sign("drained", "‖", Tone::Decided),
            Self::Silent => sign("silent", "⊗", Tone::Bad),
        }
    }
}

/// The sign of what needs a person, as a trouble names it: a reason of being stuck, a kind of question, or `unmatched`.
#[must_use]
pub fn trouble_sign(why: TroubleReason) -> Sign {
    let stuck = StuckReason::ALL.iter().find(|reason| TroubleReason::from(**reason) == why);
    let doubt = QuestionKind::ALL.iter().find(|kind| TroubleReason::from(**kind) == why);
    match (stuck, doubt) {
        (Some(reason), _) => reason.sign(),
        (None, Some(kind)) => kind.sign(),
        (None, None) => CaseState::Unmatched.sign(),
    }
}

/// A step that its service took, without a place to look: it calls back.
pub const CALLS_BACK: Sign = sign("tells when done", "◒", Tone::Going);

/// A History that has been read.
pub const ANSWERED: Sign = sign("yes", "✓", Tone::Good);

/// A rulebook in which nothing is found.
pub const NO_FINDING: Sign = sign("nothing", "✓", Tone::Good);

/// Whether a version of a rulebook is the active one.
#[must_use]
pub const fn version_sign(is_active: bool) -> Sign {
    match is_active {
        true => sign("active", "✓", Tone::Good),
        false => sign("not active", "○", Tone::Quiet),
    }
}

/// What a person holds back: a rule, or a rulebook, and what it asks for.
pub const HELD: Sign = sign("held", "⊟", Tone::Decided);

/// A case that can't be worked on; it has a state all the same, as far as that can be read.
pub const QUARANTINED: Sign = sign("quarantined", "✕", Tone::Bad);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// INVARIANT: every state has a word and a shape, and within one list no two share one of them.
    fn told_apart<T: Signed + std::fmt::Debug>(all: &[T]) {
        let signs: Vec<Sign> = all.iter().map(|one| one.sign()).collect();
        assert!(
            signs.iter().all(|s| !s.word.is_empty() && s.shape.chars().count() == 1),
            "{all:?}"
        );
        let words: BTreeSet<_> = signs.iter().map(|s| s.word).collect();
        let shapes: BTreeSet<_> = signs.iter().map(|s| s.shape).collect();
        assert_eq!((words.len(), shapes.len()), (all.len(), all.len()), "{all:?}: {signs:?}");
    }

    #[test]
    fn every_state_is_told_by_word_shape_and_colour() {
        told_apart(CaseState::ALL);
        told_apart(ClosedOn::ALL);
        told_apart(Verdict::ALL);
        told_apart(StepStateName::ALL);
        told_apart(Outcome::ALL);
        told_apart(StuckReason::ALL);
        told_apart(Cause::ALL);
        told_apart(QuestionKind::ALL);
        told_apart(QuestionEffect::ALL);
        told_apart(BulkState::ALL);
        told_apart(BulkActName::ALL);
        told_apart(ServiceHealth::ALL);
        told_apart(NodeState::ALL);
        assert!(CaseState::ALL.iter().all(|state| state.sign().shape != QUARANTINED.shape));
        assert!(StepStateName::ALL.iter().all(|state| state.sign().shape != CALLS_BACK.shape));
        let names: BTreeSet<_> = Tone::ALL.iter().map(|tone| tone.as_str()).collect();
        assert_eq!(names.len(), Tone::ALL.len());
    }

    #[test]
    fn what_is_not_proven_does_not_look_as_if_it_were() {
        let of = |closed_on| case_sign(CaseState::Settled, Some(closed_on));
        for closed_on in [ClosedOn::Quiet, ClosedOn::ByPerson] {
            assert_ne!(closed_on.sign().tone, Tone::Good, "{closed_on}");
            assert_ne!(of(closed_on).tone, Tone::Good, "{closed_on}");
        }
        let words: BTreeSet<_> = ClosedOn::ALL.iter().map(|one| of(*one).word).collect();
        let meanings: BTreeSet<_> = ClosedOn::ALL.iter().map(|one| one.meaning()).collect();
        assert_eq!((words.len(), meanings.len()), (4, 4));
        assert_eq!(case_sign(CaseState::Stuck, None), CaseState::Stuck.sign());
    }

    #[test]
    fn what_needs_a_person_looks_like_it_and_nothing_waived_looks_undone() {
        assert_eq!(CaseState::Stuck.sign().tone, Tone::Bad);
        assert_eq!(Outcome::Waived.sign().tone, Tone::Decided);
        assert_ne!(Outcome::Waived.sign().shape, Outcome::Compensated.sign().shape);
    }
}
