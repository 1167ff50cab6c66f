//! What a loop asks a store before it steps the engine, and what it gets.

use crate::{
    Epoch, RuleMinute, RulebookRow, SagaRow, Settings, SharedStore, StoredCase, UnreadableRow,
};
use amends_protocol::{CaseId, ReportKey, SagaId, Salt, Timestamp};
use amends_rulebook::StillNeeded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a batch of inputs is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupRequest {
    /// Is this very report known, and in which case?
    pub reports: Vec<ReportKey>,
    /// The saga's case, in whatever state.
    pub sagas: Vec<SagaId>,
    /// The case, in whatever state.
    pub cases: Vec<CaseId>,
    /// What the saga announced, in whatever state.
    pub announced: Vec<SagaId>,
    /// Versions of rulebooks, by content hash.
    pub rulebooks: Vec<Arc<str>>,
    /// What open cases of these rulebooks still have to ask for, whoever holds them; by name.
    pub needed: Vec<Arc<str>>,
    /// The current minutes of limited rules, of a store that several share.
    pub rule_minutes: bool,
}

/// The answer to a [`LookupRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookupResult {
    /// One for each report asked for, in the same order.
    pub reports: Vec<Option<CaseId>>,
    /// Cases that are known, each once, in no promised order.
    pub cases: Vec<StoredCase>,
    /// Announced sagas that are known, each once, in no promised order.
    pub announced: Vec<SagaRow>,
    /// Versions that are known, with their sources, in no promised order.
    pub rulebooks: Vec<RulebookRow>,
    /// Cases that were asked for and can't be read.
    pub broken: Vec<BrokenCase>,
    /// Steps that are not finished of open cases, by the names of their rulebooks.
    pub needed: Vec<(Arc<str>, StillNeeded)>,
    /// The current minutes of limited rules, all of them, if they were asked for.
    pub rule_minutes: Option<Vec<RuleMinute>>,
}

/// Versions that are not active and are read at a start.
pub const EARLIER_VERSIONS: u32 = 50;

/// What the engine needs at its start, but for the open cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Goes along with every commit until the next loading, of a store that is owned as a whole.
    pub epoch: Epoch,
    /// What is held of a store that several loops share; none of one that is owned as a whole. What belongs to sagas
    /// then comes with each partition ([`crate::Adopted`]).
    pub shared: Option<SharedStore>,
    /// The highest case number ever given out, 0 if none; also when that case has been pruned.
    pub last_case: u64,
    /// Made once with the store; in every id and key.
    pub salt: Salt,
    /// Supervisor time of the last commit: it goes on from here. A store that has none yet gives the wall
    /// clock's time of
    /// the newest open row, since older versions of this program wrote due times by that clock; none if nothing
    /// is open.
    pub clock: Option<Timestamp>,
    /// Announced sagas that are still under way, by deadline.
    pub sagas: Vec<SagaRow>,
    /// What belongs to no saga.
    pub settings: Settings,
}

/// Some of the cases that are not settled, or that hold a report without an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenPage {
    /// Cases, in the store's order.
    pub cases: Vec<StoredCase>,
    /// Those that can't be read; they may be settled.
    pub broken: Vec<BrokenCase>,
    /// Where the next page begins; none after the last.
    pub next: Option<OpenPlace>,
}

/// A place among these cases: after the case from which it was made. Only the store that gave it
/// knows its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenPlace(pub [i64; 3]);

/// Before all of them.
impl Default for OpenPlace {
    fn default() -> Self {
        Self([i64::MIN; 3])
    }
}

/// What is left of a case of which a row doesn't read back: enough to know what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenCase {
    /// The case.
    pub id: CaseId,
    /// Its saga; none if not even that can be read.
    pub saga: Option<SagaId>,
    /// It is stored as settled, so it is looked up again for each input.
    pub settled: bool,
    /// The position of the next report.
    pub next_report: u32,
    /// The first row that can't be read.
    pub broken: UnreadableRow,
}

/// A case that can't be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// What is left of it, and why.
    pub case: BrokenCase,
    /// When it was found.
    pub since: Timestamp,
}

/// All that is stored of one case, as it lies in the store: for export, and to be mended by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawCase {
    /// The case.
    pub id: CaseId,
    /// Its rows: the case itself, then its reports and its steps.
    pub rows: Vec<RawRow>,
}

/// One row as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRow {
    /// The kind of row, in the store's word.
    pub table: String,
    /// Its columns by name. Bytes that are no text are shown as text with marks in their place.
    pub columns: BTreeMap<String, RawValue>,
}

/// What lies in a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawValue {
    /// A number.
    Number(i64),
    /// A text, e.g. of JSON.
    Text(String),
    /// Nothing.
    Nothing,
}
