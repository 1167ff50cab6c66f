//! Reads a message of a broker that lies among the rejected ones once more, as it would be read today. Pure.

use super::bridge::Foreign;
use super::channels::Channels;
use super::fault::{Fault, invalid};
use super::hear::{Heard, hear, without_key};
use super::message::Binding;
use amends_api::ReportWay;
use amends_protocol::{ProblemCode, Report};
use amends_store::RejectedRow;

/// The report in a rejected message of a broker, by the configuration of today. How old it is counts no more: a person
/// has looked.
///
/// # Errors
/// What is wrong with it still. Half a message is none.
pub(crate) fn again(
    way: ReportWay,
    row: &RejectedRow,
    channels: &Channels,
) -> Result<Report, Fault> {
    if row.cut {
        let detail = "only the beginning of it is kept; have its sender send it anew, or read it at the broker";
        return Err(Fault::new(ProblemCode::TooLarge, detail));
    }
    let headers: Vec<_> = row
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    let binding = match way {
        ReportWay::Kafka => Binding::Kafka,
        ReportWay::Nats => Binding::Nats,
    };
    let (headers, key) = without_key(headers);
    let (place, channel, key) = (row.id.as_str(), channel(way, row), key.as_deref());
    let event = Foreign { place, channel, key, headers: &headers, body: &row.body };
    match hear(binding, event, channels)? {
        Heard::Report { report, .. } => Ok(*report),
        Heard::Skipped(why) => {
            Err(invalid(format!("it tells of no failure by now, and can be discarded: {why}")))
        }
    }
}

/// The subject or topic that it came on, from its place: `nats/STREAM/SEQUENCE@TIME/SUBJECT` or
/// `kafka/TOPIC/PARTITION/OFFSET@TIME`. A subject may hold a `/`.
fn channel(way: ReportWay, row: &RejectedRow) -> &str {
    let mut parts = row.id.splitn(4, '/');
    let part = match way {
        ReportWay::Kafka => parts.nth(1),
        ReportWay::Nats => parts.nth(3),
    };
    part.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Channel;
    use amends_api::RejectedWay;
    use amends_protocol::Timestamp;

    fn nats(pattern: &str, services: &[String]) -> Channels {
        let channel = Channel::read(pattern, services).expect("a channel");
        Channels { nats: vec![channel], ..Channels::default() }
    }

    fn bridge() -> Channels {
        nats("amends.reports.payment", &["order".to_owned()])
    }

    fn row(code: ProblemCode, cut: bool) -> RejectedRow {
        let event = serde_json::json!({
            "specversion": "1.0", "type": amends_protocol::REPORT_TYPE, "source": "order", "id": "r-1",
            "subject": "order-1", "data": { "code": "failed" },
        });
        RejectedRow {
            id: "nats/REPORTS/1@1764414000000/amends.reports.payment".to_owned(),
            way: RejectedWay::Nats,
            place: "message 1".to_owned(),
            source: None,
            event_id: None,
            saga: None,
            code,
            detail: "`payment` may not report there".to_owned(),
            headers: Vec::new(),
            body: event.to_string().into_bytes(),
            cut,
            rejected_at: Timestamp(0),
            sent_at: None,
        }
    }

    #[test]
    fn a_message_that_can_be_read_by_now_is_a_report() {
        let report = again(ReportWay::Nats, &row(ProblemCode::InvalidReport, false), &bridge())
            .expect("a report");
        assert_eq!((report.service(), &*report.id), ("order", "r-1"));
    }

    #[test]
    fn whose_word_counts_is_judged_by_the_configuration_of_today() {
        let fault =
            again(ReportWay::Nats, &row(ProblemCode::Forbidden, false), &Channels::default())
                .expect_err("nobody may");
        assert_eq!(fault.code, ProblemCode::Forbidden, "{}", fault.detail);
        let own = nats("amends.reports.*", &[]);
        let fault = again(ReportWay::Nats, &row(ProblemCode::Forbidden, false), &own)
            .expect_err("not its own");
        assert!(
            fault.detail.contains("`order` may not report on `amends.reports.payment`"),
            "{}",
            fault.detail
        );
        again(ReportWay::Nats, &row(ProblemCode::Forbidden, false), &bridge())
            .expect("it may by now");
    }

    #[test]
    fn a_broker_says_nothing_of_another_ones_channels() {
        let of_kafka = Channels { kafka: bridge().nats, ..Channels::default() };
        let fault = again(ReportWay::Nats, &row(ProblemCode::Forbidden, false), &of_kafka)
            .expect_err("not of NATS");
        assert!(fault.detail.contains("does not name it"), "{}", fault.detail);
    }

    #[test]
    fn what_a_message_came_on_is_read_from_its_place() {
        let of = |way: ReportWay, id: &str| {
            let row = RejectedRow { id: id.to_owned(), ..row(ProblemCode::InvalidReport, false) };
            channel(way, &row).to_owned()
        };
        for (way, id, found) in [
            (ReportWay::Nats, "nats/S/1@5/a.b", "a.b"),
            (ReportWay::Nats, "nats/S/1/a/b.c", "a/b.c"),
            (ReportWay::Kafka, "kafka/reports/3/42@5", "reports"),
            (ReportWay::Nats, "nats", ""),
        ] {
            assert_eq!(of(way, id), found, "{id}");
        }
    }

    #[test]
    fn half_a_message_is_none() {
        let fault = again(ReportWay::Nats, &row(ProblemCode::TooLarge, true), &bridge())
            .expect_err("it is cut");
        assert_eq!(fault.code, ProblemCode::TooLarge);
    }
}
