//! Numbers of conditions and of reports, compared exactly as decimals: 1 equals 1.0, and no digit is rounded on the way.

use amends_protocol::number_fits;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A decimal number in one form, so that equal numbers are equal and hash alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(Repr);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Repr {
    /// Every whole number of at most `WHOLE_DIGITS` digits, and no other.
    Whole(i128),
    Decimal(Arc<Decimal>),
}

/// `digits` times ten to the power of `scale`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Decimal {
    negative: bool,
    /// Neither the first nor the last one is a zero.
    digits: String,
    scale: i64,
}

/// So many digits always fit into 128 bits.
const WHOLE_DIGITS: i64 = 38;

/// Written with an exponent, so that a text stays short, if there would be more zeros than this.
const SHOWN_ZEROS: i64 = 20;

impl Number {
    /// Whether nothing stands behind its point.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Repr::Whole(_) => true,
            Repr::Decimal(decimal) => decimal.scale >= 0,
        }
    }

    /// From decimal digits, perhaps with a sign, a point and an exponent, as JSON and YAML write them; none if it is
    /// something else, or beyond what business data may hold.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let any = !(whole.is_empty() && fraction.is_empty());
        if !any || !all_digits(whole) || !all_digits(fraction) || !number_fits(text.len(), exponent)
        {
            return None;
        }
        if fraction.is_empty() && exponent == 0 && whole.len() <= WHOLE_DIGITS as usize {
            let n: i128 = whole.parse().ok()?;
            return Some(Self(Repr::Whole(if negative { -n } else { n })));
        }
        let digits = format!("{whole}{fraction}");
        Some(Self::new(negative, &digits, exponent - fraction.len() as i64))
    }

    /// From what JSON holds; none if it is beyond what business data may hold.
    #[must_use]
    pub fn from_json(value: &serde_json::Number) -> Option<Self> {
        Self::parse(value.as_str())
    }

    /// Back to JSON, for templates.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::from_str(&self.to_string()).unwrap_or_default()
    }

    fn new(negative: bool, digits: &str, scale: i64) -> Self {
        let shorter = digits.trim_end_matches('0');
        let scale = scale + (digits.len() - shorter.len()) as i64;
        let digits = shorter.trim_start_matches('0');
        if digits.is_empty() {
            return Self(Repr::Whole(0));
        }
        if scale >= 0 && digits.len() as i64 + scale <= WHOLE_DIGITS {
            let unsigned = digits.bytes().fold(0, |n, digit| n * 10 + i128::from(digit - b'0'));
            let unsigned = unsigned * 10i128.pow(scale as u32);
            return Self(Repr::Whole(if negative { -unsigned } else { unsigned }));
        }
        Self(Repr::Decimal(Arc::new(Decimal { negative, digits: digits.to_owned(), scale })))
    }

    fn negated(&self) -> Self {
        Self(match &self.0 {
            Repr::Whole(n) => Repr::Whole(-n),
            Repr::Decimal(d) => Repr::Decimal(Arc::new(Decimal {
                negative: !d.negative,
                digits: d.digits.clone(),
                scale: d.scale,
            })),
        })
    }

    fn is_negative(&self) -> bool {
        match &self.0 {
            Repr::Whole(n) => *n < 0,
            Repr::Decimal(d) => d.negative,
        }
    }

    /// Digits and scale of its magnitude; whole numbers keep their last zeros.
    fn magnitude(&self) -> (String, i64) {
        match &self.0 {
            Repr::Whole(n) => (n.unsigned_abs().to_string(), 0),
            Repr::Decimal(d) => (d.digits.clone(), d.scale),
        }
    }
}

impl Number {
    /// A number that lies strictly between the two, a short one if there is any. None: the two are in the wrong order.
    pub(crate) fn between(low: Option<&Self>, high: Option<&Self>) -> Option<Self> {
        let fits = |n: &Self| low.is_none_or(|l| l < n) && high.is_none_or(|h| n < h);
        let middle = match (low, high) {
            (None, None) => Some(Self::whole(0)),
            (Some(l), None) => Some(l.beyond()),
            (None, Some(h)) => Some(h.negated().beyond().negated()),
            (Some(l), Some(h)) => Some(Self::whole(l.floor() / 2 + h.floor() / 2)),
        };
        let next_whole = low.and_then(|l| l.floor().checked_add(1)).map(Self::whole);
        let halfway = low.zip(high).and_then(|(l, h)| {
            let middle = l.nearest() / 2.0 + h.nearest() / 2.0;
            Self::parse(&format!("{middle:e}"))
        });
        let close = || low.zip(high).and_then(|(l, h)| (l < h).then(|| l.just_above(h)));
        [middle, next_whole, halfway].into_iter().flatten().find(fits).or_else(close)
    }

    /// A larger one: the next whole one as long as that is short.
    fn beyond(&self) -> Self {
        match &self.0 {
            Repr::Decimal(d) if d.digits.len() as i64 + d.scale < WHOLE_DIGITS => {
                Self::whole(self.floor() + 1)
            }
            Repr::Whole(n) => Self::whole(n + 1),
            Repr::Decimal(d) if d.negative => Self::whole(0),
            Repr::Decimal(d) => Self::new(false, "1", d.scale + d.digits.len() as i64),
        }
    }

    fn whole(n: i128) -> Self {
        Self::new(n < 0, &n.unsigned_abs().to_string(), 0)
    }

    /// Above `self` and below `high`, however close they are. Only of two of one sign: nothing is simpler than zero.
    fn just_above(&self, high: &Self) -> Self {
        if self.is_negative() {
            return high.negated().just_above(&self.negated()).negated();
        }
        // Both are multiples of the finer one's last place, so half of such a place lies between.
        let (digits, scale) = self.magnitude();
        let finer = scale.min(high.magnitude().1);
        let padding = "0".repeat(usize::try_from(scale - finer).unwrap_or(0));
        Self::new(false, &format!("{digits}{padding}5"), finer - 1)
    }

    /// The largest whole number that isn't above; saturates far beyond every short one.
    fn floor(&self) -> i128 {
        let d = match &self.0 {
            Repr::Whole(n) => return *n,
            Repr::Decimal(d) => d,
        };
        let length = d.digits.len() as i64 + d.scale;
        if length > WHOLE_DIGITS {
            return if d.negative { i128::MIN / 2 } else { i128::MAX / 2 };
        }
        // It has a fraction, or it would be kept as a whole number.
        let whole = &d.digits[..usize::try_from(length).unwrap_or(0)];
        let n: i128 = whole.parse().unwrap_or(0);
        if d.negative { -n - 1 } else { n }
    }

    /// The nearest float, for guesses that are compared exactly.
    fn nearest(&self) -> f64 {
        self.to_string().parse().unwrap_or_default()
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
        if let (Repr::Whole(a), Repr::Whole(b)) = (&self.0, &other.0) {
            return a.cmp(b);
        }
        match (self.is_negative(), other.is_negative()) {
            (false, false) => larger(self, other),
            (true, true) => larger(other, self),
            (negative, _) => {
                if negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        }
    }
}

/// Compares without their signs.
fn larger(a: &Number, b: &Number) -> Ordering {
    let ((a, a_scale), (b, b_scale)) = (a.magnitude(), b.magnitude());
    // Zero is the only one that begins with a zero, and smaller than all others.
    let zeros = (a != "0").cmp(&(b != "0"));
    let lengths = (a.len() as i64 + a_scale).cmp(&(b.len() as i64 + b_scale));
    // Behind its last digit each has zeros without an end.
    let digits = a.trim_end_matches('0').cmp(b.trim_end_matches('0'));
    zeros.then(lengths).then(digits)
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = match &self.0 {
            Repr::Whole(n) => return write!(f, "{n}"),
            Repr::Decimal(d) => d,
        };
        f.write_str(if d.negative { "-" } else { "" })?;
        let (digits, point) = (&d.digits, d.digits.len() as i64 + d.scale);
        let zeros = if d.scale > 0 { d.scale } else { -point };
        if zeros > SHOWN_ZEROS {
            return write!(f, "{digits}e{}", d.scale);
        }
        let zeros = "0".repeat(usize::try_from(zeros).unwrap_or(0));
        match usize::try_from(point) {
            _ if d.scale >= 0 => write!(f, "{digits}{zeros}"),
            Ok(point) if point > 0 => write!(f, "{}.{}", &digits[..point], &digits[point..]),
            _ => write!(f, "0.{zeros}{digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn n(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    #[test]
    fn one_number_has_one_form() {
        for (one, other) in [
            ("1", "1.0"),
            ("-0.0", "0"),
            ("100", "1e2"),
            ("1e300", "10.0E+299"),
            ("0.00150", "15e-4"),
            ("+3", "3."),
            (".5", "0.5"),
            ("98765432109876543210987654", "98765432109876543210987.654e3"),
            (
                "0012345678901234567890123456789012345678901",
                "12345678901234567890123456789012345678901.0",
            ),
        ] {
            assert_eq!(n(one), n(other), "{one} {other}");
            assert_eq!(n(&n(one).to_string()), n(one), "{one} as {}", n(one));
        }
        assert_eq!(Number::from(u64::MAX), n(&u64::MAX.to_string()));
    }

    #[test]
    fn what_is_no_number_or_beyond_business_data_is_none() {
        for text in ["", "-", ".", "e3", "1e", "1e400", "1.2.3", "0x1", "inf", "NaN", "1 ", "٣"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse(&"9".repeat(1_001)), None);
    }

    #[test]
    fn numbers_are_shown_as_json_that_means_the_same() {
        for (number, shown) in [
            ("1.50", "1.5"),
            ("-0.0025", "-0.0025"),
            ("1e300", "1e300"),
            ("25e-100", "25e-100"),
            ("123456789012345.123456", "123456789012345.123456"),
            ("1000000000000000000000000000000000000000", "1e39"),
        ] {
            assert_eq!(n(number).to_string(), shown);
            assert_eq!(n(&n(number).to_json().to_string()), n(number));
        }
    }

    #[test]
    fn order_is_that_of_the_number_line() {
        let ascending = [
            "-1e300",
            "-98765432109876543210987654321098765432109",
            "-1.5",
            "-1",
            "-1e-300",
            "0",
            "1e-300",
            "0.1",
            "0.1000000000000000055511151231257827021181583404541015625",
            "0.25",
            "1",
            "1.5",
            "10",
            "10.5",
            "123456789012345.123456",
            "123456789012345.123457",
            "9223372036854775807",
            "18446744073709551615",
            "98765432109876543210987653",
            "98765432109876543210987654",
            "98765432109876543210987654321098765432109",
            "98765432109876543210987654321098765432109.5",
            "1e300",
        ];
        for (at, low) in ascending.iter().enumerate() {
            for high in &ascending[at + 1..] {
                assert!(n(low) < n(high) && n(high) > n(low), "{low} < {high}");
            }
        }
    }

    #[test]
    fn what_lies_between_two_numbers_is_short_if_it_can_be() {
        for (low, high, found) in [
            ("50", "101", "75"),
            ("1", "2", "1.5"),
            ("0.25", "0.5", "0.375"),
            ("-7", "-6", "-6.5"),
            ("9007199254740992", "9007199254740994", "9007199254740993"),
            ("9007199254740992", "9007199254740993", "9007199254740992.5"),
            ("-18446744073709551615", "-18446744073709551614", "-18446744073709551614.5"),
            ("1.5", "1.50000000000000000000000001", "1.500000000000000000000000005"),
        ] {
            let between = Number::between(Some(&n(low)), Some(&n(high)));
            assert_eq!(between, Some(n(found)), "{low} to {high}");
        }
    }

    #[test]
    fn there_is_always_a_number_between_above_and_below() {
        let all = [
            "-1e308", "-1e40", "-7", "-1e-300", "0", "1e-300", "0.5", "3", "1e38", "1e40", "9e308",
        ];
        for (at, low) in all.iter().enumerate() {
            for high in &all[at + 1..] {
                let (low, high) = (n(low), n(high));
                let between = Number::between(Some(&low), Some(&high)).expect("one between");
                assert!(low < between && between < high, "{low} < {between} < {high}");
                assert_eq!(Number::between(Some(&high), Some(&low)), None);
            }
            let here = n(low);
            let (above, below) =
                (Number::between(Some(&here), None), Number::between(None, Some(&here)));
            assert!(above.is_some_and(|x| x > here) && below.is_some_and(|x| x < here), "{low}");
            assert_eq!(Number::between(Some(&here), Some(&here)), None);
        }
    }
}
