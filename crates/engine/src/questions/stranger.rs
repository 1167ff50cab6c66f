//! Evidence tells of an action that the rulebook does not know, and that may have had an effect: nobody undoes it.
//!
//! It holds its case if an earlier version of the rulebook declared the action, since then something was forgotten, or
//! if the rulebook says so; else people hear of it once for all cases, and the case goes on.

use super::Facts;
use crate::case::Case;
use crate::heard::{States, joined};
use crate::turn::Turn;
use crate::{CaseExtra, Question, Said, Statement, StrangerRow};
use amends_api::{QuestionEffect, QuestionId, QuestionKind};
use amends_protocol::ActionName;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Strangers that one case keeps.
const KEPT: usize = 100;

pub(super) fn is_possible(extra: &CaseExtra) -> bool {
    !extra.strangers.is_empty()
}

pub(super) fn add(facts: &Facts<'_>, all: &mut BTreeSet<Question>) {
    let kind = QuestionKind::Stranger;
    let strangers = facts.book.strangers();
    for row in &facts.extra.strangers {
        let (name, is_known) =
            (&row.action, facts.book.action(&row.action.service, &row.action.action));
        if is_known.is_some() || row.ignored || strangers.ignores(&name.service, &name.action) {
            continue;
        }
        let statements = may_stand(facts, name);
        if statements.is_empty() {
            continue;
        }
        let holds = row.declared_before || strangers.hold;
        let effect =
            if holds { facts.book.settings().effect_of(kind) } else { QuestionEffect::Note };
        all.insert(Question {
            kind,
            effect,
            service: Arc::clone(&name.service),
            action: Some(name.clone()),
            field: None,
            statements,
            can_ask_again: false,
        });
    }
}

/// Who says of which request that it may have an effect, where the action's own service does not say otherwise.
fn may_stand(facts: &Facts<'_>, name: &ActionName) -> BTreeSet<Statement> {
    let mut statements = BTreeSet::new();
    for (request, by) in facts.heard.by_witness(name) {
        let others = || by.values().fold(States::default(), |all, one| all.with(*one));
        let counts = by.get(&name.service).copied().unwrap_or_else(others);
        if !joined(counts).is_some_and(amends_protocol::HistoryState::may_have_effect) {
            continue;
        }
        for (witness, states) in by {
            statements.extend(joined(*states).map(|state| Statement {
                by: Arc::clone(witness),
                request: Some(Arc::clone(request)),
                says: Said::State(state),
            }));
        }
    }
    statements
}

impl Case {
    /// Keeps that evidence tells of an action that the rulebook does not know.
    pub(crate) fn keep_stranger(&mut self, name: &ActionName, declared_before: bool) {
        let rows = &mut self.row.extra.strangers;
        let has_room = rows.len() < KEPT;
        match rows.iter_mut().find(|row| row.action == *name) {
            Some(row) if row.declared_before || !declared_before => return,
            Some(row) => row.declared_before = true,
            None if has_room => {
                rows.push(StrangerRow { action: name.clone(), declared_before, ignored: false });
            }
            None => return,
        }
        self.row_changed = true;
    }

    /// Takes over what people have said of the strangers that it knows.
    pub(crate) fn heed_decisions(&mut self, turn: &Turn) {
        let Some(version) = &self.row.rulebook else { return };
        for row in &mut self.row.extra.strangers {
            let ignored = turn.strangers.is_ignored(&version.name, &row.action);
            self.row_changed |= row.ignored != ignored;
            row.ignored = ignored;
        }
    }

    /// The stranger that an open question is about, with the name of its rulebook.
    pub(crate) fn stranger_in_question(&self, id: QuestionId) -> Option<(Arc<str>, ActionName)> {
        let questions = self.open_questions().into_iter();
        let mut strangers = questions.filter(|one| one.kind == QuestionKind::Stranger);
        let question = strangers.find(|question| question.tag() == id.tag)?;
        Some((Arc::clone(&self.row.rulebook.as_ref()?.name), question.action?))
    }
}
