//! What came before an effect that nothing can undo is to be undone, and that effect may stand.

use crate::case::Case;
use crate::heard::{States, joined};
use crate::pivots::tellers;
use crate::{Question, Said, Statement};
use amends_api::QuestionKind;
use amends_protocol::HistoryState;
use amends_rulebook::{ActionId, Rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Case {
    pub(super) fn add_passed_pivots(&self, book: &Rulebook, all: &mut BTreeSet<Question>) {
        let pivots = self.pivots_in_doubt(book).into_iter();
        all.extend(pivots.map(|pivot| self.question_at_pivot(book, pivot.action)));
    }

    pub(crate) fn question_at_pivot(&self, book: &Rulebook, id: ActionId) -> Question {
        let kind = QuestionKind::PastThePivot;
        let name = &book.get(id).name;
        Question {
            kind,
            effect: book.settings().effect_of(kind),
            service: Arc::clone(&name.service),
            action: Some(name.clone()),
            field: None,
            statements: self.said_of_pivot(book, id),
            can_ask_again: !tellers(book, id).is_empty(),
        }
    }

    /// Who says of which request that it took effect, or may have, where its own service does not say otherwise.
    fn said_of_pivot(&self, book: &Rulebook, id: ActionId) -> BTreeSet<Statement> {
        let name = &book.get(id).name;
        let mut said = BTreeSet::new();
        for (request, by) in self.heard().by_witness(name) {
            let others = || by.values().fold(States::default(), |all, one| all.with(*one));
            let counts = by.get(&name.service).copied().unwrap_or_else(others);
            if !joined(counts).is_some_and(HistoryState::may_have_effect) {
                continue;
            }
            let states =
                by.iter().filter_map(|(witness, states)| Some((witness, joined(*states)?)));
            let speaking = states.filter(|(_, state)| state.may_have_effect());
            said.extend(speaking.map(|(witness, state)| Statement {
                by: Arc::clone(witness),
                request: Some(Arc::clone(request)),
                says: Said::State(state),
            }));
        }
        if said.is_empty() {
            let word = self.word_that_counts(book, id);
            let took_effect = word.has(HistoryState::Succeeded);
            let state = if took_effect { HistoryState::Succeeded } else { HistoryState::Unknown };
            let by = Arc::clone(&name.service);
            said.insert(Statement { by, request: None, says: Said::State(state) });
        }
        said
    }
}
