//! What services keep back now: a pause, an outage. The rows of a case know only what their own tries met.

use amends_api::Cause;
use amends_engine::{HistoryQuery, ServiceQueueStatus, StepRow, StepState};
use amends_protocol::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By service, why everything that goes to it is kept back; services that keep nothing back are absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptBack(BTreeMap<Arc<str>, Cause>);

impl KeptBack {
    pub(crate) fn of(queues: &[ServiceQueueStatus]) -> Self {
        let all =
            queues.iter().filter_map(|queue| Some((Arc::clone(&queue.service), queue.keeps_back?)));
        Self(all.collect())
    }

    /// A service is out of reach, unless it is kept back for another reason.
    pub(crate) fn add_outage(&mut self, service: Arc<str>) {
        self.0.entry(service).or_insert(Cause::Unreachable);
    }

    fn by(&self, service: &str) -> Option<Cause> {
        self.0.get(service).copied()
    }

    /// Why a step is not done yet.
    pub(crate) fn cause(&self, step: &StepRow) -> Option<Cause> {
        step.cause_while(self.by(&step.action.service))
    }

    /// When a step goes out, or is looked at, next. Nothing does in a pause, and nobody knows when that ends.
    pub(super) fn next(&self, step: &StepRow) -> Option<Timestamp> {
        let at = match step.state {
            StepState::Due(at) | StepState::Accepted { poll_at: at, location: Some(_), .. } => at,
            // Nothing is looked at before it is asked again.
            StepState::Accepted { until, location: None, .. } => until,
            StepState::Waiting
            | StepState::InFlight
            | StepState::Done(_)
            | StepState::Stuck(_)
            | StepState::Superseded
            | StepState::Shadow => return None,
        };
        (self.by(&step.action.service) != Some(Cause::Paused)).then_some(at)
    }

    /// Why a History has not answered yet, and when it is asked for next.
    pub(super) fn walk(&self, walk: &HistoryQuery) -> (Option<Cause>, Option<Timestamp>) {
        let kept_back = self.by(&walk.service);
        let waits = !walk.answered && !walk.in_flight && kept_back != Some(Cause::Paused);
        (walk.cause_while(kept_back), walk.due_at.filter(|_| waits).map(Timestamp))
    }
}
