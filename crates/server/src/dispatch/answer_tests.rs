//! The whole table of answers, as data.

use super::*;
use amends_protocol::EVIDENCE_LIMIT;
use amends_rulebook::Rulebook;
use serde_json::json;
use std::sync::Arc;

const NOW: Timestamp = Timestamp(784_111_777_000);

fn read(verb: Verb, status: u16, headers: &[(&'static str, &str)], body: &str) -> StepResult {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().expect("a header value"));
    }
    read_answer(verb, status, &map, body.as_bytes(), Meaning::Protocol, NOW)
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
        (429, busy(true)),
        (503, busy(true)),
        (100, StepReading::Unknown),
        (201, StepReading::Unknown),
        (206, StepReading::Unknown),
        (301, StepReading::Definite),
        (307, StepReading::Definite),
        (400, StepReading::Definite),
        (401, StepReading::Definite),
        (404, StepReading::Definite),
        (410, StepReading::Definite),
        (408, StepReading::Unknown),
        (423, StepReading::Unknown),
        (425, StepReading::Unknown),
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
    assert!(said("text/html", "<h1>no</h1>").starts_with("HTTP 500: a web page"));
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
    assert_eq!(
        result.history.iter().map(|e| e.request_id.as_deref()).collect::<Vec<_>>(),
        [Some("r-1")]
    );
    let many: Vec<_> = (0..5_000).map(|n| entry(&format!("r-{n}"))).collect();
    let body = json!({"outcome": "compensated", "history": many}).to_string();
    assert_eq!(read(Verb::Compensate, 200, &[], &body).history.len(), EVIDENCE_LIMIT);
}

/// A body with one good piece of evidence among other members.
fn telling(more: &str) -> String {
    let entry = r#"{"service":"rider","action":"match","requestId":"r-1","state":"started"}"#;
    format!("{{{more}\"history\":[{entry}]}}")
}

#[test]
fn evidence_is_taken_from_every_answer() {
    let plain = telling("");
    let with_outcome = telling(r#""outcome":"retried","#);
    let done = telling(r#""outcome":"compensated","#);
    let refused =
        telling(r#""type":"https://amends.dev/problems/refused","title":"no","status":422,"#);
    let refused_200 = telling(r#""outcome":"refused","#);
    let busy = |overloaded| StepReading::Busy { overloaded, retry_after_ms: None };
    let accepted = StepReading::Accepted { location: None, retry_after_ms: None };
    let (json, problem) = ("application/json", "application/problem+json");
    let table = [
        (200, json, &done, StepReading::Done(Outcome::Compensated)),
        (200, "text/plain", &done, StepReading::Done(Outcome::Compensated)),
        (200, json, &refused_200, StepReading::Refused),
        (200, json, &with_outcome, StepReading::Unknown),
        (200, json, &plain, StepReading::Unknown),
        (202, json, &plain, accepted),
        (307, json, &plain, StepReading::Definite),
        (404, problem, &plain, StepReading::Definite),
        (409, "Application/Problem+JSON; charset=utf-8", &plain, busy(false)),
        (422, problem, &plain, StepReading::Definite),
        (422, problem, &refused, StepReading::Refused),
        (429, json, &plain, busy(true)),
        (500, json, &plain, StepReading::Unknown),
        (503, problem, &plain, busy(true)),
    ];
    for (status, kind, body, wanted) in table {
        let result = read(Verb::Compensate, status, &[("content-type", kind)], body);
        assert_eq!(result.answer, wanted, "HTTP {status}, {kind}: {body}");
        let ids: Vec<_> = result.history.iter().map(|e| e.request_id.as_deref()).collect();
        assert_eq!(ids, [Some("r-1")], "HTTP {status}, {kind}: {body}");
    }
    let bare = read(Verb::Compensate, 503, &[], &plain);
    assert_eq!(bare.history.len(), 1, "a body of no stated type is read as JSON");
    let many: Vec<_> = (0..5_000)
        .map(|n| json!({"service": "a", "action": "b", "requestId": format!("r-{n}"), "state": "failed"}))
        .collect();
    let many = json!({ "history": many }).to_string();
    assert_eq!(read(Verb::Compensate, 503, &[], &many).history.len(), EVIDENCE_LIMIT);
}

#[test]
fn malformed_evidence_costs_itself_and_never_the_outcome() {
    let entry = r#"{"service":"a","action":"b","requestId":"c","state":"odd"}"#;
    let bodies = [
        r#"{"history":"long"}"#.to_owned(),
        r#"{"history":[1]}"#.to_owned(),
        r#"{"history":null}"#.to_owned(),
        format!(r#"{{"history":[{entry}]}}"#),
        r#"{"history":[{"action":"b"}]}"#.to_owned(),
        format!("[{}]", telling("")),
        telling("").replace(r#""requestId":"r-1""#, r#""requestId":"r 1""#),
        telling("").replace('}', ""),
    ];
    let wanted = StepReading::Busy { overloaded: true, retry_after_ms: None };
    for body in &bodies {
        let result = read(Verb::Compensate, 503, &[("content-type", "application/json")], body);
        assert_eq!(
            (result.answer, result.history),
            (wanted.clone(), Testimony::default()),
            "{body}"
        );
    }
    let result = read(Verb::Compensate, 503, &[("content-type", "text/html")], &telling(""));
    assert_eq!(
        (result.answer, result.history),
        (wanted, Testimony::default()),
        "a page is no evidence"
    );
    let body = r#"{"outcome":"compensated","history":[1]}"#;
    let result = read(Verb::Compensate, 200, &[("content-type", "application/json")], body);
    assert_eq!(result.answer, StepReading::Done(Outcome::Compensated));
    assert_eq!((result.history.len(), result.history.lost().len()), (0, 1));
    let body = r#"{"outcome":"compensated","message":7,"history":null}"#;
    let result = read(Verb::Compensate, 200, &[("content-type", "application/json")], body);
    assert_eq!(result.answer, StepReading::Done(Outcome::Compensated));
    assert_eq!((result.message, result.history), (None, Testimony::default()));
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
    let meaning = Meaning::of_step(book.actions()[0].endpoints.compensate.as_ref());
    let read =
        |status| read_answer(Verb::Compensate, status, &HeaderMap::new(), b"", meaning, NOW).answer;
    assert_eq!(read(200), StepReading::Done(Outcome::Compensated));
    assert_eq!(read(201), StepReading::Done(Outcome::Compensated));
    assert_eq!(read(404), StepReading::Done(Outcome::NothingToCompensate));
    assert_eq!(read(409), StepReading::Refused);
    assert_eq!(read(503), StepReading::Busy { overloaded: true, retry_after_ms: None });
    assert_eq!(read(500), StepReading::Unknown);
}

#[test]
fn a_mapped_endpoint_may_tell_evidence_too() {
    let book = mapped_book();
    let meaning = Meaning::of_step(book.actions()[0].endpoints.compensate.as_ref());
    let read = |status, body: &str| {
        read_answer(Verb::Compensate, status, &HeaderMap::new(), body.as_bytes(), meaning, NOW)
    };
    for (status, wanted) in [
        (200, StepReading::Done(Outcome::Compensated)),
        (404, StepReading::Done(Outcome::NothingToCompensate)),
        (409, StepReading::Refused),
        (500, StepReading::Unknown),
    ] {
        let result = read(status, &telling(r#""refundId":"f-7","#));
        assert_eq!(result.answer, wanted, "HTTP {status}");
        assert_eq!(result.history.len(), 1, "HTTP {status}");
        // What the service calls its history is its own matter.
        let result = read(status, r#"{"history":[{"at":"09:00","what":"refund"}]}"#);
        assert_eq!(
            (result.answer, result.history),
            (wanted, Testimony::default()),
            "HTTP {status}"
        );
    }
}

fn asking(more: &str) -> Arc<Rulebook> {
    let text = format!(
        "rulebook: legacy
services:
  pay:
    url: \"http://127.0.0.1:1\"
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate: {{ path: \"/refund\"{more} }}
rules:
  - {{ on: \"*/*\", compensate: recorded }}
"
    );
    Rulebook::from_yaml(&text).expect("a valid rulebook")
}

fn answer_of(
    book: &Rulebook,
    look: bool,
    status: u16,
    kind: &'static str,
    body: &str,
) -> StepResult {
    let endpoint = book.actions()[0].endpoints.compensate.as_ref();
    let meaning = if look { Meaning::of_look(endpoint) } else { Meaning::of_step(endpoint) };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, kind.parse().expect("a header value"));
    read_answer(Verb::Compensate, status, &headers, body.as_bytes(), meaning, NOW)
}

#[test]
fn a_success_that_nobody_mapped_is_done_once() {
    let book = asking("");
    let read = |status, kind, body| answer_of(&book, false, status, kind, body).answer;
    let done = StepReading::Done(Outcome::Compensated);
    for (status, kind, body) in [
        (200, "text/plain", "OK"),
        (200, "application/json", "{\"status\":\"refunded\"}"),
        (201, "application/json", "{\"id\":\"re_1\"}"),
        (204, "application/json", ""),
        (200, "application/json", "{\"outcome\":\"compensated\"}"),
    ] {
        assert_eq!(read(status, kind, body), done, "HTTP {status} {body}");
    }
    let nothing = "{\"outcome\":\"nothing_to_compensate\"}";
    let outcome = StepReading::Done(Outcome::NothingToCompensate);
    assert_eq!(read(200, "application/json", nothing), outcome);
    for (body, wanted) in [
        ("{\"outcome\":\"refused\"}", StepReading::Refused),
        ("{\"outcome\":\"refused\",\"history\":[1]}", StepReading::Refused),
        ("{\"outcome\":\"waived\"}", StepReading::Rejected),
        ("{\"outcome\":\"ok\"}", StepReading::Done(Outcome::Compensated)),
    ] {
        assert_eq!(read(200, "application/json", body), wanted, "{body}");
    }
    for (status, kind) in
        [(200, "text/html; charset=utf-8"), (203, "text/plain"), (207, "application/json")]
    {
        assert_eq!(read(status, kind, ""), StepReading::Rejected, "HTTP {status} {kind}");
    }
    assert!(matches!(read(202, "text/plain", ""), StepReading::Accepted { .. }));
}

#[test]
fn a_body_says_what_a_status_does_not() {
    let book = asking(
        ", done: [2xx], already: [{ status: 400, body: { error.code: charge_already_refunded } }], \
         accepted: [{ status: 200, body: { status: pending } }], retry: [404], stuck: [402], \
         poll: { done: [{ status: 200, body: { status: succeeded } }], \
         refused: [{ status: 200, body: { status: failed } }] }",
    );
    let read = |status, body| answer_of(&book, false, status, "application/json", body).answer;
    let accepted = StepReading::Accepted { location: None, retry_after_ms: None };
    let busy = StepReading::Busy { overloaded: false, retry_after_ms: None };
    let already = "{\"error\":{\"code\":\"charge_already_refunded\"}}";
    assert_eq!(read(200, "{\"status\":\"succeeded\"}"), StepReading::Done(Outcome::Compensated));
    assert_eq!(read(200, "{\"status\":\"pending\"}"), accepted);
    assert_eq!(read(400, already), StepReading::Done(Outcome::AlreadyCompensated));
    assert_eq!(read(400, "{\"error\":{\"code\":\"odd\"}}"), StepReading::Definite);
    assert_eq!(read(404, ""), busy);
    assert_eq!(read(402, ""), StepReading::Rejected);
    assert_eq!(read(202, ""), accepted, "never covered by 2xx");
    let look = |status, body| answer_of(&book, true, status, "application/json", body).answer;
    assert_eq!(look(200, "{\"status\":\"pending\"}"), accepted, "a look that says nothing new");
    assert_eq!(look(200, "{\"status\":\"succeeded\"}"), StepReading::Done(Outcome::Compensated));
    assert_eq!(look(200, "{\"status\":\"failed\"}"), StepReading::Refused);
    assert_eq!(look(404, ""), StepReading::Definite);
}

/// Whoever says by which body a 200 is done says that any other one is not.
#[test]
fn a_success_whose_body_says_nothing_of_it_is_a_persons() {
    let book = asking(
        ", done: [{ status: 200, body: { status: succeeded } }], \
         already: [{ status: 201, body: { status: refunded } }]",
    );
    let read = |status, body| answer_of(&book, false, status, "application/json", body);
    assert_eq!(
        read(200, "{\"status\":\"succeeded\"}").answer,
        StepReading::Done(Outcome::Compensated)
    );
    for (status, body) in [(200, "{\"status\":\"failed\"}"), (200, "OK"), (201, "{}")] {
        let result = read(status, body);
        assert_eq!(result.answer, StepReading::Rejected, "HTTP {status} {body}");
        let said = result.message.expect("a message");
        assert!(said.contains("its body says nothing that `done` names"), "{said}");
    }
    let read = |status| read(status, "").answer;
    assert_eq!(read(204), StepReading::Done(Outcome::Compensated), "which has no body to look at");
}

#[test]
fn of_what_is_only_read_no_more_is_shown_than_why_it_failed() {
    let said = |more: &str, look: bool, kind, body: &str| {
        answer_of(&asking(more), look, 500, kind, body).message.expect("a message")
    };
    let secret = "AccessKeyId: AKIA-OF-THE-INNER-NETWORK";
    let get = ", method: GET";
    assert_eq!(said(get, false, "text/plain", secret), "HTTP 500");
    assert_eq!(said("", true, "text/plain", secret), "HTTP 500", "a look is a GET");
    assert!(said("", false, "text/plain", secret).ends_with(secret), "what was asked to act");
    let told =
        r#"{"AccessKeyId":"AKIA","error":{"code":"odd","key":"k","message":"no such refund"}}"#;
    let shown = said(get, false, "application/json", told);
    assert!(shown.contains("no such refund") && shown.contains("odd"), "{shown}");
    assert!(!shown.contains("AKIA") && !shown.contains("\"k\""), "{shown}");
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(400));
    assert!(said(get, false, "application/json", &long).len() < 200);
    // What it says for the supervisor is read as ever.
    let book = asking(get);
    let body = r#"{"outcome":"nothing_to_compensate"}"#;
    let read = answer_of(&book, false, 200, "application/json", body).answer;
    assert_eq!(read, StepReading::Done(Outcome::NothingToCompensate));
}

#[test]
fn what_is_odd_about_an_answer_is_named() {
    let said = |headers: &[(&'static str, &str)], body: &str| {
        read(Verb::Compensate, 200, headers, body).message.expect("a message")
    };
    assert!(said(&[("content-encoding", "gzip")], "\u{1f}").contains("compressed"));
    assert!(said(&[("content-type", "text/html")], "<html>").contains("web page"));
    let marked = "\u{feff}{\"outcome\":\"compensated\"}";
    assert_eq!(reading(Verb::Compensate, 200, marked), StepReading::Done(Outcome::Compensated));
}
