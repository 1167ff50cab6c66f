//! What there is to know of a Kafka: where it is, as whom we come, and what we read there.

use super::trust::Channel;
use std::path::PathBuf;
use std::time::Duration;

/// Where reports come from.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port`; some of one cluster's.
    pub brokers: Vec<String>,
    /// Our group there. It remembers what we have taken; supervisors of one group share the partitions.
    pub group: String,
    /// After what silence of a supervisor its partitions go to another one.
    pub session_timeout: Duration,
    /// Topics, and who may report on them.
    pub channels: Vec<Channel>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Authorities in place of those of the system.
    pub authorities: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Who we are, by name and password.
    pub sasl: Option<Sasl>,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`.
    pub mechanism: String,
    /// The name.
    pub user: String,
    /// The file of its password.
    pub password_file: PathBuf,
}
