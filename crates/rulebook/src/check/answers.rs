//! Which rules can answer a kind of report whose business fields are unknown.

use crate::condition::Field;
use crate::value_set::Found;
use crate::{ActionId, Rule, RuleId, Rulebook};

/// Rules that can answer `service/code` of `action`, most specific first: of each pattern those with conditions, until one
/// without stops the search. The flag tells whether such a one was found, so that no report stays unanswered.
pub(crate) fn answers(
    book: &Rulebook,
    service: &str,
    code: &str,
    action: Option<ActionId>,
) -> (Vec<RuleId>, bool) {
    let mut all = Vec::new();
    for bucket in book.index.covering(service, code) {
        let fitting = bucket.conditional.iter().copied();
        all.extend(
            fitting.filter(|id| action.is_none_or(|a| can_be_about(book, book.rule(*id), a))),
        );
        if let Some(rule) = all.last().map(|id| book.rule(*id))
            && action.is_some()
            && only_by_action(rule)
        {
            return (all, true);
        }
        if let Some(rule) = bucket.unconditional.first() {
            all.push(*rule);
            return (all, true);
        }
    }
    (all, false)
}

/// Whether the rule's conditions allow this action.
pub(super) fn can_be_about(book: &Rulebook, rule: &Rule, action: ActionId) -> bool {
    let name = &*book.get(action).name.action;
    rule.when
        .iter()
        .filter(|c| c.field == Field::Action)
        .all(|c| c.accepts.contains(Found::Text(name)))
}

/// Whether the rule asks of the report's fields nothing but its action.
pub(super) fn only_by_action(rule: &Rule) -> bool {
    !rule.when.is_empty() && rule.when.iter().all(|c| c.field == Field::Action)
}
