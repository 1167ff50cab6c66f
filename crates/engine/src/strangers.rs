//! What the engine knows of names that a rulebook does not know: whether an earlier version declared them, and which
//! strangers evidence has told of since the start, so that people hear of each once for a rulebook.

use crate::{StrangerDecision, StrangerDecisionRow};
use amends_api::StrangerActName;
use amends_protocol::{ActionName, CaseId, Timestamp};
use amends_rulebook::Rulebook;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Strangers that are kept; of more, people have long heard.
const KEPT: usize = 1_000;
/// Cases of one stranger that are told apart; past it, they are not counted any more.
const CASES: usize = 10_000;

/// What people have said, by rulebook and action.
pub(crate) type Decisions = BTreeMap<(Arc<str>, ActionName), StrangerDecision>;

/// By the name of the rulebook.
#[derive(Clone, Debug, Default)]
pub(crate) struct StrangersHeard {
    declared: BTreeMap<Arc<str>, BTreeSet<ActionName>>,
    heard: BTreeMap<(Arc<str>, ActionName), Sighting>,
    /// What people have said.
    decided: Decisions,
}

/// A stranger that evidence has told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) since: Timestamp,
    /// A service that told of it.
    pub(crate) by: Arc<str>,
    pub(crate) cases: BTreeSet<CaseId>,
}

impl StrangersHeard {
    /// A version of a rulebook was active once.
    pub(crate) fn learn(&mut self, book: &Rulebook) {
        let names = self.declared.entry(book.name().into()).or_default();
        names.extend(book.actions().iter().map(|action| action.name.clone()));
    }

    /// Whether a version of the rulebook declared the action.
    pub(crate) fn declared(&self, rulebook: &str, action: &ActionName) -> bool {
        self.declared.get(rulebook).is_some_and(|names| names.contains(action))
    }

    /// A case has heard of a stranger.
    pub(crate) fn note(
        &mut self,
        rulebook: &str,
        action: &ActionName,
        (by, case): (&Arc<str>, CaseId),
        at: Timestamp,
    ) {
        let key = (Arc::from(rulebook), action.clone());
        if self.heard.len() >= KEPT && !self.heard.contains_key(&key) {
            return;
        }
        let fresh = || Sighting { since: at, by: Arc::clone(by), cases: BTreeSet::new() };
        let sighting = self.heard.entry(key).or_insert_with(fresh);
        if sighting.cases.len() < CASES {
            sighting.cases.insert(case);
        }
    }

    /// These cases have not told of any.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(CaseId) -> bool) {
        self.heard.retain(|_, sighting| {
            sighting.cases.retain(|case| !is_gone(*case));
            !sighting.cases.is_empty()
        });
    }

    /// A person has said something of a stranger, or has taken it back.
    pub(crate) fn decide(&mut self, row: StrangerDecisionRow) {
        let key = (row.rulebook, row.action);
        match row.decision {
            Some(decision) => drop(self.decided.insert(key, decision)),
            None => drop(self.decided.remove(&key)),
        }
    }

    /// Takes out what people have said.
    pub(crate) fn forget_decisions(&mut self) -> Decisions {
        std::mem::take(&mut self.decided)
    }

    /// Of what people say something else than before, or nothing any more.
    pub(crate) fn decided_otherwise(&self, before: &Decisions) -> Vec<(Arc<str>, ActionName)> {
        let keys: BTreeSet<_> = self.decided.keys().chain(before.keys()).collect();
        let is_other = |key: &&(Arc<str>, ActionName)| self.decided.get(*key) != before.get(*key);
        keys.into_iter().filter(is_other).cloned().collect()
    }

    /// What people have said, by rulebook and action.
    pub(crate) fn decided(
        &self,
    ) -> impl Iterator<Item = (&(Arc<str>, ActionName), &StrangerDecision)> {
        self.decided.iter()
    }

    /// What a person has said of a stranger.
    pub(crate) fn decision(
        &self,
        rulebook: &str,
        action: &ActionName,
    ) -> Option<&StrangerDecision> {
        if self.decided.is_empty() {
            return None;
        }
        self.decided.get(&(Arc::from(rulebook), action.clone()))
    }

    /// The actions of which people have said something for a rulebook.
    pub(crate) fn decided_of(&self, rulebook: &str) -> Vec<ActionName> {
        let of_it = self.decided.keys().filter(|(name, _)| **name == *rulebook);
        of_it.map(|(_, action)| action.clone()).collect()
    }

    /// Whether a person said that nobody needs to hear of an action.
    pub(crate) fn is_ignored(&self, rulebook: &str, action: &ActionName) -> bool {
        let decision = self.decision(rulebook, action);
        decision.is_some_and(|decision| decision.act == StrangerActName::Ignore)
    }

    /// Strangers that these versions neither know nor ignore, and of which nobody has said anything.
    pub(crate) fn unknown_to<'a>(
        &'a self,
        active: &'a BTreeMap<Arc<str>, Arc<Rulebook>>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a ActionName, &'a Sighting)> {
        let is_unknown = |rulebook: &str, name: &ActionName| {
            active.get(rulebook).is_none_or(|book| {
                book.action(&name.service, &name.action).is_none()
                    && !book.strangers().ignores(&name.service, &name.action)
            })
        };
        let all = self.heard.iter();
        let is_open = |key: &(Arc<str>, ActionName)| !self.decided.contains_key(key);
        all.filter(move |(key, _)| is_open(key) && is_unknown(&key.0, &key.1))
            .map(|((rulebook, name), sighting)| (rulebook, name, sighting))
    }
}
