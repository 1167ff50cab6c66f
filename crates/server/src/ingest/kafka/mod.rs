//! Reports by Apache Kafka: a consumer on a thread of its own, in a group whose offsets are committed after what they
//! pass is durable. What can't be taken now is tried again here, while its partition pauses.

mod admin;
mod assignment;
mod client;
mod consume;
mod context;
mod message;
mod standing;
mod watermark;

pub use admin::{KafkaLag, PartitionLag, check, lag};
pub(crate) use consume::watch;
