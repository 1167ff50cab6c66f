//! What every plan of a run is made of: its options, its orders, the rng, and the drawing of faults. Pure functions of
//! the seed; nothing here places an order, and nothing depends on time.

use crate::faults::FaultKind;
use serde_json::Value;

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
    pub only: Vec<&'static FaultKind>,
    /// These orders come when those that the services were supplied for have been placed: they take nothing that can be
    /// used once only.
    pub extra: bool,
}

/// One order to place.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedOrder {
    /// Also the saga id.
    pub id: String,
    /// Who orders.
    pub customer: String,
    /// In cents; at least 1.
    pub amount: i64,
    /// What is special about it, for people: ` with the coupon TASTY-00001`, or nothing.
    pub details: String,
    /// What goes wrong with it.
    pub fault: Option<&'static FaultKind>,
    /// What the customer sends.
    pub form: Value,
}

const CUSTOMERS: [&str; 8] =
    ["Ada", "Bora", "Chae-won", "Dmitri", "Esra", "Femi", "Gil-dong", "Hana"];

/// Somebody who orders.
pub(crate) fn customer(rng: &mut SeededRng) -> String {
    CUSTOMERS[rng.below(CUSTOMERS.len() as u64) as usize].to_owned()
}

/// The id of the order of this number, from 0.
pub(crate) fn order_id(seed: u64, number: u32) -> String {
    format!("order-{seed:x}-{:05}", number + 1)
}

/// How many different ones there are of the codes that a plan uses.
pub(crate) fn different<'o>(codes: impl Iterator<Item = &'o str>) -> u32 {
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    codes.dedup();
    u32::try_from(codes.len()).unwrap_or(u32::MAX)
}

/// Says of one order after the other what goes wrong with it. Faults are drawn from a bag in which each lies as often
/// as it weighs, so that every kind comes up even in a short run.
pub(crate) struct Misfortunes<'o> {
    options: &'o PlanOptions,
    kinds: Vec<&'static FaultKind>,
    bag: Vec<&'static FaultKind>,
}

impl<'o> Misfortunes<'o> {
    pub(crate) fn new(options: &'o PlanOptions, kinds: Vec<&'static FaultKind>) -> Self {
        Self { options, kinds, bag: Vec::new() }
    }

    /// What goes wrong with the order of this number, if anything does.
    pub(crate) fn of(&mut self, number: u32, rng: &mut SeededRng) -> Option<&'static FaultKind> {
        match self.options.only.get(number as usize) {
            Some(fault) => Some(*fault),
            None if self.options.only.is_empty() && rng.chance(self.options.fault_rate) => {
                Some(self.draw(rng))
            }
            None => None,
        }
    }

    fn draw(&mut self, rng: &mut SeededRng) -> &'static FaultKind {
        if self.bag.is_empty() {
            for kind in &self.kinds {
                self.bag.extend((0..kind.weight).map(|_| *kind));
            }
        }
        let index = rng.below(self.bag.len() as u64) as usize;
        self.bag.swap_remove(index)
    }
}

/// SplitMix64: small, fast, and the same on every machine. Source: Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", 2014.
#[derive(Clone, Debug)]
pub struct SeededRng(pub u64);

impl SeededRng {
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
