//! Effects that are under way: each is known by its id until its one result has come.

use amends_engine::{Effect, HistoryResult, Input, Lease, Partition, StepReading, StepResult};
use amends_protocol::{CaseId, StepId};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Names one effect for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId {
    /// How often the engine had been loaded when it was let out. An effect of an earlier loading may still be under
    /// way, and counts against its service's limit until it ends.
    pub generation: u64,
    /// Counts all effects.
    pub number: u64,
}

/// Something to do outside, after its commit. It is answered by exactly one [`crate::Node::ended`] or
/// [`crate::Node::lost`].
#[derive(Clone, Debug)]
pub struct LaunchedEffect {
    /// Goes along with its result.
    pub id: EffectId,
    /// What is to be done.
    pub effect: Effect,
}

/// What an effect brought.
#[derive(Clone, Debug, PartialEq)]
pub enum EffectResult {
    /// A step was sent, or looked after.
    Step(StepResult),
    /// A History was read.
    History(HistoryResult),
}

/// What a result is for.
#[derive(Debug)]
enum About {
    Step(StepId, u32),
    History(CaseId),
}

#[derive(Debug)]
struct Entry {
    service: Arc<str>,
    about: About,
    /// By what right it was let out, of a store that several share.
    lease: Option<Lease>,
}

/// All effects whose result has not come.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    entries: FxHashMap<EffectId, Entry>,
    number: u64,
}

impl UnderWay {
    /// Lets an effect out.
    pub(crate) fn launch(
        &mut self,
        generation: u64,
        effect: Effect,
        lease: Option<Lease>,
    ) -> LaunchedEffect {
        self.number += 1;
        let id = EffectId { generation, number: self.number };
        let about = match &effect {
            Effect::Send(send) => About::Step(send.step, send.attempt),
            Effect::Poll(poll) => About::Step(poll.step, poll.attempt),
            Effect::ReadHistory(walk) => About::History(walk.case),
        };
        let service = Arc::clone(effect.service());
        self.entries.insert(id, Entry { service, about, lease });
        LaunchedEffect { id, effect }
    }

    /// The input that a result makes; none if there is no such effect, or its result has come already. Without a
    /// result, or with one of another kind, nobody knows what became of it.
    pub(crate) fn end(
        &mut self,
        id: EffectId,
        result: Option<EffectResult>,
    ) -> Option<(Input, Option<Lease>)> {
        let Entry { service, about, lease } = self.entries.remove(&id)?;
        let input = match about {
            About::Step(step, attempt) => {
                let result = match result {
                    Some(EffectResult::Step(result)) => result,
                    Some(EffectResult::History(_)) | None => lost_step(),
                };
                Input::StepEnded { step, attempt, service, result }
            }
            About::History(case) => {
                let result = match result {
                    Some(EffectResult::History(result)) => result,
                    Some(EffectResult::Step(_)) | None => lost_history(),
                };
                Input::HistoryEnded { case, service, result }
            }
        };
        Some((input, lease))
    }

    /// Whether something of a partition is under way by the right under which it is held.
    pub(crate) fn is_any_of(&self, partition: Partition) -> bool {
        let leases = self.entries.values().filter_map(|entry| entry.lease);
        leases.into_iter().any(|lease| lease.partition == partition)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The service of each.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.entries.values().map(|entry| &entry.service)
    }
}

const LOST: &str = "the supervisor failed while it was sending";

fn lost_step() -> StepResult {
    StepResult::new(StepReading::Unknown, None).saying(LOST)
}

fn lost_history() -> HistoryResult {
    HistoryResult::Failed { message: LOST.to_owned(), unreachable: false, retry_after_ms: None }
}
