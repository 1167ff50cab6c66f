//! Time: clocks that are set move no timer, fire no deadline of a healthy saga and remove nothing early.

use super::seen::{Check, Seen, when};
use crate::scenario::{Item, Scenario};
use crate::stored::Stored;
use amends_engine::{SUPERVISOR, Write};
use amends_protocol::{SagaId, Timestamp};
use std::collections::BTreeMap;

/// Supervisor time goes as true time does while the process runs, and never back.
#[derive(Default)]
pub(super) struct SupervisorTime {
    /// The last rest of this process: true time and supervisor time.
    rest: Option<(i64, Timestamp)>,
    latest: Option<Timestamp>,
}

impl Check for SupervisorTime {
    fn name(&self) -> &'static str {
        "time"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let latest = self.latest.replace(now);
        match seen {
            Seen::Started => {
                self.rest = None;
                // Where nothing was ever kept it begins anew.
                let kept = store.rows.load().clock.is_some();
                when(kept && latest.is_some_and(|latest| now > latest), || {
                    "supervisor time went on while nothing ran".to_owned()
                })
            }
            Seen::Suspended => {
                self.rest = None;
                Ok(())
            }
            Seen::Rest { at, .. } => {
                let Some((true_before, before)) = self.rest.replace((*at, now)) else {
                    return Ok(());
                };
                let (passed, counted) = (at - true_before, now.0 - before.0);
                when(passed != counted, || {
                    format!("{passed} ms have passed, and supervisor time has gone {counted} ms on")
                })
            }
            _ => Ok(()),
        }
    }
}

/// The wall clock decides nothing while it is wrong for a moment: no saga is overdue before its time, and no case is
/// removed before its own. Set ahead for good it does, since nobody can tell it from the truth.
pub(super) struct WallClock {
    deadlines: BTreeMap<SagaId, i64>,
    /// When it is set ahead for good.
    wrong_from: i64,
}

impl WallClock {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let sagas = scenario.items.iter().filter_map(|item| match item {
            Item::Saga(plan) => {
                let ms = plan.deadline_ms?;
                Some((plan.id.clone(), plan.at.saturating_add_unsigned(ms)))
            }
            _ => None,
        });
        let for_good = scenario.kept_items().filter_map(|(_, item)| match item {
            Item::Clock { at, by_ms, for_ms: None } if *by_ms > 0 => Some(*at),
            _ => None,
        });
        Self { deadlines: sagas.collect(), wrong_from: for_good.min().unwrap_or(i64::MAX) }
    }
}

impl Check for WallClock {
    fn name(&self) -> &'static str {
        "wall clock"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Committed { writes, at } if *at < self.wrong_from => {
                for write in *writes {
                    let Write::Report(row) = write else { continue };
                    let saga = store.rows.case_row(row.case).map(|case| &case.saga);
                    let deadline = saga.and_then(|saga| self.deadlines.get(saga));
                    let ours = row.report.source == SUPERVISOR;
                    when(ours && deadline.is_some_and(|deadline| at < deadline), || {
                        format!(
                            "the deadline of saga {} is judged {} ms early",
                            row.report.saga_id,
                            deadline.map_or(0, |deadline| deadline - at)
                        )
                    })?;
                }
                Ok(())
            }
            Seen::Pruned { case, settled_for_ms, keep_ms } => {
                let early = settled_for_ms < keep_ms && self.wrong_from == i64::MAX;
                when(early, || {
                    format!(
                        "{case} is removed {settled_for_ms} ms after it was settled, and is to be kept for {keep_ms} ms"
                    )
                })
            }
            _ => Ok(()),
        }
    }
}
