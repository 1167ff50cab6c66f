//! What a business is to the demo: its services, its rulebook, its workload, and how it is judged. Everything else is
//! the same for all of them. Data only.

use crate::errands;
use crate::faults::FaultKind;
use crate::invariants::{Db, Findings};
use crate::setting::Setting;
use crate::workload::{PlanOptions, PlannedOrder};
use amends_service::{KitBuilder, Sqlite};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A business whose services really fail and really compensate.
pub struct Business {
    /// Its name, and that of its rulebook.
    pub name: &'static str,
    /// What is special about it, in a line.
    pub about: &'static str,
    /// Its services. In [`Self::rulebook`] they stand at ports from 7101, in this order.
    pub services: &'static [Service],
    /// The action with which every saga begins, and its service.
    pub entry: (&'static str, &'static str),
    /// The text of its rulebook.
    pub rulebook: &'static str,
    /// Everything that the plan can let go wrong.
    pub faults: fn() -> Vec<&'static FaultKind>,
    /// The orders of a run.
    pub plan: fn(&PlanOptions) -> Vec<PlannedOrder>,
    /// Judges its databases.
    pub findings: fn(&Db) -> rusqlite::Result<Findings>,
}

/// One of its services.
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Its own tables.
    pub tables: &'static str,
    /// Gives the kit its actions.
    pub fit_out: fn(KitBuilder<Sqlite>, Arc<Setting>) -> KitBuilder<Sqlite>,
    /// What it has to be given before anybody orders.
    pub supply: Option<Supply>,
    /// Whether it repeats calls that nobody answered (see [`crate::errands`]).
    pub runs_errands: bool,
    /// How long it waits for those that it calls.
    pub call_timeout_ms: u64,
}

/// Something that a service can run out of.
pub struct Supply {
    /// How much of it a plan needs.
    pub needed: fn(&[PlannedOrder]) -> u32,
    /// Puts as much into its database; what is there already stays as it is.
    pub put_in: fn(&Path, u32) -> rusqlite::Result<()>,
}

/// A caller waits longer than everything below it may take, so that the innermost failure is the one that is seen. That
/// holds on a disk that takes a second for each commit, too: an order commits some twenty times, one after the other.
/// Whoever dies is noticed by the broken connection, and not by these.
const CALL_TIMEOUT_MS: u64 = 20_000;

impl Service {
    /// A service that calls nobody who calls others.
    #[must_use]
    pub const fn new(
        name: &'static str,
        tables: &'static str,
        fit_out: fn(KitBuilder<Sqlite>, Arc<Setting>) -> KitBuilder<Sqlite>,
    ) -> Self {
        let call_timeout_ms = CALL_TIMEOUT_MS;
        Self { name, tables, fit_out, supply: None, runs_errands: false, call_timeout_ms }
    }

    /// The same with something that it can run out of.
    #[must_use]
    pub const fn supplied(self, supply: Supply) -> Self {
        Self { supply: Some(supply), ..self }
    }

    /// The same with errands.
    #[must_use]
    pub const fn with_errands(self) -> Self {
        Self { runs_errands: true, ..self }
    }

    /// The same, so many levels above those who call nobody else.
    #[must_use]
    pub const fn above(self, levels: u64) -> Self {
        Self { call_timeout_ms: CALL_TIMEOUT_MS * 3 * levels, ..self }
    }

    /// The tables of its database.
    #[must_use]
    pub fn schema(&self) -> String {
        let errands = if self.runs_errands { errands::TABLE } else { "" };
        format!("{}{errands}", self.tables)
    }
}

impl Business {
    /// The names of its services.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'static str> + use<> {
        self.services.iter().map(|service| service.name)
    }

    /// One of its services.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&'static Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// Judges the databases in a folder against the plan.
    ///
    /// # Errors
    /// When a database can't be read.
    pub fn judge(&self, folder: &Path, plan: &[PlannedOrder]) -> rusqlite::Result<Findings> {
        (self.findings)(&Db::open(folder, self.names(), plan)?)
    }

    /// The fault of this name.
    ///
    /// # Errors
    /// The names that there are.
    pub fn fault(&self, word: &str) -> Result<&'static FaultKind, String> {
        let all = (self.faults)();
        all.iter().copied().find(|kind| kind.word == word).ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|kind| kind.word).collect();
            format!("`{}` knows no fault `{word}`; one of: {}", self.name, known.join(", "))
        })
    }
}

impl fmt::Debug for Business {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
