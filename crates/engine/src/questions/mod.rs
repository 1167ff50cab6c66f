//! Open questions: what is known leaves in doubt whether something still stands.
//!
//! A set, as a pure function of the evidence, the steps with their outcomes, and the rulebook: nothing is appended, so
//! that the order of arrival decides nothing, and better evidence ends a question by itself. Only what people said is
//! kept (`answer`), with the statements that they saw.

mod answer;
mod contradiction;
mod data_conflict;
mod dropped;
mod history;
mod past_the_pivot;
mod recorded;
mod search;
mod stranger;

pub use search::{FoundQuestion, FoundQuestions, QuestionFilter, QuestionScan};

use crate::case::Case;
use crate::heard::Heard;
use crate::turn::Turn;
use crate::{CaseExtra, DomainEvent, Question, QuestionAnswer, StepRow, StoredCase};
use amends_api::{CaseState, QuestionEffect, QuestionKind};
use amends_protocol::ActionName;
use amends_rulebook::Rulebook;
use std::collections::BTreeSet;
use std::sync::Arc;

/// All that questions depend on, and nothing else.
struct Facts<'a> {
    book: &'a Rulebook,
    steps: &'a [StepRow],
    extra: &'a CaseExtra,
    heard: &'a Heard,
}

/// What is in doubt, whatever people have said of it, but for the data of requests.
fn doubts(facts: &Facts<'_>) -> BTreeSet<Question> {
    let mut all = BTreeSet::new();
    contradiction::add(facts, &mut all);
    dropped::add(facts, &mut all);
    history::add(facts, &mut all);
    stranger::add(facts, &mut all);
    all
}

/// What is in doubt in a stored case, without what people have said enough of.
#[must_use]
pub fn open_questions(stored: &StoredCase, book: Option<&Arc<Rulebook>>) -> Vec<Question> {
    Case::stored(stored.clone(), book.cloned()).open_questions()
}

impl Case {
    fn doubts(&self) -> BTreeSet<Question> {
        let Some(book) = self.book.as_deref() else { return BTreeSet::new() };
        let extra = &self.row.extra;
        let is_possible = contradiction::is_possible(&self.steps, self.heard())
            || dropped::is_possible(extra)
            || history::is_possible(extra)
            || stranger::is_possible(extra)
            || data_conflict::is_possible(&self.steps)
            || !book.pivots().is_empty();
        if !is_possible {
            return BTreeSet::new(); // as nearly always; nothing is put together for it
        }
        let mut all = doubts(&Facts { book, steps: &self.steps, extra, heard: self.heard() });
        self.add_data_conflicts(book, &mut all);
        self.add_passed_pivots(book, &mut all);
        // Who tries a rulebook out in shadow mode is told what would be stuck, and has nothing to clear up.
        if !all.is_empty() && self.is_only_watched(book) {
            let note = |question| Question { effect: QuestionEffect::Note, ..question };
            all = all.into_iter().map(note).collect();
        }
        all
    }

    /// The kinds of what is in doubt and holds nothing, by the rulebook's word.
    pub(crate) fn noted(&self) -> BTreeSet<QuestionKind> {
        let open = self.open_questions();
        open.iter().filter(|question| !question.holds()).map(|question| question.kind).collect()
    }

    /// Actions of which the service says that there was nothing to undo, and evidence something else: whether that
    /// holds the case or not, and whatever people have said of it, something of them may stand.
    pub(crate) fn contradicted(&self) -> BTreeSet<ActionName> {
        if !contradiction::is_possible(&self.steps, self.heard()) {
            return BTreeSet::new();
        }
        let doubts = self.doubts().into_iter();
        let doubts = doubts.filter(|question| question.kind == QuestionKind::Contradiction);
        doubts.filter_map(|question| question.action).collect()
    }

    /// Whether something to undo may be missing in what the case knows.
    pub(crate) fn lacks_evidence(&self) -> bool {
        dropped::is_possible(&self.row.extra)
    }

    /// What nobody has answered yet.
    pub(crate) fn open_questions(&self) -> Vec<Question> {
        let answers = &self.row.extra.answers;
        let is_open = |question: &Question| !answers.iter().any(|answer| answer.covers(question));
        self.doubts().into_iter().filter(is_open).collect()
    }

    /// Who has taken something as it is that would hold the case else: the last who did.
    pub(crate) fn answered_by(&self) -> Option<String> {
        let answers = &self.row.extra.answers;
        if answers.is_empty() {
            return None;
        }
        let doubts = self.doubts();
        let counts = |answer: &&QuestionAnswer| {
            doubts.iter().any(|q| q.holds() && answer.covers(q))
                || (answer.value.is_none()
                    && data_conflict::has_ended_a_step(answer.kind, &self.steps))
        };
        answers.iter().rev().find(counts).map(|answer| answer.by.to_string())
    }

    /// Whether a question keeps the case from settling. What has not been told of yet is told.
    pub(crate) fn is_held(&mut self, turn: &mut Turn) -> bool {
        let mut held = self.open_questions();
        held.retain(Question::holds);
        let tags: BTreeSet<u64> = held.iter().map(Question::tag).collect();
        let known = self.asked.take();
        // Whoever finds a stuck case in the store has been told of it before.
        let tells_all = self.row.state != CaseState::Stuck;
        for question in &held {
            let is_known =
                known.as_ref().map_or(!tells_all, |known| known.contains(&question.tag()));
            if !is_known {
                turn.publish(DomainEvent::Question {
                    question: question.id(self.row.id),
                    kind: question.kind,
                    service: Arc::clone(&question.service),
                    sentence: question.sentence(),
                });
            }
        }
        self.asked = Some(tags);
        !held.is_empty()
    }
}
