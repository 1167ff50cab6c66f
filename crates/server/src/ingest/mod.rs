//! Reads reports out of CloudEvents 1.0 and says what is wrong with them; and takes them from brokers, where nobody
//! waits for an answer.

mod again;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod age;
mod bridge;
mod channels;
mod check;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod delivery;
pub(crate) mod envelope;
mod fault;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod finding;
mod hear;
#[cfg(feature = "kafka")]
pub mod kafka;
mod kafka_options;
pub(crate) mod listeners;
mod message;
#[cfg(feature = "nats")]
pub mod nats;
mod nats_options;
mod trust;

pub(crate) use again::again;
#[cfg(any(feature = "kafka", feature = "nats"))]
pub(crate) use age::Ages;
pub use bridge::Bridge;
pub(crate) use bridge::read_bridges;
pub use channels::Channels;
#[cfg(any(feature = "kafka", feature = "nats"))]
pub(crate) use delivery::Intake;
pub(crate) use fault::Fault;
#[cfg(any(feature = "kafka", feature = "nats"))]
pub use finding::{BrokerError, Finding, Severity};
pub use hear::{Tried, TriedMessage};
pub use kafka_options::{KafkaOptions, Sasl};
#[cfg(any(feature = "kafka", feature = "nats", feature = "fuzz"))]
pub(crate) use message::Binding;
#[cfg(feature = "fuzz")]
pub(crate) use message::Message;
pub use nats_options::NatsOptions;
pub use trust::Channel;
