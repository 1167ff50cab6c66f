//! What a made-up business is: actions, what they call and how, and what they report.

use amends_rulebook::Times;

/// How large a made-up business may be; more makes little that is new, and much to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Actions at most; at least two.
    pub actions: u64,
    /// Requests of the longest saga; one that unfolds to more is cut back.
    pub requests: usize,
}

impl Size {
    /// Played in a moment, also by a program that is not optimized.
    pub const TINY: Self = Self { actions: 3, requests: 3 };
    /// Played in a moment.
    pub const SMALL: Self = Self { actions: 4, requests: 5 };
    /// For a long run.
    pub const LARGE: Self = Self { actions: 6, requests: 9 };
}

/// What can be done about an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Compensable,
    /// Its service knows nothing of the participant protocol, and undoes all of a saga at once.
    Mapped,
    /// The same, request by request.
    Charged,
    Free,
    Notice,
    Retriable,
    /// Compensable, and run again when it fails itself.
    RunAgain,
    /// Nothing can undo it; behind it a saga only goes forward.
    Pivot,
}

/// What a caller makes of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heed {
    Fails,
    Tolerates,
    /// Nobody waits for it.
    Sends,
}

/// One item of `calls:`. The numbers are actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Own,
    Call {
        to: usize,
        times: Times,
        heed: Heed,
    },
    /// One of these ways is taken; an empty one is `none`.
    OneOf {
        ways: Vec<Vec<usize>>,
    },
    /// All at once, each perhaps not in every saga.
    Parallel {
        calls: Vec<(usize, bool)>,
    },
}

/// An action `s{service}.a{its number}`.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) service: usize,
    pub(crate) class: Class,
    pub(crate) items: Vec<Item>,
    /// Whether its service bars what comes behind an undo.
    pub(crate) fence: bool,
}

/// A call as a report names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) to: usize,
    /// Who makes it, where the report says so.
    pub(crate) by: Option<usize>,
}

/// Where a declared report comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comes {
    Anywhere,
    Start,
    /// A call of this action was answered, so often.
    After(usize, usize),
    /// This was called by then, perhaps by another action.
    Behind(Named),
    /// A call of this action was sent.
    Sent(usize),
}

/// A declared report.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) action: usize,
    pub(crate) code: String,
    pub(crate) from: Comes,
    pub(crate) without: Option<Named>,
    /// Own calls are named with the way, `a>b`.
    pub(super) by_way: bool,
    pub(super) keep: bool,
}

impl Item {
    /// How many calls are written in it.
    pub(crate) fn width(&self) -> usize {
        self.ways().iter().map(Vec::len).sum()
    }

    /// What is called, in the order written; of several ways one is taken.
    pub(crate) fn ways(&self) -> Vec<Vec<usize>> {
        match self {
            Self::Own => Vec::new(),
            Self::Call { to, .. } => vec![vec![*to]],
            Self::OneOf { ways } => ways.clone(),
            Self::Parallel { calls } => vec![calls.iter().map(|(to, _)| *to).collect()],
        }
    }
}

impl Made {
    /// What it calls, in the order written.
    pub(crate) fn callees(&self) -> Vec<usize> {
        self.items.iter().flat_map(Item::ways).flatten().collect()
    }

    /// Whether its service is asked through endpoints of its own.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.class, Class::Mapped | Class::Charged)
    }

    /// Whether there is something to undo.
    pub(crate) fn is_undoable(&self) -> bool {
        matches!(self.class, Class::Compensable | Class::Mapped | Class::Charged | Class::RunAgain)
    }

    /// Whether its failure is not its caller's: it is run again until it is done.
    pub(crate) fn is_run_again(&self) -> bool {
        matches!(self.class, Class::Notice | Class::Retriable | Class::RunAgain)
    }
}
