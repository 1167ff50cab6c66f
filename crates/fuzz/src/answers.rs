//! What services answer: to a step, and to a reading of their History.

use crate::message::{self, split};
use amends_protocol::Verb;
use amends_server::fuzz::{self, MESSAGE_LIMIT, Said};
use http::StatusCode;

/// The first line says the verb, the status, and whose words count: `compensate 200 protocol`.
pub fn step(data: &[u8]) {
    let (first, rest) = split(data, b"\n");
    let first = String::from_utf8_lossy(first);
    let mut words = first.split(' ');
    let verb = words.next().and_then(|word| Verb::ALL.iter().find(|v| v.as_str() == word));
    let status =
        words.next().and_then(|word| word.parse().ok()).and_then(|s| StatusCode::from_u16(s).ok());
    let (Some(verb), Some(status)) = (verb, status) else { return };
    let (headers, body) = message::read(rest);
    for said in [Said::ByProtocol, Said::ByMapping, Said::ByLooks] {
        let read = || fuzz::step_answer(*verb, status.as_u16(), &headers, body, said);
        let result = read();
        assert_eq!(result, read(), "the same answer is read in two ways");
        let length = result.message.as_ref().map_or(0, String::len);
        assert!(length <= MESSAGE_LIMIT, "a message of {length} bytes is kept");
        let is_error = status.is_server_error();
        assert!(
            !is_error || said != Said::ByProtocol || result.answer.kind() != "done",
            "{status} ends a step"
        );
    }
}

/// The first line says the status.
pub fn history(data: &[u8]) {
    let (first, rest) = split(data, b"\n");
    let Ok(status) = StatusCode::from_bytes(first) else { return };
    let (headers, body) = message::read(rest);
    for further in [false, true] {
        let is_page = fuzz::history_answer(status.as_u16(), &headers, body, further);
        let may_be = status == StatusCode::OK || (!further && matches!(status.as_u16(), 204 | 404));
        assert!(may_be || !is_page, "{status} tells a History");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_has_answers_that_end_a_step_and_histories_that_are_read() {
        let done = include_bytes!("../../../fuzz/corpus/step_answer/done");
        let (headers, body) = message::read(split(done, b"\n").1);
        let read = fuzz::step_answer(Verb::Compensate, 200, &headers, body, Said::ByProtocol);
        assert_eq!(read.answer.kind(), "done");
        let page = include_bytes!("../../../fuzz/corpus/history_answer/page");
        let (headers, body) = message::read(split(page, b"\n").1);
        assert!(fuzz::history_answer(200, &headers, body, false));
    }
}
