//! What is durable in a run, with the rulebooks that its rows name.

use amends_engine::{CaseRow, Memory, ReportRow, ServiceRow, ServiceSettings, Write};
use amends_protocol::{CaseId, SagaId, Timestamp};
use amends_rulebook::Rulebook;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The rows of a store, and the versions that they may be planned with.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// All rows.
    pub rows: Memory,
    /// Cases that the supervisor keeps out of the way, as of its last rest.
    pub quarantined: BTreeSet<CaseId>,
    /// Cases of which a row has been damaged, whether or not the supervisor has found it.
    pub damaged: BTreeSet<CaseId>,
    /// Sagas of cases that were removed because they were old.
    pub removed: BTreeSet<SagaId>,
    versions: Vec<Arc<Rulebook>>,
}

impl Stored {
    /// A store in which the first of these versions is active, of each name.
    #[must_use]
    pub fn new(versions: &[Arc<Rulebook>], now: Timestamp) -> Self {
        let mut rows = Memory::default();
        let mut names = BTreeSet::new();
        for first in versions.iter().filter(|book| names.insert(book.name())) {
            rows.put_active(first, now);
        }
        Self {
            rows,
            versions: versions.to_vec(),
            quarantined: BTreeSet::new(),
            removed: BTreeSet::new(),
            damaged: BTreeSet::new(),
        }
    }

    /// Services whose Histories have been read before, in an earlier life of the supervisor.
    pub fn know(&mut self, services: impl IntoIterator<Item = Arc<str>>) {
        let writes = services.into_iter().map(|service| {
            let settings = ServiceSettings { tells_history: true, ..ServiceSettings::default() };
            Write::Service(Box::new(ServiceRow { service, settings }))
        });
        let writes: Vec<Write> = writes.collect();
        let done = self.rows.commit(writes.into());
        debug_assert!(done.is_ok(), "settings claim nothing that is another's");
    }

    /// Removes a case that was settled long ago.
    pub fn prune(&mut self, case: CaseId) {
        self.removed.extend(self.rows.case_row(case).map(|row| row.saga.clone()));
        let done = self.rows.commit(vec![Write::Remove(case)].into());
        debug_assert!(done.is_ok(), "a removal claims nothing");
    }

    /// A version by its content hash.
    #[must_use]
    pub fn version(&self, hash: &str) -> Option<&Arc<Rulebook>> {
        self.versions.iter().find(|book| book.hash() == hash)
    }

    /// The rulebook that a case is planned with.
    #[must_use]
    pub fn book_of(&self, case: CaseId) -> Option<&Arc<Rulebook>> {
        self.version(&self.rows.case_row(case)?.rulebook.as_ref()?.hash)
    }

    /// The active rulebook that knows a service.
    #[must_use]
    pub fn active_for(&self, service: &str) -> Option<&Arc<Rulebook>> {
        let active = self.rows.rulebooks().filter(|row| row.active);
        active
            .filter_map(|row| self.version(&row.hash))
            .find(|book| book.service(service).is_some())
    }

    /// A report of a case.
    #[must_use]
    pub fn report(&self, case: CaseId, position: u32) -> Option<&ReportRow> {
        self.rows.reports_of(case).find(|row| row.position == position)
    }

    /// Cases that are not settled, and that the supervisor works on.
    pub fn open_cases(&self) -> impl Iterator<Item = &CaseRow> {
        let open = |case: &&CaseRow| case.state != amends_api::CaseState::Settled;
        self.rows.cases().filter(open).filter(|case| !self.quarantined.contains(&case.id))
    }
}
