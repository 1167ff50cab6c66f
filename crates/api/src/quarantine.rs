//! Cases that can't be worked on, for people: what is wrong with each, its rows in the store, and what to do.

use amends_protocol::{CaseId, SagaId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Answer of `GET /v1/quarantine`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuarantineView {
    /// Cases, by number.
    pub cases: Vec<QuarantinedView>,
    /// Stored rows of no case that can't be read.
    pub rows: Vec<UnreadableView>,
}

/// A case that can't be worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuarantinedView {
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "c-17"))]
    pub case_id: CaseId,
    /// Its saga; absent if not even that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub saga_id: Option<SagaId>,
    /// When it was found.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
    /// Reports that it holds.
    pub reports: u32,
    /// The first row that is at fault.
    #[serde(flatten)]
    pub broken: UnreadableView,
}

/// A row that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnreadableView {
    /// Which.
    pub row: String,
    /// What is wrong with it.
    pub why: String,
}

/// All that is stored of one case, as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RawCaseView {
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "c-17"))]
    pub id: CaseId,
    /// Its rows: the case itself, then its reports and its steps.
    pub rows: Vec<RawRowView>,
}

/// One row as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RawRowView {
    /// The kind of row.
    pub table: String,
    /// Its columns by name: a number, a text or null. In rows that are sent, an object or a list stands for its JSON
    /// text.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Value>))]
    pub columns: BTreeMap<String, Value>,
}

impl RawRowView {
    /// With texts that are JSON objects or lists spelled out, so that a person can read and mend them.
    #[must_use]
    pub fn spelled_out(mut self) -> Self {
        for value in self.columns.values_mut() {
            let Some(text) = value.as_str() else { continue };
            match serde_json::from_str(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => *value = inner,
                Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
                }
            }
        }
        self
    }

    /// The way back: objects and lists as their JSON text.
    #[must_use]
    pub fn as_stored(mut self) -> Self {
        for value in self.columns.values_mut() {
            if value.is_object() || value.is_array() {
                *value = Value::String(value.to_string());
            }
        }
        self
    }
}

/// What a person does about a quarantined case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum QuarantineAct {
    /// It goes on with mended rows: all of `GET /v1/quarantine/{id}`, with what is wrong corrected.
    Repair {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// The rows.
        rows: Vec<RawRowView>,
    },
    /// It is settled by hand, without its steps; its reports stay known.
    Discard {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_spelled_out_for_people_and_put_back_as_they_were() {
        let stored = RawRowView {
            table: "cases".to_owned(),
            columns: [("id", json!(7)), ("memo", json!("{\"a\":[1]}")), ("saga", json!("12"))]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        };
        let shown = stored.clone().spelled_out();
        assert_eq!(shown.columns["memo"], json!({ "a": [1] }));
        assert_eq!(
            shown.columns["saga"],
            json!("12"),
            "a saga id is a text whatever it looks like"
        );
        assert_eq!(shown.as_stored(), stored);
    }
}
