//! The planned faults: one closed list, and where each of them strikes. It plans nothing and has no randomness.
//!
//! A fault travels in the order form's `fault` field down the chain of calls. Each service looks for its own faults
//! there and does what the plan says; a form without the field is an ordinary order. Two faults (`rider-down` and
//! `sms-down`) are done to a service from outside, by the runner, while the order that carries them is under way.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// How often a fault that passes strikes before it is over: once on the way forward, once at the first retry.
pub const PASSING_STRIKES: u32 = 2;

macro_rules! faults {
    ($($(#[$meta:meta])* $variant:ident = $word:literal, $coupon:ident, $weight:literal, $strikes:literal;)+) => {
        /// What the plan lets go wrong with one order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Fault { $($(#[$meta])* #[serde(rename = $word)] $variant),+ }

        impl Fault {
            /// The whole list, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the order form and in the summary.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Whether an order needs a coupon, or must have none, for this fault to make sense.
            #[must_use]
            pub const fn coupon(self) -> CouponNeed {
                match self { $(Self::$variant => CouponNeed::$coupon),+ }
            }

            /// How often it is drawn. Faults that hit bystanders too, because a whole process goes down, are rarer.
            #[must_use]
            pub const fn weight(self) -> u32 {
                match self { $(Self::$variant => $weight),+ }
            }

            /// Where it strikes, for people.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $strikes),+ }
            }
        }
    };
}

/// What a fault asks of the order that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CouponNeed {
    /// The order must use a coupon.
    With,
    /// The order must not use one.
    Without,
    /// Either will do.
    Any,
    /// The order must use the coupon of the order before it.
    Shared,
}

faults! {
    /// `order/report-1`: everything below succeeded and stays; only the order is retried.
    OrderReport1 = "order-report-1", Any, 3, "the order's own logic fails for a while after the payment succeeded";
    /// `order/report-2`: the order's own logic fails for good, without a coupon.
    OrderReport2 = "order-report-2", Without, 3, "the order's own logic fails for good after a payment without a coupon";
    /// `order/report-3`: the order's own logic fails for good, with a coupon.
    OrderReport3 = "order-report-3", With, 3, "the order's own logic fails for good after a payment with a coupon";
    /// The order service is killed after the payment and before its own effect; nobody reports it at first.
    OrderCrash = "order-crash", Any, 1, "the order service is killed after the payment succeeded";
    /// `payment/report-1`: the payment's remaining logic fails after coupon and delivery.
    PaymentReport1 = "payment-report-1", With, 3, "the payment's remaining logic fails after the coupon was used and the delivery requested";
    /// `payment/report-2`: the same without a coupon.
    PaymentReport2 = "payment-report-2", Without, 3, "the payment's remaining logic fails after the delivery was requested";
    /// The coupon fails before it takes effect.
    CouponRefused = "coupon-refused", With, 3, "the coupon service fails before the coupon is used";
    /// The coupon is used, but the answer is a bare 500.
    CouponAnswerBroken = "coupon-answer-broken", With, 3, "the coupon is used, but the answer is a bare 500";
    /// Two orders race for one coupon.
    CouponRaced = "coupon-raced", Shared, 3, "two orders race for one coupon";
    /// The delivery fails before it takes effect.
    DeliveryRefused = "delivery-refused", Any, 3, "the delivery service takes no more deliveries";
    /// The delivery is requested, but the connection breaks before the answer.
    DeliveryAnswerLost = "delivery-answer-lost", Any, 3, "the delivery is requested, but its answer is lost";
    /// The order gives the payment up; the request comes when it has been undone.
    PaymentLate = "payment-late", Any, 3, "the payment request is held up on its way and comes after its compensation";
    /// The payment gives the coupon up; the request comes when it has been undone.
    CouponLate = "coupon-late", With, 3, "the coupon request is held up on its way and comes after its compensation";
    /// The payment gives the delivery up; the request comes when it has been undone.
    DeliveryLate = "delivery-late", Any, 3, "the delivery request is held up on its way and comes after its compensation";
    /// The rider matching fails for a while and reports it.
    RiderFails = "rider-fails", Any, 3, "the rider matching fails for a while";
    /// The text message fails for a while and reports it.
    SmsFails = "sms-fails", Any, 3, "the text message fails for a while";
    /// The rider service is killed and comes back when the order was answered.
    RiderDown = "rider-down", Any, 1, "the rider service is down while the order is placed";
    /// The text service turns everybody away with 503 until the order was answered.
    SmsDown = "sms-down", Any, 1, "the text service answers 503 while the order is placed";
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|fault| fault.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|fault| fault.as_str()).collect();
            format!("unknown fault `{text}`; one of: {}", known.join(", "))
        })
    }
}

/// Counts how often a passing fault has struck, per saga. It is kept in a file, so that a fault that has passed stays
/// passed when its service is killed and restarted.
#[derive(Debug)]
pub struct Strikes {
    counted: Mutex<(HashMap<String, u32>, File)>,
}

impl Strikes {
    /// Counts on from what `path` says; makes the file if it isn't there.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut lines = String::new();
        file.read_to_string(&mut lines)?;
        let mut counts = HashMap::new();
        for saga in lines.lines() {
            *counts.entry(saga.to_owned()).or_default() += 1;
        }
        Ok(Self { counted: Mutex::new((counts, file)) })
    }

    /// Whether a fault that strikes [`PASSING_STRIKES`] times strikes now.
    pub fn strikes(&self, saga: &str) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, file) = &mut *counted;
        let count = counts.entry(saga.to_owned()).or_default();
        if *count >= PASSING_STRIKES {
            return false;
        }
        *count += 1;
        // One short write, so that a kill leaves a whole line or none. If it fails, the fault may strike once more.
        let _ = file.write_all(format!("{saga}\n").as_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_survives_print_and_parse() {
        for &fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
            assert_eq!(serde_json::to_value(fault).expect("plain"), fault.as_str());
        }
        assert!(
            "meteor"
                .parse::<Fault>()
                .is_err_and(|e| e.contains("`meteor`") && e.contains("order-crash"))
        );
    }

    #[test]
    fn a_passing_fault_strikes_twice_per_saga_and_stays_over_after_a_restart() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("strikes");
        let strikes = Strikes::open(&path).expect("a new file");
        assert_eq!([1, 2, 3].map(|_| strikes.strikes("a")), [true, true, false]);
        assert!(strikes.strikes("b"));
        drop(strikes);
        let strikes = Strikes::open(&path).expect("the same file");
        assert_eq!(
            [strikes.strikes("a"), strikes.strikes("b"), strikes.strikes("b")],
            [false, true, false]
        );
    }

    #[test]
    fn the_readme_lists_every_fault_as_it_is() {
        let readme = include_str!("../README.md");
        for &fault in Fault::ALL {
            let row = format!("| `{fault}` | {} |", fault.explanation());
            assert!(readme.contains(&row), "the row is missing or outdated: {row}");
        }
    }
}
