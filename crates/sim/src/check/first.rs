//! Steps go before readings: while a step waits for a place at its service, no History of it is read.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_api::BreakerState;
use amends_engine::{Effect, StepState};
use amends_protocol::{StepId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Remembers which steps waited for a place when the supervisor rested last.
#[derive(Default)]
pub(super) struct StepsFirst {
    waiting: BTreeMap<Arc<str>, Vec<(StepId, StepState)>>,
}

impl Check for StepsFirst {
    fn name(&self) -> &'static str {
        "steps before readings"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Rest { engine, .. } => {
                self.waiting.clear();
                let closed = engine
                    .queues()
                    .into_iter()
                    .filter(|queue| queue.breaker == BreakerState::Closed);
                for service in closed.map(|queue| queue.service) {
                    self.waiting.insert(service, Vec::new());
                }
                for case in store.open_cases().map(|case| case.id) {
                    for step in store.rows.steps_of(case) {
                        let due = matches!(step.state, StepState::Due(at) if at <= now);
                        if let Some(steps) =
                            self.waiting.get_mut(&step.action.service).filter(|_| due)
                        {
                            steps.push((step.id, step.state.clone()));
                        }
                    }
                }
                Ok(())
            }
            Seen::Started | Seen::Died | Seen::Loaded => {
                self.waiting.clear();
                Ok(())
            }
            Seen::Effect { effect: Effect::ReadHistory(walk), service, .. } => {
                let steps = self.waiting.get(*service).map_or(&[][..], Vec::as_slice);
                let still = steps.iter().find(|(id, state)| {
                    // A step of a case that can't be read loses its turn.
                    let whole = !store.damaged.contains(&id.case);
                    whole && store.rows.step(*id).is_some_and(|row| row.state == *state)
                });
                when(still.is_some(), || {
                    let step = still.map(|(id, _)| id.to_string()).unwrap_or_default();
                    format!("{} reads the History of {service} while {step} waits", walk.case)
                })
            }
            _ => Ok(()),
        }
    }
}
