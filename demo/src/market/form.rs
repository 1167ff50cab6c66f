//! A purchase as it travels from the checkout to the others; each takes what it needs.

use super::faults::Fault;
use amends_service::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that is bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Which product.
    pub product: String,
    /// Whether a parcel is needed: not for what is downloaded.
    pub parcel: bool,
}

/// What the customer sends to the checkout.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purchase {
    /// The order's id.
    pub order_id: String,
    /// Who buys.
    pub customer: String,
    /// Whom the things belong to.
    pub seller: String,
    /// In cents.
    pub amount: i64,
    /// What is bought.
    pub items: Vec<Item>,
    /// The voucher that pays for it; without one a card does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<String>,
    /// What the plan lets go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What the checkout sends for one item.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OneItem {
    /// Which.
    pub item: Item,
    /// Whether others have gone before, and none comes behind it.
    pub last_of_several: bool,
    /// What the plan lets go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// Reads a form from a request's body.
///
/// # Errors
/// A failure with status 400 that says which field is wrong.
pub fn read<F: DeserializeOwned>(body: &Value) -> Result<F, Failure> {
    F::deserialize(body).map_err(|error| {
        Failure::new("malformed", format!("this is no purchase: {error}")).status(400)
    })
}

/// A form as a request's body.
#[must_use]
pub fn write(form: &impl Serialize) -> Value {
    serde_json::to_value(form).unwrap_or(Value::Null)
}

/// The items, each as it is sent for itself.
pub fn one_by_one(items: &[&Item], fault: Option<Fault>) -> Vec<Value> {
    let one = |(n, item): (usize, &&Item)| {
        let last_of_several = n > 0 && n + 1 == items.len();
        write(&OneItem { item: (*item).clone(), last_of_several, fault })
    };
    items.iter().enumerate().map(one).collect()
}
