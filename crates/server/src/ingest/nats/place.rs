//! Where a message lies: what names it in a list of what was put aside, and for people.

use crate::ingest::delivery::Delivery;
use amends_protocol::Timestamp;

/// A message of which no more is known than where it lies.
pub(super) fn place(stream: &str, sequence: u64, published: Timestamp, subject: &str) -> Delivery {
    Delivery {
        // With its time: a stream that was deleted and made anew counts from 1 again.
        place: format!("nats/{stream}/{sequence}@{}/{subject}", published.0),
        told: format!("message {sequence} of the stream `{stream}`, on `{subject}`"),
        channel: subject.to_owned(),
        key: None,
        headers: Vec::new(),
        body: Vec::new(),
        sent_at: Some(published),
    }
}
