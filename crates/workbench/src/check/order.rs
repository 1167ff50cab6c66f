//! Orders that don't work out: undoing something before what was built on it, calling what cannot be undone before what
//! can fail.

use super::findings::Findings;
use crate::places::Place;
use amends_protocol::Verb;
use amends_rulebook::{
    Action, ActionClass, ActionId, Demand, Diagnostic, Known, Rule, Rulebook, Stage, codes,
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
        ActionClass::Compensable | ActionClass::Free => false,
    }
}

fn kind_of_final(action: &Action) -> &'static str {
    if action.class == ActionClass::Notice {
        "a message without a correction"
    } else {
        "it is only ever run again"
    }
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
