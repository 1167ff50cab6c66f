//! Lengths of time in the configuration and in queries: as a rulebook writes them, but for blanks.

use std::time::Duration;

/// Reads e.g. `500ms`, `10s`, `5m`, `2h`, `30d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let ms = amends_rulebook::duration::parse_ms(text).ok()?;
    (!text.contains(char::is_whitespace)).then_some(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "10 s",
            "1w",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
