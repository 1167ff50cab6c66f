//! Reports by NATS JetStream: a durable pull consumer on a stream that `amends nats init` has made. What comes is
//! acknowledged after it is durable; what can't be taken now comes again.

mod admin;
mod connect;
mod consume;
mod place;
mod settings;
mod unreadable;

pub use admin::{NatsLag, check, init, lag};
pub(crate) use consume::watch;
