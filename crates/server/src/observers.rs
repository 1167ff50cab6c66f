//! Everybody who observes what the loop does, told in one place: after the commit, and of each effect when it begins
//! and ends. Nobody here can hold up the loop or change anything.

use crate::alerts::news::Alerts;
use crate::clock::Clock;
use crate::feed::EventFeed;
use crate::pulse::Pulse;
use crate::telemetry::{self, Metrics, Traces, Watched};
use amends_engine::{Errand, Event};
use amends_node::EffectResult;
use amends_protocol::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// The observers of one supervisor.
#[derive(Debug, Default)]
pub(crate) struct Observers {
    pub(crate) feed: EventFeed,
    pub(crate) metrics: Metrics,
    pub(crate) traces: Traces,
    pub(crate) alerts: Alerts,
    pub(crate) pulse: Pulse,
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
        self.pulse.observe(events);
        self.feed.observe(events);
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
    pub(crate) fn effect_begins(&self, errand: &Errand, clock: &impl Clock) -> Observed {
        let span = self.traces.attempt(errand, clock.wall());
        Observed { span, service: Arc::clone(errand.service()), began: clock.monotonic() }
    }

    /// It has ended.
    pub(crate) fn effect_ended(
        &self,
        observed: Observed,
        result: &EffectResult,
        clock: &impl Clock,
    ) {
        let took = clock.monotonic().saturating_sub(observed.began);
        self.pulse.answered(&observed.service, clock.now(), took, result);
        self.metrics.attempted(&observed.service, result, took);
        self.traces.attempted(observed.span, result, clock.wall());
    }
}
