//! What one saga may call below a call whose failure its caller bears, and on another way as well. A service undoes an
//! action for the whole saga, so whoever undoes the one undoes the other too, and no rule can say which was meant.

use super::state::leads_to;
use amends_rulebook::{ActionId, Rulebook};
use std::collections::BTreeSet;

/// Actions that are called so, sorted.
#[must_use]
pub fn called_both_ways(book: &Rulebook) -> BTreeSet<ActionId> {
    let loose = || {
        book.action_ids().flat_map(|caller| {
            let calls = book.get(caller).calls.iter().enumerate();
            calls.filter(|(_, call)| !call.is_strict()).map(move |(n, call)| (caller, n, *call))
        })
    };
    let mut both = BTreeSet::new();
    for (caller, n, call) in loose() {
        let below = |id: ActionId| leads_to(book, call.action, id);
        let entries = book
            .action_ids()
            .filter(|id| book.callers(*id).is_empty() && leads_to(book, *id, caller));
        let others = reached(book, entries.collect(), (caller, n));
        both.extend(others.into_iter().filter(|id| below(*id)));
        if call.times.may_be_many() {
            both.extend(book.action_ids().filter(|id| below(*id)));
        }
    }
    // Of one that is only run again a caller that waits does not fail, and so reports nothing.
    let waited_for = |id: &ActionId| {
        let callers = book.callers(*id).iter().flat_map(|caller| &book.get(*caller).calls);
        callers.into_iter().any(|call| call.action == *id && call.is_strict())
    };
    let detached = loose().flat_map(|(_, _, call)| {
        book.action_ids().filter(move |id| leads_to(book, call.action, *id))
    });
    both.extend(detached.filter(|id| book.get(*id).on_failure_retry && waited_for(id)));
    both
}

/// Everything that these call, directly or through others, without one call.
fn reached(book: &Rulebook, from: Vec<ActionId>, but: (ActionId, usize)) -> BTreeSet<ActionId> {
    let mut all = BTreeSet::new();
    let mut open = from;
    while let Some(at) = open.pop() {
        if all.insert(at) {
            let calls = book.get(at).calls.iter().enumerate();
            open.extend(calls.filter(|(n, _)| (at, *n) != but).map(|(_, call)| call.action));
        }
    }
    all
}
