//! What services answer, for those who throw made-up input at its readers.

use super::answer::{Meaning, read_answer};
use super::exchange::Answered;
use super::history;
use amends_engine::{ReadHistory, StepResult};
use amends_protocol::{CaseId, SagaId, Timestamp, Verb};
use amends_rulebook::Rulebook;
use bytes::Bytes;
use http::HeaderMap;
use std::sync::{Arc, OnceLock};

/// Longest message that is kept of an answer, in bytes, with the sign that it was cut.
pub const MESSAGE_LIMIT: usize = 503;

/// Who says what an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The participant protocol.
    ByProtocol,
    /// The mapping of an endpoint.
    ByMapping,
    /// The mapping of the looks at an accepted step.
    ByLooks,
}

fn book() -> &'static Arc<Rulebook> {
    static BOOK: OnceLock<Arc<Rulebook>> = OnceLock::new();
    BOOK.get_or_init(|| {
        Rulebook::from_yaml(
            "rulebook: legacy
services:
  pay:
    url: \"http://127.0.0.1:1\"
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate:
            method: POST
            path: \"/refund\"
            done: [200, { status: 201, body: { status: refunded } }]
            nothing: [404]
            refused: [409]
rules:
  - { on: \"*/*\", compensate: recorded }
",
        )
        .expect("a valid rulebook")
    })
}

/// What an answer to a step is read as, at a moment that is always the same.
#[must_use]
pub fn step_answer(
    verb: Verb,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    said: Said,
) -> StepResult {
    let endpoint = book().actions()[0].endpoints.compensate.as_ref();
    let meaning = match said {
        Said::ByProtocol => Meaning::of_step(None),
        Said::ByMapping => Meaning::of_step(endpoint),
        Said::ByLooks => Meaning::of_look(endpoint),
    };
    read_answer(verb, status, headers, body, meaning, Timestamp(784_111_777_000))
}

/// Whether an answer is a page of the History of the saga `order-1`; `further` says that another page came before.
#[must_use]
pub fn history_answer(status: u16, headers: &HeaderMap, body: &[u8], further: bool) -> bool {
    let walk = ReadHistory {
        case: CaseId(1),
        service: "pay".into(),
        rulebook: book().clone(),
        saga: SagaId::new("order-1").expect("a saga id"),
    };
    let body = Bytes::copy_from_slice(body);
    let answered = Answered { status, headers: headers.clone(), body, sent_twice: false };
    history::read(&walk, &answered, further).is_ok()
}
