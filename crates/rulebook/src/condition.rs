//! Conditions: a field of the report and what it must hold. Data, not code, so that two of them can be compared exactly.

use crate::value_set::{Found, ValueSet};
use crate::{Facts, Number, Span};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The action that failed.
    Action,
    /// The report's message.
    Message,
    /// A business field, by its path into nested objects.
    Data(Vec<Arc<str>>),
}

/// A value that a report's field can equal. Texts and numbers are never equal to each other; 1 and 1.0 are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// Text.
    Text(Arc<str>),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
}

/// One test of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// It is this.
    Equals(Scalar),
    /// It is one of these.
    OneOf(Vec<Scalar>),
    /// It is anything but this; an absent field is accepted too.
    Not(Scalar),
    /// It is a text that begins so.
    Prefix(Arc<str>),
    /// It is a number above this.
    Gt(Number),
    /// It is this number or one above.
    Gte(Number),
    /// It is a number below this.
    Lt(Number),
    /// It is this number or one below.
    Lte(Number),
    /// It is there (and not `null`), or it isn't.
    Present(bool),
}

/// One field and all the tests that it must pass.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is looked at.
    pub field: Field,
    /// What must hold, all of it.
    pub matchers: Vec<Matcher>,
    /// The field's name in the source.
    pub span: Span,
    /// What the matchers accept together.
    pub(crate) accepts: ValueSet,
}

impl Condition {
    /// Puts the tests together.
    #[must_use]
    pub fn new(field: Field, matchers: Vec<Matcher>, span: Span) -> Self {
        let accepts = matchers.iter().fold(ValueSet::all(), |set, m| set.and(&ValueSet::of(m)));
        Self { field, matchers, span, accepts }
    }

    /// What the tests accept together.
    #[must_use]
    pub fn accepts(&self) -> &ValueSet {
        &self.accepts
    }

    /// Whether the report's field passes every test.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.accepts.contains(self.field.find(facts))
    }
}

impl Field {
    /// What the report holds there.
    pub(crate) fn find<'a>(&self, facts: &Facts<'a>) -> Found<'a> {
        let text = |t: Option<&'a str>| t.map_or(Found::Absent, Found::Text);
        match self {
            Self::Action => text(facts.action),
            Self::Message => text(facts.message),
            Self::Data(path) => self::find(path, facts).map_or(Found::Absent, Found::from),
        }
    }

    /// What the report holds there, as a person reads it.
    pub(crate) fn show(&self, facts: &Facts<'_>) -> Option<String> {
        match self {
            Self::Action => facts.action.map(str::to_owned),
            Self::Message => facts.message.map(str::to_owned),
            Self::Data(path) => find(path, facts).filter(|v| !v.is_null()).map(Value::to_string),
        }
    }

    /// Whether `other` lies inside the object that this field names.
    #[must_use]
    pub fn encloses(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Data(a), Self::Data(b)) => a.len() < b.len() && b.starts_with(a),
            _ => false,
        }
    }
}

fn find<'a>(path: &[Arc<str>], facts: &Facts<'a>) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(facts.data.get(&**first)?, |at, key| at.as_object()?.get(&**key))
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action => f.write_str("action"),
            Self::Message => f.write_str("message"),
            Self::Data(path) => {
                f.write_str("data")?;
                path.iter().try_for_each(|part| write!(f, ".{part}"))
            }
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(t) => write!(f, "{}", Value::from(&**t)),
            Self::Number(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(s) => write!(f, "= {s}"),
            Self::Not(s) => write!(f, "not {s}"),
            Self::Prefix(p) => write!(f, "begins with {}", Value::from(&**p)),
            Self::Gt(n) => write!(f, "> {n}"),
            Self::Gte(n) => write!(f, ">= {n}"),
            Self::Lt(n) => write!(f, "< {n}"),
            Self::Lte(n) => write!(f, "<= {n}"),
            Self::Present(true) => f.write_str("present"),
            Self::Present(false) => f.write_str("absent"),
            Self::OneOf(all) => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                write!(f, "one of {}", all.join(", "))
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.wanted())
    }
}

impl Condition {
    /// The tests without the field's name, e.g. `>= 10 and < 100`.
    pub(crate) fn wanted(&self) -> String {
        let all: Vec<_> = self.matchers.iter().map(ToString::to_string).collect();
        all.join(" and ")
    }
}
