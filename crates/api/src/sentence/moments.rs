//! Times as a person reads them: how long ago, how soon, how long. The present comes in as an argument.

use amends_protocol::Timestamp;

/// `12s ago`, `in 3m`, `now`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let (ms, ahead) = if at > now { (at.ms_since(now), true) } else { (now.ms_since(at), false) };
    if ms < 1_000 {
        return "now".to_owned();
    }
    let span = span(ms);
    if ahead { format!("in {span}") } else { format!("{span} ago") }
}

/// A length of time in its two largest units, e.g. `1h 4m`.
#[must_use]
pub fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |big: u64, b: &str, small: u64, s: &str| {
        if small == 0 { format!("{big}{b}") } else { format!("{big}{b} {small}{s}") }
    };
    if days > 0 {
        two(days, "d", hours, "h")
    } else if hours > 0 {
        two(hours, "h", minutes, "m")
    } else if minutes > 0 {
        two(minutes, "m", seconds % 60, "s")
    } else {
        format!("{seconds}s")
    }
}

/// Date and time to the second, UTC: `2026-11-23 08:06:33Z`.
#[must_use]
pub fn date_and_time(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.split_once('T'), text.rfind('.')) {
        (Some((date, _)), Some(dot)) => {
            format!("{date} {}Z", &text[date.len() + 1..dot])
        }
        _ => text,
    }
}

/// `14:05:10 UTC`.
pub(super) fn clock(at: Timestamp) -> String {
    format!("{} UTC", at.to_string().get(11..19).unwrap_or("?"))
}

/// `14:05 UTC`.
pub(super) fn minute(at: Timestamp) -> String {
    format!("{} UTC", at.to_string().get(11..16).unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units() {
        let t = Timestamp(1_700_000_000_000);
        assert_eq!(relative(t, t), "now");
        assert_eq!(relative(t.plus_ms(12_400), t), "in 12s");
        assert_eq!(relative(t, t.plus_ms(3_840_000)), "1h 4m ago");
        assert_eq!(span(86_400_000), "1d");
        assert_eq!(date_and_time(t), "2023-11-14 22:13:20Z");
    }
}
