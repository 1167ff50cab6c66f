//! Tests of one value. Data, not code, so that what two of them accept can be compared exactly.

use crate::Number;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

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
