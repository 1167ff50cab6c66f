//! What people hold: rulebooks and rules, by name and label.

use crate::{Decision, HoldScope, RuleHold, RuleHoldRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What people hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleHolds(BTreeMap<HoldScope, Arc<RuleHold>>);

impl RuleHolds {
    /// A person holds something, or releases it.
    pub(crate) fn set(&mut self, row: RuleHoldRow) {
        let RuleHoldRow { scope, decision } = row;
        match decision {
            Some(decision) => {
                let hold = Arc::new(RuleHold { scope: scope.clone(), decision });
                drop(self.0.insert(scope, hold));
            }
            None => drop(self.0.remove(&scope)),
        }
    }

    /// Takes all out.
    pub(crate) fn take(&mut self) -> BTreeMap<HoldScope, Arc<RuleHold>> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn decision(&self, scope: &HoldScope) -> Option<&Decision> {
        self.0.get(scope).map(|hold| &hold.decision)
    }

    /// All, by rulebook and rule.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<RuleHold>> {
        self.0.values()
    }

    pub(crate) fn concern(&self, rulebook: &str) -> bool {
        self.all().any(|hold| *hold.scope.rulebook == *rulebook)
    }

    /// The hold of a rule: its own, else that of its rulebook.
    pub(crate) fn of(&self, rulebook: &str, rule: &str) -> Option<&Arc<RuleHold>> {
        let of_book = || self.all().filter(|hold| *hold.scope.rulebook == *rulebook);
        let own = of_book().find(|hold| hold.scope.rule.as_deref() == Some(rule));
        own.or_else(|| of_book().find(|hold| hold.scope.rule.is_none()))
    }
}
