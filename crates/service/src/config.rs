//! What a service says of itself before the kit opens, and why opening or the database may fail.

use std::path::PathBuf;

/// Settings of one service. [`KitConfig::new`] fills in defaults that suit most services.
#[derive(Clone, Debug)]
pub struct KitConfig {
    /// The service's name in the rulebook: 1 to 128 of `a-z A-Z 0-9 _ -`.
    pub service: String,
    /// The SQLite file that holds History and the host's own tables. One process at a time may have it open as a kit.
    pub database: PathBuf,
    /// Base URL of the supervisor, e.g. `http://amends:7000`. Without one, reports stay in the outbox.
    pub supervisor: Option<String>,
    /// Keys of Standard Webhooks signatures that steps may carry, decoded (see
    /// [`signing_key`](crate::signing_key)). Empty: signatures are not checked.
    pub signing_keys: Vec<Vec<u8>>,
    /// The host's own tables, as `CREATE TABLE IF NOT EXISTS …` statements; run each time the kit opens.
    pub schema: &'static str,
    /// A request that is unfinished for this long, and that this process is not working on, counts as crashed.
    pub unfinished_after_ms: u64,
    /// Pause between two looks for such requests.
    pub sweep_every_ms: u64,
    /// Longest wait for another service's answer, repetitions of "still running" included.
    pub call_timeout_ms: u64,
}

impl KitConfig {
    /// The defaults: no supervisor, no signatures, no tables, 30 s until a request counts as crashed, a sweep every
    /// 5 s, 5 s for a call.
    pub fn new(service: &str, database: impl Into<PathBuf>) -> Self {
        Self {
            service: service.to_owned(),
            database: database.into(),
            supervisor: None,
            signing_keys: Vec::new(),
            schema: "",
            unfinished_after_ms: 30_000,
            sweep_every_ms: 5_000,
            call_timeout_ms: 5_000,
        }
    }
}

/// Why the kit cannot open or use its database. For a saga it means: nothing of this attempt took effect, or (when
/// the commit itself failed) nobody knows, and the sweep will report it.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// A setting is wrong; says which and how to mend it.
    #[error("{0}")]
    Config(String),
    /// The file cannot be opened, or holds something else.
    #[error("cannot open the database `{path}`: {source}; check the path and its permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A statement failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The host's closure panicked; its transaction was rolled back.
    #[error("the service's own code panicked in a transaction: {0}")]
    Panicked(String),
    /// The database thread is gone.
    #[error("the database is closed")]
    Closed,
    /// A stored value cannot be read back: the file was changed from outside.
    #[error("the history holds something unreadable: {0}")]
    Corrupt(String),
}

/// Whether `name` may name a service, an action or a notice: it becomes a part of a path and of `service.action`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
