//! Every way in which time alone wakes the engine, in one enum, and the queue of them.
//!
//! Timers are never cancelled: one that fires late or in vain is found out by looking at what it is about.

use amends_protocol::{CaseId, SagaId, StepId, Timestamp};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A step's backoff is over, or a look at an accepted step is due, or its patience is at an end.
    Step(StepId),
    /// A step's age is over.
    TooOld(StepId),
    /// A History is to be asked for again.
    Query(CaseId, Arc<str>),
    /// A derived report has waited long enough for its root.
    Cause(CaseId),
    /// A case has been quiet long enough.
    Quiet(CaseId),
    /// An open breaker lets one probe through.
    Probe(Arc<str>),
    /// A step of a service may have grown too old.
    Ages(Arc<str>),
    /// The wall clock is looked at: announced sagas must have ended by what it says.
    Deadlines,
    /// An announced saga must have ended.
    Deadline(SagaId),
}

impl Timer {
    /// Whether it is about one of these cases or sagas.
    pub(crate) fn is_of(
        &self,
        cases: impl Fn(CaseId) -> bool,
        sagas: impl Fn(&SagaId) -> bool,
    ) -> bool {
        match self {
            Self::Step(id) | Self::TooOld(id) => cases(id.case),
            Self::Query(id, _) | Self::Cause(id) | Self::Quiet(id) => cases(*id),
            Self::Deadline(saga) => sagas(saga),
            Self::Probe(_) | Self::Ages(_) | Self::Deadlines => false,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Timestamp, Timer)>>);

impl Timers {
    pub(crate) fn set(&mut self, at: Timestamp, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    /// Drops those that are about these cases or sagas.
    pub(crate) fn forget(
        &mut self,
        is_gone: impl Fn(CaseId) -> bool,
        has_gone: impl Fn(&SagaId) -> bool,
    ) {
        self.0.retain(|Reverse((_, timer))| !timer.is_of(&is_gone, &has_gone));
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Reverse<(Timestamp, Timer)>>()
    }

    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// The earliest timer that is due, if any, and since when.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, Timer)> {
        if self.next_at()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }
}
