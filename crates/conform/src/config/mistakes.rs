//! Collects the mistakes of a configuration, all at once, in the form that rulebooks have theirs in; so they are drawn
//! alike. Knows what was probably meant.

use amends_rulebook::{Diagnostic, Severity, Span};

/// Text of the user's that is quoted in a message is cut here.
const QUOTE_CHARS: usize = 80;

/// A longer name is not compared with others: the comparison is quadratic in length.
const CANDIDATE_BYTES: usize = 64;

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Mistakes {
    found: Vec<Diagnostic>,
}

impl Mistakes {
    pub(super) fn add(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let help = help.into();
        self.found.push(Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            at,
            label: String::new(),
            related: Vec::new(),
            help: (!help.is_empty()).then_some(help),
        });
    }

    /// Sorted by place.
    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| (a.at, a.code).cmp(&(b.at, b.code)));
        self.found
    }
}

/// The user's text in backticks, cut if it is long, without line breaks and the like.
pub(super) fn quote(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = text.chars().take(QUOTE_CHARS).map(clean).collect();
    let more = if text.chars().nth(QUOTE_CHARS).is_some() { "…" } else { "" };
    format!("`{shown}{more}`")
}

/// "did you mean", or all that is known.
pub(super) fn did_you_mean(text: &str, known: &[&str]) -> String {
    let allowed = (text.chars().count() / 3).max(1);
    let close = known
        .iter()
        .filter(|_| text.len() <= CANDIDATE_BYTES)
        .map(|word| match word.eq_ignore_ascii_case(text) {
            true => (0, word),
            false => (strsim::damerau_levenshtein(text, word), word),
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min();
    match close {
        Some((_, word)) => format!("did you mean `{word}`?"),
        None => {
            let all: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            format!("known here: {}", all.join(", "))
        }
    }
}
