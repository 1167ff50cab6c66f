//! Ages: a step that is too old waits no longer, tried or not, and none is given up for its age before.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_api::StuckReason;
use amends_engine::{ReportRole, StepRow, StepState, Write};
use amends_protocol::{CaseId, StepId, Timestamp, Verb};
use std::collections::{BTreeMap, BTreeSet};

/// A step that is too old for so long has been forgotten.
const SLACK_MS: u64 = 1_000;

/// Counts the ages of all steps whose age never stood still.
#[derive(Default)]
pub(super) struct Ages {
    /// Since when the stage of a step is open; none once its age has stood still.
    open_since: BTreeMap<StepId, Option<Timestamp>>,
    acted_on: BTreeSet<CaseId>,
}

impl Ages {
    /// The age at which a step ends: the policy's, or that of a rule that gives it up before.
    fn limit_ms(store: &Stored, step: &StepRow) -> Option<u64> {
        let book = store.book_of(step.id.case)?;
        let action = book.action(&step.action.service, &step.action.action)?;
        let policy = book.get(action).retry.max_age_ms;
        let roles = step.extra.because.iter().filter_map(|n| store.report(step.id.case, *n));
        let rules = roles.filter(|_| step.verb == Verb::Retry).filter_map(|row| match row.role {
            ReportRole::Rule(rule) | ReportRole::RuleHeld(rule) => book.rules().get(rule as usize),
            _ => None,
        });
        let give_ups = rules.filter_map(|rule| rule.give_up.as_ref()?.age_ms);
        policy.into_iter().chain(give_ups).min()
    }

    /// The age of a step, if it is plain.
    fn age_ms(&self, store: &Stored, step: &StepRow, now: Timestamp) -> Option<u64> {
        let since = (*self.open_since.get(&step.id)?)?;
        let settings = store.rows.service(&step.action.service).map(|row| &row.settings);
        let paused = settings.is_some_and(|s| s.pause.is_some() || s.paused_ms > 0);
        let plain = !paused && !self.acted_on.contains(&step.id.case);
        plain.then(|| now.ms_since(since))
    }

    fn written(&mut self, store: &Stored, row: &StepRow, now: Timestamp) -> Result<(), String> {
        let too_old = row.state == StepState::Stuck(StuckReason::OutOfTime);
        if let (true, Some(age), Some(limit)) =
            (too_old, self.age_ms(store, row, now), Self::limit_ms(store, row))
        {
            when(age + SLACK_MS < limit, || {
                format!("{} is stuck as too old after {age} ms, and may take {limit} ms", row.id)
            })?;
        }
        match row.state {
            StepState::Due(_) | StepState::InFlight | StepState::Accepted { .. } => {
                self.open_since.entry(row.id).or_insert(Some(now));
            }
            _ => {
                if let Some(since) = self.open_since.get_mut(&row.id) {
                    *since = None;
                }
            }
        }
        Ok(())
    }
}

impl Check for Ages {
    fn name(&self) -> &'static str {
        "ages"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Committed { writes, .. } => {
                for write in *writes {
                    if let Write::Act(act) = write {
                        self.acted_on.extend(act.case);
                    }
                }
                writes.iter().try_for_each(|write| match write {
                    Write::Step(row) => self.written(store, row, now),
                    _ => Ok(()),
                })
            }
            Seen::Rest { .. } => {
                let cases = store.open_cases().map(|case| case.id);
                let steps = cases.flat_map(|case| store.rows.steps_of(case));
                steps.filter(|step| matches!(step.state, StepState::Due(_))).try_for_each(|step| {
                    let age = self.age_ms(store, step, now).unwrap_or(0);
                    let limit = Self::limit_ms(store, step).unwrap_or(u64::MAX);
                    when(age > limit.saturating_add(SLACK_MS), || {
                        format!("{} may take {limit} ms, and waits still after {age} ms", step.id)
                    })
                })
            }
            _ => Ok(()),
        }
    }
}
