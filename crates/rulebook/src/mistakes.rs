//! Collects the mistakes of one load, up to a limit, and knows how to quote and what was probably meant.

use crate::codes;
use crate::{Diagnostic, Severity, Span};

/// Nobody mends more than this at once, and each one is drawn with its source line.
const LIMIT: usize = 500;

/// Text of the user's that is quoted in a message is cut here.
const QUOTE_CHARS: usize = 80;

/// How many names are compared with a misspelt one, and how long that one may be: the comparison is quadratic in length.
const CANDIDATES: usize = 1_000;
const CANDIDATE_BYTES: usize = 64;

/// How many mistakes get a suggestion, for the same reason.
const SUGGESTIONS: usize = 100;

/// So many names are offered when they are as close as each other.
const NEAR: usize = 3;

/// Up to so many names are listed when none is close.
const FEW: usize = 12;

/// The mistakes found so far.
#[derive(Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    beyond_limit: usize,
    /// Parts of the text are missing; what refers to them isn't judged.
    incomplete: bool,
    /// A call could not be read; that an action doesn't call another isn't judged.
    calls_incomplete: bool,
}

impl Diagnostics {
    /// Takes one; beyond the limit it is only counted.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < LIMIT {
            self.found.push(diagnostic);
        } else {
            self.beyond_limit += 1;
        }
    }

    pub(crate) fn extend(&mut self, diagnostics: Vec<Diagnostic>) {
        diagnostics.into_iter().for_each(|d| self.add(d));
    }

    pub(crate) fn set_incomplete(&mut self) {
        self.incomplete = true;
    }

    pub(crate) fn set_calls_incomplete(&mut self) {
        self.calls_incomplete = true;
    }

    /// How many there are, to see whether a part of the text has any.
    pub(crate) fn count(&self) -> usize {
        self.found.len() + self.beyond_limit
    }

    /// Whether an example or a suggestion is still worth the search.
    pub(crate) fn may_search(&self) -> bool {
        self.found.len() < SUGGESTIONS
    }

    /// The candidate that was probably meant. Only the first mistakes of a load are worth the search.
    pub(crate) fn closest<'a>(
        &self,
        text: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        if self.may_search() { closest(text, candidates) } else { None }
    }

    /// "did you mean", or the whole list if it is short.
    pub fn did_you_mean<'a>(
        &self,
        text: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        let near = if self.may_search() { nearest(text, known.clone()) } else { Vec::new() };
        if let [first, rest @ ..] = near.as_slice()
            && rest.len() < NEAR
        {
            let more: String = rest.iter().map(|name| format!(" or `{name}`")).collect();
            return Some(format!("did you mean `{first}`{more}?"));
        }
        let few: Vec<String> = known.into_iter().take(FEW + 1).map(|k| format!("`{k}`")).collect();
        (1..=FEW).contains(&few.len()).then(|| format!("known here: {}", few.join(", ")))
    }

    /// Sorted by place. The last one counts those beyond the limit.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Diagnostic> {
        let Self { mut found, beyond_limit, incomplete, calls_incomplete } = self;
        if calls_incomplete {
            found.retain(|d| ![codes::NOT_CALLED, codes::NO_SUCH_WAY].contains(&d.code));
        }
        // INVARIANT: what is incomplete has an error that stays.
        let own = |d: &Diagnostic| !depends_on_the_whole(d.code);
        if incomplete && found.iter().any(|d| own(d) && d.severity == Severity::Error) {
            found.retain(own);
        }
        found.sort_by(|a, b| (a.at, a.code).cmp(&(b.at, b.code)));
        if let (Some(last), 1..) = (found.last(), beyond_limit) {
            let at = Span { end: last.at.start, ..last.at };
            let message = format!("{beyond_limit} more mistakes are not shown");
            found
                .push(Diagnostic::new(codes::TOO_LARGE, at, message).with_help("mend these first"));
        }
        found
    }
}

/// Mistakes that may only follow from a part that couldn't be read.
fn depends_on_the_whole(code: &str) -> bool {
    [
        codes::UNKNOWN_SERVICE,
        codes::UNKNOWN_ACTION,
        codes::UNKNOWN_TAG,
        codes::MISSING_KEY,
        codes::MISSING_URL,
        codes::NO_UNDO,
        codes::NOT_CALLED,
        codes::UNDECLARED_REPORT,
        codes::NO_DEFAULT_RULE,
    ]
    .contains(&code)
}

/// The user's text in backticks, cut if it is long, without line breaks and the like.
#[must_use]
pub fn quote(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = text.chars().take(QUOTE_CHARS).map(clean).collect();
    let more = if text.chars().nth(QUOTE_CHARS).is_some() { "…" } else { "" };
    format!("`{shown}{more}`")
}

/// The candidate that was probably meant: the same but for capitals, or for a third of its letters. None if several are
/// as close, since one of them would be a guess.
pub fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    match nearest(text, candidates).as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

/// All candidates that are as close as the closest, each once, in order.
fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if text.len() > CANDIDATE_BYTES {
        return Vec::new();
    }
    let allowed = (text.chars().count() / 3).max(1);
    let near = |c: &&str| c.len() <= CANDIDATE_BYTES && c.len().abs_diff(text.len()) <= 4 * allowed;
    let mut close: Vec<(usize, &str)> = candidates
        .into_iter()
        .take(CANDIDATES)
        .filter(near)
        .map(|c| {
            let same = c.eq_ignore_ascii_case(text);
            (if same { 0 } else { strsim::damerau_levenshtein(text, c) }, c)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    close.sort_unstable();
    close.dedup();
    let least = close.first().map(|(distance, _)| *distance);
    close.into_iter().take_while(|(d, _)| Some(*d) == least).map(|(_, c)| c).collect()
}
