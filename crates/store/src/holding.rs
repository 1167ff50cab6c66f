//! Looking for what holds a value in a field: by name and value, exactly.

use amends_api::CaseState;
use amends_engine::ErasureRow;
use amends_protocol::{CaseId, SagaId};
use serde_json::Value;

/// A value of a business field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue {
    /// Paths that the field has, as `card.number`.
    pub paths: Vec<String>,
    /// The value; a number as it is written.
    pub value: String,
}

impl FieldValue {
    /// How the value stands within JSON that was written here: what does not hold this does not hold the value.
    pub(crate) fn as_stored(&self) -> String {
        let quoted = serde_json::to_string(&self.value).unwrap_or_default();
        quoted.trim_matches('"').to_owned()
    }

    /// Whether an object of a JSON text, at any depth, holds the value in the field. A text that can't be read holds
    /// nothing: its case is quarantined.
    pub(crate) fn is_in(&self, json: &str) -> bool {
        serde_json::from_str(json).is_ok_and(|value: Value| self.is_within(&value))
    }

    fn is_within(&self, value: &Value) -> bool {
        match value {
            Value::Object(members) => {
                let has = |path: &String| {
                    let mut parts = path.split('.');
                    let first = parts.next().and_then(|name| members.get(name));
                    let found =
                        first.and_then(|first| parts.try_fold(first, |v, name| v.get(name)));
                    found.is_some_and(|found| self.is(found))
                };
                self.paths.iter().any(has) || members.values().any(|value| self.is_within(value))
            }
            Value::Array(items) => items.iter().any(|item| self.is_within(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    fn is(&self, found: &Value) -> bool {
        match found {
            Value::String(text) => *text == self.value,
            Value::Number(number) => number.to_string() == self.value,
            Value::Array(items) => items.iter().any(|item| self.is(item)),
            Value::Null | Value::Bool(_) | Value::Object(_) => false,
        }
    }
}

/// A saga that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The saga.
    pub saga: SagaId,
    /// Its case and where that stands; none of a saga that has only announced itself.
    pub case: Option<(CaseId, CaseState)>,
}

/// Where a look goes on: through the cases by number, then through the announced sagas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldingPlace {
    /// After this case.
    Case(u64),
    /// After this announced saga.
    Announced(String),
}

impl Default for HoldingPlace {
    fn default() -> Self {
        Self::Case(0)
    }
}

/// What a look at some rows has found; there may be nothing though more follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldingPage {
    /// Sagas that hold it.
    pub found: Vec<Holding>,
    /// Where to go on; none at the end.
    pub next: Option<HoldingPlace>,
}

/// An erasure of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedErasure {
    /// The erasure.
    pub row: ErasureRow,
    /// How many sagas it is of.
    pub sagas: u64,
    /// Of these, how many wait for their case to settle.
    pub waiting: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_its_field_only_and_exactly() {
        let customer = |value: &str| FieldValue {
            paths: vec!["customer".to_owned(), "payment.payer".to_owned()],
            value: value.to_owned(),
        };
        for (json, value) in [
            (r#"{"data":{"data":{"customer":"ann"}}}"#, "ann"),
            (r#"{"data":{"history":[{"data":{"payment":{"payer":"ann"}}}]}}"#, "ann"),
            (r#"{"customer":12345678901234567890}"#, "12345678901234567890"),
            (r#"{"customer":["bob","ann"]}"#, "ann"),
            (r#"{"customer":"a\"n"}"#, "a\"n"),
        ] {
            let field = customer(value);
            assert!(field.is_in(json) && json.contains(&field.as_stored()), "{json}");
        }
        for (json, value) in [
            (r#"{"customer":"anna"}"#, "ann"),
            (r#"{"name":"ann"}"#, "ann"),
            (r#"{"payer":"ann"}"#, "ann"),
            (r#"{"customer":{"name":"ann"}}"#, "ann"),
            (r#"{"customer":12345678901234567891}"#, "12345678901234567890"),
            ("not JSON: ann", "ann"),
        ] {
            assert!(!customer(value).is_in(json), "{json}");
        }
    }
}
