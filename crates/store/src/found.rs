//! What goes in and out of a store in one piece, besides the engine's own rows. Plain data.

use amends_engine::{ActRow, AttemptRow, CaseRow, ReportRow, StepRow, StoredCase};
use amends_protocol::{SagaId, Timestamp};

/// Cases that were settled lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlements {
    /// When each was opened and settled, the last settled first.
    pub times: Vec<(Timestamp, Timestamp)>,
    /// There may be more than were asked for: what was settled before this moment is missing.
    pub settled_since: Option<Timestamp>,
}

/// One bulk act. What its texts mean is its maker's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRow {
    /// From 1; the key.
    pub id: u64,
    /// What it is for; never changes. Empty in lists.
    pub ids: String,
    /// Everything else.
    pub state: String,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPage<T> {
    /// The rows, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last one.
    pub next: Option<String>,
    /// The page ended early so that it comes soon: only cases opened after this moment (or before it, oldest first) have
    /// been looked at; `next` goes on from there.
    pub searched_until: Option<Timestamp>,
}

impl<T> Default for RowPage<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None, searched_until: None }
    }
}

impl<T> RowPage<T> {
    /// The same page with something else made of each of its rows.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> RowPage<U> {
        let Self { items, next, searched_until } = self;
        RowPage { items: items.into_iter().map(make).collect(), next, searched_until }
    }
}

/// A case of a list, with what its row tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedCase {
    /// The case.
    pub case: CaseRow,
    /// The report that it began with.
    pub first_report: Option<ReportRow>,
    /// Its steps, by ordinal.
    pub steps: Vec<StepRow>,
}

/// All that is stored of one case.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseRecord {
    /// The case, its reports by position and its steps by ordinal.
    pub stored: StoredCase,
    /// Tries of its steps, by step and number. The try that ended a step has no row: the step's own row tells of it.
    pub attempts: Vec<AttemptRow>,
    /// Acts on it, oldest first; of very many, the latest.
    pub acts: Vec<ActRow>,
}

/// A step of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedStep {
    /// The step.
    pub step: StepRow,
    /// The saga of its case.
    pub saga: SagaId,
    /// Ids of the reports at the positions of `because`, in that order; those that are not stored are left out.
    pub because: Vec<String>,
    /// The same for `would_have_asked`.
    pub would_have_asked: Vec<String>,
}

/// All that is stored of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// The step.
    pub listed: ListedStep,
    /// Its tries by number, as in [`CaseRecord::attempts`].
    pub attempts: Vec<AttemptRow>,
}
