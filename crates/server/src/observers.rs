//! Everybody who observes what the loop does, told in one place: after the commit, and of each effect when it begins
//! and ends. Nobody here can hold up the loop or change anything.

use crate::alerts::alert::Alerts;
use crate::clock::Clock;
use crate::event_stream::EventStream;
use crate::telemetry::{self, Metrics, Traces, Watched};
use crate::throughput::RecentThroughput;
use amends_engine::{Effect, Event};
use amends_node::EffectResult;
use amends_protocol::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// The observers of one supervisor.
#[derive(Debug, Default)]
pub(crate) struct Observers {
    pub(crate) events: EventStream,
    pub(crate) metrics: Metrics,
    pub(crate) traces: Traces,
    pub(crate) alerts: Alerts,
    pub(crate) throughput: RecentThroughput,
}

/// An effect that is under way, as its observers see it.
pub(crate) struct Observed {
    span: Watched,
    service: Arc<str>,
    began: Duration,
}

impl Observers {
    /// What has just become durable.
    pub(crate) fn observe(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        self.metrics.observe(events);
        self.traces.observe(events);
        self.alerts.observe(events);
        telemetry::observe(events);
        self.throughput.observe(events);
        self.events.observe(events);
    }

    /// The wall clock has jumped against the boot-time clock by so many milliseconds; ahead if positive.
    pub(crate) fn clock_jumped(&self, at: Timestamp, by_ms: i64) {
        tracing::warn!(
            by_ms,
            "the wall clock jumped; timers go on, and nothing is decided by it until it can be trusted again"
        );
        self.metrics.clock_jumped();
        self.alerts.clock_jumped(at, by_ms);
    }

    /// An effect begins.
    pub(crate) fn effect_begins(&self, effect: &Effect, clock: &impl Clock) -> Observed {
        let span = self.traces.attempt(effect, clock.wall());
        Observed { span, service: Arc::clone(effect.service()), began: clock.monotonic() }
    }

    /// It has ended.
    pub(crate) fn effect_ended(
        &self,
        observed: Observed,
        result: &EffectResult,
        clock: &impl Clock,
    ) {
        let took = clock.monotonic().saturating_sub(observed.began);
        self.throughput.answered(&observed.service, clock.now(), took, result);
        self.metrics.attempted(&observed.service, result, took);
        self.traces.attempted(observed.span, result, clock.wall());
    }
}
