//! How things are written on the wire: one codec each, which supervisor, kit and tools share. Pure functions
//! from text and bytes to text and bytes; no HTTP client or server.

pub mod baggage;
pub mod bearer;
pub mod cloudevents;
pub mod percent;
pub mod signature;
mod traceparent;
pub mod xml;

pub use traceparent::Traceparent;
