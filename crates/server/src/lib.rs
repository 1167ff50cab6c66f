//! The supervisor as a library: driver, HTTP, dispatch. The engine decides; this crate stamps the time, persists, and
//! only then acts.

pub mod access;
mod alerts;
mod all_nodes;
mod arrivals;
pub mod books;
mod bulk;
mod clock;
#[cfg(feature = "postgres")]
mod cluster;
pub mod config;
mod connections;
mod console;
pub mod dispatch;
mod doors;
mod duration;
mod event_stream;
mod fair_queue;
mod faults;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod gate;
mod gathering;
mod heartbeat;
mod http;
mod identity;
mod ingest;
mod key_files;
mod leases;
mod life;
mod listening;
mod mailbox;
mod memory;
mod networks;
mod nodes;
mod not_seen_by;
mod observers;
mod open_case_queries;
mod open_files;
mod outbound;
mod overview;
mod pace;
mod part;
mod permits;
mod random;
mod rejected;
mod renewed;
mod retention;
mod routes;
mod serve;
mod shares;
mod sharing;
mod shell;
mod signals;
mod source;
mod store_fault;
mod store_line;
mod supervisor;
mod telemetry;
mod texts;
mod throughput;
mod tls;
mod views;
mod withheld;

pub use self::http::{App, HttpLimits, openapi_json};
pub use alerts::AlertOptions;
pub use amends_node::EffectResult;
pub use clock::{Clock, SystemClock};
#[cfg(feature = "postgres")]
pub use cluster::ClusterOptions;
pub use config::{Config, ConfigError};
pub use event_stream::{EventStream, EventSubscription};
pub use identity::IdentityOptions;
#[cfg(feature = "kafka")]
pub use ingest::kafka;
#[cfg(feature = "nats")]
pub use ingest::nats;
pub use ingest::{Bridge, Channel, Channels, KafkaOptions, NatsOptions, Sasl, Tried, TriedMessage};
#[cfg(any(feature = "kafka", feature = "nats"))]
pub use ingest::{BrokerError, Finding, Severity};
pub use listening::ListenError;
pub use not_seen_by::NotSeenBy;
pub use outbound::{Outbound, Permit};
pub use retention::KeepSettled;
pub use routes::router;
pub use serve::{Running, ServeError, serve, start};
pub use shell::{Driver, DriverOptions, StartError};
pub use supervisor::Supervisor;
pub use telemetry::{LogWriter, Metrics, Traces};
pub use tls::{AskClients, TlsOptions, standing as certificate_standing};
pub use withheld::{NotWithheld, Withheld};
