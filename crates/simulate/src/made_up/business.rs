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
}

/// Where a declared report comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comes {
    Anywhere,
    Start,
    /// A call of this action was answered, so often.
    After(usize, usize),
    /// A call of this action was sent.
    Sent(usize),
}

/// A declared report.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) action: usize,
    pub(crate) code: String,
    pub(crate) from: Comes,
    pub(crate) without: Option<usize>,
    pub(super) keep: bool,
}

impl Made {
    /// What it calls, in the order written.
    pub(crate) fn callees(&self) -> Vec<usize> {
        let of = |item: &Item| match item {
            Item::Own => Vec::new(),
            Item::Call { to, .. } => vec![*to],
            Item::OneOf { ways } => ways.concat(),
            Item::Parallel { calls } => calls.iter().map(|(to, _)| *to).collect(),
        };
        self.items.iter().flat_map(of).collect()
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
