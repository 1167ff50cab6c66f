//! Looks for open questions through all open cases, in slices.

use crate::brief::Brief;
use crate::{Engine, Question};
use amends_api::{QuestionEffect, QuestionId, QuestionKind};
use amends_protocol::{CaseId, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::sync::Arc;

/// Which questions are meant; what is empty or absent means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionFilter {
    /// Of these kinds.
    pub kinds: Vec<QuestionKind>,
    /// Of this effect.
    pub effect: Option<QuestionEffect>,
    /// About this service.
    pub service: Option<String>,
    /// Of this case.
    pub case: Option<CaseId>,
    /// Of cases that are planned with one of these rulebooks, by name.
    pub rulebooks: Vec<String>,
    /// That come after this one in the list.
    pub after: Option<QuestionId>,
}

/// An open question of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundQuestion {
    /// Its id.
    pub id: QuestionId,
    /// The question, without its statements.
    pub question: Question,
    /// As it is put to people.
    pub sentence: Arc<str>,
    /// When its case changed last.
    pub since: Timestamp,
}

/// What was found, newest case first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundQuestions {
    /// The questions.
    pub questions: Vec<FoundQuestion>,
    /// There are more than were asked for.
    pub more: bool,
}

impl FoundQuestions {
    /// Puts what another node has found for the same filter in its place; at most `limit` stay.
    pub fn add(&mut self, other: Self, limit: usize) {
        self.more |= other.more;
        self.questions.extend(other.questions);
        self.questions.sort_by_key(|found| (Reverse(found.id.case), found.id));
        // It may have moved from one node to the other meanwhile.
        self.questions.dedup_by_key(|found| found.id);
        self.more |= self.questions.len() > limit;
        self.questions.truncate(limit);
    }
}

/// A search, under way.
#[derive(Debug)]
pub struct QuestionScan {
    left: Vec<CaseId>,
    filter: QuestionFilter,
    limit: usize,
    found: FoundQuestions,
}

impl Engine {
    /// Begins to look for open questions; at most `limit`.
    #[must_use]
    pub fn questions(&self, filter: QuestionFilter, limit: usize) -> QuestionScan {
        let mut left = match filter.case {
            Some(case) => vec![case],
            None => self.open_case_ids(),
        };
        if let Some(after) = filter.after {
            left.retain(|case| *case <= after.case);
        }
        QuestionScan { left, filter, limit, found: FoundQuestions::default() }
    }
}

impl QuestionScan {
    /// Looks at some more cases. True when nothing more is to be found.
    pub fn look(&mut self, engine: &Engine, cases: usize) -> bool {
        for id in crate::survey::next(&mut self.left, cases) {
            let Some(brief) = engine.brief(id) else { continue };
            for question in self.filter.of(id, &brief) {
                if self.found.questions.len() == self.limit {
                    self.found.more = true;
                    self.left.clear();
                    return true;
                }
                self.found.questions.push(question);
            }
        }
        self.left.is_empty()
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> FoundQuestions {
        self.found
    }
}

impl QuestionFilter {
    /// In the order of their ids.
    fn of(&self, case: CaseId, brief: &Brief) -> Vec<FoundQuestion> {
        let rulebook = brief.version.as_ref().map(|version| &*version.name);
        if brief.questions.is_empty()
            || !(self.rulebooks.is_empty()
                || rulebook.is_some_and(|name| self.rulebooks.iter().any(|one| one == name)))
        {
            return Vec::new();
        }
        let found = brief.questions.iter().map(|asked| FoundQuestion {
            id: asked.question.id(case),
            question: asked.question.clone(),
            sentence: Arc::clone(&asked.sentence),
            since: asked.since,
        });
        let mut found: Vec<_> = found.filter(|found| self.means(found)).collect();
        found.sort_unstable_by_key(|found| found.id);
        found
    }

    fn means(&self, FoundQuestion { id, question, .. }: &FoundQuestion) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&question.kind))
            && self.effect.is_none_or(|effect| effect == question.effect)
            && self.service.as_ref().is_none_or(|service| **service == *question.service)
            && self.after.is_none_or(|after| id.case < after.case || id.tag > after.tag)
    }
}
