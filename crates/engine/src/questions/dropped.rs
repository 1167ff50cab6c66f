//! Evidence had no room or could not be read, so that an action or a request of it may be missing.

use super::Facts;
use crate::{CaseExtra, Question, Said, Statement};
use amends_api::QuestionKind;
use amends_protocol::Loss;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn is_possible(extra: &CaseExtra) -> bool {
    services(extra).next().is_some()
}

pub(super) fn add(facts: &Facts<'_>, all: &mut BTreeSet<Question>) {
    let kind = QuestionKind::Dropped;
    all.extend(services(facts.extra).map(|by| Question {
        kind,
        effect: facts.book.settings().effect_of(kind),
        service: Arc::clone(by),
        action: None,
        field: None,
        statements: BTreeSet::from([Statement {
            by: Arc::clone(by),
            request: None,
            says: Said::More,
        }]),
        can_ask_again: false,
    }));
}

/// Who told of something that may be missing. Data are none of it: the request that they belong to is known.
fn services(extra: &CaseExtra) -> impl Iterator<Item = &Arc<str>> {
    extra.dropped.iter().filter(|one| one.lost.why != Loss::Data).map(|one| &one.by)
}
