//! The orders of a food run: some of them use a coupon, and some faults need one.

use super::faults::{CouponNeed, Fault};
use super::form::OrderForm;
use crate::workload::{
    Misfortunes, PlanOptions, PlannedOrder, SeededRng, customer, different, order_id,
};
use std::collections::BTreeMap;

/// The orders of a run, in the order of their placing.
#[must_use]
pub fn plan(options: &PlanOptions) -> Vec<PlannedOrder> {
    let forms = forms(options).into_iter();
    forms.map(|form| planned(&form)).collect()
}

fn forms(options: &PlanOptions) -> Vec<OrderForm> {
    let mut rng = SeededRng(options.seed);
    let mut misfortunes = Misfortunes::new(options, Fault::kinds());
    let mut coupons = 0;
    let mut forms: Vec<OrderForm> = Vec::with_capacity(options.orders as usize);
    for number in 0..options.orders {
        let fault = misfortunes.of(number, &mut rng).and_then(Fault::of);
        // Drawn in any case, so that the fault rate alone doesn't change who orders what.
        let wants_coupon = rng.chance(0.4) && !options.extra;
        let customer = customer(&mut rng);
        let amount = 500 + i64::try_from(rng.below(5_000)).unwrap_or(0);
        let mut fresh = || {
            coupons += 1;
            coupon_code(coupons)
        };
        let coupon = match fault.map_or(CouponNeed::Any, Fault::need) {
            CouponNeed::With => Some(fresh()),
            CouponNeed::Without => None,
            CouponNeed::Any => wants_coupon.then(fresh),
            CouponNeed::Shared => Some(rival_coupon(forms.last_mut(), &mut fresh)),
        };
        let order_id = order_id(options.seed, number);
        forms.push(OrderForm { order_id, customer, amount, coupon, fault });
    }
    forms
}

fn planned(form: &OrderForm) -> PlannedOrder {
    let coupon = form.coupon.as_ref();
    PlannedOrder {
        id: form.order_id.clone(),
        customer: form.customer.clone(),
        amount: form.amount,
        details: coupon.map_or_else(String::new, |code| format!(" with the coupon {code}")),
        fault: form.fault.map(Fault::kind),
        form: form.write(),
    }
}

/// The code of the `number`th coupon that the shop has issued, from 1.
#[must_use]
pub fn coupon_code(number: u32) -> String {
    format!("TASTY-{number:05}")
}

/// The coupon of each order that uses one, by the order's id.
fn coupons(orders: &[PlannedOrder]) -> BTreeMap<&str, &str> {
    let with_coupon = orders.iter().filter_map(|order| {
        let code = order.form.get("coupon")?.as_str()?;
        Some((order.id.as_str(), code))
    });
    with_coupon.collect()
}

/// How many different coupons a plan uses: they are numbered from 1 without gaps.
#[must_use]
pub fn coupons_used(orders: &[PlannedOrder]) -> u32 {
    different(coupons(orders).into_values())
}

/// The coupon that the order before uses; if it uses none and may, it gets one. Without a rival the order is alone
/// with a coupon of its own.
fn rival_coupon(rival: Option<&mut OrderForm>, fresh: &mut impl FnMut() -> String) -> String {
    match rival {
        Some(OrderForm { coupon: Some(code), .. }) => code.clone(),
        Some(order) if order.fault.is_none_or(|fault| fault.need() != CouponNeed::Without) => {
            order.coupon.insert(fresh()).clone()
        }
        _ => fresh(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64) -> PlanOptions {
        PlanOptions { seed, orders: 200, fault_rate: 0.35, only: Vec::new(), extra: false }
    }

    #[test]
    fn every_fault_lies_on_an_order_that_fits_it() {
        for seed in 0..50 {
            for (index, form) in forms(&options(seed)).iter().enumerate() {
                let fits = match form.fault.map_or(CouponNeed::Any, Fault::need) {
                    CouponNeed::With | CouponNeed::Shared => form.coupon.is_some(),
                    CouponNeed::Without => form.coupon.is_none(),
                    CouponNeed::Any => true,
                };
                assert!(fits, "seed {seed}, order {index}: {form:?}");
            }
        }
    }

    #[test]
    fn rivals_share_a_coupon_and_nobody_else_does() {
        let (orders, forms) = (plan(&options(3)), forms(&options(3)));
        let shared = coupons(&orders).len() - coupons_used(&orders) as usize;
        let raced = forms.iter().filter(|form| form.fault == Some(Fault::CouponRaced)).count();
        assert!(shared >= 1 && shared <= raced, "{shared} shared, {raced} races");
        let last = coupon_code(coupons_used(&orders));
        assert_eq!(forms.into_iter().filter_map(|form| form.coupon).max(), Some(last));
    }
}
