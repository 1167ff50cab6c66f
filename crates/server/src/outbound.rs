//! What the driver needs from the outside world: somebody who performs an errand and says how it ended. Decides nothing.

use amends_engine::{Errand, Input, StepResult, WalkResult};
use amends_protocol::{CaseId, StepId};
use std::future::Future;
use std::sync::Arc;

/// Performs errands. The production implementation is [`crate::dispatch::HttpOutbound`]; a simulator brings its own.
pub trait Outbound: Clone + Send + Sync + 'static {
    /// Performs one errand, once, within its time limit, and never fails: what went wrong is part of the answer.
    ///
    /// Dropping the future early may leave the request sent or not sent.
    fn perform(&self, errand: Errand) -> impl Future<Output = Ended> + Send;
}

/// How an errand ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// A step was sent or polled.
    Step {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// What it brought.
        result: StepResult,
    },
    /// A History was read.
    Walk {
        /// The case that wants it.
        case: CaseId,
        /// Whose History.
        service: Arc<str>,
        /// What it brought.
        result: WalkResult,
    },
}

impl Ended {
    /// As the engine takes it; `service` is the one that the errand went to.
    #[must_use]
    pub fn into_input(self, service: Arc<str>) -> Input {
        match self {
            Self::Step { step, attempt, result } => {
                Input::StepEnded { step, attempt, service, result }
            }
            Self::Walk { case, service, result } => Input::WalkEnded { case, service, result },
        }
    }
}
