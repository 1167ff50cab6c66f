//! What holds where several nodes share a store.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{SUPERVISOR, Write};
use amends_protocol::{SagaId, Timestamp};
use std::collections::BTreeSet;

/// A saga of which it was taken that it has ended misses no deadline, whichever node was told.
#[derive(Default)]
pub(super) struct Deadlines {
    ended: BTreeSet<SagaId>,
}

impl Check for Deadlines {
    fn name(&self) -> &'static str {
        "deadlines"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, _store: &Stored) -> Result<(), String> {
        match seen {
            Seen::EndTaken { saga } => {
                self.ended.insert((*saga).clone());
                Ok(())
            }
            Seen::Committed { writes, .. } => writes.iter().try_for_each(|write| {
                let Write::Report(row) = write else { return Ok(()) };
                let is_missed = row.report.source == SUPERVISOR;
                when(is_missed && self.ended.contains(&row.report.saga_id), || {
                    format!("{} misses its deadline after it has ended", row.report.saga_id)
                })
            }),
            _ => Ok(()),
        }
    }
}

/// Who takes a partition over in order does not count what was never tried.
#[derive(Default)]
pub(super) struct NoRestart {
    /// Something else than a hand-over has taken a partition from a node.
    broken: bool,
}

impl Check for NoRestart {
    fn name(&self) -> &'static str {
        "no restart"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, _store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Died | Seen::Suspended | Seen::Loaded => self.broken = true,
            Seen::Committed { writes, .. } if !self.broken => {
                let is_counted = writes.iter().find_map(|write| match write {
                    Write::Attempt(row) if row.message.as_deref() == Some(INTERRUPTED) => {
                        Some(row.step)
                    }
                    _ => None,
                });
                if let Some(step) = is_counted {
                    return Err(format!("a try of {step} is counted that nothing has interrupted"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// No node sends anything for a saga whose partition another one has taken.
#[derive(Default)]
pub(super) struct OwnersAlone {
    /// Whose turn it is.
    node: usize,
}

impl Check for OwnersAlone {
    fn name(&self) -> &'static str {
        "owners alone"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, _store: &Stored) -> Result<(), String> {
        match seen {
            Seen::At { node } => self.node = *node,
            Seen::Writes { owner: Some(owner) } if *owner != self.node => {
                let node = self.node;
                return Err(format!("node {node} sends what node {owner} has taken over"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the engine says of a try whose end it does not know.
const INTERRUPTED: &str = "the supervisor stopped before the answer came";
