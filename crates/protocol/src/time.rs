//! A moment as the whole product stores it: UTC milliseconds. Text forms are RFC 3339, at the edges only.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z. Never read from a clock here; it always comes in as an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// 0000-01-01T00:00:00Z, the first moment that RFC 3339 can write.
    pub const FIRST: Self = Self(-62_167_219_200_000);
    /// 9999-12-30T22:00:00Z, the last full second that can be written in every offset.
    pub const LAST: Self = Self(253_402_207_200_000);

    /// Whether it can be written as text that reads back.
    #[must_use]
    pub fn is_writable(self) -> bool {
        (Self::FIRST..=Self::LAST).contains(&self)
    }

    /// This moment plus `ms` milliseconds; stays at the last representable moment instead of wrapping.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// This moment less `ms` milliseconds; stays at the first representable moment instead of wrapping.
    #[must_use]
    pub fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this moment, 0 if it lies after.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Reads an RFC 3339 date and time with any offset.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = text
            .parse::<jiff::Timestamp>()
            .map_err(|e| format!("`{text}` is not an RFC 3339 time: {e}"))?;
        Some(Self(read.as_millisecond())).filter(|time| time.is_writable()).ok_or_else(|| {
            format!("`{text}` can't be kept; give a time from {} to {}", Self::FIRST, Self::LAST)
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn text_and_number_agree() {
        let t = Timestamp(1_700_000_000_123);
        assert_eq!(t.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Timestamp::parse("2023-11-14T23:13:20.123+01:00"), Ok(t));
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn what_is_read_can_be_written_and_read_again() {
        for text in [
            "0000-01-01T00:00:00Z",
            "0000-01-01T00:00:00.9999Z",
            "1969-12-31T23:59:59.9999Z",
            "2016-12-31T23:59:60Z",
            "9999-12-30T22:00:00Z",
        ] {
            let read = Timestamp::parse(text).expect(text);
            assert_eq!(Timestamp::parse(&read.to_string()), Ok(read), "{text}");
        }
        for text in [
            "9999-12-30T22:00:00.001Z",
            "9999-12-31T23:59:59Z",
            "0000-01-01T00:00:00+00:01",
            "-000001-01-01T00:00:00Z",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_says_whether_it_can_be_written() {
        assert!(Timestamp(0).is_writable() && Timestamp::LAST.is_writable());
        assert!(!Timestamp(Timestamp::LAST.0 + 1).is_writable());
        assert!(!Timestamp(i64::MIN).is_writable());
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(i64::MAX).plus_ms(u64::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(5).ms_since(Timestamp(9)), 0);
    }
}
