//! The business of the six services: what each does, how it undoes it, and which tables it keeps. It knows nothing of
//! the supervisor; History, reports and steps are the kit's.

pub mod coupon;
mod delivery;
pub mod errands;
mod order;
mod payment;
mod rider;
mod sms;

use crate::addresses::Addresses;
use crate::client::Client;
use crate::faults::{Fault, Strikes};
use amends_service::{Failure, KitBuilder, Sqlite};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

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
    fn failure(&self, code: &str, message: &str) -> Failure {
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

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

/// Cents as euros, exactly: `12.50`, never a float.
fn euros(cents: i64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    serde_json::from_str(&text).unwrap_or_default()
}

/// What every service process knows besides its own tables.
pub struct Setting {
    addresses: Addresses,
    strikes: Strikes,
    client: Client,
}

impl Setting {
    /// The setting of one process.
    #[must_use]
    pub fn new(addresses: Addresses, strikes: Strikes) -> Self {
        Self { addresses, strikes, client: Client::default() }
    }

    fn url(&self, service: &str) -> &str {
        // An unknown service has no address; the call then fails as unreachable and is recorded as such.
        self.addresses.services.get(service).map_or("http://127.0.0.1:9", String::as_str)
    }
}

/// The tables of a service.
#[must_use]
pub fn schema(service: &str) -> &'static str {
    match service {
        "order" => order::SCHEMA,
        "payment" => payment::SCHEMA,
        "coupon" => coupon::SCHEMA,
        "delivery" => delivery::SCHEMA,
        "rider" => rider::SCHEMA,
        "sms" => sms::SCHEMA,
        _ => "",
    }
}

/// Gives the kit the actions of a service.
#[must_use]
pub fn fit_out(
    service: &str,
    kit: KitBuilder<Sqlite>,
    setting: &Arc<Setting>,
) -> KitBuilder<Sqlite> {
    let setting = Arc::clone(setting);
    match service {
        "order" => order::fit_out(kit, setting),
        "payment" => payment::fit_out(kit, setting),
        "coupon" => coupon::fit_out(kit),
        "delivery" => delivery::fit_out(kit, setting),
        "rider" => rider::fit_out(kit, setting),
        "sms" => sms::fit_out(kit, setting),
        _ => kit,
    }
}
