//! The closed lists that participants know: verbs, outcomes, states of a History. Each word is written here once.

use std::fmt;

/// A word that is not on its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// Which list, e.g. `outcome`.
    pub what: &'static str,
    /// The text as it came in.
    pub text: String,
    /// The words that are on the list.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} `{}`; one of: {}", self.what, self.text, self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// A closed list of words as an enum: each variant with its text on the wire, in the store and on the screen. What
/// follows a text after `|` is what it was called before: it is read, and never written.
///
/// Whoever uses it needs serde, and utoipa for its feature `openapi`.
// A text is a `tt`: a `literal` comes in a group of its own, in which the OpenAPI derive does not see it.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal {
        $($(#[$vmeta:meta])* $variant:ident = $text:tt $(| $before:tt)*),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text $(, alias = $before)*)] $variant),+ }

        impl $name {
            /// Every word of the list, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            const TEXTS: &'static [&'static str] = &[$($text),+];

            /// The word on the wire, in the store and on the screen.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownWord> {
                match text {
                    $($text $(| $before)* => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord { what: $what, text: text.to_owned(), known: Self::TEXTS }),
                }
            }
        }
    };
}

words! {
    /// What a step asks of a service.
    Verb, "verb" {
        /// Undo every request of the action in the saga and let none take effect afterwards.
        Compensate = "compensate",
        /// Run the stored request again, forward.
        Retry = "retry",
        /// Send a (correcting) message.
        Notify = "notify",
    }
}

words! {
    /// How a step ended.
    Outcome, "outcome" {
        /// The effect was there and is undone.
        Compensated = "compensated",
        /// An earlier request had undone it.
        AlreadyCompensated = "already_compensated",
        /// There was nothing to undo; a tombstone refuses the late original.
        NothingToCompensate = "nothing_to_compensate",
        /// The action ran (or had run) to its end.
        Retried = "retried",
        /// The message went out.
        Notified = "notified",
        /// The service says that it cannot, for good.
        Refused = "refused",
        /// A person decided to go without, with a reason.
        Waived = "waived",
        /// Of a fence: its service puts up none, so whether it still calls others is not known.
        NotFenceable = "not_fenceable",
    }
}

impl Outcome {
    /// Whether a service says it: the others are a person's decision and the supervisor's reading.
    #[must_use]
    pub const fn is_said_by_services(self) -> bool {
        !matches!(self, Self::Waived | Self::NotFenceable)
    }
}

impl Verb {
    /// The outcome of a step that is done and says no more.
    #[must_use]
    pub const fn ends_as(self) -> Outcome {
        match self {
            Self::Compensate => Outcome::Compensated,
            Self::Retry => Outcome::Retried,
            Self::Notify => Outcome::Notified,
        }
    }

    /// The outcome of a step for which there was nothing to do.
    #[must_use]
    pub const fn ends_as_nothing(self) -> Outcome {
        match self {
            Self::Compensate => Outcome::NothingToCompensate,
            Self::Retry | Self::Notify => self.ends_as(),
        }
    }

    /// The outcome of a step that had been done before, by whomever.
    #[must_use]
    pub const fn ends_as_already(self) -> Outcome {
        match self {
            Self::Compensate => Outcome::AlreadyCompensated,
            Self::Retry | Self::Notify => self.ends_as(),
        }
    }

    /// Every outcome that says that a step of this verb is done. `refused`, `waived` and `not_fenceable` end a step
    /// without that.
    #[must_use]
    pub const fn outcomes(self) -> &'static [Outcome] {
        match self {
            Self::Compensate => {
                &[Outcome::Compensated, Outcome::AlreadyCompensated, Outcome::NothingToCompensate]
            }
            Self::Retry => &[Outcome::Retried],
            Self::Notify => &[Outcome::Notified],
        }
    }

    /// Whether the outcome says that a step of this verb is done.
    #[must_use]
    pub fn may_end(self, outcome: Outcome) -> bool {
        self.outcomes().contains(&outcome)
    }
}

words! {
    /// What a History says of one request. A report's evidence uses the first four.
    HistoryState, "history state" {
        /// It began; nobody knows yet how it ended.
        Started = "started",
        /// It took effect.
        Succeeded = "succeeded",
        /// It took no effect, and the service that says so can prove it.
        Failed = "failed",
        /// It may or may not have taken effect.
        Unknown = "unknown",
        /// It took effect and was undone.
        Compensated = "compensated",
        /// It never took effect and never will: a tombstone refuses it.
        Fenced = "fenced",
    }
}

impl HistoryState {
    /// Whether a request in this state happened or may have happened, and is not undone.
    #[must_use]
    pub const fn may_have_effect(self) -> bool {
        match self {
            Self::Started | Self::Succeeded | Self::Unknown => true,
            Self::Failed | Self::Compensated | Self::Fenced => false,
        }
    }

    /// How much it says of a request, as statements of equal standing are joined.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Started => 0,
            Self::Unknown => 1,
            Self::Failed => 2,
            Self::Fenced => 3,
            Self::Succeeded => 4,
            Self::Compensated => 5,
        }
    }

    /// Two statements of equal standing about one request.
    #[must_use]
    pub const fn joined(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_survives_print_and_parse() {
        for &o in Outcome::ALL {
            assert_eq!(o.as_str().parse(), Ok(o));
            assert_eq!(serde_json::to_value(o).expect("plain"), o.as_str());
        }
    }

    #[test]
    fn an_outcome_ends_steps_of_one_verb_only() {
        for &outcome in Outcome::ALL {
            let verbs = Verb::ALL.iter().filter(|v| v.may_end(outcome)).count();
            let ends_no_verb =
                matches!(outcome, Outcome::Refused | Outcome::Waived | Outcome::NotFenceable);
            assert_eq!(verbs, usize::from(!ends_no_verb), "{outcome}");
        }
        assert!(Verb::ALL.iter().all(|v| v.may_end(v.ends_as()) && v.may_end(v.ends_as_nothing())));
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let error = "undo".parse::<Verb>().expect_err("not a verb").to_string();
        assert_eq!(error, "unknown verb `undo`; one of: compensate, retry, notify");
    }
}
