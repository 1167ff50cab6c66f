//! The order of lists: by the time of opening, then by number. Numbers alone tell no time.

use super::{key::case_number, search::Search};
use crate::{CaseOrder, StoreError};
use amends_engine::CaseRow;
use amends_protocol::Timestamp;

/// Where a case is in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CaseKey {
    pub(crate) opened_at: i64,
    pub(crate) id: i64,
}

impl CaseKey {
    /// Of a case.
    pub(crate) fn of(row: &CaseRow) -> Result<Self, StoreError> {
        Ok(Self { opened_at: row.opened_at.0, id: case_number(row.id)? })
    }

    /// Before every case.
    pub(crate) const fn start(order: CaseOrder) -> Self {
        match order {
            CaseOrder::Newest => Self { opened_at: i64::MAX, id: i64::MAX },
            CaseOrder::Oldest => Self { opened_at: i64::MIN, id: i64::MIN },
        }
    }

    /// A key that has only this case and those after it in the order behind itself.
    pub(crate) const fn just_before(self, order: CaseOrder) -> Self {
        let id = match order {
            CaseOrder::Newest => self.id.saturating_add(1),
            CaseOrder::Oldest => self.id.saturating_sub(1),
        };
        Self { id, ..self }
    }

    /// As a cursor has it.
    pub(crate) const fn parts(self) -> [i64; 2] {
        [self.opened_at, self.id]
    }
}

/// The part of a list that is looked at; both ends excluded. One condition for each end: of two, SQLite would search by
/// the wrong one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    above: Option<CaseKey>,
    below: Option<CaseKey>,
}

impl Span {
    /// Cases that were opened at `after` or later, and before `before`.
    pub(crate) fn of_times(after: Option<Timestamp>, before: Option<Timestamp>) -> Self {
        // No number is less than 0.
        let first_of = |at: Timestamp| CaseKey { opened_at: at.0, id: -1 };
        Self { above: after.map(first_of), below: before.map(first_of) }
    }

    /// Leaves what comes after a key.
    pub(crate) fn after(&mut self, key: Option<CaseKey>, order: CaseOrder) {
        match order {
            CaseOrder::Newest => self.narrow_below(key),
            CaseOrder::Oldest => self.narrow_above(key),
        }
    }

    /// Leaves what comes before a key.
    pub(crate) fn until(&mut self, key: Option<CaseKey>, order: CaseOrder) {
        match order {
            CaseOrder::Newest => self.narrow_above(key),
            CaseOrder::Oldest => self.narrow_below(key),
        }
    }

    fn narrow_above(&mut self, key: Option<CaseKey>) {
        self.above = self.above.max(key); // none is less than any
    }

    fn narrow_below(&mut self, key: Option<CaseKey>) {
        self.below = match (self.below, key) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Whether a case is in it.
    pub(crate) fn has(self, key: CaseKey) -> bool {
        self.above.is_none_or(|above| key > above) && self.below.is_none_or(|below| key < below)
    }

    /// As a condition on `cases c`.
    pub(crate) fn add_to(self, search: &mut Search) {
        for (end, sign) in [(self.above, ">"), (self.below, "<")] {
            if let Some(CaseKey { opened_at, id }) = end {
                let condition = format!("(c.opened_at, c.id) {sign} (?, ?)");
                search.and(&condition, [opened_at.into(), id.into()]);
            }
        }
    }
}
