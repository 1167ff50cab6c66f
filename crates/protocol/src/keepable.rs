//! Which business data can be kept: what is taken in must read back wherever it stands later. Pure.

use serde_json::{Map, Value};
use std::fmt;
use std::ops::RangeInclusive;

/// Deepest nesting of business data, counted from the object itself. Readers of JSON give up at 128 levels, and what is
/// kept or passed on stands inside of other objects there.
pub const DATA_DEPTH_LIMIT: usize = 100;

/// Keys that begin so mean something else to the JSON reader: an object with one may come back as another value, or not
/// at all.
const RESERVED_KEYS: &str = "$serde_json::private::";

/// Longest number in business data, in characters.
pub const NUMBER_LENGTH_LIMIT: usize = 1_000;

/// Exponents of numbers in business data. Above it, readers that know only floating point have no number; far below it
/// there are only zeros.
pub const NUMBER_EXPONENTS: RangeInclusive<i64> = -1_000..=308;

/// Longest path that a message repeats, in characters.
const SHOWN_PATH: usize = 200;

/// Business data that could not be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkeepable {
    /// Where, as a path.
    pub path: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Deep,
    Reserved,
    /// The beginning of the number.
    Number(String),
}

impl fmt::Display for Unkeepable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: String = self.path.chars().take(SHOWN_PATH).collect();
        match self.what {
            What::Deep => write!(
                f,
                "`{path}` is nested deeper than {DATA_DEPTH_LIMIT} levels; send flatter data"
            ),
            What::Reserved => write!(
                f,
                "`{path}` has a key that begins with `{RESERVED_KEYS}`, which is reserved; rename it"
            ),
            What::Number(ref shown) => write!(
                f,
                "`{path}` is the number `{shown}`; numbers of at most {NUMBER_LENGTH_LIMIT} characters and with an \
                 exponent from {} to {} are taken: send it as a text",
                NUMBER_EXPONENTS.start(),
                NUMBER_EXPONENTS.end(),
            ),
        }
    }
}

impl std::error::Error for Unkeepable {}

/// Whether business data can be kept. `field` is their place in the message that they came in, e.g. `data.data`.
///
/// # Errors
/// Says where they can't, and how to mend it.
pub fn check_data(field: &str, data: &Map<String, Value>) -> Result<(), Unkeepable> {
    object(data, 1).map_err(|(mut keys, what)| {
        keys.push(field.to_owned());
        keys.reverse();
        Unkeepable { path: keys.join("."), what }
    })
}

/// Keys from the inside out, and what is wrong there.
type Found = (Vec<String>, What);

fn object(map: &Map<String, Value>, depth: usize) -> Result<(), Found> {
    if depth > DATA_DEPTH_LIMIT {
        return Err((Vec::new(), What::Deep));
    }
    for (key, inner) in map {
        if key.starts_with(RESERVED_KEYS) {
            return Err((Vec::new(), What::Reserved));
        }
        value(inner, depth + 1).map_err(|(keys, what)| within(keys, key.clone(), what))?;
    }
    Ok(())
}

fn value(inner: &Value, depth: usize) -> Result<(), Found> {
    match inner {
        Value::Object(map) => object(map, depth),
        Value::Array(_) if depth > DATA_DEPTH_LIMIT => Err((Vec::new(), What::Deep)),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(n, item)| {
            value(item, depth + 1).map_err(|(keys, what)| within(keys, n.to_string(), what))
        }),
        Value::Number(number) => match has_fitting_number(number.as_str()) {
            true => Ok(()),
            false => Err((Vec::new(), What::Number(beginning(number.as_str())))),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn within(mut keys: Vec<String>, key: String, what: What) -> Found {
    keys.push(key);
    (keys, what)
}

/// A key of a JSON text that its reader takes for something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedKey {
    /// Its place in the text, in bytes from 1.
    place: usize,
}

impl fmt::Display for ReservedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place;
        write!(
            f,
            "the key at byte {place} begins with `{RESERVED_KEYS}`, which is reserved; rename it"
        )
    }
}

impl std::error::Error for ReservedKey {}

/// Whether no object of a JSON text would be read as a number: once read, it can't be told from one.
///
/// # Errors
/// With the first key that would make one.
pub fn check_keys(json: &[u8]) -> Result<(), ReservedKey> {
    let mut from = 0;
    while let Some(found) = json[from..].iter().position(|byte| *byte == b'$') {
        let place = from + found;
        if json[place..].starts_with(RESERVED_KEYS.as_bytes()) && is_whole_key(json, place) {
            return Err(ReservedKey { place: place + 1 });
        }
        from = place + 1;
    }
    Ok(())
}

/// Whether a key begins at `place`, and not some other text.
fn is_whole_key(json: &[u8], place: usize) -> bool {
    let opened = json[..place].ends_with(b"\"") && !json[..place].ends_with(b"\\\"");
    let mut rest = json[place..].iter().skip_while(|byte| **byte != b'"').skip(1);
    opened && rest.find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// Whether a number may stand in business data, by the length of its text and its exponent.
#[must_use]
pub fn number_fits(length: usize, exponent: i64) -> bool {
    length <= NUMBER_LENGTH_LIMIT && NUMBER_EXPONENTS.contains(&exponent)
}

fn has_fitting_number(text: &str) -> bool {
    let exponent = text.find(['e', 'E']).map_or(Ok(0), |at| text[at + 1..].parse());
    exponent.is_ok_and(|exponent| number_fits(text.len(), exponent))
}

fn beginning(digits: &str) -> String {
    let cut = if digits.len() > SHOWN_DIGITS { "…" } else { "" };
    digits.chars().take(SHOWN_DIGITS).chain(cut.chars()).collect()
}

/// Digits that a message repeats.
const SHOWN_DIGITS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(levels: usize) -> Map<String, Value> {
        let inner = (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        inner.as_object().cloned().expect("an object")
    }

    #[test]
    fn data_may_be_nested_up_to_the_limit() {
        assert_eq!(check_data("data", &nested(DATA_DEPTH_LIMIT)), Ok(()));
        let error = check_data("data", &nested(DATA_DEPTH_LIMIT + 1)).expect_err("too deep");
        let text = error.to_string();
        assert!(text.starts_with("`data.a.a.") && text.contains("send flatter data"), "{text}");
    }

    #[test]
    fn a_list_is_a_level_too() {
        let list = (0..DATA_DEPTH_LIMIT).fold(json!([]), |inner, _| json!([inner]));
        assert!(check_data("data", &Map::from_iter([("l".to_owned(), list)])).is_err());
    }

    #[test]
    fn a_reserved_key_is_found_at_any_depth() {
        let data = json!({ "order": [{ "a": 1, "$serde_json::private::RawValue": "x" }] });
        let error = check_data("data.data", data.as_object().expect("an object"));
        let text = error.expect_err("reserved").to_string();
        assert!(text.contains("`data.data.order.0`") && text.contains("rename it"), "{text}");
    }

    #[test]
    fn an_object_that_would_be_read_as_a_number_is_found_and_a_text_is_not() {
        let found = check_keys(br#"{"a": {"$serde_json::private::Number" : "1"}}"#);
        let text = found.expect_err("a key").to_string();
        assert!(text.starts_with("the key at byte 9 "), "{text}");
        for other in [
            r#"{"a": "$serde_json::private::Number"}"#,
            r#"{"a": "{\"$serde_json::private::Number\":1}", "$": 1}"#,
            "",
        ] {
            assert_eq!(check_keys(other.as_bytes()), Ok(()), "{other}");
        }
    }

    fn numbers(text: &str) -> Result<(), Unkeepable> {
        let data = serde_json::from_str(&format!("{{\"a\": [1, {text}]}}")).expect("JSON");
        check_data("data", &data)
    }

    #[test]
    fn numbers_of_any_size_are_taken_up_to_what_readers_know() {
        let long = "9".repeat(NUMBER_LENGTH_LIMIT);
        for kept in
            ["7", "18446744073709551616", "0.1234567890123456789", "-9.9e308", "1E-400", &long]
        {
            assert_eq!(numbers(kept), Ok(()), "{kept}");
        }
        let longer = format!("{long}9");
        for lost in ["1e400", "-1e400", "1e-1001", "1e99999999999999999999", &longer] {
            let text = numbers(lost).expect_err(lost).to_string();
            assert!(text.starts_with("`data.a.1` is the number `") && text.len() < 250, "{text}");
        }
    }

    #[test]
    fn a_number_comes_back_digit_by_digit() {
        for text in [
            "98765432109876543210987654",
            "123456789012345.123456",
            "1.50",
            "-0",
            "0.30000000000000004",
        ] {
            let read: Value = serde_json::from_str(text).expect("a number");
            assert_eq!(read.to_string(), text);
        }
    }
}
