//! Characters of strangers' texts that steer what shows them: a terminal, the direction of a line, where it ends. Pure.

use std::borrow::Cow;

/// Stands for a character that would steer.
pub const REPLACEMENT: char = '\u{fffd}';

/// Whether a character does something to what shows it rather than being shown: control characters, marks and overrides
/// of the writing direction, separators of lines.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control() || steers_line(c)
}

/// The same without control characters, which loggers and JSON escape anyway.
#[must_use]
pub const fn steers_line(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
    )
}

/// A text on one line, of characters that are shown: blanks and ends of lines are blanks.
#[must_use]
pub fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let plain = |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if steers(c) => REPLACEMENT,
        c => c,
    };
    Cow::Owned(text.chars().map(plain).collect())
}

/// A JSON text that says the same with escapes for whatever steers; its own ends of lines stay.
#[must_use]
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let escapes = |c: char| c != '\n' && steers(c);
    if !json.contains(escapes) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if escapes(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_told_from_what_is_shown() {
        for c in
            ['\0', '\x1b', '\r', '\x7f', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}']
        {
            assert!(steers(c), "{c:?}");
        }
        for c in ['a', ' ', '가', 'ש', 'ü', '\u{200d}', '\u{2026}', '😀'] {
            assert!(!steers(c), "{c:?}");
        }
    }

    #[test]
    fn a_text_on_one_line_has_no_second_and_no_sequence() {
        assert_eq!(on_one_line("a\r\nb\x1b[2J\u{202e}c"), "a  b\u{fffd}[2J\u{fffd}c");
        assert!(matches!(on_one_line("no card · 가"), Cow::Borrowed(_)));
    }

    #[test]
    fn escaped_json_says_the_same() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{9b}31m", "\x7f\x1b", "ü\n"] });
        let json = serde_json::to_string_pretty(&value).expect("JSON");
        let escaped = escaped_json(&json);
        assert!(!escaped.contains(|c: char| c != '\n' && steers(c)), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("JSON"), value);
    }
}
