//! Keeps cases durable: the [`Store`] in its roles, its implementations on SQLite and PostgreSQL, and the tests
//! that every store has to pass.
//!
//! A store gives back what it was given and decides nothing: it knows no rule, starts no step and reads no clock to
//! fill a row. All SQL of the product is in this crate.

mod any;
mod archive;
mod calls;
mod closing;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod credentials;
#[cfg(test)]
mod differential_tests;
mod error;
mod filter;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod holding;
mod leases;
mod ledger;
mod letters;
#[cfg(test)]
mod memory_nodes_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(feature = "postgres")]
mod moving;
mod nodes;
#[cfg(feature = "postgres")]
mod partitions;
mod permits;
#[cfg(feature = "postgres")]
mod postgres;
mod rejected;
mod roles;
mod sqlite;
mod tables;
mod threads;
mod upkeep;

pub use any::AnyStore;
pub use archive::{
    Archive, AuditEnds, AuditEntry, CaseRecord, ListedCase, ListedStep, RowPage, Settlements,
    StepRecord,
};
pub use calls::{Call, Calls, Heard, Hearing, LetterAnswered, Listening, SAID_LIMIT};
pub use credentials::{CredentialKind, CredentialRow, Credentials};
pub use error::StoreError;
pub use filter::{
    ActFilter, CaseFilter, CaseOrder, DEFAULT_PAGE, PAGE_LIMIT, PageRequest, StepFilter,
};
pub use holding::{FieldValue, Holding, HoldingPage, HoldingPlace, ListedErasure};
pub use leases::{Beat, Leases};
pub use ledger::Ledger;
pub use letters::{LETTERS_LIMIT, Letters};
#[cfg(feature = "postgres")]
pub use moving::{Moving, StoreMoved, TableMoved, move_store};
pub use nodes::{ClusterSeen, NodeSeen, Nodes, fair_share};
pub use permits::{PERMIT_TIME, PermitsHeld, PermitsWanted};
#[cfg(feature = "postgres")]
pub use postgres::{
    LeasesSeen, PostgresOptions, PostgresSeen, PostgresStore, PostgresTls, ServerSeen, TableSeen,
    Taking,
};
pub use rejected::{
    ListedRejected, Rejected, RejectedFilter, RejectedKept, RejectedLimits, RejectedRow,
};
pub use sqlite::{
    FILE_NAME, SqliteOptions, SqliteSeen, SqliteStore, StoreSeen, copy_store, inspect,
    sqlite_status, verify_audit,
};
pub use upkeep::{BulkRow, SettledBefore, Upkeep};

pub use amends_engine::{
    Adopted, Batch, BrokenCase, Committed, Epoch, Lease, Letter, LetterId, LetterKind, LetterMark,
    LettersRead, LettersWanted, Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace,
    Partition, RawCase, RawRow, RawValue, RulebookRow, Settings, Share, SharedStore, UnreadableRow,
};

/// Where a supervisor keeps what it must not forget. Clones share one store.
///
/// It has a role for each caller: the loop's [`Ledger`], the [`Archive`] for people, [`Upkeep`], [`Leases`], [`Nodes`],
/// [`Letters`] and [`Calls`], by which several nodes share one store, [`Credentials`], by which callers are known, and
/// [`Rejected`] for messages that could not be taken.
pub trait Store:
    Ledger + Archive + Upkeep + Leases + Nodes + Letters + Calls + Credentials + Rejected
{
}

impl<S> Store for S where
    S: Ledger + Archive + Upkeep + Leases + Nodes + Letters + Calls + Credentials + Rejected
{
}
