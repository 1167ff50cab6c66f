//! What an undo and a notice get to see. Reads nothing by itself.

use amends_protocol::{ReportRef, SagaId};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicBool, Ordering};

/// A request that took effect.
#[derive(Clone, Debug, PartialEq)]
pub struct DoneRequest {
    /// The request's id.
    pub id: String,
    /// The action that it asked for.
    pub action: String,
    /// What it asked with.
    pub body: Value,
    /// What it was answered.
    pub answer: Value,
}

/// A request that began and of which nobody knows whether it did anything outside of its transaction. Inside the
/// service's own tables it did nothing, and now never will.
#[derive(Clone, Debug, PartialEq)]
pub struct UncertainRequest {
    /// The request's id.
    pub id: String,
    /// What it asked with.
    pub body: Value,
}

/// What is to be undone: one action in one saga. The same transaction marks the requests compensated and puts up the
/// fence that refuses late ones. After a refusal only the fence is there, and the next attempt sees the same requests.
#[derive(Debug)]
pub struct Undo {
    /// The saga.
    pub saga: SagaId,
    /// The action.
    pub action: String,
    /// Every request of the action that took effect in this saga, in the order of arrival.
    pub requests: Vec<DoneRequest>,
    /// Requests that may have done something outside of the service's own tables (a card charged, a mail sent). Only
    /// a service that works outside of its tables needs to look; see [`Undo::found_effect`].
    pub uncertain: Vec<UncertainRequest>,
    /// The report that the case began with.
    pub report: ReportRef,
    /// The report's business fields, or what an operator put in their place.
    pub data: Map<String, Value>,
    pub(crate) found: AtomicBool,
    pub(crate) later: AtomicBool,
}

impl Undo {
    /// Says that an uncertain request had done something, which is now undone: the outcome becomes `compensated`
    /// instead of `nothing_to_compensate`.
    pub fn found_effect(&self) {
        self.found.store(true, Ordering::Relaxed);
    }

    /// Says that the undo has only begun and takes longer than the supervisor waits: its step is answered 202, and the
    /// outcome is owed until `Kit::finish_undo` tells it. What the compensation wrote is kept, so that it can write
    /// down what is to be done. The same step, asked again meanwhile, is answered 202 and undoes nothing.
    pub fn answer_later(&self) {
        self.later.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_answered_later(&self) -> bool {
        self.later.load(Ordering::Relaxed)
    }

    pub(crate) fn has_found_effect(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }
}

/// A message that is to go out, once per saga.
#[derive(Debug)]
pub struct Notice {
    /// The saga.
    pub saga: SagaId,
    /// The notice's name.
    pub name: String,
    /// Every request that this service carried out in the saga, undone ones included: whom to write to.
    pub requests: Vec<DoneRequest>,
    /// The report that the case began with.
    pub report: ReportRef,
    /// The report's business fields, or what an operator put in their place.
    pub data: Map<String, Value>,
}
