//! The whole table of answers, as data.

use super::*;
use amends_rulebook::Rulebook;
use serde_json::json;
use std::sync::Arc;

const NOW: Timestamp = Timestamp(784_111_777_000);

fn read(verb: Verb, status: u16, headers: &[(&'static str, &str)], body: &str) -> StepResult {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().expect("a header value"));
    }
    read_answer(verb, status, &map, body.as_bytes(), None, NOW)
}

fn reading(verb: Verb, status: u16, body: &str) -> StepReading {
    read(verb, status, &[], body).answer
}

fn problem_of(code: ProblemCode) -> String {
    serde_json::to_string(&Problem::new(code, "the card is gone")).expect("plain")
}

#[test]
fn a_200_counts_only_with_an_outcome_of_the_verb() {
    use Outcome::*;
    let fits = |verb, outcome| match verb {
        Verb::Compensate => {
            matches!(outcome, Compensated | AlreadyCompensated | NothingToCompensate)
        }
        Verb::Retry => outcome == Retried,
        Verb::Notify => outcome == Notified,
    };
    for &verb in Verb::ALL {
        for &outcome in Outcome::ALL {
            let wanted = match outcome {
                Refused => StepReading::Refused,
                _ if fits(verb, outcome) => StepReading::Done(outcome),
                _ => StepReading::Unknown,
            };
            let body = json!({ "outcome": outcome }).to_string();
            assert_eq!(reading(verb, 200, &body), wanted, "{verb} answered with {outcome}");
        }
    }
}

#[test]
fn a_200_without_a_readable_outcome_is_unknown_and_says_so() {
    for body in ["", "ok", "{}", "{\"outcome\":\"undone\"}", "[1]"] {
        let result = read(Verb::Compensate, 200, &[], body);
        assert_eq!(result.answer, StepReading::Unknown, "{body:?}");
        let message = result.message.expect("a message");
        assert!(message.contains("without a readable `outcome`"), "{message}");
    }
}

#[test]
fn a_204_is_the_plain_outcome_of_the_verb() {
    assert_eq!(reading(Verb::Compensate, 204, ""), StepReading::Done(Outcome::Compensated));
    assert_eq!(reading(Verb::Retry, 204, ""), StepReading::Done(Outcome::Retried));
    assert_eq!(reading(Verb::Notify, 204, ""), StepReading::Done(Outcome::Notified));
}

#[test]
fn a_202_says_where_and_when_to_look() {
    let result =
        read(Verb::Retry, 202, &[("location", "/jobs/7"), ("retry-after", "3")], "whatever");
    let wanted =
        StepReading::Accepted { location: Some("/jobs/7".to_owned()), retry_after_ms: Some(3_000) };
    assert_eq!(result.answer, wanted);
    let bare = StepReading::Accepted { location: None, retry_after_ms: None };
    assert_eq!(reading(Verb::Retry, 202, ""), bare);
}

#[test]
fn our_refused_problem_is_final_under_any_failing_status() {
    let refusal = problem_of(ProblemCode::Refused);
    for status in [400, 403, 409, 410, 422, 429, 500, 503] {
        let result = read(Verb::Compensate, status, &[], &refusal);
        assert_eq!(result.answer, StepReading::Refused, "HTTP {status}");
        assert_eq!(result.message.as_deref(), Some("the card is gone"));
    }
    assert_ne!(reading(Verb::Compensate, 302, &refusal), StepReading::Refused);
}

#[test]
fn statuses_without_a_mapping() {
    let busy = |overloaded| StepReading::Busy { overloaded, retry_after_ms: Some(9_000) };
    let table = [
        (409, busy(false)),
        (422, StepReading::Rejected),
        (429, busy(true)),
        (503, busy(true)),
        (100, StepReading::Unknown),
        (201, StepReading::Unknown),
        (206, StepReading::Unknown),
        (301, StepReading::Unknown),
        (307, StepReading::Unknown),
        (400, StepReading::Unknown),
        (401, StepReading::Unknown),
        (404, StepReading::Unknown),
        (410, StepReading::Unknown),
        (500, StepReading::Unknown),
        (502, StepReading::Unknown),
        (504, StepReading::Unknown),
        (999, StepReading::Unknown),
    ];
    let other_problem = problem_of(ProblemCode::Conflict);
    for (status, wanted) in table {
        for body in ["", "not json", &other_problem] {
            let result = read(Verb::Compensate, status, &[("retry-after", "9")], body);
            assert_eq!(result.answer, wanted, "HTTP {status} with {body:?}");
            assert_eq!(result.status, Some(status));
            assert!(result.message.is_some(), "HTTP {status} needs a word for people");
        }
    }
}

#[test]
fn messages_are_one_bounded_line() {
    let long = "é".repeat(2_000);
    let said = |content_type, body: &str| {
        read(Verb::Retry, 500, &[("content-type", content_type)], body).message.expect("a message")
    };
    assert_eq!(said("text/plain", " disk\nfull "), "HTTP 500: disk full");
    assert_eq!(said("text/html", "<h1>no</h1>"), "HTTP 500");
    assert!(said("text/plain", &long).len() <= MESSAGE_LIMIT + '…'.len_utf8());
    let body = json!({ "detail": long }).to_string();
    assert!(said("application/problem+json", &body).len() <= MESSAGE_LIMIT + '…'.len_utf8());
}

#[test]
fn evidence_in_an_answer_is_taken_and_bounded() {
    let entry = |id: &str| json!({"service": "rider", "action": "match", "requestId": id, "state": "started"});
    let body = json!({"outcome": "compensated", "message": "m", "history": [entry("r-1"), entry("bad id")]});
    let result = read(Verb::Compensate, 200, &[], &body.to_string());
    assert_eq!(result.message.as_deref(), Some("m"));
    assert_eq!(result.history.iter().map(|e| &*e.request_id).collect::<Vec<_>>(), ["r-1"]);
    let many: Vec<_> = (0..5_000).map(|n| entry(&format!("r-{n}"))).collect();
    let body = json!({"outcome": "compensated", "history": many}).to_string();
    assert_eq!(read(Verb::Compensate, 200, &[], &body).history.len(), EVIDENCE_LIMIT);
}

fn mapped_book() -> Arc<Rulebook> {
    Rulebook::from_yaml(
        "rulebook: legacy
services:
  pay:
    url: \"http://127.0.0.1:1\"
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate: { method: POST, path: \"/refund\", done: [200, 201], nothing: [404], refused: [409] }
rules:
  - { on: \"*/*\", compensate: recorded }
",
    )
    .expect("a valid rulebook")
}

#[test]
fn a_mapped_status_stands_above_the_general_reading() {
    let book = mapped_book();
    let endpoint = book.actions()[0].endpoints.compensate.as_ref();
    let read = |status| {
        read_answer(Verb::Compensate, status, &HeaderMap::new(), b"", endpoint, NOW).answer
    };
    assert_eq!(read(200), StepReading::Done(Outcome::Compensated));
    assert_eq!(read(201), StepReading::Done(Outcome::Compensated));
    assert_eq!(read(404), StepReading::Done(Outcome::NothingToCompensate));
    assert_eq!(read(409), StepReading::Refused);
    assert_eq!(read(503), StepReading::Busy { overloaded: true, retry_after_ms: None });
    assert_eq!(read(500), StepReading::Unknown);
}
