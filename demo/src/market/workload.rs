//! The purchases of a marketplace run: one to three items, some of which need no parcel, paid by card or with a
//! voucher.

use super::faults::{Fault, Need};
use super::form::{self, Item, Purchase};
use super::stock::PRODUCTS;
use crate::workload::{
    Misfortunes, PlanOptions, PlannedOrder, SeededRng, customer, different, order_id,
};

const SELLERS: [&str; 4] = ["Ilse's Attic", "North Light", "Paper & Pulp", "Second Spring"];

/// The purchases of a run, in the order of their placing.
pub(super) fn plan(options: &PlanOptions) -> Vec<PlannedOrder> {
    purchases(options).iter().map(planned).collect()
}

fn purchases(options: &PlanOptions) -> Vec<Purchase> {
    let mut rng = SeededRng(options.seed);
    let mut misfortunes = Misfortunes::new(options, Fault::kinds());
    let mut vouchers = 0;
    let mut purchases = Vec::with_capacity(options.orders as usize);
    for number in 0..options.orders {
        let fault = misfortunes.of(number, &mut rng).and_then(Fault::of);
        let need = fault.map_or(Need::Any, Fault::need);
        // Drawn in any case, so that the fault rate alone doesn't change who buys what.
        let wants_voucher = rng.chance(0.3) && !options.extra;
        let customer = customer(&mut rng);
        let seller = SELLERS[rng.below(SELLERS.len() as u64) as usize].to_owned();
        let amount = 500 + i64::try_from(rng.below(20_000)).unwrap_or(0);
        let mut items = items(&mut rng);
        if need == Need::TwoParcels {
            items = vec![sold(0), sold(1)];
        }
        let by_voucher = match need {
            Need::Voucher => true,
            Need::Card => false,
            Need::Any | Need::TwoParcels => wants_voucher,
        };
        let voucher = by_voucher.then(|| {
            vouchers += 1;
            voucher_code(vouchers)
        });
        let order_id = order_id(options.seed, number);
        purchases.push(Purchase { order_id, customer, seller, amount, items, voucher, fault });
    }
    purchases
}

/// One to three items.
fn items(rng: &mut SeededRng) -> Vec<Item> {
    let many = 1 + rng.below(3);
    (0..many).map(|_| sold(rng.below(PRODUCTS.len() as u64) as usize)).collect()
}

fn sold(product: usize) -> Item {
    let (name, parcel) = PRODUCTS[product];
    Item { product: name.to_owned(), parcel }
}

fn planned(purchase: &Purchase) -> PlannedOrder {
    let things = match purchase.items.len() {
        1 => "one thing".to_owned(),
        many => format!("{many} things"),
    };
    let paid = match &purchase.voucher {
        Some(code) => format!("with the voucher {code}"),
        None => "by card".to_owned(),
    };
    PlannedOrder {
        id: purchase.order_id.clone(),
        customer: purchase.customer.clone(),
        amount: purchase.amount,
        details: format!(" {things} of {}, paid {paid}", purchase.seller),
        fault: purchase.fault.map(Fault::kind),
        form: form::write(purchase),
    }
}

/// The code of the `number`th voucher that was issued, from 1.
pub(super) fn voucher_code(number: u32) -> String {
    format!("GIFT-{number:05}")
}

/// How many different vouchers a plan uses: they are numbered from 1 without gaps.
pub(super) fn vouchers_used(orders: &[PlannedOrder]) -> u32 {
    different(orders.iter().filter_map(|order| order.form.get("voucher")?.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_lies_on_a_purchase_that_fits_it() {
        for seed in 0..50 {
            let only = Vec::new();
            let options = PlanOptions { seed, orders: 200, fault_rate: 0.35, only, extra: false };
            for purchase in purchases(&options) {
                let parcels = purchase.items.iter().filter(|item| item.parcel).count();
                let fits = match purchase.fault.map_or(Need::Any, Fault::need) {
                    Need::Any => true,
                    Need::Card => purchase.voucher.is_none(),
                    Need::Voucher => purchase.voucher.is_some(),
                    Need::TwoParcels => parcels >= 2,
                };
                assert!(fits && !purchase.items.is_empty(), "seed {seed}: {purchase:?}");
            }
            let plan = plan(&options);
            let paid = plan.iter().filter(|order| order.form.get("voucher").is_some()).count();
            assert_eq!(vouchers_used(&plan) as usize, paid, "each voucher is used once");
        }
    }
}
