//! What a rulebook that can be read still gets wrong: steps that a failure needs and no rule asks for, rules that never
//! answer, gaps, orders and retries that don't work out. Comes on top of `load`, which stays as fast as it is. Judges the
//! rules against what the services declare; runs nothing.

mod answers;
mod coverage;
mod declared;
mod excess;
mod gaps;
mod order;
mod reach;
mod upkeep;
mod wildcards;

pub(crate) use answers::answers;
pub(crate) use excess::is_caller;

use crate::evidence::Evidence;
use amends_rulebook::{
    CODES, CodeInfo, Diagnostic, FoundBy, RuleId, Rulebook, Severity, Span, codes,
};
use std::collections::{BTreeMap, BTreeSet};

/// Findings that are shown; the last one counts the others.
const FINDINGS_LIMIT: usize = 500;

/// Looks at a rule, action or value, about two seconds of work. A rulebook of 100,000 rules for 1,000 services needs a
/// tenth of it.
const WORK_LIMIT: usize = 20_000_000;

/// How strictly to look.
#[derive(Clone, Debug, Default)]
pub struct CheckSettings {
    /// Severity by code: none leaves the kind out. A kind that stands here is looked for even if it usually isn't.
    pub severities: BTreeMap<&'static str, Option<Severity>>,
    /// The rules that some test reaches; needed for `rule-without-test`.
    pub tested: Option<BTreeSet<RuleId>>,
}

impl CheckSettings {
    /// Sets the severity of a kind; none leaves it out.
    ///
    /// # Errors
    /// If there is no such code.
    pub fn set(&mut self, code: &str, severity: Option<Severity>) -> Result<(), String> {
        let known: Option<&CodeInfo> = CODES.iter().find(|c| {
            c.code == code && matches!(c.found_by, FoundBy::Check | FoundBy::CheckIfAsked)
        });
        match known {
            Some(info) => {
                self.severities.insert(info.code, severity);
                Ok(())
            }
            None => Err(format!("`{code}` is no kind of finding whose severity can be set")),
        }
    }

    fn severity(&self, code: &str) -> Option<Severity> {
        match self.severities.get(code) {
            Some(severity) => *severity,
            None => {
                let info = CODES.iter().find(|c| c.code == code)?;
                (info.found_by != FoundBy::CheckIfAsked).then_some(info.severity)
            }
        }
    }
}

/// Everything that is wrong with a rulebook that loads, sorted by place. The spans point into [`Rulebook::sources`].
#[must_use]
pub fn check(book: &Rulebook) -> Vec<Diagnostic> {
    check_with(book, &CheckSettings::default())
}

/// The same with severities of one's own.
#[must_use]
pub fn check_with(book: &Rulebook, settings: &CheckSettings) -> Vec<Diagnostic> {
    let mut found = Findings {
        settings,
        evidence: Evidence::new(book),
        all: Vec::new(),
        beyond: 0,
        work: WORK_LIMIT,
        gave_up_at: None,
    };
    declared::check(book, &mut found);
    order::check_calls(book, &mut found);
    for (n, report) in book.reports().iter().enumerate() {
        coverage::check_report(book, n, report, &mut found);
    }
    wildcards::check(book, &mut found);
    gaps::check(book, &mut found);
    reach::check(book, &mut found);
    order::check_rules(book, &mut found);
    upkeep::check(book, &mut found);
    found.into_sorted()
}

/// What was found so far, and how much may still be looked at.
struct Findings<'s> {
    settings: &'s CheckSettings,
    /// What a case hears of.
    evidence: Evidence,
    all: Vec<Diagnostic>,
    beyond: usize,
    work: usize,
    gave_up_at: Option<Span>,
}

impl Findings<'_> {
    /// Whether the kind is looked for at all.
    fn wants(&self, code: &str) -> bool {
        self.settings.severity(code).is_some()
    }

    fn add(&mut self, mut diagnostic: Diagnostic) {
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

    /// Takes some of the work that is left; false if there is none, which is then said once.
    fn spend(&mut self, work: usize, at: Span) -> bool {
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
    fn give_up(&mut self, at: Span) {
        self.gave_up_at.get_or_insert(at);
    }

    fn into_sorted(mut self) -> Vec<Diagnostic> {
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
