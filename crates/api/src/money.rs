//! Amounts of money, exactly: no float, and no sum across currencies.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Digits in front of the point, and behind it, at most: more than any currency has, and sums of millions still fit.
const DIGITS: usize = 18;

/// A decimal number, with as many places behind its point as it came with.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    units: i128,
    places: u8,
}

/// A text that is no amount, or one beyond all bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAmount;

impl fmt::Display for NoAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not an amount: write digits with a point, e.g. 1204.50, at most {DIGITS} before and behind it"
        )
    }
}

impl std::error::Error for NoAmount {}

impl FromStr for Amount {
    type Err = NoAmount;

    /// As JSON writes numbers.
    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| NoAmount)?)
            }
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let is_number = !whole.is_empty() && all_digits(whole) && all_digits(fraction);
        if !is_number || mantissa.ends_with('.') || mantissa.len() > 4 * DIGITS {
            return Err(NoAmount);
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let scale = fraction.len() as i32 - exponent;
        let most = 2 * DIGITS as i32;
        if digits.len() > 2 * DIGITS || !(-most..=most).contains(&scale) {
            return Err(NoAmount);
        }
        let mut units: i128 =
            if digits.is_empty() { 0 } else { digits.parse().map_err(|_| NoAmount)? };
        let mut places = scale;
        // Zeros at the end beyond the bound say nothing.
        while places > DIGITS as i32 && units % 10 == 0 {
            (units, places) = (units / 10, places - 1);
        }
        if places < 0 {
            let power = 10_i128.pow(places.unsigned_abs());
            (units, places) = (units.checked_mul(power).ok_or(NoAmount)?, 0);
        }
        let places = u8::try_from(places).ok().filter(|p| usize::from(*p) <= DIGITS);
        let amount =
            Self { units: if negative { -units } else { units }, places: places.ok_or(NoAmount)? };
        if amount.units.unsigned_abs() / 10_u128.pow(amount.places.into())
            >= 10_u128.pow(DIGITS as u32)
        {
            return Err(NoAmount);
        }
        Ok(amount)
    }
}

impl Amount {
    /// In units of the smallest place that there is.
    fn aligned(self) -> i128 {
        self.units * 10_i128.pow(DIGITS as u32 - u32::from(self.places))
    }

    /// The exact sum; none beyond all bounds.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let scaled = |one: Self| one.units.checked_mul(10_i128.pow(u32::from(places - one.places)));
        let units = scaled(self)?.checked_add(scaled(other)?)?;
        let whole = units.unsigned_abs() / 10_u128.pow(places.into());
        (whole < 10_u128.pow(DIGITS as u32)).then_some(Self { units, places })
    }

    /// A text that sorts as the number does, of the same length for all.
    #[must_use]
    pub fn sort_key(self) -> String {
        let aligned = self.aligned();
        match aligned < 0 {
            true => format!("0{:036}", 10_i128.pow(36) + aligned),
            false => format!("1{aligned:036}"),
        }
    }

    /// For people: `1,204.50`.
    #[must_use]
    pub fn shown(self) -> String {
        let text = self.to_string();
        let (sign, text) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text.as_str()),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let mut out = sign.to_owned();
        for (n, digit) in whole.chars().enumerate() {
            if n > 0 && (whole.len() - n).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
            // Nobody writes half a cent's zero: `12.5` is `12.50`.
            out.push_str(if fraction.len() == 1 { "0" } else { "" });
        }
        out
    }
}

impl fmt::Display for Amount {
    /// As JSON writes numbers, without an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, digits) =
            (if self.units < 0 { "-" } else { "" }, self.units.unsigned_abs().to_string());
        let places = usize::from(self.places);
        if places == 0 {
            return write!(f, "{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        self.aligned().cmp(&other.aligned())
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount of one currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Money {
    /// The currency: a code of ISO 4217, or another name of capitals and digits.
    #[cfg_attr(feature = "openapi", schema(example = "EUR"))]
    pub currency: String,
    /// How much, as a decimal text: exact, with as many places as it was told with.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "1204.50"))]
    pub amount: Amount,
}

impl fmt::Display for Money {
    /// For people: `1,204.50 EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount.shown(), self.currency)
    }
}

/// Sums by currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    sums: BTreeMap<String, Amount>,
    /// Cases of which an amount is known.
    with: u64,
    without: u64,
}

impl Totals {
    /// Adds what one case is about, perhaps nothing.
    pub fn add(&mut self, amounts: &[Money]) {
        let mut sums = self.sums.clone();
        let added = amounts.iter().try_for_each(|money| {
            let before = sums.get(&money.currency).copied();
            let sum = before.map_or(Some(money.amount), |before| before.plus(money.amount))?;
            sums.insert(money.currency.clone(), sum);
            Some(())
        });
        match added.filter(|()| !amounts.is_empty()) {
            Some(()) => (self.sums, self.with) = (sums, self.with + 1),
            None => self.without += 1,
        }
    }

    /// Adds what other cases are about. Beyond all bounds they are in no sum.
    pub fn add_all(&mut self, other: &Self) {
        let mut sums = self.sums.clone();
        let added = other.sums.iter().try_for_each(|(currency, amount)| {
            let before = sums.get(currency).copied();
            let sum = before.map_or(Some(*amount), |before| before.plus(*amount))?;
            sums.insert(currency.clone(), sum);
            Some(())
        });
        match added {
            Some(()) => (self.sums, self.with) = (sums, self.with + other.with),
            None => self.without += other.with,
        }
        self.without += other.without;
    }

    /// The sum of each currency, by name.
    #[must_use]
    pub fn amounts(&self) -> Vec<Money> {
        let money = |(currency, amount): (&String, &Amount)| Money {
            currency: currency.clone(),
            amount: *amount,
        };
        self.sums.iter().map(money).collect()
    }

    /// Cases that are in no sum; none while there is no sum at all.
    #[must_use]
    pub fn without(&self) -> u64 {
        if self.sums.is_empty() { 0 } else { self.without }
    }
}

/// Amounts in one line: `1,204.50 EUR and 30 USD`; empty if there are none.
#[must_use]
pub fn amounts_in_words(amounts: &[Money]) -> String {
    let all: Vec<String> = amounts.iter().map(ToString::to_string).collect();
    match all.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// The same of several cases: `1,204.50 EUR in 12 cases, 3 without an amount`.
#[must_use]
pub fn totals_in_words(amounts: &[Money], cases: u64, without: u64) -> String {
    if amounts.is_empty() {
        return String::new();
    }
    let noun = if cases == 1 { "case" } else { "cases" };
    let rest = match without {
        0 => String::new(),
        n => format!(", {n} without an amount"),
    };
    format!("{} in {cases} {noun}{rest}", amounts_in_words(amounts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap_or_else(|_| panic!("{text} is an amount"))
    }

    fn money(amount_text: &str, currency: &str) -> Money {
        Money { amount: amount(amount_text), currency: currency.to_owned() }
    }

    #[test]
    fn amounts_are_read_as_json_writes_numbers_and_keep_their_places() {
        for (text, same) in [
            ("12.50", "12.50"),
            ("0", "0"),
            ("-0.05", "-0.05"),
            ("1e3", "1000"),
            ("1.5E2", "150"),
            ("25e-1", "2.5"),
            ("007.10", "7.10"),
            ("999999999999999999", "999999999999999999"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("1.0000000000000000000", "1.000000000000000000"),
        ] {
            assert_eq!(amount(text).to_string(), same, "{text}");
        }
        for text in [
            "",
            "-",
            ".5",
            "5.",
            "1,5",
            "1e",
            "1e400",
            "0x1",
            "NaN",
            "1000000000000000000",
            "1e-19",
            "12 ",
        ] {
            assert_eq!(text.parse::<Amount>(), Err(NoAmount), "{text}");
        }
    }

    #[test]
    fn order_equality_and_sort_keys_agree() {
        let ascending = [
            "-999999999999999999",
            "-12.51",
            "-12.5",
            "-0.000000000000000001",
            "0",
            "0.1",
            "0.10000001",
            "2",
            "10",
            "999999999999999999.5",
        ];
        for (n, low) in ascending.iter().enumerate() {
            for high in &ascending[n + 1..] {
                assert!(amount(low) < amount(high), "{low} {high}");
                assert!(amount(low).sort_key() < amount(high).sort_key(), "{low} {high}");
            }
        }
        assert_eq!(amount("12.5"), amount("12.500"));
        assert_eq!(amount("12.5").sort_key(), amount("12.500").sort_key());
    }

    #[test]
    fn sums_are_exact_and_never_across_currencies() {
        let mut totals = Totals::default();
        for _ in 0..10 {
            totals.add(&[money("0.1", "EUR")]);
        }
        totals.add(&[money("0.2", "EUR"), money("30", "USD")]);
        totals.add(&[]);
        assert_eq!(totals.amounts(), [money("1.2", "EUR"), money("30", "USD")]);
        assert_eq!(totals.without(), 1);
        let words = totals_in_words(&totals.amounts(), 12, totals.without());
        assert_eq!(words, "1.20 EUR and 30 USD in 12 cases, 1 without an amount");
    }

    #[test]
    fn what_no_sum_can_hold_is_left_out_whole() {
        let mut totals = Totals::default();
        totals.add(&[money("999999999999999999", "EUR")]);
        totals.add(&[money("1", "CHF"), money("1", "EUR")]);
        assert_eq!(totals.amounts(), [money("999999999999999999", "EUR")]);
        assert_eq!(totals.without(), 1);
    }

    #[test]
    fn people_read_thousands_in_groups() {
        for (text, shown) in [
            ("1204.5", "1,204.50"),
            ("1234567", "1,234,567"),
            ("-999.999", "-999.999"),
            ("100", "100"),
        ] {
            assert_eq!(amount(text).shown(), shown);
        }
    }
}
