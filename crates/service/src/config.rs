//! What a service says of itself before the kit opens, and why opening or the database may fail.

use crate::certificates::Certificates;
use crate::supervisor_token::SupervisorToken;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of one service. [`KitConfig::new`] fills in defaults that suit most services.
#[derive(Clone, Debug)]
pub struct KitConfig {
    /// The service's name in the rulebook: 1 to 128 of `a-z A-Z 0-9 _ -`.
    pub service: String,
    /// Base URL of the supervisor, e.g. `http://amends:7000`, or `https://…` with the feature `tls`. Without one (and
    /// without a [`ReportSink`](crate::ReportSink)), reports stay in the outbox.
    pub supervisor: Option<String>,
    /// What the service shows the supervisor to be known. Without it, reports are taken only by a supervisor that wants
    /// to know nobody.
    pub supervisor_token: Option<SupervisorToken>,
    /// Whose certificates are believed and which one is shown, by the supervisor's address and by other services', with
    /// the feature `tls`.
    pub certificates: Certificates,
    /// Keys of Standard Webhooks signatures that steps may carry, decoded (see
    /// [`signing_key`](crate::signing_key)). Empty: signatures are not checked.
    pub signing_keys: Vec<Vec<u8>>,
    /// Whether a request without saga context begins a new saga. When not, it is refused with 400.
    pub starts_sagas: bool,
    /// The service's manifest, YAML text, served at `GET /amends/v1/manifest`. Without one that is a 404.
    pub manifest: Option<String>,
    /// A request that is unfinished for this long, and that no living process is working on, counts as crashed.
    pub unfinished_after_ms: u64,
    /// Pause between two looks for such requests.
    pub sweep_every_ms: u64,
    /// Longest wait for another service's answer, repetitions of "still running" included.
    pub call_timeout_ms: u64,
    /// How long a saga is kept after the last thing happened in it, with its fences; `None` is for ever. At least a day:
    /// it must outlast every repetition by callers and every attempt of the supervisor, since a late original of a
    /// forgotten saga would be taken for a new one.
    pub keep_history_for: Option<Duration>,
}

/// Shortest time that History may be kept: what callers repeat after an outage, and what the supervisor still asks
/// for, is hours old, not days.
const SHORTEST_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long History is kept unless said otherwise: what people still ask about after a quarter's closing.
const KEPT_BY_DEFAULT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl KitConfig {
    /// The defaults: no supervisor, the system's authorities, no signatures, no manifest, sagas may begin here, 30 s
    /// until a request counts as crashed, a sweep every 5 s, 5 s for a call, History for 90 days.
    pub fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            supervisor: None,
            supervisor_token: None,
            certificates: Certificates::default(),
            signing_keys: Vec::new(),
            starts_sagas: true,
            manifest: None,
            unfinished_after_ms: 30_000,
            sweep_every_ms: 5_000,
            call_timeout_ms: 5_000,
            keep_history_for: Some(KEPT_BY_DEFAULT),
        }
    }

    /// Finds settings that cannot be meant.
    pub(crate) fn check(&self) -> Result<(), KitError> {
        if !is_plain_name(&self.service) {
            return Err(KitError::Config(format!(
                "`{}` is not a service name: 1 to 128 of `a-z A-Z 0-9 _ -`",
                self.service
            )));
        }
        if let Some(url) = &self.supervisor
            && !url.starts_with("http://")
            && !(cfg!(feature = "tls") && url.starts_with("https://"))
        {
            return Err(KitError::Config(format!(
                "`{url}` is not a supervisor's address: it must start with `http://`, or with `https://` and the kit's feature `tls`"
            )));
        }
        if let Some(token) = &self.supervisor_token {
            token.check().map_err(KitError::Config)?;
        }
        let is_secured = self.supervisor.as_ref().is_some_and(|url| url.starts_with("https://"));
        if is_secured || self.certificates != Certificates::default() {
            self.certificates.check().map_err(KitError::Config)?;
        }
        match self.keep_history_for {
            Some(kept) if kept < SHORTEST_KEPT => Err(KitError::Config(format!(
                "history cannot be kept for {} s only: after that a late original or repetition would be taken for a \
                 new request, so it must outlast all retries of callers and of the supervisor; keep it for a day or more",
                kept.as_secs()
            ))),
            _ => Ok(()),
        }
    }
}

/// Why the kit cannot open or use its database. For a saga it means that nothing of this attempt took effect, except
/// for [`KitError::CommitUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// A setting is wrong; says which and how to mend it.
    #[error("{0}")]
    Config(String),
    /// The database cannot be opened, or holds something else.
    #[error("cannot open the database {what}: {why}; check its address and its permissions")]
    Open {
        /// Which one.
        what: String,
        /// What the database says.
        why: String,
    },
    /// Another process has the file.
    #[error(
        "the database `{}` is in use by another process (it holds the lock on `{}`); stop that one first, or give each \
         process a database of its own", .database.display(), .lock.display()
    )]
    Locked {
        /// The database.
        database: PathBuf,
        /// The lock file beside it.
        lock: PathBuf,
    },
    /// A statement failed; its transaction was rolled back.
    #[error("the database failed: {0}")]
    Database(String),
    /// No connection could be had; nothing was asked of the database.
    #[error("the database is out of reach: {0}")]
    Unavailable(String),
    /// The commit was sent and its answer is lost, or it failed on the way to the disk. The next transaction of the same
    /// saga sees whether it took effect.
    #[error("nobody knows whether the database committed: {0}")]
    CommitUnknown(String),
    /// The host's closure panicked; its transaction was rolled back.
    #[error("the service's own code panicked in a transaction: {0}")]
    Panicked(String),
    /// An undo that is told of later is not at its end yet; its transaction was rolled back.
    #[error("the undo is not at its end: {0}")]
    Unfinished(String),
    /// The database was closed before anything was asked of it.
    #[error("the database is closed")]
    Closed,
    /// A stored value cannot be read back: the tables were changed from outside.
    #[error("the history holds something unreadable: {0}")]
    Corrupt(String),
}

impl KitError {
    /// Whether it is certain that nothing was written.
    #[must_use]
    pub fn is_without_effect(&self) -> bool {
        !matches!(self, Self::CommitUnknown(_))
    }
}

/// Whether `name` may name a service, an action or a notice: it becomes a part of a path and of `service.action`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
