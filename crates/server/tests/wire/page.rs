//! Reads the exchanges of a page. A block begins with `http to PARTY` (the reader sends it), `http PARTY to PARTY` (it is
//! sent by itself) or `http answer`; a `json KIND` block right behind is its body.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

/// One fenced block.
pub struct Fence<'p> {
    pub line: usize,
    pub tag: &'p str,
    pub text: String,
}

/// A request or an answer as shown.
#[derive(Clone, Debug)]
pub struct Message {
    /// `POST /pay` or `200`.
    pub start: String,
    pub headers: HeaderMap,
    /// The kind that the block names, and the JSON.
    pub body: Option<(String, Value)>,
    /// The body's exact text.
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct Exchange {
    pub line: usize,
    /// None: the reader of the page, here the test.
    pub from: Option<String>,
    pub to: String,
    pub request: Message,
    pub answer: Option<Message>,
}

/// All fenced blocks of a page.
pub fn fences(page: &str) -> Vec<Fence<'_>> {
    let mut all = Vec::new();
    let mut open: Option<Fence<'_>> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(tag)) => open = Some(Fence { line: number + 1, tag, text: String::new() }),
            (Some(_), Some(_)) => all.extend(open.take()),
            (Some(fence), None) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of the page is not closed");
    all
}

/// The exchanges in the order of the page.
pub fn read_page(page: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for fence in fences(page) {
        let words: Vec<&str> = fence.tag.split(' ').collect();
        let line = fence.line;
        match words.as_slice() {
            ["http", "answer"] => {
                let last = exchanges.last_mut().unwrap_or_else(|| panic!("line {line}: to what?"));
                assert!(last.answer.is_none(), "line {line}: a second answer");
                last.answer = Some(answer(&fence));
            }
            ["http", from @ .., "to", to] => {
                assert!(from.len() <= 1, "line {line}: `{}`", fence.tag);
                exchanges.push(Exchange {
                    line,
                    from: from.first().map(|name| (*name).to_owned()),
                    to: (*to).to_owned(),
                    request: request(&fence),
                    answer: None,
                });
            }
            ["http", ..] => panic!("line {line}: `{}` is no exchange", fence.tag),
            ["json", kind] => {
                let last = exchanges.last_mut().unwrap_or_else(|| panic!("line {line}: of what?"));
                let message = last.answer.as_mut().unwrap_or(&mut last.request);
                assert!(message.body.is_none(), "line {line}: a second body");
                let body = serde_json::from_str(&fence.text)
                    .unwrap_or_else(|e| panic!("line {line}: no JSON: {e}"));
                message.body = Some(((*kind).to_owned(), body));
                message.text = fence.text;
            }
            ["json", ..] => panic!("line {line}: `{}` names no kind", fence.tag),
            _ => {}
        }
    }
    exchanges
}

fn request(fence: &Fence<'_>) -> Message {
    let (start, headers) = head(fence);
    let mut parts = start.split(' ');
    let [Some(method), Some(path), Some("HTTP/1.1"), None] =
        [parts.next(), parts.next(), parts.next(), parts.next()]
    else {
        panic!("line {}: `{start}` begins no request", fence.line)
    };
    method.parse::<Method>().expect("a method");
    Message { start: format!("{method} {path}"), headers, body: None, text: String::new() }
}

fn answer(fence: &Fence<'_>) -> Message {
    let (start, headers) = head(fence);
    let status = start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once(' '));
    let (status, reason) =
        status.unwrap_or_else(|| panic!("line {}: `{start}` begins no answer", fence.line));
    let known: StatusCode = status.parse().expect("a status");
    assert_eq!(known.canonical_reason(), Some(reason), "line {}", fence.line);
    Message { start: status.to_owned(), headers, body: None, text: String::new() }
}

fn head<'f>(fence: &'f Fence<'_>) -> (&'f str, HeaderMap) {
    let mut lines = fence.text.lines();
    let start = lines.next().unwrap_or_else(|| panic!("line {}: an empty block", fence.line));
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) =
            line.split_once(": ").unwrap_or_else(|| panic!("`{line}` is no header"));
        let name: HeaderName = name.parse().expect("a header's name");
        headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
    }
    (start, headers)
}
