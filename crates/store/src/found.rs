//! What goes in and out of a store in one piece, besides the engine's own rows. Plain data.

use amends_engine::ReportRole;
use amends_protocol::{Timestamp, resources::CaseDetail};

/// Cases that were settled lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlements {
    /// When each was opened and settled, newest case first.
    pub times: Vec<(Timestamp, Timestamp)>,
    /// There are older cases that were not looked at: what was settled of those opened before this moment is missing.
    pub opened_since: Option<Timestamp>,
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

/// One case for people, with what only the rulebook can put in words.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseRecord {
    /// All that is known of it. The `rule` labels of its reports are left empty.
    pub detail: CaseDetail,
    /// How each report of `detail` is answered, in the same order.
    pub roles: Vec<ReportRole>,
}
