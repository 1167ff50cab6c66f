//! A rule: which reports it answers, and what it demands. Data only; `matching` and `plan` give it meaning.

use crate::{ActionId, Condition, Span};
use std::sync::Arc;

/// A rule of one rulebook: its position in [`crate::Rulebook::rules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// What happens with a plan when it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is carried out.
    #[default]
    Auto,
    /// It waits for a person's yes.
    Ask,
    /// It is recorded, nothing is sent.
    Shadow,
}

impl Mode {
    /// `auto`, `ask` or `shadow`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ask => "ask",
            Self::Shadow => "shadow",
        }
    }
}

/// In which order the compensations of one stage go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UndoOrder {
    /// All at once.
    #[default]
    AtOnce,
    /// What was called later before what was called earlier, as far as calls connect them.
    ReverseCalls,
}

impl UndoOrder {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::AtOnce, Self::ReverseCalls];

    /// `at_once` or `reverse_calls`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::ReverseCalls => "reverse_calls",
        }
    }
}

/// What becomes of undoing what came before a pivot, where the saga may be past it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Past {
    /// It waits, and a person is asked.
    #[default]
    Ask,
    /// It is undone all the same.
    Undo,
    /// It stays as soon as the pivot is known to have taken effect; as long as that is not known, a person is asked.
    Keep,
}

impl Past {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Ask, Self::Undo, Self::Keep];

    /// `ask`, `undo` or `keep`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Undo => "undo",
            Self::Keep => "keep",
        }
    }
}

/// Which reports a rule is for, before its conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The reporting service; none means any.
    pub service: Option<Arc<str>>,
    /// The code.
    pub code: CodePattern,
}

/// The part of a pattern after the slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CodePattern {
    /// Exactly this code.
    Exact(Arc<str>),
    /// Every code that begins so; the empty prefix is written `*` alone.
    Prefix(Arc<str>),
}

/// The predefined answer to a kind of report.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its position.
    pub id: RuleId,
    /// The pattern as written, e.g. `payment/report-1`.
    pub on: String,
    /// The pattern as read.
    pub pattern: Pattern,
    /// What else must hold, sorted by field; at most one condition per field.
    pub when: Vec<Condition>,
    /// What it asks for.
    pub demand: Demand,
    /// When a retry is given up, and what then.
    pub give_up: Option<GiveUp>,
    /// In which order what it compensates in one stage is undone.
    pub undo_order: UndoOrder,
    /// What becomes of what came before a pivot; none if it doesn't say.
    pub past: Option<Past>,
    /// Whether the plan is carried out.
    pub mode: Mode,
    /// More cases than this in a minute fall back to `ask`.
    pub limit_per_minute: Option<u32>,
    /// Age within which its cases should be settled; an older one is reported.
    pub objective_ms: Option<u64>,
    /// Whom to ask about it.
    pub owner: Option<String>,
    /// Why it is as it is.
    pub why: Option<String>,
    /// It follows from `on_failure: retry` of an action and is written nowhere.
    pub implied: bool,
    /// The pattern in the source (of an implied rule: the action's name).
    pub span: Span,
    /// A short name for people, the same in every load, e.g. `payment/* when data.amount > 100`.
    pub index_label: String,
}

/// When a retry is given up. At least one of the limits is there.
#[derive(Clone, Debug)]
pub struct GiveUp {
    /// After so many attempts of the retry.
    pub attempts: Option<u32>,
    /// When the retry is so old.
    pub age_ms: Option<u64>,
    /// What is asked for instead.
    pub then: Demand,
}

/// What a rule asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Stage 0 is the top level, then each `then:`.
    pub stages: Vec<StageDemand>,
}

/// What one stage asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageDemand {
    /// What is undone.
    pub compensate: Vec<Target>,
    /// What is run again.
    pub retry: Vec<Target>,
    /// Which messages go out.
    pub notify: Vec<Target>,
}

/// A set of actions, made concrete per saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Everything that the Histories say happened or may have happened.
    Recorded,
    /// Everything that the saga could have reached.
    All,
    /// Everything that the failing action could have called.
    Downstream,
    /// Every action with the tag.
    Tag(Arc<str>),
    /// This one.
    Action(ActionId),
}

/// When a step's turn is: a stage waits for the steps of the stages before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage(pub u16);

impl Stage {
    /// Where the notices of the top level stand: after all else.
    pub const NOTICES: Self = Self(u16::MAX);
}

impl Demand {
    /// Whether it asks for any compensation.
    #[must_use]
    pub fn is_backward(&self) -> bool {
        self.stages.iter().any(|s| !s.compensate.is_empty())
    }

    /// Whether it asks for a set that is resolved for each saga.
    #[must_use]
    pub fn has_sets(&self) -> bool {
        let mut targets = self.stages.iter().flat_map(|s| &s.compensate);
        targets.any(|t| matches!(t, Target::Recorded | Target::All | Target::Downstream))
    }

    /// Whether one of those sets is of all that the saga reached, and not only of what one action called.
    #[must_use]
    pub fn is_for_all_of_a_saga(&self) -> bool {
        let mut targets = self.stages.iter().flat_map(|s| &s.compensate);
        targets.any(|t| matches!(t, Target::Recorded | Target::All))
    }

    /// Whether what it asks for depends on the Histories.
    #[must_use]
    pub fn uses_recorded(&self) -> bool {
        self.stages.iter().any(|s| s.compensate.contains(&Target::Recorded))
    }
}

impl Pattern {
    /// Whether a report of this service and code is meant.
    #[must_use]
    pub fn covers(&self, service: &str, code: &str) -> bool {
        self.service.as_deref().is_none_or(|s| s == service)
            && match &self.code {
                CodePattern::Exact(c) => &**c == code,
                CodePattern::Prefix(p) => code.starts_with(&**p),
            }
    }

    /// Sort key: the most specific layer has the smallest.
    #[must_use]
    pub(crate) fn layer(&self) -> (u8, usize) {
        match (&self.service, &self.code) {
            (Some(_), CodePattern::Exact(_)) => (0, 0),
            (Some(_), CodePattern::Prefix(p)) => (1, usize::MAX - p.len()),
            (None, _) => (2, 0),
        }
    }
}
