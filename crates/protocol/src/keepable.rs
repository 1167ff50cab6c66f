//! Which business data can be kept: what is taken in must read back wherever it stands later. Pure.

use serde_json::{Map, Value};
use std::fmt;

/// Deepest nesting of business data, counted from the object itself. Readers of JSON give up at 128 levels, and what is
/// kept or passed on stands inside of other objects there.
pub const DATA_DEPTH_LIMIT: usize = 100;

/// Keys that begin so mean something else to the JSON reader: an object with one may come back as another value, or not
/// at all.
const RESERVED_KEYS: &str = "$serde_json::private::";

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
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn within(mut keys: Vec<String>, key: String, what: What) -> Found {
    keys.push(key);
    (keys, what)
}

/// A whole number that would come back as another one: beyond 64 bits, what is kept is the nearest that a floating
/// point number can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongNumber {
    digits: String,
    /// Its place in the text, in bytes from 1.
    place: usize,
}

impl fmt::Display for LongNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digits, place } = self;
        let cut = if digits.len() > SHOWN_DIGITS { "…" } else { "" };
        let shown: String = digits.chars().take(SHOWN_DIGITS).collect();
        write!(
            f,
            "the number `{shown}{cut}` at byte {place} has more than 64 bits and would not be kept exactly; send it as a text"
        )
    }
}

impl std::error::Error for LongNumber {}

/// Digits that a message repeats.
const SHOWN_DIGITS: usize = 40;

/// Whether every whole number of a JSON text is kept as it is. Whatever else may be wrong with the text is its reader's
/// to say.
///
/// # Errors
/// With the first that isn't.
pub fn check_numbers(json: &[u8]) -> Result<(), LongNumber> {
    let (mut place, mut in_text) = (0, false);
    while let Some(byte) = json.get(place) {
        let mut length = 1;
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => length = 2,
            b'-' | b'0'..=b'9' if !in_text => {
                length = json[place..].iter().take_while(|b| is_of_number(**b)).count();
                check_number(&json[place..place + length], place + 1)?;
            }
            _ => {}
        }
        place += length;
    }
    Ok(())
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

fn check_number(token: &[u8], place: usize) -> Result<(), LongNumber> {
    // 64 bits are 19 digits at least.
    if token.len() < 19 || token.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        return Ok(());
    }
    let digits = String::from_utf8_lossy(token).into_owned();
    match digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok() {
        true => Ok(()),
        false => Err(LongNumber { digits, place }),
    }
}

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
    fn whole_numbers_of_more_than_64_bits_are_found_outside_of_texts() {
        for kept in [
            "",
            "7",
            "[18446744073709551615, -9223372036854775808]",
            "{\"a\": 1e30, \"b\": 0.1234567890123456789012}",
            "{\"18446744073709551616\": \"\\\"18446744073709551616\"}",
        ] {
            assert_eq!(check_numbers(kept.as_bytes()), Ok(()), "{kept}");
        }
        for lost in ["18446744073709551616", "-9223372036854775809"] {
            let error = check_numbers(format!("{{\"a\": [1, {lost}]}}").as_bytes());
            let text = error.expect_err(lost).to_string();
            assert!(text.starts_with(&format!("the number `{lost}` at byte 11 ")), "{text}");
        }
        let long = check_numbers("9".repeat(1_000).as_bytes()).expect_err("long").to_string();
        assert!(long.len() < 200 && long.contains("999…`"), "{long}");
    }

    #[test]
    fn a_number_comes_back_as_the_nearest_to_its_text() {
        for text in ["8.41428953718263e-15", "1.7976931348623157e308", "5e-324", "1e23", "0.1"] {
            let wanted: f64 = text.parse().expect("a number");
            let read: Value = serde_json::from_str(text).expect("a number");
            let again: Value = serde_json::from_str(&read.to_string()).expect("a number");
            let bits = |value: &Value| value.as_f64().map(f64::to_bits);
            assert_eq!(
                (bits(&read), bits(&again)),
                (Some(wanted.to_bits()), bits(&read)),
                "{text}"
            );
        }
    }
}
