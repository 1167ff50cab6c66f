//! What a case is about to the business, by the roles of its fields.

use amends_api::Money;
use serde::{Deserialize, Serialize};

/// Whom a case concerns, what, and how much. Found in its reports and evidence; kept so that lists can show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Business {
    /// Whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The business's own name of what is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How much, by currency.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amounts: Vec<Money>,
    /// The same as texts that sort as the amounts do, for searches: `EUR:` and the sort key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
}

impl Business {
    /// Whether nothing of it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
