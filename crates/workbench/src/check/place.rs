//! The place at which a rule is judged, and how steps are named there.

use crate::places::{NeededStep, SagaState};
use amends_rulebook::{ReportDecl, Rulebook};
use std::collections::BTreeSet;

/// Names listed in one message.
pub(super) const NAMES: usize = 8;

/// Where a declared report stands.
pub(super) struct JudgedPlace<'a> {
    pub(super) report: &'a ReportDecl,
    pub(super) name: &'a str,
    pub(super) state: &'a SagaState,
}

pub(super) fn step_names(book: &Rulebook, steps: &BTreeSet<NeededStep>) -> String {
    list(steps.iter().map(|(verb, id)| format!("`{verb}: {}`", book.get(*id).name)))
}

pub(super) fn list(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMES);
    let few: Vec<_> = all.take(NAMES).collect();
    few.join(", ") + &(if more > 0 { format!(" and {more} more") } else { String::new() })
}
