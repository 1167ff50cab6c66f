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

impl From<i64> for Number {
    fn from(value: i64) -> Self {
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
        assert_eq!(Number::from(1), n(1.0));
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
            Number::from(-1),
            n(0.25),
            Number::from(1),
            n(1.5),
            Number::from(i64::MAX),
            n(1e300),
        ];
        for pair in ascending.windows(2) {
            assert!(pair[0] < pair[1], "{} < {}", pair[0], pair[1]);
            assert!(pair[1] > pair[0], "{} > {}", pair[1], pair[0]);
        }
    }
}
