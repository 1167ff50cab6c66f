//! Every check, a file for each subject. A check is written as the story that it plays; what it builds on is named, so
//! that one cause gives one finding.

mod calls;
mod compensate;
mod context;
mod delivery;
mod failure;
mod fence;
mod forward;
mod history;
mod notify;
mod proof;
mod refuse;
mod report;
mod restart;
mod retry;
mod sameness;
mod signature;
mod step;
mod step_request;

use crate::check::Check;

/// Every check, in the order in which they are tried: what others build on comes first.
pub const CHECKS: Checks = Checks(ALL);

/// Checks in groups, one for each subject.
#[derive(Clone, Copy, Debug)]
pub struct Checks(&'static [&'static [Check]]);

impl Checks {
    /// One after another.
    pub fn iter(self) -> impl Iterator<Item = &'static Check> {
        self.0.iter().copied().flatten()
    }

    /// The one of this name.
    #[must_use]
    pub fn find(self, id: &str) -> Option<&'static Check> {
        self.iter().find(|check| check.id == id)
    }
}

const ALL: &[&[Check]] = &[
    forward::CHECKS,
    sameness::CHECKS,
    context::CHECKS,
    history::CHECKS,
    failure::CHECKS,
    report::CHECKS,
    delivery::CHECKS,
    step::CHECKS,
    step_request::CHECKS,
    compensate::CHECKS,
    fence::CHECKS,
    refuse::CHECKS,
    retry::CHECKS,
    notify::CHECKS,
    calls::CHECKS,
    proof::CHECKS,
    signature::CHECKS,
    restart::CHECKS,
];

#[cfg(test)]
mod tests {
    use crate::CHECKS;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_what_a_check_builds_on_comes_before_it() {
        let mut seen = HashSet::new();
        for check in CHECKS.iter() {
            for before in check.after {
                assert!(seen.contains(before), "`{}` comes after `{before}`", check.id);
            }
            assert!(seen.insert(check.id), "`{}` is there twice", check.id);
        }
    }

    #[test]
    fn every_section_that_is_named_is_on_the_page() {
        let page = include_str!("../../../../docs/reference/protocol.md");
        let anchor = |line: &str| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: char| c.is_alphanumeric() || c == ' ' || c == '-';
            words.chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")
        };
        let sections: HashSet<String> =
            page.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
        for check in CHECKS.iter() {
            assert!(sections.contains(check.section), "`{}` names `{}`", check.id, check.section);
        }
    }
}
