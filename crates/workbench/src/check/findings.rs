//! What a check has found so far, and how much it may still look at.

use super::settings::CheckSettings;
use crate::evidence::Evidence;
use amends_rulebook::{Diagnostic, Rulebook, Span, codes};

/// Findings that are shown; the last one counts the others.
const FINDINGS_LIMIT: usize = 500;

/// Looks at a rule, action or value, about two seconds of work. A rulebook of 100,000 rules for 1,000 services needs a
/// tenth of it.
const WORK_LIMIT: usize = 20_000_000;

/// What was found so far, and how much may still be looked at.
pub(super) struct Findings<'s> {
    pub(super) settings: &'s CheckSettings,
    /// What a case hears of.
    pub(super) evidence: Evidence,
    all: Vec<Diagnostic>,
    beyond: usize,
    work: usize,
    pub(super) gave_up_at: Option<Span>,
}

impl<'s> Findings<'s> {
    /// Of a rulebook that nobody has looked at yet.
    pub(super) fn of(book: &Rulebook, settings: &'s CheckSettings) -> Self {
        Self {
            settings,
            evidence: Evidence::new(book),
            all: Vec::new(),
            beyond: 0,
            work: WORK_LIMIT,
            gave_up_at: None,
        }
    }

    /// Whether the kind is looked for at all.
    pub(super) fn wants(&self, code: &str) -> bool {
        self.settings.severity(code).is_some()
    }

    pub(super) fn add(&mut self, mut diagnostic: Diagnostic) {
        let Some(severity) = self.settings.severity(diagnostic.code) else {
            return;
        };
        diagnostic.severity = severity;
        if self.all.len() < FINDINGS_LIMIT {
            self.all.push(diagnostic);
        } else {
            self.beyond += 1;
        }
    }

    /// Whether a finding of a kind already names a business field.
    pub(super) fn names_field(&self, code: &str, field: &str) -> bool {
        let name = format!("{{data.{field}}}");
        self.all.iter().any(|d| d.code == code && d.message.contains(&name))
    }

    /// Takes some of the work that is left; false if there is none, which is then said once.
    pub(super) fn spend(&mut self, work: usize, at: Span) -> bool {
        match self.work.checked_sub(work) {
            Some(left) => {
                self.work = left;
                true
            }
            None => {
                self.give_up(at);
                false
            }
        }
    }

    /// Notes that something was too entangled to be decided.
    pub(super) fn give_up(&mut self, at: Span) {
        self.gave_up_at.get_or_insert(at);
    }

    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        if let Some(at) = self.gave_up_at {
            let message = "the rulebook is too entangled to check all of it";
            self.add(Diagnostic::new(codes::NOT_FULLY_CHECKED, at, message).with_label("what comes after this was left out").with_help(
                "answer whole services by sets such as `recorded`, and divide the rulebook by business domains",
            ));
        }
        let Self { mut all, beyond, .. } = self;
        all.sort_by(|a, b| (a.at, a.code).cmp(&(b.at, b.code)));
        if let (Some(last), 1..) = (all.last(), beyond) {
            let at = Span { end: last.at.start, ..last.at };
            let message = format!("{beyond} more findings are not shown");
            all.push(
                Diagnostic::new(codes::NOT_FULLY_CHECKED, at, message)
                    .with_help("mend these first"),
            );
        }
        all
    }
}
