//! A made-up HTTP message: lines `name: value`, an empty line, the body. Lines that are no headers are left out.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers and body.
pub fn read(data: &[u8]) -> (HeaderMap, &[u8]) {
    let (head, body) = split(data, b"\n\n");
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(100) {
        let (name, value) = split(line, b": ");
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    (headers, body)
}

/// The same of a broker's message, whose headers are any bytes.
pub fn read_plain(data: &[u8]) -> (Vec<(String, Vec<u8>)>, &[u8]) {
    let (head, body) = split(data, b"\n\n");
    let lines = head.split(|byte| *byte == b'\n').take(100);
    let named = lines.filter_map(|line| {
        let (name, value) = split(line, b": ");
        Some((String::from_utf8(name.to_vec()).ok()?, value.to_vec()))
    });
    (named.collect(), body)
}

/// What stands before the first mark, and what stands behind it.
pub fn split<'d>(data: &'d [u8], mark: &[u8]) -> (&'d [u8], &'d [u8]) {
    match data.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&data[..at], &data[at + mark.len()..]),
        None => (data, &[]),
    }
}
