//! The order as it travels down the chain of calls.

use super::faults::Fault;
use amends_service::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The order as it travels down the chain of calls; every service takes what it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderForm {
    /// The order's id.
    pub order_id: String,
    /// Who ordered.
    pub customer: String,
    /// In cents.
    pub amount: i64,
    /// Code of the coupon to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// What the plan lets go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl OrderForm {
    /// Reads the form from a request's body.
    ///
    /// # Errors
    /// A failure with status 400 that says which field is wrong.
    pub fn read(body: Value) -> Result<Self, Failure> {
        let form: Self = serde_json::from_value(body).map_err(|error| {
            Failure::new("malformed", format!("this is no order form: {error}")).status(400)
        })?;
        if form.amount <= 0 {
            return Err(Failure::new("malformed", "the amount must be at least 1 cent").status(400));
        }
        Ok(form)
    }

    /// The form as a request's body.
    #[must_use]
    pub fn write(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// A failure that tells the supervisor whom it concerns, how much, and with which card it was paid.
    pub(super) fn failure(&self, code: &str, message: &str) -> Failure {
        Failure::new(code, message)
            .with("orderId", self.order_id.as_str())
            .with("customer", self.customer.as_str())
            .with("total", euros(self.amount))
            .with("currency", "EUR")
            .with("card", self.card())
    }

    /// What the bank knows the customer's card by.
    fn card(&self) -> String {
        format!("tok-{:016x}", amends_protocol::digest(&["card", &self.customer, &self.order_id]))
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

/// Cents as euros, exactly: `12.50`, never a float.
fn euros(cents: i64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    serde_json::from_str(&text).unwrap_or_default()
}
