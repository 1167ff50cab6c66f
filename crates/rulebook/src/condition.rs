//! Conditions: a field of the report and what it must hold. Data, not code, so that two of them can be compared exactly.

use crate::matcher::Matcher;
use crate::value_set::{Found, ValueSet};
use crate::{Facts, Span};
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
    /// The action with which the saga began.
    Entry,
    /// The action that called the one that failed.
    Caller,
    /// A business field, by its path into nested objects.
    Data(Vec<Arc<str>>),
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
            Self::Entry => text(facts.entry),
            Self::Caller => text(facts.caller),
            Self::Data(path) => self::find(path, facts).map_or(Found::Absent, Found::from),
        }
    }

    /// What the report holds there, as a person reads it.
    pub(crate) fn show(&self, facts: &Facts<'_>) -> Option<String> {
        match self {
            Self::Action => facts.action.map(str::to_owned),
            Self::Message => facts.message.map(str::to_owned),
            Self::Entry => facts.entry.map(str::to_owned),
            Self::Caller => facts.caller.map(str::to_owned),
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
            Self::Entry => f.write_str("entry"),
            Self::Caller => f.write_str("caller"),
            Self::Data(path) => {
                f.write_str("data")?;
                path.iter().try_for_each(|part| write!(f, ".{part}"))
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
