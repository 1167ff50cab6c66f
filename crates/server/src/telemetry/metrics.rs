//! Metrics for Prometheus: names, units, labels, and where each number comes from. Labels are bounded by the rulebooks:
//! no saga, case or step id is ever one.
//!
//! Counters and histograms live as long as the process. Gauges of cases and services are read when they are scraped.

use crate::memory::MemoryGauge;
use amends_api::{BreakerState, CaseState, ClosedOn, Overview, QuestionKind};
use amends_engine::{DomainEvent, Event, StepState};
use amends_protocol::{Outcome, Timestamp, Verb};
use amends_rulebook::{ActionClass, Rulebook};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::attempt_result::AttemptResult;
use super::buckets::{BATCH_INPUTS, COMMIT_SECONDS, REQUEST_SECONDS, SETTLE_SECONDS};
use super::kept_apart::KeptApart;
use super::labels::{
    AttemptLabels, BuildLabels, CallbackLabels, ClosingLabels, CurrencyLabels, MemoryLabels,
    NotedLabels, QuestionLabels, ReportLabels, ServiceLabels, StateLabels, StepLabels,
};
use super::log_writer::lines_dropped;
use super::node_gauges::NodeGauges;
use super::open_work::{set_amounts, set_questions};
use super::service_gauges::{SERVICES_LIMIT, ServiceGauges};
use super::standing::Standing;
use super::ways::Ways;
use amends_node::EffectResult;

/// What becomes of callbacks: the codes of problems among them, of which the last stands for all others.
const CALLBACK_RESULTS: [&str; 6] =
    ["taken", "kept", "unproven", "conflict", "not-found", "refused"];

/// What stands for the rest.
const OTHER: &str = "other";

type Histograms = Family<ServiceLabels, Histogram, fn() -> Histogram>;

/// The supervisor's metrics; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    known: Arc<Mutex<BTreeSet<String>>>,
    /// One scrape at a time: its gauges are set from one reading.
    scrape: Arc<Mutex<()>>,
    reports: Family<ReportLabels, Counter>,
    steps: Family<StepLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    callbacks: Family<CallbackLabels, Counter>,
    attempt_seconds: Histograms,
    settled: Family<ClosingLabels, Counter>,
    settle_seconds: Histogram,
    noted: Family<NotedLabels, Counter>,
    case_changes: Family<StateLabels, Counter>,
    breaker_opened: Family<ServiceLabels, Counter>,
    commit_seconds: Histogram,
    batch_inputs: Histogram,
    store_failures: Counter,
    clock_jumps: Counter,
    clock_offset: Gauge<f64, AtomicU64>,
    spans_dropped: Counter,
    connections_turned_away: Counter,
    handshakes_failed: Counter,
    certificate_ends: Gauge<f64, AtomicU64>,
    certificate_broken: Gauge,
    log_lines_dropped: Counter,
    access_refused: Family<CallbackLabels, Counter>,
    cases: Family<StateLabels, Gauge>,
    oldest_open: Gauge<f64, AtomicU64>,
    late: Gauge,
    amounts: Family<CurrencyLabels, Gauge<f64, AtomicU64>>,
    questions: Family<QuestionLabels, Gauge>,
    queue: Gauge,
    memory: Family<MemoryLabels, Gauge>,
    memory_limit: Gauge,
    files_rejected: Gauge,
    files_differing: Gauge,
    kept_apart: KeptApart,
    services: ServiceGauges,
    nodes: NodeGauges,
    ways: Ways,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("amends");
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs; always 1", build);
        let by_service: fn() -> Histogram = || Histogram::new(REQUEST_SECONDS);
        let mut metrics = Self {
            registry: Arc::default(),
            known: Arc::default(),
            scrape: Arc::default(),
            reports: Family::default(),
            steps: Family::default(),
            attempts: Family::default(),
            callbacks: Family::default(),
            attempt_seconds: Family::new_with_constructor(by_service),
            settled: Family::default(),
            settle_seconds: Histogram::new(SETTLE_SECONDS),
            noted: Family::default(),
            case_changes: Family::default(),
            breaker_opened: Family::default(),
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            batch_inputs: Histogram::new(BATCH_INPUTS),
            store_failures: Counter::default(),
            clock_jumps: Counter::default(),
            clock_offset: Gauge::default(),
            spans_dropped: Counter::default(),
            connections_turned_away: Counter::default(),
            handshakes_failed: Counter::default(),
            certificate_ends: Gauge::default(),
            certificate_broken: Gauge::default(),
            log_lines_dropped: Counter::default(),
            access_refused: Family::default(),
            cases: Family::default(),
            oldest_open: Gauge::default(),
            late: Gauge::default(),
            amounts: Family::default(),
            questions: Family::default(),
            queue: Gauge::default(),
            memory: Family::default(),
            memory_limit: Gauge::default(),
            files_rejected: Gauge::default(),
            files_differing: Gauge::default(),
            kept_apart: KeptApart::default(),
            services: ServiceGauges::default(),
            nodes: NodeGauges::default(),
            ways: Ways::default(),
        };
        metrics.register_counts(&mut registry);
        metrics.register_clocks(&mut registry);
        metrics.register_gauges(&mut registry);
        metrics.register_doors(&mut registry);
        metrics.kept_apart.register(&mut registry);
        metrics.services.register(&mut registry);
        metrics.nodes.register(&mut registry);
        metrics.ways.register(&mut registry);
        for state in CaseState::ALL {
            drop(metrics.case_changes.get_or_create(&StateLabels { state: state.as_str() }));
        }
        for word in ClosedOn::ALL {
            drop(metrics.settled.get_or_create(&ClosingLabels { closed_on: word.as_str() }));
        }
        for result in CALLBACK_RESULTS {
            drop(metrics.callbacks.get_or_create(&CallbackLabels { result }));
        }
        metrics.registry = Arc::new(registry);
        metrics
    }

    fn register_counts(&self, registry: &mut Registry) {
        registry.register(
            "reports",
            "Reports by reporting service and result: accepted, duplicate, rejected (malformed), refused (busy or failing)",
            self.reports.clone(),
        );
        registry.register(
            "steps",
            "Steps that ended, by how: an outcome, `stuck` or `superseded`",
            self.steps.clone(),
        );
        registry.register(
            "attempts",
            "Requests to services, by what came of them",
            self.attempts.clone(),
        );
        let what = "Late outcomes of steps, by what became of them";
        registry.register("callbacks", what, self.callbacks.clone());
        registry.register_with_unit(
            "attempt_duration",
            "Time from sending a request to a service until its answer or time limit",
            Unit::Seconds,
            self.attempt_seconds.clone(),
        );
        self.register_cases(registry);
        registry.register(
            "breaker_opened",
            "Times that a service counted as out of reach",
            self.breaker_opened.clone(),
        );
        registry.register_with_unit(
            "commit_duration",
            "Time for one transaction of the store, the wait for the disk included",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register("commit_inputs", "Inputs in one transaction", self.batch_inputs.clone());
        registry.register(
            "store_failures",
            "Transactions that failed; each reloads the open cases",
            self.store_failures.clone(),
        );
        let what = "Spans that could not be exported";
        registry.register("spans_dropped", what, self.spans_dropped.clone());
        let what = "Requests that the gate has refused";
        for result in ["unknown", "denied", "malformed", "limited"] {
            drop(self.access_refused.get_or_create(&CallbackLabels { result }));
        }
        registry.register("access_refused", what, self.access_refused.clone());
        let what = "Log lines that nobody read in time";
        registry.register("log_lines_dropped", what, self.log_lines_dropped.clone());
    }

    fn register_cases(&self, registry: &mut Registry) {
        registry.register(
            "cases_settled",
            "Cases that settled, by closing word, again after a reopening included",
            self.settled.clone(),
        );
        registry.register_with_unit(
            "case_settle_duration",
            "Time from a case's first report until it settled",
            Unit::Seconds,
            self.settle_seconds.clone(),
        );
        registry.register(
            "cases_noted",
            "Cases that settled with an open question that their rulebook only notes, so that they would be stuck else",
            self.noted.clone(),
        );
        registry.register(
            "case_changes",
            "Changes of a case's state, by the new state",
            self.case_changes.clone(),
        );
    }

    fn register_clocks(&self, registry: &mut Registry) {
        registry.register(
            "clock_jumps",
            "Times that the wall clock jumped by more than 30 s against the boot-time clock",
            self.clock_jumps.clone(),
        );
        registry.register_with_unit(
            "clock_offset",
            "How far the wall clock is ahead of supervisor time, which stands still while the supervisor is down",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
    }

    fn register_doors(&self, registry: &mut Registry) {
        registry.register(
            "connections_turned_away",
            "Connections of peers that had as many as one may have",
            self.connections_turned_away.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "Connections that did not become encrypted ones",
            self.handshakes_failed.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate that we are reached by ends to be valid, in Unix time; 0 without one",
            Unit::Seconds,
            self.certificate_ends.clone(),
        );
        registry.register(
            "certificate_broken",
            "1 while changed files of our certificate can't be used; those before stay in force",
            self.certificate_broken.clone(),
        );
    }

    fn register_gauges(&self, registry: &mut Registry) {
        registry.register("cases", "Cases in the store, by state", self.cases.clone());
        registry.register_with_unit(
            "oldest_unsettled_case_timestamp",
            "When the oldest case that is not settled was opened, in Unix time; 0 when there is none",
            Unit::Seconds,
            self.oldest_open.clone(),
        );
        registry.register("late_cases", "Cases older than their objective", self.late.clone());
        registry.register(
            "unsettled_amount",
            "How much the cases that are not settled are about, by currency",
            self.amounts.clone(),
        );
        registry.register(
            "open_questions",
            "What evidence leaves in doubt, by kind, and by whether it holds its case (hold) or is only shown (note)",
            self.questions.clone(),
        );
        registry.register(
            "rulebook_files_rejected",
            "Rulebooks whose file is kept out, by mistakes or a conflict",
            self.files_rejected.clone(),
        );
        registry.register(
            "rulebook_files_differing",
            "Rulebooks whose active version is not what their file says",
            self.files_differing.clone(),
        );
        registry.register(
            "queued_inputs",
            "Reports and acts that wait for the loop",
            self.queue.clone(),
        );
        registry.register_with_unit(
            "memory",
            "What open cases and queued reports take in memory, by the supervisor's own count",
            Unit::Bytes,
            self.memory.clone(),
        );
        registry.register_with_unit(
            "memory_limit",
            "What they may take before new reports are refused; 0 if there is no limit",
            Unit::Bytes,
            self.memory_limit.clone(),
        );
    }

    /// Makes the series of a rulebook's services and actions exist, so that a rate from zero can be seen.
    pub(crate) fn know(&self, book: &Rulebook) {
        self.know_services(book.services().iter().map(|service| &*service.name));
        for kind in QuestionKind::ALL {
            let labels = NotedLabels { rulebook: book.name().to_owned(), kind: kind.as_str() };
            drop(self.noted.get_or_create(&labels));
        }
        for action in book.actions() {
            let (verb, outcome) = match action.class {
                ActionClass::Compensable => (Verb::Compensate, Outcome::Compensated),
                ActionClass::Retriable => (Verb::Retry, Outcome::Retried),
                ActionClass::Notice => (Verb::Notify, Outcome::Notified),
                ActionClass::Pivot if action.on_failure_retry => (Verb::Retry, Outcome::Retried),
                ActionClass::Pivot | ActionClass::Free => continue,
            };
            for outcome in [outcome.as_str(), "stuck"] {
                drop(self.steps.get_or_create(&StepLabels {
                    service: action.name.service.to_string(),
                    action: action.name.action.to_string(),
                    verb: verb.as_str(),
                    outcome,
                }));
            }
        }
    }

    fn know_services<'a>(&self, services: impl Iterator<Item = &'a str>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for service in services {
            if known.len() >= SERVICES_LIMIT || !known.insert(service.to_owned()) {
                continue;
            }
            let of = || service.to_owned();
            for result in ["accepted", "duplicate"] {
                drop(self.reports.get_or_create(&ReportLabels { service: of(), result }));
            }
            for result in AttemptResult::ALL {
                drop(self.attempts.get_or_create(&AttemptLabels { service: of(), result }));
            }
            drop(self.attempt_seconds.get_or_create(&ServiceLabels { service: of() }));
            drop(self.breaker_opened.get_or_create(&ServiceLabels { service: of() }));
        }
    }

    fn label(&self, service: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(service) { service.to_owned() } else { OTHER.to_owned() }
    }

    /// A report was taken.
    pub(crate) fn report_taken(&self, service: &str, duplicate: bool) {
        let result = if duplicate { "duplicate" } else { "accepted" };
        self.reports.get_or_create(&ReportLabels { service: self.label(service), result }).inc();
    }

    /// A report was not taken. Who sent it is not told: what is malformed may name anybody.
    pub(crate) fn report_turned_away(&self, status: u16) {
        let result = if status == 429 || status >= 500 { "refused" } else { "rejected" };
        if result == "rejected" {
            self.ways.came_over_http(false);
        }
        self.reports.get_or_create(&ReportLabels { service: OTHER.to_owned(), result }).inc();
    }

    pub(crate) fn ways(&self) -> &Ways {
        &self.ways
    }

    /// A request was refused at the gate: nobody known, or without the right.
    pub(crate) fn access_refused(&self, status: u16) {
        let result = match status {
            401 => "unknown",
            403 | 404 => "denied",
            429 => "limited",
            _ => "malformed",
        };
        self.access_refused.get_or_create(&CallbackLabels { result }).inc();
    }

    /// A service told the outcome of a step on its own.
    pub(crate) fn called_back(&self, result: &str) {
        let known = CALLBACK_RESULTS.into_iter().find(|word| *word == result);
        let result = known.unwrap_or("refused");
        self.callbacks.get_or_create(&CallbackLabels { result }).inc();
    }

    /// What is kept apart until a person has looked.
    pub(crate) fn kept_apart(&self) -> &KeptApart {
        &self.kept_apart
    }

    /// A transaction was committed.
    pub(crate) fn committed(&self, inputs: usize, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.batch_inputs.observe(inputs as f64);
    }

    /// A peer had as many connections as one may have.
    pub(crate) fn connection_turned_away(&self) {
        self.connections_turned_away.inc();
    }

    /// A connection did not become an encrypted one.
    pub(crate) fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    /// How our own certificate stands: until when it is valid, and whether its files can be used as they are now.
    pub(crate) fn certificate(&self, ends: Timestamp, is_broken: bool) {
        self.certificate_ends.set(ends.0 as f64 / 1_000.0);
        self.certificate_broken.set(i64::from(is_broken));
    }

    /// A transaction failed.
    pub(crate) fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// The wall clock has jumped.
    pub(crate) fn clock_jumped(&self) {
        self.clock_jumps.inc();
    }

    /// What open cases and queued reports take in memory, and may take.
    pub(crate) fn memory(&self, gauge: &MemoryGauge) {
        let open = gauge.open();
        let parts = [
            ("resident", open.resident_bytes),
            ("spilled", open.spilled_bytes),
            ("waiting", open.waiting_bytes),
            ("queued", gauge.queued()),
        ];
        for (kind, bytes) in parts {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.memory.get_or_create(&MemoryLabels { kind }).set(bytes);
        }
        let limit = gauge.limit().unwrap_or_default();
        self.memory_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Milliseconds that the wall clock is ahead of supervisor time.
    pub(crate) fn clock_ahead(&self, ms: i64) {
        #[allow(clippy::cast_precision_loss)] // seconds for people
        self.clock_offset.set(ms as f64 / 1_000.0);
    }

    /// Spans were lost on their way to the collector.
    pub(crate) fn spans_dropped(&self, spans: u64) {
        self.spans_dropped.inc_by(spans);
    }

    /// A request to a service has ended.
    pub(crate) fn attempted(&self, service: &str, ended: &EffectResult, took: Duration) {
        let service = self.label(service);
        self.attempt_seconds
            .get_or_create(&ServiceLabels { service: service.clone() })
            .observe(took.as_secs_f64());
        let result = AttemptResult::of(ended);
        self.attempts.get_or_create(&AttemptLabels { service, result }).inc();
    }

    /// What has happened, after its commit.
    pub(crate) fn observe(&self, events: &[Event]) {
        for event in events {
            match &event.what {
                DomainEvent::Step { verb, action, state, .. } => {
                    let outcome = match state {
                        StepState::Done(outcome) => outcome.as_str(),
                        StepState::Stuck(_) => "stuck",
                        StepState::Superseded => "superseded",
                        StepState::Shadow
                        | StepState::Waiting
                        | StepState::Due(_)
                        | StepState::InFlight
                        | StepState::Accepted { .. } => continue,
                    };
                    let labels = StepLabels {
                        service: action.service.to_string(),
                        action: action.action.to_string(),
                        verb: verb.as_str(),
                        outcome,
                    };
                    self.steps.get_or_create(&labels).inc();
                }
                DomainEvent::Case { state, opened_at, closed_on, rulebook, noted, .. } => {
                    for kind in noted {
                        let rulebook = rulebook.as_deref().unwrap_or_default().to_owned();
                        let labels = NotedLabels { rulebook, kind: kind.as_str() };
                        self.noted.get_or_create(&labels).inc();
                    }
                    self.case_changes.get_or_create(&StateLabels { state: state.as_str() }).inc();
                    if *state == CaseState::Settled {
                        let closed_on = closed_on.map_or("", ClosedOn::as_str);
                        self.settled.get_or_create(&ClosingLabels { closed_on }).inc();
                        let ms = event.at.0.saturating_sub(opened_at.0).max(0);
                        self.settle_seconds.observe(ms as f64 / 1_000.0);
                    }
                }
                DomainEvent::Breaker { service, state: BreakerState::Open, .. } => {
                    let service = self.label(service);
                    self.breaker_opened.get_or_create(&ServiceLabels { service }).inc();
                }
                DomainEvent::Reported { .. }
                | DomainEvent::Planned { .. }
                | DomainEvent::Walked { .. }
                | DomainEvent::Acted { .. }
                | DomainEvent::Question { .. }
                | DomainEvent::Breaker { .. }
                | DomainEvent::Histories { .. }
                | DomainEvent::Quarantined { .. }
                | DomainEvent::Rulebook { .. } => {}
            }
        }
    }

    /// All metrics in the text format of OpenMetrics 1.0.
    pub(crate) fn scrape(&self, standing: &Standing<'_>) -> String {
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.log_lines_dropped.inc_by(lines_dropped().saturating_sub(self.log_lines_dropped.get()));
        self.queue.set(i64::try_from(standing.queued_inputs).unwrap_or(i64::MAX));
        self.files_rejected.set(i64::try_from(standing.files_rejected).unwrap_or(i64::MAX));
        self.files_differing.set(i64::try_from(standing.files_differing).unwrap_or(i64::MAX));
        if let Some(overview) = standing.overview {
            self.stand(overview);
        }
        if let Some((view, now)) = standing.nodes {
            self.nodes.set(view, now);
        }
        let mut written = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut written, &self.registry);
        written
    }

    /// What there is now.
    fn stand(&self, overview: &Overview) {
        for state in CaseState::ALL {
            let count = overview.cases.get(state).copied().unwrap_or(0);
            self.cases
                .get_or_create(&StateLabels { state: state.as_str() })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.oldest_open.set(overview.oldest_open_at.map_or(0.0, |at| at.0 as f64 / 1_000.0));
        set_questions(&self.questions, overview);
        set_amounts(&self.amounts, overview);
        self.late.set(i64::try_from(overview.late).unwrap_or(i64::MAX));
        self.kept_apart.set(overview);
        self.services.set(overview);
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
