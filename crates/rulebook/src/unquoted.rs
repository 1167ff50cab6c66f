//! Values without quotes that readers of YAML understand in different ways, or that look like a text and are a number.
//! Source: yaml.org/type/{int,float,bool,timestamp}.html for YAML 1.1, chapter 10.3 of YAML 1.2 for the core schema.

use crate::Scalar;

/// Why a value is doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// What it counts as here.
    pub(crate) read_as: String,
    /// How to write what was meant.
    pub(crate) help: String,
}

/// What is doubtful about a value without quotes that is read as `read`.
pub(crate) fn doubt(text: &str, read: &Scalar) -> Option<Doubt> {
    leading_zero(text).or_else(|| match read {
        Scalar::Number(number) => {
            looks_like_text(text).then(|| number_or_text(text, &number.to_string()))
        }
        Scalar::Text(_) => other_reading(text),
        Scalar::Bool(_) => None,
    })
}

/// `010` is eight to YAML 1.1 and ten to 1.2; an article number mostly means neither.
pub(crate) fn leading_zero(text: &str) -> Option<Doubt> {
    let digits = unsigned(text);
    let is_octal = digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|b| b.is_ascii_digit())
        && digits.bytes().any(|b| b != b'0');
    is_octal.then(|| number_or_text(text, digits.trim_start_matches('0')))
}

fn number_or_text(text: &str, number: &str) -> Doubt {
    Doubt {
        read_as: format!("read as the number {number}"),
        help: format!("write `\"{text}\"` for the text, or `{number}` for the number"),
    }
}

/// A number in a notation in which numbers of the business hardly stand: `0x1F`, `0o17`, `49E3`, `+49`.
fn looks_like_text(text: &str) -> bool {
    text.starts_with('+') || text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// A text here that is something else to other readers.
fn other_reading(text: &str) -> Option<Doubt> {
    let quoted = format!("write `\"{text}\"` for the text");
    let (elsewhere, help) = if is_word(text) {
        ("true or false", format!("{quoted}, or `true` or `false`"))
    } else if is_date(text) {
        ("a date", quoted)
    } else if is_grouped(text) {
        let number = text.replace('_', "");
        ("a number", format!("{quoted}, or `{number}` for the number"))
    } else if is_base_60(text) || is_beyond_numbers(text) {
        ("a number", quoted)
    } else {
        return None;
    };
    Some(Doubt { read_as: format!("read as a text, not as {elsewhere}"), help })
}

fn is_word(text: &str) -> bool {
    ["yes", "no", "on", "off", "y", "n"].iter().any(|w| text.eq_ignore_ascii_case(w))
}

/// `2024-01-01`, with or without a time.
fn is_date(text: &str) -> bool {
    let day = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = day.split('-').collect();
    let digits = |part: &&str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    matches!(parts.as_slice(), [year, month, day]
        if digits(year, 4..=4) && digits(month, 1..=2) && digits(day, 1..=2))
}

/// `1_000`.
fn is_grouped(text: &str) -> bool {
    let digits = unsigned(text);
    digits.contains('_')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() <= 1
}

/// `12:30` is 750 to YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let mut parts = unsigned(text).split(':');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let first = parts.next().is_some_and(|first| is_number(first) && !first.starts_with('0'));
    let rest: Vec<&str> = parts.collect();
    let is_sixtieth = |part: &&str| is_number(part) && part.parse::<u8>().is_ok_and(|n| n < 60);
    first && !rest.is_empty() && rest.iter().all(is_sixtieth)
}

/// Not numbers here, since no business has them: `.inf`, `.nan`, `1e400`, `0b101`.
fn is_beyond_numbers(text: &str) -> bool {
    let small = unsigned(text).to_ascii_lowercase();
    let binary = small.strip_prefix("0b");
    let is_binary = binary
        .is_some_and(|bits| !bits.is_empty() && bits.bytes().all(|b| matches!(b, b'0' | b'1')));
    let is_huge = small.split_once('e').is_some_and(|(digits, exponent)| {
        let exponent = unsigned(exponent);
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && !exponent.is_empty()
            && exponent.bytes().all(|b| b.is_ascii_digit())
    });
    matches!(small.as_str(), ".inf" | ".nan") || is_binary || is_huge
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}
