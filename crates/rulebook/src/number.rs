//! Numbers of conditions and of reports, compared exactly: 1 equals 1.0, and no integer is rounded on the way.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A finite JSON number in one form: whole numbers are kept whole, so that equal numbers are equal and hash alike.
#[derive(Clone, Copy, Debug)]
pub struct Number(Repr);

#[derive(Clone, Copy, Debug)]
enum Repr {
    Whole(i128),
    /// Finite, and not whole or beyond `WHOLE_LIMIT`.
    Other(f64),
}

/// Whole floats up to here are kept as integers; `2^100` fits `i128` with room, and every float below it converts exactly.
const WHOLE_LIMIT: f64 = 1_267_650_600_228_229_401_496_703_205_376.0;

impl Number {
    /// From a float; none if it is infinite or not a number.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let whole = value.fract() == 0.0 && value.abs() < WHOLE_LIMIT;
        #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^100")]
        Some(Self(if whole { Repr::Whole(value as i128) } else { Repr::Other(value) }))
    }

    /// From what JSON holds.
    #[must_use]
    pub fn from_json(value: &serde_json::Number) -> Option<Self> {
        let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        match whole {
            Some(n) => Some(Self(Repr::Whole(n))),
            None => value.as_f64().and_then(Self::from_f64),
        }
    }

    /// Back to JSON, for templates; beyond 64 bits it becomes a float.
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        match self.0 {
            Repr::Whole(n) => match (i64::try_from(n), u64::try_from(n)) {
                (Ok(n), _) => n.into(),
                (_, Ok(n)) => n.into(),
                #[allow(clippy::cast_precision_loss, reason = "JSON has nothing wider")]
                _ => (n as f64).into(),
            },
            Repr::Other(x) => x.into(),
        }
    }
}

impl Number {
    /// A number that JSON can hold and that lies strictly between the two, a whole one if there is any. None means that
    /// there is none: beyond 2^53 the next one is not always one further.
    pub(crate) fn between(low: Option<Self>, high: Option<Self>) -> Option<Self> {
        let fits = |n: &Self| low.is_none_or(|l| l < *n) && high.is_none_or(|h| *n < h);
        let whole = |n: i128| Self(Repr::Whole(n));
        let middle = match (low, high) {
            (None, None) => Some(whole(0)),
            (Some(l), None) => l.floor().checked_add(1).map(whole),
            (None, Some(h)) => h.floor().checked_sub(1).map(whole),
            (Some(l), Some(h)) => Some(whole((l.floor() / 2) + (h.floor() / 2))),
        };
        let next_whole = low.and_then(|l| l.floor().checked_add(1)).map(whole);
        // The smallest float above the one, and the largest below the other.
        let up = low.map(Self::as_f64);
        let down = high.map(Self::as_f64);
        let halfway = up.zip(down).map(|(l, h)| l / 2.0 + h / 2.0);
        let floats = [halfway, up, up.map(f64::next_up), down, down.map(f64::next_down)];
        let floats = floats.into_iter().flatten().filter_map(Self::from_f64);
        [middle, next_whole].into_iter().flatten().filter(Self::is_json).chain(floats).find(fits)
    }

    /// Whether it can stand in JSON as it is.
    fn is_json(&self) -> bool {
        match self.0 {
            Repr::Whole(n) => i64::try_from(n).is_ok() || u64::try_from(n).is_ok(),
            Repr::Other(_) => true,
        }
    }

    /// Saturates far beyond every whole number.
    fn floor(self) -> i128 {
        match self.0 {
            Repr::Whole(n) => n,
            #[allow(clippy::cast_possible_truncation, reason = "saturates")]
            Repr::Other(x) => x.floor() as i128,
        }
    }

    /// The nearest float.
    fn as_f64(self) -> f64 {
        match self.0 {
            #[allow(clippy::cast_precision_loss, reason = "the nearest one is asked for")]
            Repr::Whole(n) => n as f64,
            Repr::Other(x) => x,
        }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(Repr::Whole(value.into()))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(Repr::Whole(value.into()))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Repr::Whole(a), Repr::Whole(b)) => a.cmp(&b),
            (Repr::Other(a), Repr::Other(b)) => a.total_cmp(&b),
            (Repr::Whole(a), Repr::Other(b)) => whole_to_other(a, b),
            (Repr::Other(a), Repr::Whole(b)) => whole_to_other(b, a).reverse(),
        }
    }
}

/// A whole number is never equal to one of the other kind. The float's whole part saturates, which keeps the order
/// because every whole number here is well within `i128`.
fn whole_to_other(whole: i128, other: f64) -> Ordering {
    #[allow(clippy::cast_possible_truncation, reason = "saturates, see above")]
    let floor = other.floor() as i128;
    if whole <= floor { Ordering::Less } else { Ordering::Greater }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Repr::Whole(n) => n.hash(state),
            Repr::Other(x) => x.to_bits().hash(state),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Whole(n) => write!(f, "{n}"),
            Repr::Other(x) => write!(f, "{x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn n(x: f64) -> Number {
        Number::from_f64(x).expect("finite")
    }

    #[test]
    fn whole_and_float_forms_of_one_number_are_one_number() {
        assert_eq!(Number::from(1i64), n(1.0));
        assert_eq!(n(-0.0), n(0.0));
        assert_eq!(
            Number::from_json(&serde_json::Number::from(u64::MAX)).map(|n| n.to_string()),
            Some(u64::MAX.to_string())
        );
        assert!(Number::from_f64(f64::NAN).is_none() && Number::from_f64(f64::INFINITY).is_none());
    }

    #[test]
    fn order_holds_across_the_two_forms() {
        let ascending = [
            n(-1e300),
            n(-1.5),
            Number::from(-1i64),
            n(0.25),
            Number::from(1i64),
            n(1.5),
            Number::from(i64::MAX),
            Number::from(u64::MAX),
            n(1e300),
        ];
        for pair in ascending.windows(2) {
            assert!(pair[0] < pair[1], "{} < {}", pair[0], pair[1]);
            assert!(pair[1] > pair[0], "{} > {}", pair[1], pair[0]);
        }
    }

    #[test]
    fn what_lies_between_two_numbers_is_exact() {
        let whole = |x: u64| Number::from(x);
        let between = |a: Number, b: Number| Number::between(Some(a), Some(b));
        const BIG: u64 = 1 << 53;
        for (low, high, found) in [
            (whole(50), whole(101), Some(whole(75))),
            (whole(1), whole(2), Some(n(1.5))),
            (n(0.25), n(0.5), Some(n(0.375))),
            (whole(BIG), whole(BIG + 2), Some(whole(BIG + 1))),
            // No JSON number lies between these.
            (whole(BIG), whole(BIG + 1), None),
            (whole(u64::MAX - 1), whole(u64::MAX), None),
            (n(1.5), n(1.5f64.next_up()), None),
            (Number::from(-7i64), Number::from(-6i64), Some(n(-6.5))),
        ] {
            assert_eq!(between(low, high), found, "{low} to {high}");
        }
        assert_eq!(Number::between(Some(whole(BIG)), None), Some(whole(BIG + 1)));
        assert!(Number::between(Some(whole(u64::MAX)), None).is_some_and(|x| x > whole(u64::MAX)));
        assert!(Number::between(Some(n(f64::MAX)), None).is_none());
        assert_eq!(Number::between(None, Some(n(0.5))), Some(Number::from(-1i64)));
    }
}
