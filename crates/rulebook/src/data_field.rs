//! Business fields as reports declare them: what each holds, whether it may be shown, what it means to the business.

use crate::{DataType, Span};
use std::sync::Arc;

/// A business field that a kind of report carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataField {
    /// Its path, with dots between nested objects.
    pub path: Arc<str>,
    /// What it holds, if that is said.
    pub kind: Option<DataType>,
    /// It goes to services and is never shown to people.
    pub secret: bool,
    /// What it means to the business.
    pub role: Option<DataRole>,
    /// Its name in the source.
    pub span: Span,
}

/// What a business field means, whatever its name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataRole {
    /// The business's own name of what is undone, e.g. the id of a payment.
    Key,
    /// Whom it concerns.
    Customer,
    /// How much it is about.
    Amount(Currency),
}

/// Of what an amount is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Currency {
    /// The field of the same data that says it.
    Field(Arc<str>),
    /// Always this one.
    Fixed(Arc<str>),
}

impl DataRole {
    /// The words of all roles.
    pub const WORDS: [&'static str; 3] = ["key", "customer", "amount"];

    /// The word in a rulebook.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Customer => "customer",
            Self::Amount(_) => "amount",
        }
    }

    /// Whether a field of this type can have the role.
    pub(crate) const fn fits(&self, kind: DataType) -> bool {
        match self {
            Self::Key | Self::Customer => matches!(kind, DataType::Text | DataType::Integer),
            Self::Amount(_) => matches!(kind, DataType::Integer | DataType::Decimal),
        }
    }

    /// Whether those who count alike must say the same of it: a wrong value would undo something else, or too much.
    #[must_use]
    pub const fn must_agree(&self) -> bool {
        matches!(self, Self::Key | Self::Amount(_))
    }
}

impl Currency {
    /// What is written in a rulebook.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Field(text) | Self::Fixed(text) => text,
        }
    }
}

/// Whether a text can name a currency: a code of ISO 4217 such as `EUR`, or another of up to 12 capitals and digits.
#[must_use]
pub fn is_currency(text: &str) -> bool {
    (1..=12).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}
