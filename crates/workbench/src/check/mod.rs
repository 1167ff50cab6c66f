//! What a rulebook that can be read still gets wrong: steps that a failure needs and no rule asks for, rules that never
//! answer, gaps, orders and retries that don't work out. Comes on top of `load`, which stays as fast as it is. Judges the
//! rules against what the services declare; runs nothing.

mod addresses;
mod answers;
mod coverage;
mod declared;
mod endpoints;
mod excess;
mod findings;
mod gaps;
mod order;
mod place;
mod reach;
mod settings;
mod upkeep;
mod values;
mod wildcards;

pub(crate) use answers::answers;
pub use settings::CheckSettings;

use amends_rulebook::{Diagnostic, Rulebook};
use findings::Findings;

/// Everything that is wrong with a rulebook that loads, sorted by place. The spans point into [`Rulebook::sources`].
#[must_use]
pub fn check(book: &Rulebook) -> Vec<Diagnostic> {
    check_with(book, &CheckSettings::default())
}

/// The same with severities of one's own.
#[must_use]
pub fn check_with(book: &Rulebook, settings: &CheckSettings) -> Vec<Diagnostic> {
    let mut found = Findings::of(book, settings);
    declared::check(book, &mut found);
    order::check_calls(book, &mut found);
    order::check_pivots(book, &mut found);
    for (n, report) in book.reports().iter().enumerate() {
        coverage::check_report(book, n, report, &mut found);
    }
    wildcards::check(book, &mut found);
    gaps::check(book, &mut found);
    reach::check(book, &mut found);
    order::check_rules(book, &mut found);
    upkeep::check(book, &mut found);
    endpoints::check(book, &mut found);
    addresses::check(book, &mut found);
    values::check(book, &mut found);
    found.into_sorted()
}
