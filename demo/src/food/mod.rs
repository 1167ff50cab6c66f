//! The food order: six services that call each other down a chain.

mod coupon;
mod delivery;
pub mod faults;
mod form;
mod invariants;
mod order;
mod payment;
mod rider;
mod sms;
pub mod workload;

use crate::business::{Business, Service, Supply};
use faults::Fault;

/// The text of its rulebook.
pub const RULEBOOK: &str = include_str!("../../rulebook/food-order.yaml");

/// The business.
pub static FOOD_ORDER: Business = Business {
    name: "food-order",
    about: "six services that call each other down a chain; retries, coupons, texts and their corrections",
    services: &[
        Service::new("order", order::TABLES, order::fit_out).above(2),
        Service::new("payment", payment::TABLES, payment::fit_out).above(1),
        Service::new("coupon", coupon::TABLES, coupon::fit_out)
            .supplied(Supply { needed: workload::coupons_used, put_in: coupon::issue }),
        Service::new("delivery", delivery::TABLES, delivery::fit_out).with_errands(),
        Service::new("rider", rider::TABLES, rider::fit_out),
        Service::new("sms", sms::TABLES, sms::fit_out),
    ],
    entry: ("order", "place"),
    rulebook: RULEBOOK,
    faults: Fault::kinds,
    plan: workload::plan,
    findings: invariants::findings,
};
