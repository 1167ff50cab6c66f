//! What can go wrong with a store, in words for an operator. It maps nothing to HTTP or exit codes.

use amends_engine::{Epoch, Partition};
use amends_protocol::CaseId;
use std::path::PathBuf;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error(
        "`{}` is in use by another supervisor; stop it first, or give this one its own directory", .dir.display()
    )]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// Another process of the same node lives.
    #[error(
        "node `{node}` is in use by another supervisor; stop that one, or give this one another name (if it has just died, wait some seconds)"
    )]
    NodeInUse {
        /// The node's name.
        node: String,
    },
    /// The clock of this machine is wrong: it is far from the database's, and those of other nodes that live are not.
    #[error(
        "the clock of this machine is {} ms {} that of the database, and those of the other nodes are not; set it (NTP does), then start this node again",
        .ahead_ms.unsigned_abs(), if *.ahead_ms < 0 { "behind" } else { "ahead of" }
    )]
    ClockOff {
        /// Milliseconds that it is ahead.
        ahead_ms: i64,
    },
    /// The store of this directory was moved into a database.
    #[error(
        "the store in `{}` was moved into PostgreSQL: start with `cluster.database`; `{}` says where it is, and how to come back to this one", .dir.display(), .mark.display()
    )]
    Moved {
        /// The store's directory.
        dir: PathBuf,
        /// The file that says so.
        mark: PathBuf,
    },
    /// A database that can't be reached, or can't be one of a store.
    #[error("the database {database} can't be used: {why}")]
    Unusable {
        /// Which, without a password.
        database: String,
        /// Why, and how to mend it.
        why: String,
    },
    /// The file was written by a newer version.
    #[error(
        "the store has schema {found}, and this version knows up to {known}; start the version that wrote it, or a newer one"
    )]
    NewerSchema {
        /// In the file.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The file was written by an older version, and who asks may not change it.
    #[error(
        "the store has schema {found}, which is older than {known} of this version; start a supervisor of this version on it once, which brings it up to date"
    )]
    OlderSchema {
        /// In the file.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("`{}` is a database, but not one of Amends; give another directory", .path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// A cursor that no page of this list gave out.
    #[error(
        "`{cursor}` is not a cursor of this list; pass `next` of the page before it unchanged, or nothing for the first page"
    )]
    BadCursor {
        /// As it came in, shortened.
        cursor: String,
    },
    /// A write claims a key that belongs to another row. The whole batch is refused.
    #[error("{row} can't be stored: its key belongs to another row")]
    Conflict {
        /// Which write.
        row: String,
        /// The case that it is of, if of one.
        case: Option<CaseId>,
    },
    /// What was to be written would not read back, or is longer than a row can be. The whole batch is refused.
    #[error("{row} can't be stored: {what}")]
    Unstorable {
        /// Which write.
        row: String,
        /// The case that it is of, if of one.
        case: Option<CaseId>,
        /// What is wrong with it.
        what: String,
    },
    /// The batch comes from a time before its partition went to another, or was loaded anew. Nothing of it is stored.
    #[error(
        "{partition} is not held in epoch {}; it was given back, or taken over since it was loaded: load it again", .epoch.0
    )]
    NotHeld {
        /// Whose writes they were.
        partition: Partition,
        /// What they carried.
        epoch: Epoch,
    },
    /// The batch was planned with what holds no longer: nothing of it is stored.
    #[error("what nodes share was changed by another one meanwhile: load it again, and plan anew")]
    Outdated,
    /// A number that doesn't fit its place in a key. The whole batch is refused.
    #[error("{row} can't be stored: its number is over the limit of {limit}")]
    OverLimit {
        /// Which write.
        row: String,
        /// The case that it is of, if of one.
        case: Option<CaseId>,
        /// The largest number that fits.
        limit: u64,
    },
    /// A stored row that doesn't read back.
    #[error(
        "{row} in the store can't be read: {what}; restore a backup, or ask for help with the file"
    )]
    Corrupt {
        /// Which row.
        row: String,
        /// What is wrong with it.
        what: String,
    },
    /// A backup would overwrite something.
    #[error("`{}` exists already; a backup never overwrites, so give another path", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A list was given up so that others can be read.
    #[error(
        "the search was given up after {seconds} seconds; ask for less, e.g. one case, one state or a shorter time"
    )]
    TooSlow {
        /// The time limit.
        seconds: u64,
    },
    /// A file or directory could not be used.
    #[error("could not {doing} `{}`: {source}", .path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database failed, e.g. because the disk is full.
    #[error("could not {doing}: {source}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// What the database says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store has been closed, or its thread has ended by a fault.
    #[error("the store is closed")]
    Closed,
}
