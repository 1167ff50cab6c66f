//! Fences: nobody is barred unless something of his saga is undone.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{StepRow, StepState, Write};
use amends_protocol::{CaseId, StepId, Timestamp, Verb};
use std::collections::BTreeSet;

/// A fence comes only together with a compensation, both in earnest, unless a person acts on the case.
#[derive(Default)]
pub(super) struct Fences {
    known: BTreeSet<StepId>,
}

impl Check for Fences {
    fn name(&self) -> &'static str {
        "fences"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::Committed { writes, .. } = seen else { return Ok(()) };
        writes.iter().try_for_each(|write| match write {
            Write::Step(row) if row.memo.fence && is_meant(row) && self.known.insert(row.id) => {
                let mut acts = store.rows.acts().iter();
                let decided = acts.any(|act| act.case == Some(row.id.case));
                when(!decided && !undoes_something(store, row.id.case), || {
                    format!("{} is barred in {}, where nothing is undone", row.action, row.id.case)
                })
            }
            _ => Ok(()),
        })
    }
}

fn is_meant(row: &StepRow) -> bool {
    row.state != StepState::Shadow
}

fn undoes_something(store: &Stored, case: CaseId) -> bool {
    let mut rows = store.rows.steps_of(case);
    rows.any(|row| row.verb == Verb::Compensate && !row.memo.fence && is_meant(row))
}
