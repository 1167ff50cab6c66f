//! What holds where several nodes share a store.

use super::memory::is_as_stored;
use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{Engine, SUPERVISOR, StepState, Write};
use amends_protocol::{CaseId, SagaId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A saga of which it was taken that it has ended misses no deadline, whichever node was told; and nobody is told that
/// a saga is unknown which any node has taken as announced.
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
            Seen::EndRefused { saga } => {
                Err(format!("{saga} is announced, and it is said that nobody knows of it"))
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

/// Who takes a partition over in order does not count what was never tried, and what waits for its time goes on to
/// wait.
#[derive(Default)]
pub(super) struct NoRestart {
    /// Something else than a hand-over has taken a partition from a node.
    broken: bool,
    /// When a service was heard last, or something was set for it and it is not paused: one that returns is asked
    /// before the time, and whether it has may be asked once a pause is over.
    heard: BTreeMap<Arc<str>, Timestamp>,
}

/// How long after an answer of its service a step may be asked for before its time, in milliseconds: a store that is
/// slow keeps what follows from it.
const RETURNS_MS: u64 = 10_000;

/// By how much the clocks of two nodes may differ, and a little more, in milliseconds.
const CLOCKS_MS: u64 = 500;

impl Check for NoRestart {
    fn name(&self) -> &'static str {
        "no restart"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Died | Seen::Suspended | Seen::CutOff | Seen::Loaded => self.broken = true,
            _ if self.broken => {}
            Seen::Result { service, .. } => drop(self.heard.insert(Arc::clone(service), now)),
            Seen::GivenBack { is_under_way: true, .. } => {
                return Err("a partition is given back of which something is under way".to_owned());
            }
            Seen::Commit { writes } => return self.keeps_its_time(writes, now, store),
            Seen::Committed { writes, .. } => {
                for write in *writes {
                    if let Write::Service(row) = write
                        && row.settings.pause.is_none()
                    {
                        self.heard.insert(Arc::clone(&row.service), now);
                    }
                }
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

impl NoRestart {
    /// Nothing is asked for before its time, unless a person says so or its service has returned.
    fn keeps_its_time(
        &self,
        writes: &[Write],
        now: Timestamp,
        store: &Stored,
    ) -> Result<(), String> {
        if writes.iter().any(|write| matches!(write, Write::Act(_))) {
            return Ok(());
        }
        writes.iter().try_for_each(|write| {
            let Write::Step(row) = write else { return Ok(()) };
            let before = store.rows.step(row.id).map(|before| &before.state);
            let Some(StepState::Due(was)) = before else { return Ok(()) };
            let is_earlier = match row.state {
                StepState::InFlight => true,
                StepState::Due(at) => at < *was,
                _ => false,
            };
            let heard = self.heard.get(&row.action.service);
            let has_returned = heard.is_some_and(|at| now.ms_since(*at) < RETURNS_MS);
            when(is_earlier && !has_returned && *was > now.plus_ms(CLOCKS_MS), || {
                let (id, early) = (row.id, was.ms_since(now));
                format!("{id} is asked for {early} ms before its time: {:?}", row.state)
            })
        })
    }
}

/// No node sends anything for a saga whose partition another one has taken, and none keeps what it gives back.
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
            Seen::GivenBack { is_kept: true, .. } => {
                return Err(format!("node {} gives back what it goes on to hold", self.node));
            }
            Seen::Writes { owner: Some(owner) } if *owner != self.node => {
                let node = self.node;
                return Err(format!("node {node} sends what node {owner} has taken over"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// At its rest a node has of what it holds what is stored of it, and counts as under way at each service what is.
#[derive(Default)]
pub(super) struct MemoryOfNodes {
    changed: BTreeMap<usize, BTreeSet<CaseId>>,
    nodes: BTreeSet<usize>,
}

impl Check for MemoryOfNodes {
    fn name(&self) -> &'static str {
        "memory of nodes"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Committed { writes, .. } => {
                let cases = writes.iter().filter_map(|write| match write {
                    Write::Case(row) => Some(row.id),
                    _ => None,
                });
                let cases: BTreeSet<CaseId> = cases.collect();
                for node in &self.nodes {
                    self.changed.entry(*node).or_default().extend(&cases);
                }
                Ok(())
            }
            Seen::NodeRests { node, kept: Some(partition), .. } => {
                Err(format!("node {node} keeps {partition}, which it has lost"))
            }
            Seen::NodeRests { node, engine, held, under_way, .. } => {
                self.nodes.insert(*node);
                is_counted(*node, engine, under_way)?;
                let is_here = |id: &CaseId| {
                    engine.partition_of_case(*id).is_some_and(|partition| held.contains(&partition))
                };
                let changed = self.changed.entry(*node).or_default();
                let looked_at: BTreeSet<CaseId> = changed.iter().copied().filter(is_here).collect();
                changed.retain(|id| !looked_at.contains(id));
                let quarantined: BTreeSet<CaseId> =
                    engine.quarantined().iter().map(|q| q.case.id).collect();
                looked_at
                    .difference(&quarantined)
                    .try_for_each(|id| is_as_stored(engine, *id, store))
            }
            _ => Ok(()),
        }
    }
}

/// What is under way of an earlier loading counts, too.
fn is_counted(
    node: usize,
    engine: &Engine,
    under_way: &BTreeMap<Arc<str>, u32>,
) -> Result<(), String> {
    for queue in engine.queues() {
        let is = under_way.get(&queue.service).copied().unwrap_or(0);
        let (counted, service) = (queue.in_flight, &queue.service);
        when(counted != is, || {
            format!("node {node} counts {counted} requests under way at {service}, and has {is}")
        })?;
    }
    Ok(())
}

/// What the engine says of a try whose end it does not know.
const INTERRUPTED: &str = "the supervisor stopped before the answer came";
