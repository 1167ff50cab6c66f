//! What one node knows of the open work of its part, and the sum over all of them.

use crate::pace::{Answered, Pace};
use amends_api::{BreakerState, NodeBreakerView, OverHttpView, ReportWay, SilentNodeView, WayView};
use amends_engine::{ServiceQueueStatus, Survey};
use amends_protocol::CaseId;
use amends_store::{NodeSeen, Partition};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a node knows of its part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OpenWork {
    /// Which part that is; none of a store that is owned as a whole.
    pub(super) parts: BTreeSet<u16>,
    pub(crate) survey: Survey,
    pub(crate) queues: Vec<ServiceQueueStatus>,
    pub(crate) answers: BTreeMap<Arc<str>, Answered>,
    pub(crate) pace: Pace,
    pub(crate) quarantined: BTreeSet<CaseId>,
    /// Stored rows of no case that can't be read.
    pub(crate) unreadable: BTreeSet<String>,
    pub(crate) ways: Vec<WayView>,
    pub(crate) over_http: OverHttpView,
}

/// The sum over all nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllWork {
    pub(crate) work: OpenWork,
    /// By service, the nodes whose breaker is not closed; none where there is one node.
    pub(crate) breakers: BTreeMap<Arc<str>, Vec<NodeBreakerView>>,
    /// Nodes that did not answer.
    pub(crate) silent: Vec<SilentNodeView>,
}

impl AllWork {
    /// Of one node alone.
    pub(crate) fn of(work: OpenWork) -> Self {
        Self { work, ..Self::default() }
    }

    pub(super) fn add(&mut self, node: &str, work: &OpenWork) {
        self.note_breakers(node, work);
        self.work.add(work.clone());
    }

    pub(super) fn note_breakers(&mut self, node: &str, work: &OpenWork) {
        for queue in work.queues.iter().filter(|queue| queue.breaker != BreakerState::Closed) {
            let of = self.breakers.entry(Arc::clone(&queue.service)).or_default();
            of.push(NodeBreakerView { node: node.to_owned(), breaker: queue.breaker });
        }
    }
}

impl OpenWork {
    /// Whether it is what this node works on now.
    pub(super) fn is_of(&self, node: &NodeSeen) -> bool {
        self.parts == node.parts.iter().map(|Partition(part)| *part).collect()
    }

    /// The same in fewer values, to be told.
    pub(super) fn thinned(mut self) -> Self {
        self.pace.thin();
        self.answers.values_mut().for_each(Answered::thin);
        self
    }

    fn add(&mut self, other: Self) {
        self.parts.extend(other.parts);
        self.survey.add(other.survey);
        for queue in other.queues {
            match self.queues.iter_mut().find(|known| known.service == queue.service) {
                Some(known) => add_queue(known, queue),
                None => self.queues.push(queue),
            }
        }
        for (service, answered) in other.answers {
            self.answers.entry(service).or_default().add(answered);
        }
        self.pace.add(other.pace);
        self.quarantined.extend(other.quarantined);
        self.unreadable.extend(other.unreadable);
        for way in other.ways {
            match self.ways.iter_mut().find(|known| known.way == way.way) {
                Some(known) => add_way(known, way),
                None => self.ways.push(way),
            }
        }
        let (http, other) = (&mut self.over_http, other.over_http);
        http.last_taken_at = http.last_taken_at.max(other.last_taken_at);
        http.taken += other.taken;
        http.rejected += other.rejected;
    }
}

/// Whatever keeps back most is told; limits are one for all nodes.
fn add_queue(known: &mut ServiceQueueStatus, other: ServiceQueueStatus) {
    known.in_flight = known.in_flight.saturating_add(other.in_flight);
    known.queued = known.queued.saturating_add(other.queued);
    if keeps_back(other.breaker) > keeps_back(known.breaker) {
        (known.breaker, known.keeps_back) = (other.breaker, other.keeps_back);
        (known.failures, known.message) = (other.failures, other.message);
    }
    known.histories_failing_since =
        match (known.histories_failing_since, other.histories_failing_since) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    known.histories_unavailable |= other.histories_unavailable;
    known.histories_message = known.histories_message.take().or(other.histories_message);
}

fn keeps_back(breaker: BreakerState) -> u8 {
    match breaker {
        BreakerState::Closed => 0,
        BreakerState::Probing => 1,
        BreakerState::Open => 2,
        BreakerState::Rejecting => 3,
    }
}

/// Reports come if they come at each node. What waits at a Kafka broker each node knows of its own partitions, at a
/// NATS server all of them of one consumer.
fn add_way(known: &mut WayView, other: WayView) {
    match (known.connected, other.connected) {
        (true, false) => (known.connected, known.since) = (false, other.since),
        (false, true) => {}
        (true, true) => known.since = known.since.max(other.since),
        (false, false) => known.since = known.since.min(other.since),
    }
    known.waiting = match known.way {
        ReportWay::Kafka => known.waiting.saturating_add(other.waiting),
        _ => known.waiting.max(other.waiting),
    };
    known.last_taken_at = known.last_taken_at.max(other.last_taken_at);
    known.taken += other.taken;
    known.skipped += other.skipped;
    known.rejected += other.rejected;
    known.unheard.extend(other.unheard);
    known.unheard.sort();
    known.unheard.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::Cause;

    fn queue(breaker: BreakerState, in_flight: u32) -> ServiceQueueStatus {
        ServiceQueueStatus {
            service: "bank".into(),
            breaker,
            keeps_back: (breaker != BreakerState::Closed).then_some(Cause::Unreachable),
            settings: amends_engine::ServiceSettings::default(),
            in_flight,
            concurrency: 8,
            per_second: None,
            queued: 2,
            failures: u32::from(breaker != BreakerState::Closed) * 5,
            message: (breaker != BreakerState::Closed).then(|| "timed out".to_owned()),
            histories_failing_since: None,
            histories_unavailable: false,
            histories_message: None,
        }
    }

    #[test]
    fn a_breaker_that_is_open_at_one_node_is_told_with_its_node() {
        let at = |breaker, in_flight| OpenWork {
            queues: vec![queue(breaker, in_flight)],
            ..OpenWork::default()
        };
        let mut all = AllWork::default();
        for (node, work) in [("a", at(BreakerState::Closed, 3)), ("b", at(BreakerState::Open, 1))] {
            // As it comes over the line.
            let told = serde_json::to_string(&work.thinned()).expect("it is told");
            all.add(node, &serde_json::from_str(&told).expect("it is understood"));
        }
        let [bank] = &all.work.queues[..] else { panic!("{:?}", all.work.queues) };
        assert_eq!((bank.breaker, bank.in_flight, bank.queued), (BreakerState::Open, 4, 4));
        assert_eq!((bank.failures, bank.message.as_deref()), (5, Some("timed out")));
        let told = NodeBreakerView { node: "b".to_owned(), breaker: BreakerState::Open };
        assert_eq!(all.breakers.get("bank"), Some(&vec![told]));
    }
}
