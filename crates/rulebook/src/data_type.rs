//! Types of the business fields that reports carry: what a condition on one can sensibly compare.

use crate::{Matcher, Scalar};

/// What a business field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// Fields of its own.
    Object,
    /// Several values.
    List,
}

impl DataType {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Text, Self::Integer, Self::Decimal, Self::Boolean, Self::Object, Self::List];

    /// The word in a rulebook.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::List => "list",
        }
    }

    /// Whether a field of this type can be equal to the value.
    fn can_equal(self, scalar: &Scalar) -> bool {
        match (self, scalar) {
            (Self::Text, Scalar::Text(_)) | (Self::Boolean, Scalar::Bool(_)) => true,
            (Self::Decimal, Scalar::Number(_)) => true,
            (Self::Integer, Scalar::Number(number)) => number.is_whole(),
            _ => false,
        }
    }

    /// Whether the test compares such a field with what it can be.
    pub(crate) fn fits(self, matcher: &Matcher) -> bool {
        match matcher {
            Matcher::Equals(one) | Matcher::Not(one) => self.can_equal(one),
            Matcher::OneOf(all) => all.iter().all(|one| self.can_equal(one)),
            Matcher::Prefix(_) => self == Self::Text,
            Matcher::Gt(_) | Matcher::Gte(_) | Matcher::Lt(_) | Matcher::Lte(_) => {
                matches!(self, Self::Integer | Self::Decimal)
            }
            Matcher::Present(_) => true,
        }
    }
}
