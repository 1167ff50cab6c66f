//! Orders that don't work out: undoing something before what was built on it, calling what cannot be undone before what
//! can fail.

use super::findings::Findings;
use crate::places::Place;
use amends_protocol::Verb;
use amends_rulebook::{
    Action, ActionClass, ActionId, Demand, Diagnostic, FlowStep, Known, Rule, Rulebook, Stage,
    codes,
};
use std::collections::BTreeMap;

/// Pairs of steps that are compared in one rule.
const PAIRS: usize = 10_000;

/// Calls of each action: what cannot be undone should come last.
pub(super) fn check_calls(book: &Rulebook, found: &mut Findings<'_>) {
    let final_below = first_below(book, is_final);
    // A check that has no effect of its own (`effect: none`) fails more often than anything else.
    let fallible_below =
        first_below(book, |a| a.class != ActionClass::Notice && !a.on_failure_retry);
    for id in book.action_ids() {
        let action = book.get(id);
        let mut before: Option<ActionId> = None;
        for call in &action.calls {
            let n = call.action.0 as usize;
            if let (Some(last), Some(fails)) = (before, fallible_below[n]) {
                let message = format!(
                    "`{}` calls `{}`, which cannot be undone, before `{}`, which can fail",
                    action.name,
                    book.get(last).name,
                    book.get(fails).name
                );
                found.add(
                    Diagnostic::new(codes::IRREVERSIBLE_FIRST, action.span, message)
                        .with_label("in its `calls`")
                        .with_place(book.get(last).span, kind_of_final(book.get(last)))
                        .with_help(
                            "call it last; or give it a `compensation:`, a message a `correction:`",
                        ),
                );
                break;
            }
            before = before.or(final_below[n]);
        }
    }
}

fn is_final(action: &Action) -> bool {
    match action.class {
        ActionClass::Retriable => true,
        ActionClass::Notice => action.correction.is_none() && action.correction_of.is_none(),
        // Of what stands behind a pivot, `check_pivots` speaks.
        ActionClass::Compensable | ActionClass::Pivot | ActionClass::Free => false,
    }
}

fn kind_of_final(action: &Action) -> &'static str {
    if action.class == ActionClass::Notice {
        "a message without a correction"
    } else {
        "it is only ever run again"
    }
}

/// What stands behind a pivot: no other pivot, and nothing that fails without a word of what is done then.
pub(super) fn check_pivots(book: &Rulebook, found: &mut Findings<'_>) {
    for pivot in book.pivots() {
        let action = book.get(pivot.action);
        let first = book.pivots().iter().find(|other| pivot.before.contains(&other.action));
        if let Some(first) = first.map(|first| book.get(first.action)) {
            let message = format!(
                "`{}` is a pivot behind the pivot `{}`: a saga has one point of no return",
                action.name, first.name
            );
            found.add(
                Diagnostic::new(codes::SECOND_PIVOT, action.span, message)
                    .with_label("nothing can undo it")
                    .with_place(first.span, "nor this, which comes before it")
                    .with_help("keep `effect: pivot` where the saga can't go back any more; give what comes behind it `on_failure: retry`"),
            );
        }
    }
    let undoes = |rule: &&Rule| {
        let given_up = rule.give_up.as_ref().is_some_and(|give_up| give_up.then.is_backward());
        (rule.demand.is_backward() || given_up) && rule.past.is_none() && !rule.implied
    };
    let Some(rule) = book.rules().iter().find(undoes) else { return };
    for pivot in book.pivots() {
        let Some(fails) = fails_behind(book, pivot.action) else { continue };
        let (name, fails) = (&book.get(pivot.action).name, &book.get(fails).name);
        let message = format!(
            "`{fails}` can fail behind the pivot `{name}`, and rule `{}` doesn't say what becomes then of what came before",
            rule.index_label
        );
        found.add(
            Diagnostic::new(codes::UNSAID_PAST, rule.span, message)
                .with_label("a person is asked in each such case")
                .with_place(book.get(pivot.action).span, "nothing can undo it")
                .with_help("say it with `past: ask`, `past: undo` or `past: keep`; or let what comes behind the pivot be run again: `on_failure: retry`"),
        );
    }
}

/// The first action that can fail behind a pivot: one that is called later by whoever leads to it. Calls that are made
/// beside it or in other ways are not behind it.
fn fails_behind(book: &Rulebook, pivot: ActionId) -> Option<ActionId> {
    let can_fail = |a: &Action| a.class != ActionClass::Notice && !a.on_failure_retry;
    let fallible_below = first_below(book, can_fail);
    let mut open = vec![pivot];
    let mut seen = vec![pivot];
    while let Some(at) = open.pop() {
        for caller in book.callers(at) {
            let calls = &book.get(*caller).calls;
            let last = calls.iter().rposition(|call| call.action == at)?;
            let together = match calls.step_of(last) {
                Some(FlowStep::Parallel(together)) => together.end,
                _ => last + 1,
            };
            let ways: Vec<usize> = calls.excluded_by(last).collect();
            let behind = (together..calls.len()).filter(|n| !ways.contains(n));
            let strict = behind.filter_map(|n| calls.get(n)).filter(|call| call.is_strict());
            let fails = strict.filter_map(|call| fallible_below[call.action.0 as usize]).next();
            if fails.is_some() {
                return fails;
            }
            if !seen.contains(caller) {
                seen.push(*caller);
                open.push(*caller);
            }
        }
    }
    None
}

/// By action: itself or the first one below it that is so.
fn first_below(book: &Rulebook, is_so: impl Fn(&Action) -> bool) -> Vec<Option<ActionId>> {
    let mut first: Vec<Option<ActionId>> = vec![None; book.actions().len()];
    for id in book.callees_first() {
        let own = is_so(book.get(id)).then_some(id);
        first[id.0 as usize] =
            own.or_else(|| book.get(id).calls.iter().find_map(|c| first[c.action.0 as usize]));
    }
    first
}

/// Rules with stages: what was done last is undone first.
pub(super) fn check_rules(book: &Rulebook, found: &mut Findings<'_>) {
    for rule in book.rules() {
        let given_up = rule.give_up.as_ref().map(|give_up| &give_up.then);
        for demand in std::iter::once(&rule.demand).chain(given_up) {
            let stages = demand.stages.iter().filter(|s| !s.compensate.is_empty()).count();
            if stages > 1 && !check_rule(book, rule, demand, found) {
                return;
            }
        }
    }
}

fn check_rule(book: &Rulebook, rule: &Rule, demand: &Demand, found: &mut Findings<'_>) -> bool {
    let steps = undone(book, rule, demand);
    let mut pairs = PAIRS;
    for (early, at) in &steps {
        for (late, _) in steps.iter().filter(|(_, stage)| **stage > *at) {
            if !found.spend(4, rule.span) {
                return false;
            }
            pairs = pairs.saturating_sub(1);
            if pairs == 0 {
                return true;
            }
            let Some(caller) = ran_before(book, *early, *late) else {
                continue;
            };
            let (first, then) = (&book.get(*early).name, &book.get(*late).name);
            let (reason, place) = if caller == *early {
                ("which it calls", format!("`{first}` calls `{then}`"))
            } else {
                let caller = &book.get(caller).name;
                ("which came after it", format!("`{caller}` calls `{first}` before `{then}`"))
            };
            let label = &rule.index_label;
            let message = format!("rule `{label}` undoes `{first}` before `{then}`, {reason}");
            found.add(
                Diagnostic::new(codes::WRONG_ORDER, rule.span, message)
                    .with_place(book.get(caller).span, place)
                    .with_help(format!(
                        "undo `{then}` in the same stage or before, `{first}` under `then:`"
                    )),
            );
            return true;
        }
    }
    true
}

/// The compensations of a rule, each with its stage, where most has happened. Without a declared place everything may
/// have happened.
fn undone(book: &Rulebook, rule: &Rule, demand: &Demand) -> BTreeMap<ActionId, Stage> {
    let service = rule.pattern.service.as_deref();
    let report = match (&rule.pattern.code, service) {
        (amends_rulebook::CodePattern::Exact(code), Some(service)) => book.report(service, code),
        _ => None,
    };
    let effects = match report.and_then(|r| Place::of_report(book, r)) {
        Some(place) => place.state(book).effects(),
        None => book.action_ids().collect(),
    };
    let known = Known { reporter: report.and_then(|r| r.action), effects: &effects };
    let steps = book.resolve(demand, &known).into_iter();
    steps.filter(|s| s.verb == Verb::Compensate).map(|s| (s.action, s.stage)).collect()
}

/// The action that calls `a`, or what leads to it, before `b`, and neither the other way round; `a` itself if it calls
/// `b`, since what a callee did stands on what its caller is.
fn ran_before(book: &Rulebook, a: ActionId, b: ActionId) -> Option<ActionId> {
    let leads = |from: ActionId, to: ActionId| {
        from == to || book.downstream(from).binary_search(&to).is_ok()
    };
    if book.downstream(a).binary_search(&b).is_ok() {
        return Some(a);
    }
    let mut open = vec![a];
    let mut seen = vec![a];
    // A chain of callers longer than this is no order that a person had in mind.
    for _ in 0..1_000 {
        let at = open.pop()?;
        for caller in book.callers(at) {
            let calls = &book.get(*caller).calls;
            let last_a = calls.iter().rposition(|c| leads(c.action, a));
            let first_b = calls.iter().position(|c| leads(c.action, b));
            if let (Some(x), Some(y)) = (last_a, first_b)
                && x < y
            {
                return Some(*caller);
            }
            if !seen.contains(caller) {
                seen.push(*caller);
                open.push(*caller);
            }
        }
    }
    None
}
