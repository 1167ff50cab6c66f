//! What the supervisor tells the outside of itself: metrics, traces, log lines. Each is fed after the commit of what it
//! tells, holds nothing up, and decides nothing about cases.

mod attempt_result;
mod buckets;
mod export;
mod kept_apart;
mod labels;
mod log;
mod log_writer;
mod metrics;
mod node_gauges;
mod open_work;
mod service_gauges;
mod spans;
mod standing;
#[cfg_attr(
    not(any(feature = "kafka", feature = "nats")),
    allow(dead_code, reason = "a build without brokers has none to tell of")
)]
mod ways;

pub(crate) use export::export;
pub(crate) use log::observe;
pub use log_writer::LogWriter;
pub use metrics::Metrics;
pub use spans::Traces;
pub(crate) use spans::Watched;
pub(crate) use standing::Standing;
#[cfg(feature = "kafka")]
pub(crate) use ways::Ways;
