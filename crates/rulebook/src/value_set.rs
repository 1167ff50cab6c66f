//! The set of values that a condition accepts, in a form that can be intersected and tested for emptiness exactly.
//! This is what makes overlap and contradiction decidable; it knows nothing of rules.

use crate::Number;
use crate::matcher::{Matcher, Scalar};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What a field of a report holds. JSON `null` counts as absent.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'a> {
    /// Nothing.
    Absent,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(&'a str),
    /// A list or an object: present, and equal to no scalar.
    Nested,
}

impl<'a> From<&'a Value> for Found<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Found::Absent,
            Value::Bool(b) => Found::Bool(*b),
            Value::Number(n) => Number::from_json(n).map_or(Found::Nested, Found::Number),
            Value::String(t) => Found::Text(t),
            Value::Array(_) | Value::Object(_) => Found::Nested,
        }
    }
}

/// A set over all that a field can hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueSet {
    absent: bool,
    nested: bool,
    yes: bool,
    no: bool,
    numbers: Numbers,
    texts: Texts,
}

#[derive(Clone, Debug, PartialEq)]
enum Numbers {
    /// Sorted, without doubles; empty means none.
    Only(Vec<Number>),
    /// Never empty: other numbers lie between, and a single point is written as `Only`.
    Between { low: Option<Bound>, high: Option<Bound>, except: Vec<Number> },
}

#[derive(Clone, Debug, PartialEq)]
struct Bound {
    at: Number,
    included: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Texts {
    /// Sorted, without doubles; empty means none.
    Only(Vec<Arc<str>>),
    /// Never empty: endlessly many texts have the prefix.
    Starting { prefix: Arc<str>, except: Vec<Arc<str>> },
}

impl ValueSet {
    /// Everything, absence included.
    pub(crate) fn all() -> Self {
        Self { absent: true, ..Self::present() }
    }

    fn present() -> Self {
        Self {
            absent: false,
            nested: true,
            yes: true,
            no: true,
            numbers: Numbers::Between { low: None, high: None, except: Vec::new() },
            texts: Texts::Starting { prefix: "".into(), except: Vec::new() },
        }
    }

    fn nothing() -> Self {
        Self {
            absent: false,
            nested: false,
            yes: false,
            no: false,
            numbers: Numbers::Only(Vec::new()),
            texts: Texts::Only(Vec::new()),
        }
    }

    /// Lists and objects alone.
    pub(crate) fn nested() -> Self {
        Self { nested: true, ..Self::nothing() }
    }

    /// What one matcher accepts.
    pub(crate) fn of(matcher: &Matcher) -> Self {
        let range = |low, high| Self {
            numbers: Numbers::Between { low, high, except: Vec::new() },
            ..Self::nothing()
        };
        let open = |at: &Number| Some(Bound { at: at.clone(), included: false });
        let closed = |at: &Number| Some(Bound { at: at.clone(), included: true });
        match matcher {
            Matcher::Equals(one) => Self::one_of(std::slice::from_ref(one)),
            Matcher::OneOf(many) => Self::one_of(many),
            Matcher::Not(one) => Self::all_but(one),
            Matcher::Prefix(prefix) => Self {
                texts: Texts::Starting { prefix: prefix.clone(), except: Vec::new() },
                ..Self::nothing()
            },
            Matcher::Gt(n) => range(open(n), None),
            Matcher::Gte(n) => range(closed(n), None),
            Matcher::Lt(n) => range(None, open(n)),
            Matcher::Lte(n) => range(None, closed(n)),
            Matcher::Present(true) => Self::present(),
            Matcher::Present(false) => Self { absent: true, ..Self::nothing() },
        }
    }

    fn one_of(many: &[Scalar]) -> Self {
        let mut set = Self::nothing();
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for one in many {
            match one {
                Scalar::Text(t) => texts.push(t.clone()),
                Scalar::Number(n) => numbers.push(n.clone()),
                Scalar::Bool(true) => set.yes = true,
                Scalar::Bool(false) => set.no = true,
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        texts.sort_unstable();
        texts.dedup();
        Self { numbers: Numbers::Only(numbers), texts: Texts::Only(texts), ..set }
    }

    fn all_but(one: &Scalar) -> Self {
        let mut set = Self::all();
        match one {
            Scalar::Text(t) => {
                set.texts = Texts::Starting { prefix: "".into(), except: vec![t.clone()] };
            }
            Scalar::Number(n) => {
                set.numbers = Numbers::Between { low: None, high: None, except: vec![n.clone()] };
            }
            Scalar::Bool(true) => set.yes = false,
            Scalar::Bool(false) => set.no = false,
        }
        set
    }

    /// What both accept.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            absent: self.absent && other.absent,
            nested: self.nested && other.nested,
            yes: self.yes && other.yes,
            no: self.no && other.no,
            numbers: self.numbers.and(&other.numbers),
            texts: self.texts.and(&other.texts),
        }
    }

    /// Whether nothing is accepted.
    pub(crate) fn is_empty(&self) -> bool {
        !(self.absent || self.nested || self.yes || self.no)
            && self.numbers == Numbers::Only(Vec::new())
            && self.texts == Texts::Only(Vec::new())
    }

    /// Whether a report without the field is accepted.
    #[must_use]
    pub fn accepts_absent(&self) -> bool {
        self.absent
    }

    /// Whether a value is accepted.
    #[must_use]
    pub fn contains(&self, found: Found<'_>) -> bool {
        match found {
            Found::Absent => self.absent,
            Found::Nested => self.nested,
            Found::Bool(true) => self.yes,
            Found::Bool(false) => self.no,
            Found::Number(n) => self.numbers.contains(&n),
            Found::Text(t) => self.texts.contains(t),
        }
    }

    /// Whether there are only so many accepted values, all of them scalars.
    pub(crate) fn can_be_listed(&self) -> bool {
        !self.absent
            && !self.nested
            && matches!((&self.numbers, &self.texts), (Numbers::Only(_), Texts::Only(_)))
    }

    /// Every accepted value, if they can be listed; this is what an index can hash.
    #[must_use]
    pub fn listed(&self) -> Option<Vec<Scalar>> {
        let (Numbers::Only(numbers), Texts::Only(texts)) = (&self.numbers, &self.texts) else {
            return None;
        };
        if self.absent || self.nested {
            return None;
        }
        let bools = [(true, self.yes), (false, self.no)];
        let bools =
            bools.into_iter().filter(|(_, accepted)| *accepted).map(|(b, _)| Scalar::Bool(b));
        let texts = texts.iter().cloned().map(Scalar::Text);
        Some(texts.chain(numbers.iter().cloned().map(Scalar::Number)).chain(bools).collect())
    }

    /// Whether it accepts a stretch of the number line, not just single numbers.
    #[must_use]
    pub fn is_stretch(&self) -> bool {
        matches!(self.numbers, Numbers::Between { .. })
    }

    /// How much work an intersection is, in values looked at.
    pub(crate) fn weight(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::Only(all) => all.len(),
            Numbers::Between { except, .. } => except.len(),
        };
        let texts = match &self.texts {
            Texts::Only(all) => all.len(),
            Texts::Starting { except, .. } => except.len(),
        };
        1 + numbers + texts
    }
}

impl Numbers {
    fn contains(&self, n: &Number) -> bool {
        match self {
            Self::Only(all) => all.binary_search(n).is_ok(),
            Self::Between { low, high, except } => {
                low.as_ref().is_none_or(|b| *n > b.at || (b.included && *n == b.at))
                    && high.as_ref().is_none_or(|b| *n < b.at || (b.included && *n == b.at))
                    && !except.contains(n)
            }
        }
    }

    fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(all), rest) | (rest, Self::Only(all)) => {
                Self::Only(all.iter().filter(|n| rest.contains(n)).cloned().collect())
            }
            (
                Self::Between { low: l1, high: h1, except: e1 },
                Self::Between { low: l2, high: h2, except: e2 },
            ) => {
                let low = tighter(l1.as_ref(), l2.as_ref(), |a, b| a > b);
                let high = tighter(h1.as_ref(), h2.as_ref(), |a, b| a < b);
                Self::between(low, high, e1.iter().chain(e2).cloned().collect())
            }
        }
    }

    fn between(low: Option<Bound>, high: Option<Bound>, mut except: Vec<Number>) -> Self {
        if let (Some(l), Some(h)) = (&low, &high)
            && l.at >= h.at
        {
            let point = l.at == h.at && l.included && h.included && !except.contains(&l.at);
            return Self::Only(if point { vec![l.at.clone()] } else { Vec::new() });
        }
        except.sort_unstable();
        except.dedup();
        Self::Between { low, high, except }
    }
}

/// The bound that leaves less; at one point, the one that excludes it.
fn tighter(
    a: Option<&Bound>,
    b: Option<&Bound>,
    inner: fn(&Number, &Number) -> bool,
) -> Option<Bound> {
    match (a, b) {
        (None, one) | (one, None) => one.cloned(),
        (Some(a), Some(b)) if a.at == b.at => {
            Some(Bound { at: a.at.clone(), included: a.included && b.included })
        }
        (Some(a), Some(b)) => Some(if inner(&a.at, &b.at) { a.clone() } else { b.clone() }),
    }
}

impl Texts {
    fn contains(&self, text: &str) -> bool {
        match self {
            Self::Only(all) => all.binary_search_by(|t| (**t).cmp(text)).is_ok(),
            Self::Starting { prefix, except } => {
                text.starts_with(&**prefix) && !except.iter().any(|t| &**t == text)
            }
        }
    }

    fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(all), rest) | (rest, Self::Only(all)) => {
                Self::Only(all.iter().filter(|t| rest.contains(t)).cloned().collect())
            }
            (
                Self::Starting { prefix: p1, except: e1 },
                Self::Starting { prefix: p2, except: e2 },
            ) => {
                let longer = if p1.len() >= p2.len() { p1 } else { p2 };
                if !(longer.starts_with(&**p1) && longer.starts_with(&**p2)) {
                    return Self::Only(Vec::new());
                }
                let mut except: Vec<_> = e1.iter().chain(e2).cloned().collect();
                except.sort_unstable();
                except.dedup();
                Self::Starting { prefix: longer.clone(), except }
            }
        }
    }
}

/// The values at which sets begin, end or make an exception. Between two neighbours nothing changes, so a few examples
/// around each of them stand for all values.
#[derive(Debug, Default)]
pub struct Landmarks {
    numbers: BTreeSet<Number>,
    texts: BTreeSet<Arc<str>>,
    prefixes: BTreeSet<Arc<str>>,
}

impl Landmarks {
    /// Adds those of one set.
    pub fn add(&mut self, set: &ValueSet) {
        match &set.numbers {
            Numbers::Only(all) => self.numbers.extend(all.iter().cloned()),
            Numbers::Between { low, high, except } => {
                self.numbers.extend(low.iter().chain(high).map(|b| b.at.clone()));
                self.numbers.extend(except.iter().cloned());
            }
        }
        match &set.texts {
            Texts::Only(all) => self.texts.extend(all.iter().cloned()),
            Texts::Starting { prefix, except } => {
                self.prefixes.insert(prefix.clone());
                self.texts.extend(except.iter().cloned());
            }
        }
    }

    /// Adds a text that is to be told from all others.
    pub fn add_text(&mut self, text: &str) {
        self.texts.insert(text.into());
    }

    /// One example of each kind of value that some set may tell from the others, and where the numbers stand among
    /// them, in ascending order. None is an absent field. What stands nowhere comes first.
    ///
    /// INVARIANT: every value that JSON can hold is of a kind that is here.
    #[must_use]
    pub fn kinds(&self) -> (Vec<Option<Value>>, Range<usize>) {
        let mut all = vec![None, Some(Value::from(self.other_text("")))];
        let longer = self.prefixes.iter().filter(|p| !p.is_empty());
        all.extend(longer.map(|p| Some(Value::from(self.other_text(p)))));
        let first_number = all.len();
        let mut low = None;
        for mark in &self.numbers {
            let between = Number::between(low, Some(mark));
            all.extend(between.iter().chain([mark]).map(|n| Some(n.to_json())));
            low = Some(mark);
        }
        all.extend(Number::between(low, None).map(|n| Some(n.to_json())));
        let numbers = first_number..all.len();
        all.extend([Some(true.into()), Some(false.into()), Some(Value::Array(Vec::new()))]);
        all.extend(self.texts.iter().map(|t| Some(Value::from(&**t))));
        (all, numbers)
    }

    /// The same and more: also the ends of what is accepted. What stands nowhere comes first.
    pub(crate) fn examples(&self) -> Vec<Option<Value>> {
        let (mut all, numbers) = self.kinds();
        let known = |v: &Option<Value>| {
            let number = v.as_ref().and_then(Value::as_number).and_then(Number::from_json);
            number.is_some_and(|n| self.numbers.contains(&n))
        };
        all[numbers].sort_by_key(known);
        all.extend(self.prefixes.iter().map(|p| Some(Value::from(&**p))));
        all
    }

    /// A text that begins with this prefix and with no longer one, and stands nowhere.
    fn other_text(&self, prefix: &str) -> String {
        let begins = |c: char| {
            let mut text = prefix.to_owned();
            text.push(c);
            self.prefixes.iter().any(|p| p.starts_with(&text))
        };
        let letters = ('o'..='o').chain('a'..='z').chain('0'..='9').chain('\u{a1}'..=char::MAX);
        // There are fewer prefixes than letters.
        let letter = letters.into_iter().find(|c| !begins(*c)).unwrap_or(char::MAX);
        let mut text = prefix.to_owned();
        match letter {
            'o' => text.push_str("other"),
            other => text.push(other),
        }
        while self.texts.contains(text.as_str()) {
            text.push('-');
        }
        text
    }
}
