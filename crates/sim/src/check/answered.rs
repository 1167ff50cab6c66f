//! What ends a step is the word of its own service about that very step or part, or a person's.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{Answer, Effect, StepReading, StepRow, StepState, Write};
use amends_node::EffectResult;
use amends_protocol::{Outcome, StepId, Timestamp};
use std::collections::BTreeSet;

/// Steps and parts of which their services have told an end. A callback is answered after its commit, so what has ended
/// is judged at the next rest.
#[derive(Default)]
pub(super) struct OwnAnswers {
    told: BTreeSet<StepId>,
    ended: Vec<StepRow>,
}

impl OwnAnswers {
    fn look(&self, row: &StepRow) -> Result<(), String> {
        let by_its_service = matches!(
            row.state,
            StepState::Done(
                Outcome::Compensated
                    | Outcome::AlreadyCompensated
                    | Outcome::NothingToCompensate
                    | Outcome::Retried
                    | Outcome::Notified
            )
        );
        // A fence that its service refuses is up all the same.
        let is_claimed =
            by_its_service && row.attempts > 0 && !row.extra.by_hand && !row.extra.fence;
        let is_told = self.told.contains(&row.id) || self.told.contains(&row.shown_id());
        when(is_claimed && !is_told, || {
            format!(
                "{} ({} {}) is {:?}, and its service has told no end of it",
                row.shown_id(),
                row.verb,
                row.action,
                row.state
            )
        })
    }
}

impl Check for OwnAnswers {
    fn name(&self) -> &'static str {
        "own answers"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, _store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Result { effect, result: EffectResult::Step(result), .. } => {
                let step = match effect {
                    Effect::Send(send) => send.step,
                    Effect::Poll(poll) => poll.step,
                    Effect::ReadHistory(_) => return Ok(()),
                };
                if matches!(result.answer, StepReading::Done(_) | StepReading::Refused) {
                    self.told.insert(step);
                }
                Ok(())
            }
            Seen::CalledBack { step, answer: Answer::Done | Answer::Kept, .. } => {
                self.told.insert(*step);
                Ok(())
            }
            Seen::Committed { writes, .. } => {
                self.ended.extend(writes.iter().filter_map(|write| match write {
                    Write::Step(row) if matches!(row.state, StepState::Done(_)) => {
                        Some((**row).clone())
                    }
                    _ => None,
                }));
                Ok(())
            }
            Seen::Rest { .. } => {
                std::mem::take(&mut self.ended).iter().try_for_each(|row| self.look(row))
            }
            // The answer to a callback is lost, though it counts.
            Seen::Died | Seen::Loaded => {
                self.ended.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
