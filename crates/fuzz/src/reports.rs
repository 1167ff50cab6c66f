//! Reports in the three modes of CloudEvents over HTTP, and in messages of brokers.

use crate::message;
use amends_protocol::{Report, is_opaque_name};
use amends_server::fuzz;

/// How many events a batch may have here.
const BATCH: usize = 100;

pub fn binary(data: &[u8]) {
    let (headers, body) = message::read(data);
    if let Ok(report) = fuzz::report_binary(&headers, body) {
        taken(&report);
    }
}

pub fn structured(data: &[u8]) {
    let (headers, body) = message::read(data);
    if let Ok(report) = fuzz::report_structured(&headers, body) {
        taken(&report);
    }
}

pub fn batch(data: &[u8]) {
    let (headers, body) = message::read(data);
    if let Ok(events) = fuzz::report_batch(&headers, body, BATCH) {
        assert!(events.len() <= BATCH, "{} events", events.len());
        events.iter().flatten().for_each(taken);
    }
}

pub fn kafka(data: &[u8]) {
    of_broker(true, data);
}

pub fn nats(data: &[u8]) {
    of_broker(false, data);
}

/// An event in words of its own: what is made of it names nobody but who may be named.
pub fn bridge(data: &[u8]) {
    let (headers, body) = message::read_plain(data);
    if let Ok(Some(report)) = fuzz::report_bridged(&headers, body) {
        taken(&report);
        assert!(["payment", "order"].contains(&report.service()), "`{}` reports", report.source);
        assert!(["card-declined", "failed"].contains(&&*report.data.code), "{}", report.data.code);
    }
}

/// Headers of a broker's message are any bytes.
fn of_broker(is_kafka: bool, data: &[u8]) {
    let (headers, body) = message::read_plain(data);
    if let Ok(report) = fuzz::report_message(is_kafka, &headers, body) {
        taken(&report);
    }
}

/// What is taken can be kept: it reads back as it was written, and names who reports in a way that nothing else reads
/// otherwise.
fn taken(report: &Report) {
    let written = serde_json::to_vec(report).expect("a report can be written");
    let again: Report = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, *report);
    let service = report.service();
    assert!(is_opaque_name(service) && !service.contains(['/', ':']), "`{service}` reports");
    for name in [&report.id, &report.data.code] {
        assert!(is_opaque_name(name), "`{name}` was taken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_has_reports_that_are_taken() {
        let (headers, body) =
            message::read_plain(include_bytes!("../../../fuzz/corpus/report_bridge/full"));
        assert!(matches!(fuzz::report_bridged(&headers, body), Ok(Some(_))));
        let (headers, body) =
            message::read(include_bytes!("../../../fuzz/corpus/report_binary/full"));
        assert!(fuzz::report_binary(&headers, body).is_ok());
        let (headers, body) =
            message::read(include_bytes!("../../../fuzz/corpus/report_structured/full"));
        assert!(fuzz::report_structured(&headers, body).is_ok());
        let (headers, body) =
            message::read_plain(include_bytes!("../../../fuzz/corpus/report_kafka/binary"));
        assert!(fuzz::report_message(true, &headers, body).is_ok());
        for kept in [
            &include_bytes!("../../../fuzz/corpus/report_nats/structured")[..],
            include_bytes!("../../../fuzz/corpus/report_nats/binary"),
        ] {
            let (headers, body) = message::read_plain(kept);
            assert!(fuzz::report_message(false, &headers, body).is_ok());
        }
        let (headers, body) =
            message::read(include_bytes!("../../../fuzz/corpus/report_batch/two"));
        let events = fuzz::report_batch(&headers, body, BATCH).expect("a batch");
        assert!(events.len() == 2 && events.iter().all(Result::is_ok), "{events:?}");
    }
}
