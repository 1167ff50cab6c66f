//! How each report of a case is answered: by its own rule, or by the rule of the report that caused it.
//!
//! A report that names a report of the case as its cause is derived and needs no rule. One whose causes have not come
//! waits for them, then counts as a root of its own; who names it is derived from it. Causes that form a circle have no
//! root, so each of them counts as one as soon as one of them has waited long enough. A report of a service that the
//! rulebook does not declare answers for nobody: who names only such reports as causes counts as a root at once.
//! Nothing of that depends on the order in which the reports came.

use crate::circles::circles;
use crate::{Facts, RuleId, Rulebook};
use amends_protocol::Report;
use std::collections::BTreeMap;

/// How a report of a case is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// By this rule.
    Rule(RuleId),
    /// By this rule, whose limit of cases per minute was passed: its steps wait for a person's approval.
    RuleHeld(RuleId),
    /// By a person, who picked the steps.
    ByHand,
    /// By its root's rule: it names another report of the case as its cause.
    Derived,
    /// Its cause has not come, and may still come.
    AwaitsRoot,
    /// By no rule.
    Unmatched,
    /// Not at all: the case holds more reports than are looked at. What it tells counts as evidence.
    Excess,
}

impl Role {
    /// The rule that answers, if one does.
    #[must_use]
    pub const fn rule(self) -> Option<RuleId> {
        match self {
            Self::Rule(id) | Self::RuleHeld(id) => Some(id),
            Self::ByHand | Self::Derived | Self::AwaitsRoot | Self::Unmatched | Self::Excess => {
                None
            }
        }
    }
}

/// A report of a case, before its role is decided.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    /// The report.
    pub report: &'a Report,
    /// What was decided before. It stays: a plan may have been carried out because of it.
    pub role: Option<Role>,
    /// Its causes have had their time to come.
    pub waited: bool,
}

impl Reported<'_> {
    fn decided(&self) -> Option<Role> {
        self.role.filter(|role| *role != Role::AwaitsRoot)
    }

    /// A report that names itself names nobody.
    fn causes(&self) -> impl Iterator<Item = &str> {
        let report = self.report;
        report.data.caused_by.iter().filter(|c| **c != report.id).map(String::as_str)
    }
}

/// The role of each report of one case. Without a rulebook no rule answers.
#[must_use]
pub fn roles(book: Option<&Rulebook>, reports: &[Reported<'_>]) -> Vec<Role> {
    let by_own_rule = |one: &Reported<'_>| {
        let rule = book.and_then(|book| book.matching(&Facts::of(one.report)));
        rule.map_or(Role::Unmatched, Role::Rule)
    };
    let is_stranger =
        |one: &Reported<'_>| book.is_some_and(|book| !book.knows_reporter(&Facts::of(one.report)));
    let Causes { known: causes, only_strangers } = known_causes(reports, is_stranger);
    let mut roles: Vec<Option<Role>> = reports.iter().map(Reported::decided).collect();
    for circle in circles(&causes) {
        let mut outside = Outside::Nobody;
        for cause in circle.iter().flat_map(|n| &causes[*n]) {
            if circle.binary_search(cause).is_ok() {
                continue;
            }
            let has_root = roles[*cause] != Some(Role::AwaitsRoot);
            outside = outside.max(if has_root { Outside::Rooted } else { Outside::Waits });
        }
        let may_stand = |n: &usize| reports[*n].waited || only_strangers[*n];
        let stands = circle.iter().any(may_stand);
        for n in circle {
            roles[n] = roles[n].or_else(|| {
                Some(match outside {
                    Outside::Rooted => Role::Derived,
                    Outside::Nobody if stands => by_own_rule(&reports[n]),
                    Outside::Nobody | Outside::Waits => Role::AwaitsRoot,
                })
            });
        }
    }
    roles.into_iter().map(|role| role.unwrap_or(Role::AwaitsRoot)).collect()
}

/// What stands above a report or a circle of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outside {
    /// No report of the case.
    Nobody,
    /// Reports that wait for a root themselves.
    Waits,
    /// A root, or a report that has one.
    Rooted,
}

/// What each report that is not decided yet names as its causes.
struct Causes {
    /// The reports of the case, without those of strangers.
    known: Vec<Vec<usize>>,
    /// It names nobody, or only reports of strangers, which are all there.
    only_strangers: Vec<bool>,
}

fn known_causes(reports: &[Reported<'_>], is_stranger: impl Fn(&Reported<'_>) -> bool) -> Causes {
    let open = |one: &Reported<'_>| one.decided().is_none() && one.causes().next().is_some();
    if !reports.iter().any(open) {
        let only_strangers = reports.iter().map(|one| one.causes().next().is_none()).collect();
        return Causes { known: vec![Vec::new(); reports.len()], only_strangers };
    }
    let strangers: Vec<bool> = reports.iter().map(is_stranger).collect();
    let mut by_id: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (n, one) in reports.iter().enumerate() {
        by_id.entry(&*one.report.id).or_default().push(n);
    }
    let named = |one: &Reported<'_>| {
        let all = one.causes().filter_map(|id| by_id.get(id)).flatten().copied();
        all.filter(|n| !strangers[*n]).collect()
    };
    let of_strangers = |one: &Reported<'_>| {
        one.causes().all(|id| by_id.get(id).is_some_and(|all| all.iter().all(|n| strangers[*n])))
    };
    Causes {
        known: reports.iter().map(|one| if open(one) { named(one) } else { Vec::new() }).collect(),
        only_strangers: reports.iter().map(of_strangers).collect(),
    }
}
