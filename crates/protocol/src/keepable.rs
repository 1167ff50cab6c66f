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
}
