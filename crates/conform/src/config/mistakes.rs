//! Collects the mistakes of a configuration, all at once, in the form that rulebooks have theirs in; so they are found,
//! worded and drawn alike.

use amends_rulebook::mistakes::Diagnostics;
use amends_rulebook::{Diagnostic, Span};

pub(super) use amends_rulebook::mistakes::quote;

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Mistakes(Diagnostics);

impl Mistakes {
    pub(super) fn add(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mistake = Diagnostic::new(code, at, message);
        let help = help.into();
        self.0.add(if help.is_empty() { mistake } else { mistake.with_help(help) });
    }

    /// Takes those that were found in the text itself.
    pub(super) fn take(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        found.into_iter().for_each(|mistake| self.0.add(mistake));
    }

    /// "did you mean", or all that is known; nothing if that is too much.
    pub(super) fn did_you_mean(&self, text: &str, known: &[&str]) -> String {
        self.0.did_you_mean(text, known.iter().copied()).unwrap_or_default()
    }

    /// Sorted by place.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        self.0.into_sorted()
    }
}
