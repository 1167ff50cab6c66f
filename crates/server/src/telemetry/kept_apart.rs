//! What is kept apart until a person has looked: cases and stored rows that can't be used, messages of brokers that
//! could not be taken as reports, and letters of nodes that were refused.

use super::labels::RejectedLabels;
use amends_api::{Overview, RejectedWay};
use amends_protocol::ProblemCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The numbers; clones share them.
#[derive(Clone, Default)]
pub(crate) struct KeptApart {
    quarantined: Gauge,
    unreadable: Gauge,
    rejected: Gauge,
    rejected_came: Family<RejectedLabels, Counter>,
    rejected_dropped: Counter,
}

impl KeptApart {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "quarantined_cases",
            "Cases that can't be worked on until a person repairs or discards them",
            self.quarantined.clone(),
        );
        registry.register(
            "unreadable_rows",
            "Stored rows of no case that can't be read",
            self.unreadable.clone(),
        );
        registry.register(
            "rejected_reports",
            "Messages of brokers that could not be taken as reports, and letters of nodes that were refused, which lie there until a person has looked",
            self.rejected.clone(),
        );
        registry.register(
            "reports_rejected",
            "Such messages as they came, by the way and what is wrong",
            self.rejected_came.clone(),
        );
        registry.register(
            "rejected_reports_dropped",
            "Such messages that went, oldest first, because there was no room for all",
            self.rejected_dropped.clone(),
        );
        for way in RejectedWay::ALL {
            let code = ProblemCode::InvalidReport.as_str();
            drop(self.rejected_came.get_or_create(&RejectedLabels { way: way.as_str(), code }));
        }
    }

    /// A message could not be taken.
    pub(crate) fn rejected(&self, way: RejectedWay, code: ProblemCode) {
        let labels = RejectedLabels { way: way.as_str(), code: code.as_str() };
        self.rejected_came.get_or_create(&labels).inc();
    }

    /// Such messages went for want of room.
    pub(crate) fn rejected_dropped(&self, rows: u64) {
        self.rejected_dropped.inc_by(rows);
    }

    pub(super) fn set(&self, overview: &Overview) {
        let set = |gauge: &Gauge, rows: u64| gauge.set(i64::try_from(rows).unwrap_or(i64::MAX));
        set(&self.quarantined, overview.quarantined);
        set(&self.unreadable, overview.unreadable_rows);
        set(&self.rejected, overview.rejected_reports);
    }
}
