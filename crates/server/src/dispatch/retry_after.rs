//! Reads `Retry-After`: seconds or an HTTP date, as a pause in milliseconds. Whether it is heeded is the engine's affair.

use amends_protocol::Timestamp;
use http::{HeaderMap, header};
use std::time::{Duration, UNIX_EPOCH};

/// Longest pause that is believed: a day, the default age at which a step is stuck.
const LONGEST_MS: u64 = 24 * 3_600_000;

/// The pause that an answer asks for; none if it asks for none or in words that nobody understands.
pub(crate) fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let ms = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit are a very long pause, not an error.
        text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000)
    } else {
        let at = httpdate::parse_http_date(text).ok()?;
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
        u64::try_from(at.duration_since(now).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    };
    Some(ms.min(LONGEST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = Timestamp(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110
        let table = [
            ("120", Some(120_000)),
            ("0", Some(0)),
            (" 7 ", Some(7_000)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("99999999999999999999999", Some(LONGEST_MS)),
            ("Mon, 06 Nov 1995 08:49:27 GMT", Some(LONGEST_MS)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, wanted) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().expect("a header value"));
            assert_eq!(retry_after_ms(&headers, now), wanted, "Retry-After: {text}");
        }
        assert_eq!(retry_after_ms(&HeaderMap::new(), now), None);
    }
}
