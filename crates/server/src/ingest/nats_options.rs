//! What there is to know of a NATS: where it is, as whom we come, and what we read there.

use super::trust::Channel;
use std::path::PathBuf;
use std::time::Duration;

/// Where reports come from.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// `nats://host:port` or `tls://host:port`; those of one cluster.
    pub servers: Vec<String>,
    /// The stream that holds them.
    pub stream: String,
    /// Our consumer there. It remembers what we have taken, and is never deleted by us.
    pub durable: String,
    /// How long the server waits for an acknowledgement before it brings a message again.
    pub ack_wait: Duration,
    /// Subjects, and who may report on them.
    pub channels: Vec<Channel>,
    /// A file of credentials, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// A name, and the file of its password.
    pub user: Option<(String, PathBuf)>,
    /// Authorities in place of those of the system.
    pub authorities: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}
