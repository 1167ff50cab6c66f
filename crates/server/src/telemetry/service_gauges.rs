//! Gauges of services and of what people have stopped, set from one look when they are scraped.

use super::labels::{BreakerLabels, RulebookLabels, ServiceLabels};
use amends_api::{BreakerState, Overview};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Services that get label values of their own. A report names its service itself, so the sources of reports are
/// counted by name only as far as an active rulebook knows them; this bounds what rulebooks may bring over time.
pub(super) const SERVICES_LIMIT: usize = 1_000;

/// One value for each service, and one for each rulebook of which something is held.
#[derive(Clone, Default)]
pub(super) struct ServiceGauges {
    queued: Family<ServiceLabels, Gauge>,
    in_flight: Family<ServiceLabels, Gauge>,
    paused: Family<ServiceLabels, Gauge>,
    breaker: Family<BreakerLabels, Gauge>,
    histories_unavailable: Family<ServiceLabels, Gauge>,
    rulebook_holds: Family<RulebookLabels, Gauge>,
}

impl ServiceGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "service_queued",
            "Steps and History readings that wait for a service",
            self.queued.clone(),
        );
        registry.register(
            "service_in_flight",
            "Requests to a service that are under way",
            self.in_flight.clone(),
        );
        registry.register(
            "service_paused",
            "Whether a person has paused a service (1) or not (0)",
            self.paused.clone(),
        );
        registry.register(
            "rulebook_holds",
            "Holds of a rulebook and of its rules by a person: what they ask for waits",
            self.rulebook_holds.clone(),
        );
        registry.register(
            "breaker_state",
            "A service's circuit breaker: 1 for the state that it is in",
            self.breaker.clone(),
        );
        registry.register(
            "histories_unavailable",
            "1 while no History of a service could be read for ten minutes, although cases need them",
            self.histories_unavailable.clone(),
        );
    }

    /// Services come and go with rulebooks: what is gone must not stay at its last value.
    pub(super) fn set(&self, overview: &Overview) {
        self.rulebook_holds.clear();
        for hold in &overview.holds {
            let labels = RulebookLabels { rulebook: hold.rulebook.clone() };
            self.rulebook_holds.get_or_create(&labels).inc();
        }
        self.queued.clear();
        self.in_flight.clear();
        self.paused.clear();
        self.breaker.clear();
        self.histories_unavailable.clear();
        for service in overview.services.iter().take(SERVICES_LIMIT) {
            let labels = || ServiceLabels { service: service.name.clone() };
            self.queued.get_or_create(&labels()).set(i64::from(service.queued));
            self.in_flight.get_or_create(&labels()).set(i64::from(service.in_flight));
            self.paused.get_or_create(&labels()).set(i64::from(service.paused));
            let unavailable = service.histories_unavailable_since.is_some();
            self.histories_unavailable.get_or_create(&labels()).set(i64::from(unavailable));
            for state in BreakerState::ALL {
                let labels = BreakerLabels { service: service.name.clone(), state: state.as_str() };
                self.breaker.get_or_create(&labels).set(i64::from(service.breaker == *state));
            }
        }
    }
}
