//! What must hold of every change of a step's row, and of every step that is sent, whatever happens in the world.

use amends_engine::{Effect, Memory, StepRow, StepState};
use amends_protocol::Outcome;
use amends_rulebook::Rulebook;
use std::sync::Arc;

/// INVARIANT 3 once more, at the row: what a service did is never undone.
pub(super) fn check_step_change(before: &StepRow, after: &StepRow) {
    assert_eq!((before.id, before.verb, &before.action), (after.id, after.verb, &after.action));
    if let StepState::Done(outcome) = before.state
        && outcome != Outcome::Waived
        && !is_asked_in_doubt(outcome, before, after)
    {
        assert_eq!(after.state, before.state, "{} was done", before.id);
    }
}

/// Who says that there was nothing to undo may be asked once more by a person, under another key; who was never asked
/// may be asked yet.
fn is_asked_in_doubt(outcome: Outcome, before: &StepRow, after: &StepRow) -> bool {
    let is_unasked = before.attempts == 0 && !before.extra.by_hand;
    outcome == Outcome::NothingToCompensate
        && (is_unasked || after.extra.generation > before.extra.generation)
}

/// INVARIANTS 3, 4 and 5, checked on every effect against what is durable at that moment.
pub(super) fn check_effect(effect: &Effect, memory: &Memory, books: &[Arc<Rulebook>]) {
    let Effect::Send(send) = effect else { return };
    let row = memory.step(send.step).expect("sent only once durable");
    assert_eq!(row.state, StepState::InFlight, "{} must be durable as in flight", row.id);
    assert_eq!(row.id, send.step, "one key for ever");
    check_holds(row, memory, books);
    for other in memory.steps_of(send.step.case) {
        assert!(
            row.extra.fence
                || other.extra.fence
                || other.stage >= row.stage
                || other.state.is_terminal(),
            "{} {} went out before {} {} of an earlier stage had ended",
            row.verb,
            row.action,
            other.verb,
            other.action
        );
    }
}

/// Nothing of a held rule is sent: some rule that answers the case is not held.
fn check_holds(row: &StepRow, memory: &Memory, books: &[Arc<Rulebook>]) {
    let holds = memory.settings().rule_holds;
    let stored = memory.case(row.id.case).expect("stored");
    let Some(version) = stored.case.rulebook.as_ref().filter(|_| !holds.is_empty()) else { return };
    let book = books.iter().find(|book| book.hash() == &*version.hash).expect("known");
    let is_held = |label: &str| {
        let mut scopes = holds.iter().map(|row| &row.scope);
        scopes.any(|held| {
            held.rulebook == version.name && held.rule.as_deref().is_none_or(|rule| rule == label)
        })
    };
    let rules = stored.reports.iter().filter_map(|report| report.role.for_planner().rule());
    let mut rules = rules.map(|id| book.rule(id).index_label.as_str()).peekable();
    assert!(
        row.extra.because.is_empty() || rules.peek().is_none() || rules.any(|rule| !is_held(rule)),
        "{} {} went out, and every rule of its case is held",
        row.verb,
        row.action
    );
}
