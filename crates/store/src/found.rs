//! What goes in and out of a store in one piece, besides the engine's own rows. Plain data.

use amends_engine::{ReportRole, SagaRow, ServiceRow, StoredCase};
use amends_protocol::{CaseId, ReportKey, SagaId, Timestamp, resources::CaseDetail};
use std::sync::Arc;

/// What a batch of inputs is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Is this very report known, and in which case?
    pub reports: Vec<ReportKey>,
    /// The saga's case, if settled (the engine holds all others).
    pub sagas: Vec<SagaId>,
    /// The case, if settled.
    pub cases: Vec<CaseId>,
    /// What the saga announced, in whatever state.
    pub announced: Vec<SagaId>,
}

/// The answer to a [`Wanted`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// One for each wanted report, in the same order.
    pub reports: Vec<Option<CaseId>>,
    /// Settled cases, each once, in no promised order.
    pub cases: Vec<StoredCase>,
    /// Announced sagas that are known, each once, in no promised order.
    pub announced: Vec<SagaRow>,
}

/// What the engine needs at its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The highest case number ever given out, 0 if none; also when that case has been pruned.
    pub last_case: u64,
    /// Every case that is not settled, by number.
    pub cases: Vec<StoredCase>,
    /// Announced sagas that are still under way, by deadline.
    pub sagas: Vec<SagaRow>,
    /// What operators have set for services, by name.
    pub services: Vec<ServiceRow>,
    /// Active versions of rulebooks, and those that these cases are planned with.
    pub rulebooks: Vec<RulebookRow>,
}

/// Cases that were settled lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlements {
    /// When each was opened and settled, newest case first.
    pub times: Vec<(Timestamp, Timestamp)>,
    /// There are older cases that were not looked at: what was settled of those opened before this moment is missing.
    pub opened_since: Option<Timestamp>,
}

/// One version of a rulebook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulebookRow {
    /// Its name.
    pub name: Arc<str>,
    /// Its content hash; the key.
    pub hash: Arc<str>,
    /// Path and text of its files, root first; empty in lists.
    pub sources: Vec<(String, String)>,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Whether new cases are planned with it.
    pub active: bool,
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
