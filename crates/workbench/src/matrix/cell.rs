//! What becomes of an action in a row of the matrix, and how that is called.

/// What becomes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// The saga has not come to it.
    NotReached,
    /// It is the one that failed; it is undone too, unless its History proves that it did nothing.
    Own,
    /// It was called and waits for what has failed below it.
    Called,
    /// It happened and stays.
    Kept,
    /// It is undone.
    Compensate,
    /// It is undone if the Histories say that it happened or may have.
    CompensateIfRecorded,
    /// It is run again.
    Retry,
    /// It is a message and is sent, or corrected.
    Notify,
    /// It is a message and is corrected if the Histories say that it went out or may have.
    NotifyIfRecorded,
    /// It should be undone or corrected, and the rule doesn't ask for it.
    Missing,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What becomes of the action.
    pub kind: CellKind,
    /// Its stage, from 1; only of rules with several stages.
    pub stage: Option<u16>,
    /// Asked for although it cannot have happened.
    pub superfluous: bool,
}

impl CellKind {
    /// Its name in data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotReached => "not_reached",
            Self::Own => "own",
            Self::Called => "called",
            Self::Kept => "kept",
            Self::Compensate => "compensate",
            Self::CompensateIfRecorded => "compensate_if_recorded",
            Self::Retry => "retry",
            Self::Notify => "notify",
            Self::NotifyIfRecorded => "notify_if_recorded",
            Self::Missing => "missing",
        }
    }

    /// Its class in HTML and SVG.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::NotReached => "am-not-reached",
            Self::Own => "am-own",
            Self::Called => "am-called",
            Self::Kept => "am-kept",
            Self::Compensate => "am-compensate",
            Self::CompensateIfRecorded => "am-compensate-if-recorded",
            Self::Retry => "am-retry",
            Self::Notify => "am-notify",
            Self::NotifyIfRecorded => "am-notify-if-recorded",
            Self::Missing => "am-missing",
        }
    }

    /// Its word in a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotReached => "·",
            Self::Own => "own",
            Self::Called => "called",
            Self::Kept => "kept",
            Self::Compensate => "undo",
            Self::CompensateIfRecorded => "(undo)",
            Self::Retry => "retry",
            Self::Notify => "notify",
            Self::NotifyIfRecorded => "(notify)",
            Self::Missing => "GAP!",
        }
    }

    /// What the word means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NotReached => "not reached by then",
            Self::Own => "failed itself; undone too if anything is, unless proven without effect",
            Self::Called => "called, and waits for what has failed below it",
            Self::Kept => "happened and stays",
            Self::Compensate => "undone",
            Self::CompensateIfRecorded => "undone if the Histories say that it may have happened",
            Self::Retry => "run again",
            Self::Notify => "its (correcting) message is sent",
            Self::NotifyIfRecorded => "corrected if the Histories say that it may have gone out",
            Self::Missing => "needed, and the rule doesn't ask for it",
        }
    }

    /// Every kind, in the order of a legend.
    pub(crate) const ALL: [Self; 10] = [
        Self::Compensate,
        Self::CompensateIfRecorded,
        Self::Retry,
        Self::Notify,
        Self::NotifyIfRecorded,
        Self::Kept,
        Self::Own,
        Self::Called,
        Self::NotReached,
        Self::Missing,
    ];
}

impl Cell {
    /// Its text in a table, e.g. `undo 2` for the second stage, `undo*` for what cannot be needed.
    #[must_use]
    pub fn text(&self) -> String {
        let stage = self.stage.map_or(String::new(), |n| format!(" {n}"));
        format!("{}{}{stage}", self.kind.word(), if self.superfluous { "*" } else { "" })
    }
}
