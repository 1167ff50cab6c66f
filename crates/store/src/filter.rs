//! What people can ask lists for. A filter is data; how it is searched is the store's affair.

use amends_api::{Amount, CaseState, ClosedOn, StepStateName, StuckReason};
use amends_protocol::{ActionName, CaseId, Outcome, SagaId, StepId, Timestamp, Verb};

use std::str::FromStr;

/// Rows of a page when nothing is said: about two screens.
pub const DEFAULT_PAGE: u32 = 50;
/// Most rows of a page, so that one answer stays under about a megabyte.
pub const PAGE_LIMIT: u32 = 500;

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Most rows; taken as the nearest of 1 to [`PAGE_LIMIT`].
    pub limit: u32,
    /// `next` of the page before; nothing for the first page. Opaque.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: DEFAULT_PAGE, cursor: None }
    }
}

impl PageRequest {
    /// The first page, with this many rows.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, cursor: None }
    }

    /// The limit within its bounds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.limit.clamp(1, PAGE_LIMIT) as usize
    }
}

/// Which cases. Everything given has to match; an empty filter matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// In one of these states; empty means any.
    pub state: Vec<CaseState>,
    /// Settled on one of these; empty means any, settled or not.
    pub closed_on: Vec<ClosedOn>,
    /// Of this saga.
    pub saga: Option<SagaId>,
    /// Planned with a version of a rulebook of one of these names.
    pub rulebooks: Vec<String>,
    /// With this first report: `service/code`, or a beginning of it and `*`, as in `payment/*`.
    pub report: Option<String>,
    /// That has a step for this service, or whose first report came from it.
    pub service: Option<String>,
    /// That has a step on this action.
    pub action: Option<ActionName>,
    /// With this in the saga id or in the first report's message; ASCII letters match in either case.
    pub text: Option<String>,
    /// That concerns this customer.
    pub customer: Option<String>,
    /// About an amount of this currency.
    pub currency: Option<String>,
    /// About this much or more, of that currency or of any.
    pub amount_min: Option<Amount>,
    /// About this much or less, as above.
    pub amount_max: Option<Amount>,
    /// Opened at this moment or later.
    pub opened_after: Option<Timestamp>,
    /// Opened before this moment.
    pub opened_before: Option<Timestamp>,
    /// Among these. Each page looks at all of them: a page of them, not all of a list.
    pub among: Option<Vec<CaseId>>,
    /// Among these, each with when it was opened, e.g. the members of a group, in any order. A page looks at no more of
    /// them than it needs.
    pub members: Option<Vec<(Timestamp, CaseId)>>,
    /// Which come first.
    pub order: CaseOrder,
}

/// Which entries of the audit, in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// Of this case.
    pub case: Option<CaseId>,
    /// In this order.
    pub order: CaseOrder,
}

/// In which order cases, or entries of the audit, are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaseOrder {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
}

impl CaseOrder {
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Newest => "DESC",
            Self::Oldest => "ASC",
        }
    }
}

impl FromStr for CaseOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            "oldest" => Ok(Self::Oldest),
            _ => Err(format!("unknown order `{text}`; one of: newest, oldest")),
        }
    }
}

/// Which steps. Everything given has to match; an empty filter matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepFilter {
    /// These. Each page looks at all of them, as above.
    pub ids: Option<Vec<StepId>>,
    /// These, each with when its case was opened, e.g. the members of a group, in any order.
    pub members: Option<Vec<(Timestamp, StepId)>>,
    /// Of this case.
    pub case: Option<CaseId>,
    /// Of one of these cases.
    pub cases: Option<Vec<CaseId>>,
    /// Of this saga.
    pub saga: Option<SagaId>,
    /// Of cases that are planned with a version of a rulebook of one of these names.
    pub rulebooks: Vec<String>,
    /// Asked of this service.
    pub service: Option<String>,
    /// On this action.
    pub action: Option<ActionName>,
    /// With this verb.
    pub verb: Option<Verb>,
    /// In one of these states; empty means any.
    pub state: Vec<StepStateName>,
    /// Ended like this.
    pub outcome: Option<Outcome>,
    /// Stuck for this reason.
    pub reason: Option<StuckReason>,
    /// With this in the message of the last try; ASCII letters match in either case.
    pub text: Option<String>,
}
