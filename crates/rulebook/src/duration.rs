//! Lengths of time as a rulebook writes them: a whole number and a unit, `500ms`, `10s`, `5m`, `2h`, `7d`.

/// Longest length of time: ten years. More is surely a slip of the keyboard, and sums of two stay far from overflow.
pub(crate) const LIMIT_MS: u64 = 3_650 * 86_400_000;

/// Reads a length of time.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_ms(text: &str) -> Result<u64, &'static str> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("it does not begin with a whole number");
    }
    let factor = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err("its unit is missing"),
        _ => return Err("its unit is not one of ms, s, m, h, d"),
    };
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    ms.filter(|ms| *ms <= LIMIT_MS).ok_or("it is longer than ten years")
}

/// Writes a length of time as a rulebook would, in the largest unit that takes it whole: `90s`, `15m`.
#[must_use]
pub fn length_of_time(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let whole = units.into_iter().find(|(_, factor)| ms > 0 && ms.is_multiple_of(*factor));
    whole.map_or_else(|| format!("{ms}ms"), |(unit, factor)| format!("{}{unit}", ms / factor))
}

#[cfg(test)]
mod tests {
    use super::{length_of_time, parse_ms};

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["0ms", "90s", "15m", "36h", "2d", "1500ms", "61s"] {
            assert_eq!(length_of_time(parse_ms(text).expect("right")), text);
        }
    }

    #[test]
    fn lengths_of_time() {
        let good = [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("0s", 0),
            ("3 s", 3_000),
        ];
        for (text, ms) in good {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
        for bad in ["", "s", "10", "10x", "-1s", "1.5s", "99999999999999999999s", "4000d", "１s"] {
            assert!(parse_ms(bad).is_err(), "{bad}");
        }
    }
}
