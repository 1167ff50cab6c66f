//! Spans of what the supervisor does: each report, each plan and each attempt of a step. They hang in the trace that the
//! report names, so that a compensation is seen beside the call that failed. Exports nothing; see `export`.
//!
//! Ids derive from case, report, step and attempt: the service is sent the id of the very span that is exported, and a
//! restart makes no other ones. Sampling flags are passed on and don't decide whether a span is recorded: failures are
//! rare, and worth it.

use super::metrics::Metrics;
use crate::dispatch::trace;
use amends_engine::{DomainEvent, Effect, Event, StepReading};
use amends_node::EffectResult;
use amends_protocol::wire::Traceparent;
use amends_protocol::{CaseId, Report};
use serde_json::{Value, json};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// Spans that may wait for the exporter: some seconds of a busy supervisor, about ten megabytes. More are dropped and
/// counted, since a collector that is away must not hold up a compensation.
const QUEUE: usize = 16_384;

/// Where finished spans go; clones are the same. Without [`Traces::open`] they go nowhere, at no cost.
#[derive(Clone, Default)]
pub struct Traces {
    sender: Arc<OnceLock<(mpsc::Sender<Span>, Metrics)>>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("open", &self.sender.get().is_some()).finish()
    }
}

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) context: Traceparent,
    pub(crate) parent: Option<Traceparent>,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    /// Nanoseconds since 1970.
    pub(crate) began_ns: u128,
    pub(crate) ended_ns: u128,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    /// What went wrong.
    pub(crate) error: Option<String>,
}

/// As OTLP numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanKind {
    Internal = 1,
    Client = 3,
    Consumer = 5,
}

/// An attempt that is under way.
#[derive(Debug)]
pub(crate) struct Watched(Option<Box<Span>>);

impl Traces {
    /// Takes spans from now on; the exporter reads them from the receiver. None when it was open already.
    pub(crate) fn open(&self, metrics: Metrics) -> Option<mpsc::Receiver<Span>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.sender.set((sender, metrics)).ok().map(|()| receiver)
    }

    fn tell(&self, span: Span) {
        if let Some((sender, metrics)) = self.sender.get()
            && sender.try_send(span).is_err()
        {
            metrics.spans_dropped(1);
        }
    }

    /// An effect goes out.
    pub(crate) fn attempt(&self, effect: &Effect, wall: Duration) -> Watched {
        if self.sender.get().is_none() {
            return Watched(None);
        }
        let Effect::Send(send) = effect else { return Watched(None) };
        let parent = send.report.traceparent.as_deref();
        let mut attributes = vec![
            ("http.request.method", json!("POST")),
            ("amends.saga.id", json!(send.saga.as_str())),
            ("amends.case.id", json!(send.step.case.to_string())),
            ("amends.step.id", json!(send.step.to_string())),
            ("amends.verb", json!(send.verb.as_str())),
            ("amends.action", json!(send.action.to_string())),
            ("peer.service", json!(&*send.action.service)),
        ];
        if send.attempt > 1 {
            attributes.push(("http.request.resend_count", json!(send.attempt - 1)));
        }
        Watched(Some(Box::new(Span {
            context: trace::of_attempt(parent, send.step, send.attempt),
            parent: Some(report_context(send.step.case, &send.report)),
            name: format!("{} {}", send.verb, send.action),
            kind: SpanKind::Client,
            began_ns: wall.as_nanos(),
            ended_ns: 0,
            attributes,
            error: None,
        })))
    }

    /// It has ended.
    pub(crate) fn attempted(&self, watched: Watched, ended: &EffectResult, wall: Duration) {
        let (Some(mut span), EffectResult::Step(result)) = (watched.0, ended) else { return };
        span.ended_ns = wall.as_nanos();
        if let Some(status) = result.status {
            span.attributes.push(("http.response.status_code", json!(status)));
        }
        match &result.answer {
            StepReading::Done(outcome) => {
                span.attributes.push(("amends.outcome", json!(outcome.as_str())));
            }
            StepReading::Accepted { .. } => {
                span.attributes.push(("amends.outcome", json!("accepted")));
            }
            StepReading::Refused
            | StepReading::Rejected
            | StepReading::Definite
            | StepReading::Unsendable
            | StepReading::Busy { .. }
            | StepReading::NotSent
            | StepReading::Unknown => {
                let kind = match result.status {
                    Some(status) => status.to_string(),
                    None => "no_answer".to_owned(),
                };
                span.attributes.push(("error.type", json!(kind)));
                span.error = Some(result.message.clone().unwrap_or_default());
            }
        }
        self.tell(*span);
    }

    /// Reports and plans, after their commit.
    pub(crate) fn observe(&self, events: &[Event]) {
        if self.sender.get().is_none() {
            return;
        }
        for event in events {
            let (case, report, kind) = match &event.what {
                DomainEvent::Reported { case, report } => (*case, report, SpanKind::Consumer),
                DomainEvent::Planned { case, report, .. } => (*case, report, SpanKind::Internal),
                DomainEvent::Step { .. }
                | DomainEvent::Case { .. }
                | DomainEvent::Walked { .. }
                | DomainEvent::Acted { .. }
                | DomainEvent::Question { .. }
                | DomainEvent::Breaker { .. }
                | DomainEvent::Histories { .. }
                | DomainEvent::Quarantined { .. }
                | DomainEvent::Rulebook { .. } => continue,
            };
            let at_ns = u128::try_from(event.at.0).unwrap_or(0) * 1_000_000;
            let mut attributes = vec![
                ("amends.saga.id", json!(report.saga_id.as_str())),
                ("amends.case.id", json!(case.to_string())),
                ("cloudevents.event_id", json!(report.id)),
                ("cloudevents.event_source", json!(report.source)),
            ];
            let (context, parent, name) = match &event.what {
                DomainEvent::Planned { steps, .. } => {
                    attributes.push(("amends.plan.steps", json!(steps)));
                    let what = format!("plan {}", event.at.0);
                    let trace = report.traceparent.as_deref();
                    (
                        trace::of_report(trace, case, &what),
                        Some(report_context(case, report)),
                        "plan".to_owned(),
                    )
                }
                _ => (
                    report_context(case, report),
                    report.traceparent.as_deref().and_then(Traceparent::parse),
                    format!("report {}/{}", report.service(), report.data.code),
                ),
            };
            let error = (kind == SpanKind::Consumer)
                .then(|| report.data.message.clone().unwrap_or_default());
            self.tell(Span {
                context,
                parent,
                name,
                kind,
                began_ns: at_ns,
                ended_ns: at_ns,
                attributes,
                error,
            });
        }
    }
}

/// The span of a report: the parent of all that the supervisor does about it.
fn report_context(case: CaseId, report: &Report) -> Traceparent {
    let what = format!("report {} {}", report.source, report.id);
    trace::of_report(report.traceparent.as_deref(), case, &what)
}
