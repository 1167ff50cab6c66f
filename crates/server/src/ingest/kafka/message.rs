//! A message as the library gives it, as what we take.

use crate::ingest::delivery::Delivery;
use amends_protocol::Timestamp;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What stands for a name that can't be read.
const NAMELESS: &str = "(a name that is not UTF-8)";

pub(super) fn delivery(message: &BorrowedMessage<'_>) -> Delivery {
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    let headers = message.headers().into_iter();
    let headers = headers.flat_map(|all| (0..all.count()).map(|n| header(all, n)));
    // Before 1970 was no Kafka: it is a producer's mistake, and says nothing.
    let sent_at = message.timestamp().to_millis().filter(|millis| *millis > 0);
    Delivery {
        // With its time: a topic that was deleted and made anew counts from 0 again.
        place: format!("kafka/{topic}/{partition}/{offset}@{}", sent_at.unwrap_or(0)),
        told: format!("message {offset} of partition {partition} of the topic `{topic}`"),
        channel: topic.to_owned(),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers.collect(),
        body: message.payload().map(<[u8]>::to_vec).unwrap_or_default(),
        sent_at: sent_at.map(Timestamp),
    }
}

/// A header; anybody can send any bytes. The library panics at a name that is not UTF-8, and has no other way to it: no
/// header that we know has such a name, and the message is read by the others.
fn header(headers: &BorrowedHeaders, n: usize) -> (String, Vec<u8>) {
    let read = AssertUnwindSafe(|| {
        let header = headers.try_get(n)?;
        Some((header.key.to_owned(), header.value.map(<[u8]>::to_vec).unwrap_or_default()))
    });
    catch_unwind(read).ok().flatten().unwrap_or_else(|| (NAMELESS.to_owned(), Vec::new()))
}
