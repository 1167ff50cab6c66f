//! The plan of a run: which orders are placed and what goes wrong with each. A pure function of its options; it places
//! nothing, and it does not depend on time.

use crate::faults::{CouponNeed, Fault};
use serde::Serialize;

/// What a plan is made from.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Makes the plan: the same seed gives the same plan.
    pub seed: u64,
    /// Number of orders.
    pub orders: u32,
    /// Share of the orders that carry a fault, 0 to 1.
    pub fault_rate: f64,
    /// Faults to give out in turn to the first orders instead of drawing them; for demonstrations and tests.
    pub only: Vec<Fault>,
}

/// One order to place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedOrder {
    /// Also the saga id.
    pub id: String,
    /// Who orders.
    pub customer: String,
    /// In cents; at least 1.
    pub amount: i64,
    /// Code of the coupon to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// What goes wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

const CUSTOMERS: [&str; 8] =
    ["Ada", "Bora", "Chae-won", "Dmitri", "Esra", "Femi", "Gil-dong", "Hana"];

/// The orders of a run, in the order of their placing.
#[must_use]
pub fn plan(options: &PlanOptions) -> Vec<PlannedOrder> {
    let mut dice = Dice(options.seed);
    let mut bag = Vec::new();
    let mut coupons = 0;
    let mut orders: Vec<PlannedOrder> = Vec::with_capacity(options.orders as usize);
    for number in 0..options.orders {
        let fault = match options.only.get(number as usize) {
            Some(fault) => Some(*fault),
            None if options.only.is_empty() && dice.chance(options.fault_rate) => {
                Some(draw(&mut dice, &mut bag))
            }
            None => None,
        };
        // Drawn in any case, so that the fault rate alone doesn't change who orders what.
        let wants_coupon = dice.chance(0.4);
        let customer = CUSTOMERS[dice.below(CUSTOMERS.len() as u64) as usize].to_owned();
        let amount = 500 + i64::try_from(dice.below(5_000)).unwrap_or(0);
        let need = fault.map_or(CouponNeed::Any, Fault::coupon);
        let mut fresh = || {
            coupons += 1;
            coupon_code(coupons)
        };
        let coupon = match need {
            CouponNeed::With => Some(fresh()),
            CouponNeed::Without => None,
            CouponNeed::Any => wants_coupon.then(fresh),
            CouponNeed::Shared => Some(rival_coupon(orders.last_mut(), &mut fresh)),
        };
        orders.push(PlannedOrder {
            id: format!("order-{:x}-{:05}", options.seed, number + 1),
            customer,
            amount,
            coupon,
            fault,
        });
    }
    orders
}

/// The code of the `number`th coupon that the shop has issued, from 1.
#[must_use]
pub fn coupon_code(number: u32) -> String {
    format!("TASTY-{number:05}")
}

/// How many different coupons a plan uses: they are numbered from 1 without gaps.
#[must_use]
pub fn coupons_used(orders: &[PlannedOrder]) -> u32 {
    let mut codes: Vec<_> = orders.iter().filter_map(|order| order.coupon.as_deref()).collect();
    codes.sort_unstable();
    codes.dedup();
    u32::try_from(codes.len()).unwrap_or(u32::MAX)
}

/// The coupon that the order before uses; if it uses none and may, it gets one. Without a rival the order is alone
/// with a coupon of its own.
fn rival_coupon(rival: Option<&mut PlannedOrder>, fresh: &mut impl FnMut() -> String) -> String {
    match rival {
        Some(PlannedOrder { coupon: Some(code), .. }) => code.clone(),
        Some(order) if order.fault.is_none_or(|fault| fault.coupon() != CouponNeed::Without) => {
            order.coupon.insert(fresh()).clone()
        }
        _ => fresh(),
    }
}

/// Draws faults from a bag in which each lies as often as it weighs, so that every kind comes up even in a short run.
fn draw(dice: &mut Dice, bag: &mut Vec<Fault>) -> Fault {
    if bag.is_empty() {
        for &fault in Fault::ALL {
            bag.extend((0..fault.weight()).map(|_| fault));
        }
    }
    let index = dice.below(bag.len() as u64) as usize;
    bag.swap_remove(index)
}

/// SplitMix64: small, fast, and the same on every machine. Source: Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", 2014.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0. The bias of the remainder is below 2^-40 for our limits.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits fill a double's fraction exactly.
        ((self.next_u64() >> 11) as f64) / ((1u64 << 53) as f64) < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn options(seed: u64) -> PlanOptions {
        PlanOptions { seed, orders: 200, fault_rate: 0.35, only: Vec::new() }
    }

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_seed_another() {
        assert_eq!(plan(&options(7)), plan(&options(7)));
        assert_ne!(plan(&options(7)), plan(&options(8)));
    }

    #[test]
    fn two_hundred_orders_meet_every_fault_and_about_the_asked_share() {
        for seed in 0..50 {
            let orders = plan(&options(seed));
            let faults: Vec<_> = orders.iter().filter_map(|order| order.fault).collect();
            let kinds: BTreeSet<_> = faults.iter().copied().collect();
            assert_eq!(kinds.len(), Fault::ALL.len(), "seed {seed} misses a fault");
            assert!((40..=100).contains(&faults.len()), "seed {seed}: {} faults", faults.len());
        }
    }

    #[test]
    fn every_fault_lies_on_an_order_that_fits_it() {
        for seed in 0..50 {
            let orders = plan(&options(seed));
            for (index, order) in orders.iter().enumerate() {
                let fits = match order.fault.map_or(CouponNeed::Any, Fault::coupon) {
                    CouponNeed::With | CouponNeed::Shared => order.coupon.is_some(),
                    CouponNeed::Without => order.coupon.is_none(),
                    CouponNeed::Any => true,
                };
                assert!(fits, "seed {seed}, order {index}: {order:?}");
            }
        }
    }

    #[test]
    fn rivals_share_a_coupon_and_nobody_else_does() {
        let orders = plan(&options(3));
        let with_coupon = orders.iter().filter(|order| order.coupon.is_some()).count();
        let shared = with_coupon - coupons_used(&orders) as usize;
        let raced = orders.iter().filter(|order| order.fault == Some(Fault::CouponRaced)).count();
        assert!(shared >= 1 && shared <= raced, "{shared} shared, {raced} races");
        assert_eq!(
            coupon_code(coupons_used(&orders)),
            orders.iter().filter_map(|o| o.coupon.clone()).max().expect("some")
        );
    }

    #[test]
    fn asked_faults_go_to_the_first_orders_and_the_rest_is_ordinary() {
        let only = vec![Fault::PaymentReport1, Fault::OrderReport2];
        let orders = plan(&PlanOptions { seed: 1, orders: 4, fault_rate: 1.0, only: only.clone() });
        let faults: Vec<_> = orders.iter().map(|order| order.fault).collect();
        assert_eq!(faults, [Some(only[0]), Some(only[1]), None, None]);
    }
}
