//! Reads a message that lies among the rejected ones once more. Pure.

use super::envelope::read_structured;
use super::fault::Fault;
use amends_protocol::{ProblemCode, Report};
use amends_store::RejectedRow;
use http::{HeaderMap, HeaderValue, header};

const STRUCTURED: &str = "application/cloudevents+json";

/// The report in a rejected message, read as it would be read today: of structured mode.
///
/// # Errors
/// What is wrong with it still. Whose word could not be believed is not believed here either, and half a message is
/// none.
pub(crate) fn again(row: &RejectedRow) -> Result<Report, Fault> {
    if row.cut {
        let detail = "only the beginning of it is kept; have its sender send it anew, or read it at the broker";
        return Err(Fault::new(ProblemCode::TooLarge, detail));
    }
    if matches!(
        row.code,
        ProblemCode::Unauthorized | ProblemCode::Forbidden | ProblemCode::Unproven
    ) {
        return Err(Fault::new(row.code, row.detail.clone()));
    }
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(STRUCTURED))]);
    read_structured(&headers, &row.body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::ReportWay;
    use amends_protocol::Timestamp;

    fn row(code: ProblemCode, cut: bool) -> RejectedRow {
        let event = serde_json::json!({
            "specversion": "1.0", "type": amends_protocol::REPORT_TYPE, "source": "order", "id": "r-1",
            "subject": "order-1", "data": { "code": "failed" },
        });
        RejectedRow {
            id: "nats/REPORTS/1".to_owned(),
            way: ReportWay::Nats,
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
        let report = again(&row(ProblemCode::InvalidReport, false)).expect("a report");
        assert_eq!((report.service(), &*report.id), ("order", "r-1"));
    }

    #[test]
    fn nobody_is_believed_the_second_time_who_was_not_the_first() {
        for code in [ProblemCode::Forbidden, ProblemCode::Unauthorized, ProblemCode::Unproven] {
            let fault = again(&row(code, false)).expect_err("it stays refused");
            assert_eq!((fault.code, &*fault.detail), (code, "`payment` may not report there"));
        }
    }

    #[test]
    fn half_a_message_is_none() {
        let fault = again(&row(ProblemCode::TooLarge, true)).expect_err("it is cut");
        assert_eq!(fault.code, ProblemCode::TooLarge);
    }
}
