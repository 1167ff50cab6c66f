//! The marketplace: a checkout that has everything done by others, and a payment to the seller that nothing takes back.

mod card;
mod checkout;
mod email;
pub mod faults;
mod form;
mod invariants;
mod loyalty;
mod payout;
mod shipping;
mod stock;
mod voucher;
mod workload;

use crate::business::{Business, Service, Supply};
use faults::Fault;

/// The text of its rulebook.
pub const RULEBOOK: &str = include_str!("../../rulebook/marketplace.yaml");

/// The business.
pub static MARKETPLACE: Business = Business {
    name: "marketplace",
    about: "a checkout of eight services: one call for each item, card or voucher, a message, a mail that may fail, and a payout that nothing takes back",
    services: &[
        Service::new("checkout", checkout::TABLES, checkout::fit_out).with_errands().above(1),
        Service::new("stock", stock::TABLES, stock::fit_out)
            .supplied(Supply { needed: stock::needed, put_in: stock::put_in }),
        Service::new("card", card::TABLES, card::fit_out),
        Service::new("voucher", voucher::TABLES, voucher::fit_out)
            .supplied(Supply { needed: workload::vouchers_used, put_in: voucher::issue }),
        Service::new("loyalty", loyalty::TABLES, loyalty::fit_out),
        Service::new("shipping", shipping::TABLES, shipping::fit_out),
        Service::new("payout", payout::TABLES, payout::fit_out),
        Service::new("email", email::TABLES, email::fit_out),
    ],
    entry: ("checkout", "buy"),
    rulebook: RULEBOOK,
    faults: Fault::kinds,
    plan: workload::plan,
    findings: invariants::findings,
};
