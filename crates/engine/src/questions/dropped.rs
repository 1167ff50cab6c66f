//! Evidence had no room, so that an action or a request of it may be missing.

use super::Facts;
use crate::{CaseMemo, Question, Said, Statement};
use amends_protocol::QuestionKind;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn is_possible(memo: &CaseMemo) -> bool {
    !memo.dropped.is_empty()
}

pub(super) fn add(facts: &Facts<'_>, all: &mut BTreeSet<Question>) {
    let kind = QuestionKind::Dropped;
    all.extend(facts.memo.dropped.iter().map(|by| Question {
        kind,
        effect: facts.book.settings().effect_of(kind),
        service: Arc::clone(by),
        action: None,
        statements: BTreeSet::from([Statement {
            by: Arc::clone(by),
            request: None,
            says: Said::More,
        }]),
        can_ask_again: false,
    }));
}
