//! Looks for names that rulebooks don't know, with what people have said of them and how many cases wait for each.

use super::GroupKey;
use crate::{Engine, StrangerDecision};
use amends_api::{Cause, QuestionKind, StrangerActName};
use amends_protocol::{ActionName, CaseId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A name that evidence has told of and a rulebook does not know, or did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundStranger {
    /// The rulebook, by name.
    pub rulebook: Arc<str>,
    /// The action.
    pub action: ActionName,
    /// The active version of the rulebook declares it now.
    pub declared: bool,
    /// Cases that are held by it.
    pub waiting: u64,
    /// Cases whose evidence has told of it since the start.
    pub cases: u64,
    /// One of them.
    pub example: Option<CaseId>,
    /// What a person has said of it.
    pub decision: Option<StrangerDecision>,
}

/// A search for strangers, under way.
#[derive(Debug)]
pub struct StrangerScan {
    left: Vec<CaseId>,
    found: BTreeMap<(Arc<str>, ActionName), FoundStranger>,
}

impl FoundStranger {
    /// The acts that are possible; the engine takes these.
    #[must_use]
    pub fn may(&self) -> Vec<StrangerActName> {
        let is_possible = |act: &StrangerActName| match act {
            StrangerActName::Reconsider => self.decision.is_some(),
            said => !self.declared && self.decision.as_ref().is_none_or(|one| one.act != *said),
        };
        StrangerActName::ALL.iter().copied().filter(is_possible).collect()
    }

    /// The group of the cases that it holds, if there are any.
    #[must_use]
    pub fn group(&self) -> Option<String> {
        let key = GroupKey {
            service: Arc::clone(&self.action.service),
            action: Some(Arc::clone(&self.action.action)),
            verb: None,
            cause: Cause::Question,
            stuck: true,
            error: Some(QuestionKind::Stranger.as_str().into()),
        };
        (self.waiting > 0).then(|| key.id())
    }
}

impl Engine {
    /// Begins to look for strangers, and for the cases that they hold.
    #[must_use]
    pub fn strangers(&self) -> StrangerScan {
        let mut query = StrangerScan { left: self.open_case_ids(), found: BTreeMap::new() };
        for (rulebook, action, sighting) in self.strangers_heard() {
            let found = query.one(self, rulebook, action);
            found.cases = sighting.cases.len() as u64;
            found.example = sighting.cases.first().copied();
        }
        for ((rulebook, action), decision) in self.stranger_decisions() {
            query.one(self, rulebook, action).decision = Some(decision.clone());
        }
        query
    }
}

impl StrangerScan {
    /// Looks at some more cases. True when all have been seen.
    pub fn look(&mut self, engine: &Engine, cases: usize) -> bool {
        for id in super::next(&mut self.left, cases) {
            let Some(brief) = engine.brief(id) else { continue };
            let Some(version) = brief.version.as_ref() else { continue };
            let held = brief.questions.iter().map(|asked| &asked.question);
            let held = held.filter(|one| one.kind == QuestionKind::Stranger && one.holds());
            for action in held.filter_map(|question| question.action.as_ref()) {
                let found = self.one(engine, &version.name, action);
                found.waiting += 1;
                found.example.get_or_insert(id);
            }
        }
        self.left.is_empty()
    }

    /// What was found, by rulebook and action.
    #[must_use]
    pub fn finish(self) -> Vec<FoundStranger> {
        self.found.into_values().collect()
    }

    fn one(
        &mut self,
        engine: &Engine,
        rulebook: &Arc<str>,
        action: &ActionName,
    ) -> &mut FoundStranger {
        let fresh = || FoundStranger {
            rulebook: Arc::clone(rulebook),
            action: action.clone(),
            declared: engine.declares(rulebook, action),
            waiting: 0,
            cases: 0,
            example: None,
            decision: None,
        };
        self.found.entry((Arc::clone(rulebook), action.clone())).or_insert_with(fresh)
    }
}
